"""The mirrors document: text -> mirrors and key ids, with every fault at once and each fault where it belongs.

The shape is judged by `mirrors.schema.json` (the same file an editor uses); what a schema cannot say (addresses, one NIC for
two members, one subscription, what two mirrors claim at once) is judged here.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import jsonschema

from vipcore import strictjson
from vipcore.model import Member, Mirror, Vip

_PROVIDER: Final = "/providers/Microsoft.Network/"
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Fault(NamedTuple):
    """`where`: a JSON pointer into the mirrors document or a setting's name; `what`: a sentence, never a secret."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Document(NamedTuple):
    """What could be read. `key_ids`: key id -> (mirror, member), those with a fault left out."""

    mirrors: Mapping[str, Mirror] = _NONE
    faulty: Mapping[str, tuple[Fault, ...]] = _NONE
    key_ids: Mapping[str, tuple[str, str]] = _NONE
    faults: tuple[Fault, ...] = ()
    fatal: bool = False


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema that ships with the app."""
    loaded: dict[str, Any] = json.loads(Path(__file__).parents[1].joinpath("mirrors.schema.json").read_text(encoding="utf-8"))
    return loaded


def read(text: str) -> Document:
    """The document of a text. Never raises."""
    try:
        data = strictjson.parse(text)
    except ValueError as exc:
        return Document(faults=(Fault("VIP_MIRRORS", f"the mirrors document is not JSON: {exc}"),), fatal=True)
    if not isinstance(data, dict) or not isinstance(data.get("mirrors"), dict):
        return Document(faults=(Fault("VIP_MIRRORS", 'the mirrors document must be an object with "mirrors"'),), fatal=True)
    twice = set(strictjson.duplicates(data))
    found = [(at, Fault(strictjson.pointer(at), "the name stands twice in its object")) for at in sorted(twice, key=str)]
    for error in _validator().iter_errors(data):
        where = strictjson.pointer(tuple(error.absolute_path)) or "/"
        found.append((_place(error), Fault(where, _sentence(error))))
    by_mirror, by_key, others = _sorted(found)
    defaults = {} if ("defaults",) in twice else _defaults(data, others)
    mirrors: dict[str, Mirror] = {}
    for name, spec in data["mirrors"].items():
        mirror, faults = _mirror(name, spec, defaults, {fault.where for fault in by_mirror.get(name, ())})
        if faults:
            by_mirror.setdefault(name, []).extend(faults)
        mirrors[name] = mirror
    broken = set(by_mirror)
    for name, peer, fault in _clashes(mirrors):
        if name in broken or peer not in broken:  # what is not served takes nothing from a mirror that is
            by_mirror.setdefault(name, []).append(fault)
    key_ids, key_faults = _key_ids(data, by_key)
    if ("keys",) in twice:
        key_ids = {}  # which of the two was meant is not ours to guess
    faults = [*others, *(fault for some in by_mirror.values() for fault in some), *key_faults]
    return Document(
        mirrors={name: mirror for name, mirror in mirrors.items() if name not in by_mirror},
        faulty={name: tuple(some) for name, some in by_mirror.items()},
        key_ids=key_ids,
        faults=tuple(faults),
        fatal=("mirrors",) in twice,
    )


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


_SENTENCES: Final = {
    "type": "must be of type {}",
    "enum": "must be one of {}",
    **dict.fromkeys(("minItems", "minProperties", "minLength", "minimum"), "must be {} or more"),
    **dict.fromkeys(("maxItems", "maxProperties", "maxLength", "maximum"), "must be {} or less"),
}


_Place = tuple[str | int, ...]


def _place(error: jsonschema.ValidationError) -> _Place:
    """Whose fault it is. One of a mirror's or a key's own name is reported at the parent, but belongs to what has that name."""
    at = tuple(error.absolute_path)
    return (*at, str(error.instance)) if len(at) == 1 and "propertyNames" in error.absolute_schema_path else at


def _sentence(error: jsonschema.ValidationError) -> str:
    """What is wrong, in one bounded sentence. Values are not shown: someone may have put a secret where it does not belong."""
    if "propertyNames" in error.absolute_schema_path:
        return f"the name {str(error.instance)[:80]!r} does not have the required form"
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        return f"{error.message[:200]} (known here: {', '.join(schema.get('properties', ()))})"
    if error.validator == "required":
        return error.message[:200]
    return _SENTENCES.get(str(error.validator), "does not have the required form").format(error.validator_value)


def _sorted(found: Sequence[tuple[_Place, Fault]]) -> tuple[dict[str, list[Fault]], dict[str, list[Fault]], list[Fault]]:
    """The faults by mirror, by key, and those that concern neither."""
    by_mirror: dict[str, list[Fault]] = {}
    by_key: dict[str, list[Fault]] = {}
    others: list[Fault] = []
    for place, fault in found:
        if len(place) >= 2 and place[0] in ("mirrors", "keys"):
            (by_mirror if place[0] == "mirrors" else by_key).setdefault(str(place[1]), []).append(fault)
        else:
            others.append(fault)
    return by_mirror, by_key, others


def _defaults(data: Any, faults: Iterable[Fault]) -> Mapping[str, str]:
    """The defaults that have no fault: a mirror that needs one that has is at fault itself, the others are not."""
    found = data.get("defaults")
    wrong = {fault.where for fault in faults}
    return {name: value for name, value in found.items() if f"/defaults/{name}" not in wrong} if isinstance(found, dict) else {}


def _mirror(name: str, spec: Any, defaults: Mapping[str, str], wrong: Set[str]) -> tuple[Mirror, list[Fault]]:
    """One mirror, and what its schema could not say. Parts whose shape is wrong (pointers) are left out: they are reported."""
    spec = _sound(name, spec, wrong)
    faults: list[Fault] = []
    members: list[Member] = []
    vips: list[Vip] = []

    def fault(what: str, *place: str | int) -> None:
        faults.append(Fault(strictjson.pointer(("mirrors", name, *place)), what))

    def full_id(text: str, kind: str, *place: str | int) -> str | None:
        """The resource id of a name or id; None, and a fault, where the defaults are needed and missing."""
        if text.startswith("/"):
            return text
        missing = [one for one in ("subscription_id", "resource_group") if one not in defaults]
        if missing:
            fault(f"{text!r} is a name, so a valid /defaults/{missing[0]} is needed; or give the full resource id", *place)
            return None
        return f"/subscriptions/{defaults['subscription_id']}/resourceGroups/{defaults['resource_group']}{_PROVIDER}{kind}/{text}"

    for member, entry in spec["members"].items():
        if nic_id := full_id(entry["nic"], "networkInterfaces", "members", member, "nic"):
            members.append(Member(name=member, nic_id=nic_id, status_url=entry.get("status_url")))
    for index, entry in spec["vips"].items():
        address, public = _address(entry["private_ip"]), entry.get("public_ip") or None
        if address is None:
            fault(f"{entry['private_ip']!r} is not an IPv4 or IPv6 address for a VIP", "vips", index, "private_ip")
            continue
        public_id = public and full_id(public, "publicIPAddresses", "vips", index, "public_ip")
        if public_id or not public:
            vips.append(Vip(name=entry["name"], private_ip=str(address), public_ip_id=public_id))
    for what in _within(members, vips):
        fault(what)
    for place in _unaskable(spec):
        fault("names no host, or no port that can be asked", *place)
    mirror = Mirror(
        name=name,
        members=tuple(members),
        vips=tuple(vips),
        path_probe=spec.get("path_probe"),
        hold_s=float(spec.get("hold_s", 30)),
        follow_primary=bool(spec.get("follow_primary", False)),
        strategy=spec.get("strategy", "auto"),
    )
    return mirror, faults


def _sound(name: str, spec: Any, wrong: Set[str]) -> dict[str, Any]:
    """What is left of a mirror without the parts that have a fault; VIPs by their index, so that pointers stay right."""

    def sound(*place: str | int) -> bool:
        at = strictjson.pointer(("mirrors", name, *place))
        return not any(fault == at or fault.startswith(at + "/") for fault in wrong)

    spec = spec if isinstance(spec, dict) else {}
    members, vips = spec.get("members"), spec.get("vips")
    return {
        **{key: value for key, value in spec.items() if sound(key)},
        "members": {key: one for key, one in members.items() if sound("members", key)} if isinstance(members, dict) else {},
        "vips": {index: one for index, one in enumerate(vips) if sound("vips", index)} if isinstance(vips, list) else {},
    }


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a text, if it is one that a NIC can have."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if address.is_loopback or address.is_multicast or address.is_unspecified or "%" in text else address


def _unaskable(spec: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where in a mirror a URL stands that cannot be asked: it has no host, or no port where nothing implies one."""
    urls: list[tuple[tuple[str, ...], str | None]] = [(("path_probe",), spec.get("path_probe"))]
    urls += [(("members", member, "status_url"), entry.get("status_url")) for member, entry in spec["members"].items()]
    for place, url in urls:
        try:
            parts = urlsplit(url or "http://none")
            usable = bool(parts.hostname) and (parts.port is not None or parts.scheme != "tcp")
        except ValueError:
            usable = False
        if not usable:
            yield place


def _within(members: list[Member], vips: list[Vip]) -> Iterator[str]:
    """Sentences about what contradicts itself inside one mirror."""
    nics = [member.nic_id.lower() for member in members]
    for member in members:
        if nics.count(member.nic_id.lower()) > 1:
            yield f"the NIC of member {member.name!r} is also another member's; each member needs its own"
    if len({member.nic_id.lower().split("/")[2] for member in members}) > 1:
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
        wants: set[tuple[str, ...]] = set()
        for vip in mirror.vips:
            if vip.public_ip_id:
                wants.add(("public IP", vip.public_ip_id.lower()))
            for member in mirror.members:
                wants.add(("VIP name", vip.name.lower(), member.nic_id.lower()))
                wants.add(("address", vip.private_ip, member.nic_id.lower()))
        for want in sorted(wants):
            other = taken.setdefault(want, mirror.name)
            if other != mirror.name:
                on = f" on NIC {want[2].rsplit('/', 1)[-1]!r}" if len(want) == 3 else ""
                shown = want[1].rsplit("/", 1)[-1]
                for name, peer in ((mirror.name, other), (other, mirror.name)):
                    what = f"{want[0]} {shown!r}{on} is also mirror {peer!r}'s"
                    yield name, peer, Fault(strictjson.pointer(("mirrors", name)), what)


def _key_ids(data: Any, by_key: dict[str, list[Fault]]) -> tuple[dict[str, tuple[str, str]], list[Fault]]:
    """The key ids that name a member of a mirror that the document has (a faulty mirror included: it answers for itself)."""
    keys: dict[str, tuple[str, str]] = {}
    faults = [fault for some in by_key.values() for fault in some]
    section = data.get("keys")
    for key_id, entry in section.items() if isinstance(section, dict) else ():
        if key_id in by_key:
            continue
        spec = data["mirrors"].get(entry["mirror"])
        members = spec.get("members") if isinstance(spec, dict) else None
        # Where the mirror itself is at fault its member may well be meant: it answers 500, not as if the key were unknown.
        if spec is None or (isinstance(members, dict) and entry["member"] not in members):
            where = strictjson.pointer(("keys", key_id))
            faults.append(Fault(where, f"names member {entry['member']!r} of mirror {entry['mirror']!r}, which is not defined"))
        else:
            keys[key_id] = (entry["mirror"], entry["member"])
    return keys, faults
