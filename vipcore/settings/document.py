"""The mirrors document: text -> mirrors and key ids, with every fault at once and each fault where it belongs.

The shape is judged by `mirrors.schema.json` (the same file an editor uses); what a schema cannot say (addresses, one NIC for
two members, one subscription, what two mirrors claim at once) is judged here.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache
from itertools import chain, product
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import jsonschema

from vipcore import strictjson
from vipcore.model import Member, Mirror, Vip
from vipcore.strictjson import Place

_PROVIDER: Final = "/providers/Microsoft.Network/"


class Fault(NamedTuple):
    """`where`: a JSON pointer into the mirrors document or a setting's name; `what`: a sentence, never a secret."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Document(NamedTuple):
    """What could be read. `key_ids`: key id -> (mirror, member), those with a fault left out. `named_keys`: all that it names."""

    mirrors: Mapping[str, Mirror] = {}
    faulty: Mapping[str, tuple[Fault, ...]] = {}
    key_ids: Mapping[str, tuple[str, str]] = {}
    named_keys: Set[str] = frozenset()
    faults: tuple[Fault, ...] = ()
    fatal: bool = False


def read(text: str) -> Document:
    """The document of a text. Never raises."""
    try:
        data = strictjson.parse(text)
    except ValueError as exc:
        return Document(faults=(Fault("VIP_MIRRORS", f"the mirrors document is not JSON: {exc}"),), fatal=True)
    if not isinstance(data, dict) or not isinstance(data.get("mirrors"), dict):
        return Document(faults=(Fault("VIP_MIRRORS", 'the mirrors document must be an object with "mirrors"'),), fatal=True)
    twice = set(strictjson.duplicates(data))
    by_mirror: dict[str, list[Fault]] = {}
    by_key: dict[str, list[Fault]] = {}
    others: list[Fault] = []
    for place, fault in _misshapen(data, twice):
        match place:
            case "mirrors", name, *_:
                by_mirror.setdefault(str(name), []).append(fault)
            case "keys", name, *_:
                by_key.setdefault(str(name), []).append(fault)
            case _:
                others.append(fault)
    # A mirror that needs a default with a fault is at fault itself, the others are not.
    defaults = {} if ("defaults",) in twice else _sound(data.get("defaults"), ("defaults",), others)
    mirrors: dict[str, Mirror] = {}
    for name, spec in data["mirrors"].items():
        mirrors[name], faults = _mirror(name, spec, defaults, by_mirror.get(name, ()))
        if faults:
            by_mirror.setdefault(name, []).extend(faults)
    broken = set(by_mirror)
    for name, peer, fault in _clashes(mirrors):
        if name in broken or peer not in broken:  # what is not served takes nothing from a mirror that is
            by_mirror.setdefault(name, []).append(fault)
    named = data["keys"] if isinstance(data.get("keys"), dict) else {}
    signers = {key_id: (entry["mirror"], entry["member"]) for key_id, entry in named.items() if key_id not in by_key}
    for key_id, (name, member) in signers.items():
        spec = data["mirrors"].get(name)
        members = spec.get("members") if isinstance(spec, dict) else None
        # One of a faulty mirror may well be meant: the mirror answers for itself.
        if spec is None or (isinstance(members, dict) and member not in members):
            what = f"names member {member!r} of mirror {name!r}, which the document does not define"
            by_key[key_id] = [Fault(strictjson.pointer(("keys", key_id)), what)]
    return Document(
        mirrors={name: mirror for name, mirror in mirrors.items() if name not in by_mirror},
        faulty={name: tuple(some) for name, some in by_mirror.items()},
        # Which of two sections of keys was meant is not ours to guess.
        key_ids={key_id: signer for key_id, signer in signers.items() if key_id not in by_key and ("keys",) not in twice},
        named_keys=frozenset(named),
        faults=(*others, *chain(*by_mirror.values(), *by_key.values())),
        fatal=("mirrors",) in twice,
    )


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def schema() -> Any:
    """The document's JSON Schema, the file that an editor uses too."""
    return json.loads((Path(__file__).parents[1] / "mirrors.schema.json").read_bytes())


def _misshapen(data: Any, twice: Set[Place]) -> Iterator[tuple[Place, Fault]]:
    """What names and schema say is wrong, each with the place of what has the fault."""
    for place in sorted(twice, key=str):
        yield place, Fault(strictjson.pointer(place), "the name stands twice in its object")
    for error in _validator().iter_errors(data):
        place, fault = (
            tuple(error.absolute_path),
            Fault(strictjson.pointer(error.absolute_path) or "/", strictjson.told(error, names=True)),
        )
        # A fault of a mirror's or a key's own name is reported at the parent, but belongs to what has that name.
        own = len(place) == 1 and "propertyNames" in error.absolute_schema_path
        yield (*place, str(error.instance)) if own else place, fault


def _sound(value: Any, at: Place, faults: Iterable[Fault], kind: type = dict) -> dict[Any, Any]:
    """The parts of the object or list at that place, by name or index, that have no fault; none where it is of another kind."""
    wrong = [f"{fault.where}/" for fault in faults]
    parts = strictjson.parts(value) if isinstance(value, kind) else ()
    return {key: part for key, part in parts if not any(one.startswith(strictjson.pointer((*at, key)) + "/") for one in wrong)}


def _mirror(name: str, spec: Any, defaults: Mapping[str, str], known: Iterable[Fault]) -> tuple[Mirror, list[Fault]]:
    """One mirror, and what its schema could not say. Parts whose shape is wrong are left out: their faults are `known`."""
    at: Place = ("mirrors", name)
    whole = spec if isinstance(spec, dict) else {}
    spec, entries = _sound(whole, at, known), _sound(whole.get("members"), (*at, "members"), known)
    faults: list[Fault] = []
    members: list[Member] = []
    vips: list[Vip] = []

    def fault(what: str, *place: str | int) -> None:
        faults.append(Fault(strictjson.pointer((*at, *place)), what))

    def full_id(text: str, kind: str, *place: str | int) -> str | None:
        """The resource id of a name or id; None, and a fault, where the defaults are needed and missing."""
        if text.startswith("/"):
            return text
        missing = [one for one in ("subscription_id", "resource_group") if one not in defaults]
        if missing:
            fault(f"{text!r} is a name, so a valid /defaults/{missing[0]} is needed; or give the full resource id", *place)
            return None
        return f"/subscriptions/{defaults['subscription_id']}/resourceGroups/{defaults['resource_group']}{_PROVIDER}{kind}/{text}"

    for member, entry in entries.items():
        if nic_id := full_id(entry["nic"], "networkInterfaces", "members", member, "nic"):
            members.append(Member(name=member, nic_id=nic_id, status_url=entry.get("status_url")))
    for index, entry in _sound(whole.get("vips"), (*at, "vips"), known, kind=list).items():
        address, public = _address(entry["private_ip"]), entry.get("public_ip") or None
        if address is None:
            fault(f"{entry['private_ip']!r} is not an IPv4 or IPv6 address that a NIC can have", "vips", index, "private_ip")
            continue
        public_id = public and full_id(public, "publicIPAddresses", "vips", index, "public_ip")
        if public_id or not public:
            vips.append(Vip(name=entry["name"], private_ip=str(address), public_ip_id=public_id))
    faults += [Fault(strictjson.pointer(at), what) for what in _within(members, vips)]
    urls: dict[Place, str | None] = {("path_probe",): spec.get("path_probe")}
    urls |= {("members", member, "status_url"): entry.get("status_url") for member, entry in entries.items()}
    for place, url in urls.items():
        if url and not _askable(url):
            fault("must name a host, and with tcp:// a port, such as tcp://10.0.0.254:1972", *place)
    options = {one: spec[one] for one in ("path_probe", "hold_s", "follow_primary", "strategy") if one in spec}
    return Mirror(name=name, members=tuple(members), vips=tuple(vips), **options), faults


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a text, if it is one that a NIC can have."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if address.is_loopback or address.is_multicast or address.is_unspecified or "%" in text else address


def _askable(url: str) -> bool:
    """Whether a URL has a host, and a port where nothing implies one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is not None or parts.scheme != "tcp")
    except ValueError:
        return False


def _within(members: list[Member], vips: list[Vip]) -> Iterator[str]:
    """Sentences about what contradicts itself inside one mirror."""
    nics = [member.nic_id.lower() for member in members]
    for member, nic in zip(members, nics, strict=True):
        if nics.count(nic) > 1:
            yield f"the NIC of member {member.name!r} is also another member's; each member needs its own"
    if len({nic.split("/")[2] for nic in nics}) > 1:
        yield "its NICs are in different subscriptions; they share a subnet, so in Azure they share a subscription"
    for field_name, values in (
        ("name", [vip.name.lower() for vip in vips]),
        ("private_ip", [vip.private_ip for vip in vips]),
        ("public_ip", [vip.public_ip_id.lower() for vip in vips if vip.public_ip_id]),
    ):
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"two of its VIPs have the same {field_name} {value.rsplit('/', 1)[-1]!r}"


def _clashes(mirrors: Mapping[str, Mirror]) -> Iterator[tuple[str, str, Fault]]:
    """What two mirrors want at once: a VIP name or address on one NIC, a public IP anywhere. Both are at fault.

    Yields the one, the other, and the fault of the one.
    """
    taken: dict[tuple[str, ...], str] = {}
    for mirror in mirrors.values():
        wants: set[tuple[str, ...]] = {("public IP", vip.public_ip_id.lower()) for vip in mirror.vips if vip.public_ip_id}
        for vip, member in product(mirror.vips, mirror.members):
            wants |= {("VIP name", vip.name.lower(), member.nic_id.lower()), ("address", vip.private_ip, member.nic_id.lower())}
        for want in sorted(wants):
            other = taken.setdefault(want, mirror.name)
            if other != mirror.name:
                on = f" on NIC {want[2].rsplit('/', 1)[-1]!r}" if len(want) == 3 else ""
                shown = want[1].rsplit("/", 1)[-1]
                for name, peer in ((mirror.name, other), (other, mirror.name)):
                    what = f"{want[0]} {shown!r}{on} is also mirror {peer!r}'s"
                    yield name, peer, Fault(strictjson.pointer(("mirrors", name)), what)
