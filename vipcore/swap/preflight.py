"""Before anything is detached, the attach is known to be possible as far as reads can tell (I10).

Which reads: the public IPs, the target's subnet, the effective permissions on target NIC, subnet, public IP and security group,
and, for a VIP that is on no member, whether somebody else has its address. They go out side by side. A read that is itself
denied stops nothing and shows as `ok: null`. A reading younger than 15 minutes stands in for permissions, subnet and public
IP; when Azure is short of reads these are left out.
"""

import asyncio
import fnmatch
import ipaddress
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple, TypeVar

from vipcore.arm import nic
from vipcore.arm.client import Arm
from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.rate_limit import ORDER
from vipcore.errors import AzureRefusal, NoReply, NotSent
from vipcore.model import Json, Mirror, Nic, Vip
from vipcore.swap import plan
from vipcore.swap.plan import Observations

READING_S_MAX: Final = 900.0
_NETWORK: Final = "Microsoft.Network"
_RESERVED_LOW: Final = 4
"""Azure keeps the first four addresses of a subnet and the last one."""

_T = TypeVar("_T")


class PreflightCache:
    """What the preflight read lately, per process: permissions, subnets and public IPs. Only successes stand in."""

    __slots__ = ("_readings", "arm", "referred")

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self._readings: dict[tuple[Any, str], tuple[float, int, asyncio.Task[Any]]] = {}
        """(method of `arm`, resource id) -> when it was asked (loop seconds), at which priority, and its answer or what waits for
        it."""
        self.referred: dict[str, tuple[str, ...]] = {}
        """Mirror -> what its NICs' documents were last seen to refer to (subnet, security group)."""

    async def of(self, read: Callable[[str], Coroutine[Any, Any, _T]], resource_id: str) -> _T:
        """What that method of `arm` said of the resource lately, or says now. Raises what the read raises."""
        key, now, ours = (read, resource_id.lower()), asyncio.get_running_loop().time(), ORDER.get()[0]
        at, theirs, reading = self._readings.get(key, (now, ours, None))
        failed = reading is not None and reading.done() and reading.exception()
        behind = reading is not None and not reading.done() and theirs > ours  # no claim waits for a read in the queue of people
        if reading is None or now - at >= READING_S_MAX or failed or behind:
            reading = asyncio.ensure_future(read(resource_id))
            self._readings[key] = now, ours, reading
        answer: _T = await asyncio.shield(reading)
        return answer

    def forget(self, *resource_ids: str) -> None:
        """Drop what was read of these resources: Azure just said otherwise."""
        gone = {resource_id.lower() for resource_id in resource_ids}
        self._readings = {key: reading for key, reading in self._readings.items() if key[1] not in gone}

    def forget_mirror(self, mirror: Mirror) -> None:
        """Drop what was read of everything that a swap of this mirror needs rights on."""
        self.forget(*self.needed(mirror))

    def needed(self, mirror: Mirror) -> list[str]:
        """The ids of what a swap of this mirror needs rights on, as far as they are known."""
        return [*(member.nic_id for member in mirror.members), *_public_ids(mirror.vips), *self.referred.get(mirror.name, ())]


class Check(NamedTuple):
    """What was found of one thing. `ok` None: could not be looked at, which stops nothing. `code`: of a refusal for it."""

    ok: bool | None
    detail: str
    code: str = "azure-failed"
    name: str = ""

    def view(self) -> dict[str, Any]:
        """As a dry run shows it."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


_NO_SUBNET: Final = Check(ok=None, detail="the NIC's document names no subnet")


async def check(cache: PreflightCache, mirror: Mirror, observed: Observations, target: str) -> list[Check]:
    """All checks for moving the mirror's VIPs to the target's NIC, where it could be read; otherwise none."""
    shown = observed[target]
    if not isinstance(shown, Nic):
        return []
    missing = [vip for vip in mirror.vips if not nic.carries(shown.document, vip)]
    subnet_id, referred = nic.subnet_of(shown.document), _referred(shown.document)
    cache.referred[mirror.name] = tuple(referred)
    looks: list[tuple[str, Awaitable[Check]]] = []
    if not cache.arm.limits_of(mirror).reads_low():
        looks += [("subnet", _subnet(cache, subnet_id, missing))] if missing else []
        looks += [(f"public IP {_last(one)}", _public_ip(cache, mirror, one)) for one in _public_ids(missing)]
        joined = referred | dict.fromkeys(_public_ids(missing), f"{_NETWORK}/publicIPAddresses/join/action")
        rights = dict.fromkeys(_written(mirror, observed, shown), f"{_NETWORK}/networkInterfaces/write") | joined
        looks += [(f"permissions on {_last(one)}", _allowed(cache, one, action)) for one, action in rights.items()]
    lost = [vip for vip in missing if not any(nic.named(seen.document, vip.name) for _, seen in plan.nics(observed))]
    looks += [(f"address {vip.private_ip}", _address_free(cache.arm, mirror, observed, subnet_id, vip)) for vip in lost]
    how = {"Succeeded": "is Succeeded", "Failed": "is Failed; it is first written back unchanged"}
    detail = f"the NIC {how.get(shown.state, f'is {shown.state}; the swap waits for it')}"
    return [Check(ok=True, detail=detail, name=f"nic {target}"), *await asyncio.gather(*(_looked(*look) for look in looks))]


def read_ahead(cache: PreflightCache, mirror: Mirror) -> None:
    """Send out, beside the NICs' reads, what `check` will ask for of resources whose ids are known already (I10)."""
    if cache.arm.limits_of(mirror).reads_low():
        return
    needed = cache.needed(mirror)
    subnet_ids = [resource_id for resource_id in needed if "/subnets/" in resource_id.lower()]
    permissions = [cache.of(cache.arm.permissions, resource_id) for resource_id in needed]
    documents = [cache.of(cache.arm.get, resource_id) for resource_id in (*_public_ids(mirror.vips), *subnet_ids)]
    asyncio.gather(*permissions, *documents, return_exceptions=True)  # whoever asks for one of them meets its error


def refusal(checks: list[Check]) -> AzureRefusal | None:
    """The first reason not to begin, or None."""
    return next((AzureRefusal(one.code, f"Nothing was changed: {one.detail}.") for one in checks if one.ok is False), None)


def _public_ids(vips: Iterable[Vip]) -> list[str]:
    return [vip.public_ip_id for vip in vips if vip.public_ip_id]


def _last(resource_id: str) -> str:
    return resource_id.rsplit("/", 1)[-1]


def _written(mirror: Mirror, observed: Observations, target: Nic) -> list[str]:
    """The ids of the NICs that a swap to the target writes."""
    seen = [other for _, other in plan.nics(observed) if any(nic.named(other.document, vip.name) for vip in mirror.vips)]
    return [target.id, *(other.id for other in seen if other is not target)]


def _referred(document: Json) -> dict[str, str]:
    """Resource id -> the right that Azure asks for where a PUT's body refers to it (docs/facts/azure.md section 10)."""
    subnet_id, group_id = nic.subnet_of(document), nic.referred(document, "networkSecurityGroup")
    found = {subnet_id: "virtualNetworks/subnets", group_id: "networkSecurityGroups"}
    return {resource_id: f"{_NETWORK}/{kind}/join/action" for resource_id, kind in found.items() if resource_id}


async def _looked(name: str, look: Awaitable[Check]) -> Check:
    try:
        found = await look
    except (ArmError, NotSent, NoReply) as exc:
        found = Check(ok=None, detail=f"could not be read, which stops nothing: {str(exc)[:300]}")
    return found._replace(name=name)


async def _subnet(cache: PreflightCache, subnet_id: str | None, missing: list[Vip]) -> Check:
    """Each address lies in the subnet of the target's NIC, and is none that Azure keeps."""
    if subnet_id is None:
        return _NO_SUBNET
    properties = nic.properties(await cache.of(cache.arm.get, subnet_id))
    texts = properties.get("addressPrefixes") or [properties.get("addressPrefix")]
    prefixes = [ipaddress.ip_network(text, strict=False) for text in texts if text]
    for vip in missing:
        address = ipaddress.ip_address(vip.private_ip)
        inside = next((net for net in prefixes if net.version == address.version and address in net), None)
        if prefixes and inside is None:
            cache.forget(subnet_id)
            return Check(ok=False, detail=f"{vip.private_ip} is outside of subnet {subnet_id} ({', '.join(map(str, prefixes))})")
        if inside is not None and (int(address) - int(inside[0]) < _RESERVED_LOW or address == inside[-1]):
            return Check(ok=False, detail=f"{vip.private_ip} is one of the addresses that Azure keeps in {inside}")
    return Check(ok=True, detail="the address is in the subnet's range")


async def _public_ip(cache: PreflightCache, mirror: Mirror, public_id: str) -> Check:
    """The public IP exists, and is free or on one of the mirror's NICs."""
    try:
        body = await cache.of(cache.arm.get, public_id)
    except ArmError as exc:
        if exc.cause is not Cause.GONE:
            raise
        return Check(ok=False, detail=f"the public IP {public_id} does not exist")
    on = nic.referred(body, "ipConfiguration")
    if on and mirror.member_of(on) is None:
        cache.forget(public_id)
        return Check(
            ok=False, detail=f"the public IP is attached to {on}, which is not a NIC of this mirror", code="address-taken"
        )
    if nic.properties(body).get("provisioningState") == "Failed":
        cache.forget(public_id)
        cure = "write it back unchanged (az network public-ip update --ids)"
        return Check(ok=False, detail=f"the public IP {public_id} is in state Failed; {cure}")
    return Check(ok=True, detail="exists, and is free or ours")


async def _address_free(arm: Arm, mirror: Mirror, observed: Observations, subnet_id: str | None, vip: Vip) -> Check:
    """Nobody else has an address that is on no member (`CheckIPAddressAvailability`; the subnet's list names the holder).

    A member's NIC may still hold what it no longer shows, until the operation that drops it has ended: the swap waits for it.
    """
    if subnet_id is None:
        return _NO_SUBNET
    vnet_id = subnet_id[: subnet_id.lower().index("/subnets/")]
    body = await arm.get(vnet_id, "/CheckIPAddressAvailability", query=f"ipAddress={vip.private_ip}")
    if body.get("available") is not False:
        return Check(ok=True, detail="Azure says that the address is free")
    expanded = nic.properties(await arm.get(subnet_id, query="$expand=ipConfigurations"))
    having = [item for item in expanded.get("ipConfigurations") or () if nic.at_address(item, vip)]
    holder = str(having[0].get("id")) if having else ""
    ours = mirror.member_of(holder)
    if ours is not None and isinstance(observed[ours], Nic):
        return Check(ok=True, detail=f"the NIC of {ours} no longer lists it; Azure is still releasing it")
    taken_by = holder or "another resource of the network"
    return Check(ok=False, detail=f"the address {vip.private_ip} is taken by {taken_by}", code="address-taken")


async def _allowed(cache: PreflightCache, resource_id: str, action: str) -> Check:
    if not grants(await cache.of(cache.arm.permissions, resource_id), action):
        cache.forget(resource_id)
        return Check(ok=False, detail=f"grant {action} on {resource_id} to the controller's identity", code="azure-denied")
    return Check(ok=True, detail=action)


def grants(permissions: list[Json], action: str) -> bool:
    """Whether the effective permissions allow the action: `*` matches anything, NotActions take away within one entry."""

    def among(patterns: list[str] | None) -> bool:
        return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns or ())

    return any(among(item.get("actions")) and not among(item.get("notActions")) for item in permissions)
