"""Before anything is detached, the attach is known to be possible as far as reads can tell (I10).

Which reads: the effective rights on both NICs and on all that their documents refer to, since Azure checks each when a NIC is
written; the public IPs; the target's subnet; and, for a VIP that is on no member, whether somebody else has its address. They go
out side by side. A read that is itself denied stops nothing and shows as `ok: null`. When Azure is short of reads all but the
last are left out.

Readings are kept per process. How old one may be is for the caller to say: STANDS_IN_S where a claim or move is judged, FRESH_S
where a person asks. A "no" is never told from one that is older than NO_S_MAX. When Azure refuses what readings called possible,
all of that mirror's are dropped.
"""

import asyncio
import fnmatch
import ipaddress
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from vipcore.arm import nic
from vipcore.arm.client import Arm
from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.rate_limit import ORDER
from vipcore.errors import AzureRefusal, NoReply, NotSent
from vipcore.instants import Instant
from vipcore.ledger.head import Head
from vipcore.model import Json, Mirror, Nic, Vip
from vipcore.swap import plan
from vipcore.swap.plan import Observations

STANDS_IN_S: Final = 900.0
FRESH_S: Final = 60.0
NO_S_MAX: Final = 10.0
CONFIGURATIONS_MAX: Final = 256
"""How many ip configurations Azure allows on a NIC."""

_RESERVED_LOW: Final = 4
"""Azure keeps the first four addresses of a subnet and the last one."""

_T = TypeVar("_T")


class PreflightCache:
    """What the preflight read lately, per process: rights, subnets and public IPs. Only successes stand in."""

    __slots__ = ("_readings", "arm", "referred")

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self._readings: dict[tuple[Any, str], tuple[float, int, asyncio.Task[Any]]] = {}
        """(method of `arm`, resource id) -> when it was asked (loop seconds), at which priority, and its answer or what waits for
        it."""
        self.referred: dict[str, tuple[str, ...]] = {}
        """Mirror -> what its NICs' documents were last seen to refer to."""

    async def of(
        self, read: Callable[[str], Coroutine[Any, Any, _T]], resource_id: str, within_s: float = STANDS_IN_S
    ) -> tuple[_T, float]:
        """What that method of `arm` said of the resource within that time, or says now, and when it was asked.

        Raises what the read raises.
        """
        key, now, ours = (read, resource_id.lower()), asyncio.get_running_loop().time(), ORDER.get()[0]
        at, theirs, reading = self._readings.get(key, (now, ours, None))
        failed = reading is not None and reading.done() and reading.exception()
        behind = reading is not None and not reading.done() and theirs > ours  # no claim waits for a read in the queue of people
        if reading is None or now - at >= within_s or failed or behind:
            at, reading = now, asyncio.ensure_future(read(resource_id))
            self._readings[key] = at, ours, reading
        answer: _T = await asyncio.shield(reading)
        return answer, at

    def forget(self, mirror: Mirror) -> None:
        """Drop what was read of everything that a swap of this mirror needs: Azure just said otherwise."""
        gone = {resource_id.lower() for resource_id in self.needed(mirror)}
        self._readings = {key: reading for key, reading in self._readings.items() if key[1] not in gone}

    def needed(self, mirror: Mirror) -> list[str]:
        """The ids of what a swap of this mirror needs rights on, as far as they are known."""
        return [*(member.nic_id for member in mirror.members), *_public_ids(mirror), *self.referred.get(mirror.name, ())]


class Check(NamedTuple):
    """What was found of one thing. `ok` None: it could not be looked at or judged, which stops nothing.

    `code`: of a refusal for it; `age_s`: of the reading; `looked` False: another try might tell.
    """

    ok: bool | None
    detail: str
    code: str = "azure-failed"
    name: str = ""
    age_s: float = 0.0
    looked: bool = True

    def view(self) -> dict[str, Any]:
        """As a dry run shows it."""
        age = f" (read {self.age_s:.0f} s ago)" if self.age_s >= 1.0 else ""
        return {"name": self.name, "ok": self.ok, "detail": self.detail + age}


_NO_SUBNET: Final = Check(ok=None, detail="the NIC's document names no subnet")
_LEFT_OUT: Final = Check(
    ok=None,
    detail="left out, as Azure is short of reads; that stops nothing",
    name="rights, subnet, public IP",
    looked=False,
)


async def check(
    cache: PreflightCache,
    mirror: Mirror,
    observed: Observations,
    target: str,
    *,
    within_s: float = STANDS_IN_S,
    writing: bool = False,
) -> list[Check]:
    """All checks for moving the mirror's VIPs to the target's NIC, where it could be read; otherwise none.

    `within_s`: how old a reading may be; `writing`: whether a write of this mirror may still be under way.
    """
    shown = observed[target]
    if not isinstance(shown, Nic):
        return []
    missing = [vip for vip in mirror.vips if not nic.carries(shown.document, vip)]
    subnet_id = nic.subnet_of(shown.document)
    cache.referred[mirror.name] = tuple(
        dict.fromkeys(one for _, seen in plan.nics(observed) for one in nic.rights(seen.document))
    )
    looks: list[tuple[str, Awaitable[Check]]] = []
    low = cache.arm.limits_of(mirror).reads_low()
    if not low:
        read = partial(_judged, cache, within_s)
        if missing and subnet_id:
            looks.append(("subnet", read(cache.arm.get, subnet_id, partial(_subnet, subnet_id, missing))))
        for vip in missing:
            if public_id := vip.public_ip_id:
                judge = partial(_public_ip, mirror, vip, shown.document)
                looks.append((f"public IP {_last(public_id)}", _existing(read(cache.arm.get, public_id, judge), public_id)))
        for one, right in _rights(mirror, observed, target, missing).items():
            looks.append((f"permissions on {_last(one)}", read(cache.arm.permissions, one, partial(_allowed, one, right))))
    lost = [vip for vip in missing if not any(nic.has_address(seen.document, vip) for _, seen in plan.nics(observed))]
    looks += [(f"address {vip.private_ip}", _address_free(cache.arm, mirror, subnet_id, vip, writing=writing)) for vip in lost]
    found = await asyncio.gather(*(_looked(*look) for look in looks))
    return [_target(shown, missing)._replace(name=f"nic {target}"), *([_LEFT_OUT] if low else []), *found]


def may_be_writing(head: Head, now: Instant) -> bool:
    """Whether a write of this mirror may still be under way: a swap is unfinished, or a dead driver's write may come late."""
    return head.swap is not None or now < head.late_writes.until


def read_ahead(cache: PreflightCache, mirror: Mirror) -> None:
    """Send out, beside the NICs' reads, what `check` will ask for of resources whose ids are known already (I10)."""
    if cache.arm.limits_of(mirror).reads_low():
        return
    needed = cache.needed(mirror)
    subnet_ids = [resource_id for resource_id in needed if "/subnets/" in resource_id.lower()]
    permissions = [cache.of(cache.arm.permissions, resource_id) for resource_id in needed]
    documents = [cache.of(cache.arm.get, resource_id) for resource_id in (*_public_ids(mirror), *subnet_ids)]
    asyncio.gather(*permissions, *documents, return_exceptions=True)  # whoever asks for one of them meets its error


def refusal(checks: list[Check]) -> AzureRefusal | None:
    """The first reason not to begin, or None."""
    return next((AzureRefusal(one.code, f"Nothing was changed: {one.detail}.") for one in checks if one.ok is False), None)


def _public_ids(mirror: Mirror) -> list[str]:
    return [vip.public_ip_id for vip in mirror.vips if vip.public_ip_id]


def _last(resource_id: str) -> str:
    return resource_id.rsplit("/", 1)[-1]


def _rights(mirror: Mirror, observed: Observations, target: str, missing: list[Vip]) -> dict[str, str]:
    """Resource id -> the right that a swap to the target needs: on each NIC that it writes, and on all that these refer to.

    What the VIPs' ip configurations refer to on the NIC that has them is among it, so it may travel with them.
    """
    planned = plan.plan(mirror, observed, target)
    members = {target, *(step.member for step in planned.steps)} if isinstance(planned, plan.Plan) else {target}
    written = [seen for name, seen in plan.nics(observed) if name in members]
    found = dict.fromkeys((seen.id for seen in written), "Microsoft.Network/networkInterfaces/write")
    public_ids = [vip.public_ip_id for vip in missing if vip.public_ip_id]
    found |= dict.fromkeys(public_ids, "Microsoft.Network/publicIPAddresses/join/action")
    for seen in written:
        found |= nic.rights(seen.document)
    known: dict[str, str] = {}  # Azure spells an id in several ways
    return {known.setdefault(one.lower(), one): right for one, right in found.items()}


async def _judged(
    cache: PreflightCache,
    within_s: float,
    read: Callable[[str], Coroutine[Any, Any, _T]],
    resource_id: str,
    judge: Callable[[_T], Check],
) -> Check:
    """What `judge` finds in a reading that may stand in; a "no" is judged again in one that is no older than NO_S_MAX."""
    answer, at = await cache.of(read, resource_id, within_s)
    found = judge(answer)
    if found.ok is False:
        answer, at = await cache.of(read, resource_id, min(within_s, NO_S_MAX))
        found = judge(answer)
    return found._replace(age_s=asyncio.get_running_loop().time() - at)


async def _looked(name: str, look: Awaitable[Check]) -> Check:
    try:
        found = await look
    except (ArmError, NotSent, NoReply) as exc:
        denied = isinstance(exc, ArmError) and exc.cause is Cause.DENIED
        found = Check(ok=None, detail=f"could not be read, which stops nothing: {str(exc)[:300]}", looked=denied)
    return found._replace(name=name)


def _target(shown: Nic, missing: list[Vip]) -> Check:
    """The target's NIC is in a state that a swap can begin with, and has room."""
    configurations = len(nic.configurations(shown.document)) + sum(not nic.named(shown.document, vip.name) for vip in missing)
    if configurations > CONFIGURATIONS_MAX:
        most = f"Azure allows {CONFIGURATIONS_MAX}: remove one that is not needed"
        return Check(ok=False, detail=f"the NIC {shown.id} would have {configurations} ip configurations, and {most}")
    how = {"Succeeded": "is Succeeded", "Failed": "is Failed; it is first written back unchanged"}
    return Check(ok=True, detail=f"the NIC {how.get(shown.state, f'is {shown.state}; the swap waits for it')}")


def _subnet(subnet_id: str, missing: list[Vip], body: Json) -> Check:
    """Each address lies in the subnet of the target's NIC, and is none that Azure keeps."""
    texts = nic.properties(body).get("addressPrefixes") or [nic.properties(body).get("addressPrefix")]
    prefixes = [ipaddress.ip_network(text, strict=False) for text in texts if text]
    for vip in missing:
        address = ipaddress.ip_address(vip.private_ip)
        inside = next((net for net in prefixes if net.version == address.version and address in net), None)
        if prefixes and inside is None:
            return Check(ok=False, detail=f"{vip.private_ip} is outside of subnet {subnet_id} ({', '.join(map(str, prefixes))})")
        if inside is not None and (int(address) - int(inside[0]) < _RESERVED_LOW or address == inside[-1]):
            return Check(ok=False, detail=f"{vip.private_ip} is one of the addresses that Azure keeps in {inside}")
    return Check(ok=True, detail="the address is in the subnet's range")


async def _existing(look: Awaitable[Check], public_id: str) -> Check:
    try:
        return await look
    except ArmError as exc:
        if exc.cause is not Cause.GONE:
            raise
        return Check(ok=False, detail=f"the public IP {public_id} does not exist")


def _public_ip(mirror: Mirror, vip: Vip, target: Json, body: Json) -> Check:
    """The public IP is free or on one of the mirror's NICs, and is one that Azure attaches to this VIP on this NIC."""
    properties, which = nic.properties(body), f"the public IP {vip.public_ip_id}"
    on, gateway = nic.referred(body, "ipConfiguration"), nic.referred(body, "natGateway")
    if on and mirror.member_of(on) is None:
        return Check(ok=False, detail=f"{which} is attached to {on}, which is not a NIC of this mirror", code="address-taken")
    state = properties.get("provisioningState")
    version, wanted = properties.get("publicIPAddressVersion", "IPv4"), f"IPv{ipaddress.ip_address(vip.private_ip).version}"
    region, own = _region(body), _region(target)
    faults = (
        (gateway, f"belongs to the NAT gateway {gateway}; take it from there or name another one"),
        (state == "Failed", "is in state Failed; write it back unchanged (az network public-ip update --ids)"),
        (state == "Deleting", "is being deleted; create it again or name another one"),
        (version != wanted, f"is {version}, and the VIP {vip.private_ip} is {wanted}; name one of that version"),
        (region and own and region != own, f"is in region {region}, and the NIC in {own}; name one of the NIC's region"),
    )
    for found, fault in faults:
        if found:
            return Check(ok=False, detail=f"{which} {fault}")
    zones = body.get("zones") or []
    if len(zones) == 1:
        lost = "Azure refuses it on a VM of another zone, and it is lost with its zone; a zone-redundant one is neither"
        return Check(ok=None, detail=f"{which} is of zone {zones[0]} alone: {lost}")
    return Check(ok=True, detail="exists, and is free or ours")


def _region(document: Json) -> str:
    """Azure writes `East US` and `eastus`."""
    return "".join(str(document.get("location") or "").lower().split())


async def _address_free(arm: Arm, mirror: Mirror, subnet_id: str | None, vip: Vip, *, writing: bool) -> Check:
    """Nobody else has an address that is on no member (`CheckIPAddressAvailability`; the subnet's list names the holder).

    A NIC of ours may still hold what it no longer shows, until the operation that drops it has ended, and while a write of ours
    may be under way so may one that Azure does not name: the swap waits for it.
    """
    if subnet_id is None:
        return _NO_SUBNET
    free = Check(ok=True, detail="Azure says that the address is free")
    if not await arm.in_use(subnet_id, vip.private_ip):
        return free
    expanded = nic.properties(await arm.get(subnet_id, query="$expand=ipConfigurations"))
    holders = [str(item.get("id")) for item in expanded.get("ipConfigurations") or () if nic.at_address(item, vip)]
    foreign = next((holder for holder in holders if mirror.member_of(holder) is None), None)
    if foreign is None and (holders or writing):
        return Check(ok=True, detail="no NIC shows it, and Azure does not call it free: it is still being released")
    if foreign is None and not await arm.in_use(subnet_id, vip.private_ip):
        return free  # it was released between the two reads
    taken_by = foreign or "a resource that Azure does not name"
    return Check(ok=False, detail=f"the address {vip.private_ip} is taken by {taken_by}", code="address-taken")


def _allowed(resource_id: str, right: str, permissions: list[Json]) -> Check:
    if not grants(permissions, right):
        return Check(ok=False, detail=f"grant {right} on {resource_id} to the controller's identity", code="azure-denied")
    return Check(ok=True, detail=right)


def grants(permissions: list[Json], action: str) -> bool:
    """Whether the effective permissions allow the action: `*` matches anything, NotActions take away within one entry."""

    def among(patterns: list[str] | None) -> bool:
        return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns or ())

    return any(among(item.get("actions")) and not among(item.get("notActions")) for item in permissions)
