"""Before anything is detached, the attach is known to be possible as far as reads can tell (I10).

Which reads: the public IPs, the target's subnet, the effective permissions on target NIC, subnet, public IP and security group,
and, for a VIP that is on no member, whether somebody else has its address. They go out side by side. A read that is itself
denied stops nothing and shows as `ok: null`. A reading younger than 15 minutes stands in for permissions, subnet and public
IP; when Azure is short of reads these are left out.
"""

import asyncio
import fnmatch
import ipaddress
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from vipcore.arm import nic
from vipcore.arm.client import Arm
from vipcore.arm.errors import ArmError, Cause
from vipcore.errors import AzureRefusal, NoReply, NotSent
from vipcore.model import Json, Mirror, Nic, Vip
from vipcore.swap import plan
from vipcore.swap.plan import Observations
from vipcore.swap.readings import PreflightCache

_NIC: Final = "Microsoft.Network/networkInterfaces"
_RESERVED_LOW: Final = 4
"""Azure keeps the first four addresses of a subnet and the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `ok` None: could not be looked at, which stops nothing. `refusal`: what a claim answers."""

    name: str
    ok: bool | None
    detail: str
    refusal: AzureRefusal | None = None

    def view(self) -> dict[str, Any]:
        """As a dry run shows it."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


async def check(arm: Arm, cache: PreflightCache, mirror: Mirror, observed: Observations, target: str) -> list[Check]:
    """All checks for moving the mirror's VIPs to the target's NIC, where it could be read; otherwise none."""
    observation = observed[target]
    if not isinstance(observation, Nic):
        return []
    missing = [vip for vip in mirror.vips if not nic.carries(observation.document, vip)]
    checks: list[Awaitable[Check]] = []
    cache.refers_to(mirror, tuple(resource_id for resource_id, _ in _referenced(observation.document, [])))
    if not arm.subscription(observation.id).reads_low(asyncio.get_running_loop().time()):
        checks += [_subnet(arm, cache, observation, missing)] if missing else []
        checks += [_public_ip(arm, cache, mirror, vip) for vip in missing if vip.public_ip_id]
        checks += _permissions(arm, cache, mirror, observed, observation, missing)
    checks += [_address_free(arm, mirror, observed, observation, vip) for vip in missing if not _on_a_member(observed, vip)]
    return [_state(target, observation), *await asyncio.gather(*checks)]


def read_ahead(arm: Arm, cache: PreflightCache, mirror: Mirror) -> None:
    """Send out, beside the NICs' reads, what `check` will ask for of resources whose ids are known already (I10)."""
    if arm.limits_of(mirror).reads_low(asyncio.get_running_loop().time()):
        return
    public_ids = [vip.public_ip_id for vip in mirror.vips if vip.public_ip_id]
    referred = cache.referred(mirror)
    for resource_id in (*(member.nic_id for member in mirror.members), *public_ids, *referred):
        cache.ahead("permissions", resource_id, partial(arm.permissions, resource_id))
    for public_id in public_ids:
        cache.ahead("public IP", public_id, partial(arm.get, public_id))
    for subnet_id in (resource_id for resource_id in referred if "/subnets/" in resource_id.lower()):
        cache.ahead("subnet", subnet_id, partial(arm.get, subnet_id))


def refusal(checks: list[Check]) -> AzureRefusal | None:
    """The first reason not to begin, or None."""
    return next((found.refusal for found in checks if found.ok is False and found.refusal), None)


def _on_a_member(observed: Observations, vip: Vip) -> bool:
    return any(nic.named(seen.document, vip.name) for _, seen in plan.nics(observed))


def _state(target: str, observation: Nic) -> Check:
    how = {"Succeeded": "is Succeeded", "Failed": "is Failed; it is first written back unchanged"}
    return Check(
        name=f"nic {target}",
        ok=True,
        detail=f"the NIC {how.get(observation.state, f'is {observation.state}; the swap waits for it')}",
    )


async def _subnet(arm: Arm, cache: PreflightCache, observation: Nic, missing: list[Vip]) -> Check:
    """Each address lies in the subnet of the target's NIC, and is none that Azure keeps."""
    name, subnet_id = "subnet", nic.subnet_of(observation.document)
    if subnet_id is None:
        return Check(name=name, ok=None, detail="the NIC's document names no subnet")
    try:
        body = await cache.of("subnet", subnet_id, lambda: arm.get(subnet_id))
    except (ArmError, NotSent, NoReply) as exc:
        return _unread(name, exc)
    prefixes = [ipaddress.ip_network(prefix, strict=False) for prefix in _prefixes(body)]
    for vip in missing:
        address = ipaddress.ip_address(vip.private_ip)
        inside = next((net for net in prefixes if net.version == address.version and address in net), None)
        if prefixes and inside is None:
            cache.forget(subnet_id)
            return _no(name, f"{vip.private_ip} is outside of subnet {subnet_id} ({', '.join(map(str, prefixes))})")
        if inside is not None and (int(address) - int(inside[0]) < _RESERVED_LOW or address == inside[-1]):
            return _no(name, f"{vip.private_ip} is one of the addresses that Azure keeps in {inside}")
    return Check(name=name, ok=True, detail="the address is in the subnet's range")


def _prefixes(body: Json) -> list[str]:
    properties = body.get("properties") or {}
    return list(properties.get("addressPrefixes") or ([properties["addressPrefix"]] if properties.get("addressPrefix") else []))


async def _public_ip(arm: Arm, cache: PreflightCache, mirror: Mirror, vip: Vip) -> Check:
    """The public IP exists, and is free or on one of the mirror's NICs."""
    public_id = vip.public_ip_id or ""
    name = f"public IP {public_id.rsplit('/', 1)[-1]}"
    try:
        body = await cache.of("public IP", public_id, lambda: arm.get(public_id))
    except (ArmError, NotSent, NoReply) as exc:
        if isinstance(exc, ArmError) and exc.cause is Cause.GONE:
            return _no(name, f"the public IP {public_id} does not exist")
        return _unread(name, exc)
    properties = body.get("properties") or {}
    on = str((properties.get("ipConfiguration") or {}).get("id") or "")
    ours = {member.nic_id.lower() for member in mirror.members}
    if on and on.lower().split("/ipconfigurations/")[0] not in ours:
        cache.forget(public_id)
        return _no(name, f"the public IP is attached to {on}, which is not a NIC of this mirror", code="address-taken")
    if properties.get("provisioningState") == "Failed":
        cache.forget(public_id)
        return _no(
            name, f"the public IP {public_id} is in state Failed; write it back unchanged (az network public-ip update --ids)"
        )
    return Check(name=name, ok=True, detail="exists, and is free or ours")


async def _address_free(arm: Arm, mirror: Mirror, observed: Observations, observation: Nic, vip: Vip) -> Check:
    """Nobody else has an address that is on no member (`CheckIPAddressAvailability`; the subnet's list names the holder).

    A member's NIC may still hold what it no longer shows, until the operation that drops it has ended: the swap waits for it.
    """
    name, subnet_id = f"address {vip.private_ip}", nic.subnet_of(observation.document)
    if subnet_id is None:
        return Check(name=name, ok=None, detail="the NIC's document names no subnet")
    vnet_id = subnet_id[: subnet_id.lower().index("/subnets/")]
    try:
        body = await arm.get(vnet_id, "/CheckIPAddressAvailability", query=f"ipAddress={vip.private_ip}")
        if body.get("available") is not False:
            return Check(name=name, ok=True, detail="Azure says that the address is free")
        holder = await _holder(arm, subnet_id, vip)
    except (ArmError, NotSent, NoReply) as exc:
        return _unread(name, exc)
    ours = mirror.member_of(holder)
    if ours is not None and isinstance(observed[ours], Nic):
        return Check(name=name, ok=True, detail=f"the NIC of {ours} no longer lists it; Azure is still releasing it")
    return _no(
        name, f"the address {vip.private_ip} is taken by {holder or 'another resource of the network'}", code="address-taken"
    )


async def _holder(arm: Arm, subnet_id: str, vip: Vip) -> str:
    """The id of the ip configuration that has the address, as the subnet lists them; empty where it lists none."""
    body = await arm.get(subnet_id, query="$expand=ipConfigurations")
    for item in (body.get("properties") or {}).get("ipConfigurations") or ():
        if nic.same_address((item.get("properties") or {}).get("privateIPAddress"), vip.private_ip):
            return str(item.get("id"))
    return ""


def _permissions(
    arm: Arm, cache: PreflightCache, mirror: Mirror, observed: Observations, target: Nic, missing: list[Vip]
) -> list[Awaitable[Check]]:
    """The rights that Azure will ask for: on both sides' NICs, and on what the target's document refers to."""
    wanted: dict[str, list[str]] = {target.id: [f"{_NIC}/write"]}
    for _, other in plan.nics(observed):
        if other is not target and any(nic.named(other.document, vip.name) for vip in mirror.vips):
            wanted.setdefault(other.id, []).append(f"{_NIC}/write")
    for resource_id, action in _referenced(target.document, missing):
        wanted.setdefault(resource_id, []).append(action)
    return [_allowed(arm, cache, resource_id, actions) for resource_id, actions in wanted.items()]


def _referenced(document: Json, missing: list[Vip]) -> list[tuple[str, str]]:
    """(resource id, action) of what the PUT's body will refer to (docs/facts/azure.md section 10)."""
    found: list[tuple[str, str]] = []
    subnet_id = nic.subnet_of(document)
    if subnet_id:
        found.append((subnet_id, "Microsoft.Network/virtualNetworks/subnets/join/action"))
    group = document.get("properties", {}).get("networkSecurityGroup")
    if isinstance(group, dict) and group.get("id"):
        found.append((str(group["id"]), "Microsoft.Network/networkSecurityGroups/join/action"))
    found += [(vip.public_ip_id, "Microsoft.Network/publicIPAddresses/join/action") for vip in missing if vip.public_ip_id]
    return found


async def _allowed(arm: Arm, cache: PreflightCache, resource_id: str, actions: list[str]) -> Check:
    name = f"permissions on {resource_id.rsplit('/', 1)[-1]}"
    try:
        granted = await cache.of("permissions", resource_id, lambda: arm.permissions(resource_id))
    except (ArmError, NotSent, NoReply) as exc:
        return _unread(name, exc)
    lacking = [action for action in actions if not grants(granted, action)]
    if lacking:
        cache.forget(resource_id)
        return _no(name, f"grant {lacking[0]} on {resource_id} to the controller's identity", code="azure-denied")
    return Check(name=name, ok=True, detail=", ".join(actions))


def grants(permissions: list[Json], action: str) -> bool:
    """Whether the effective permissions allow the action: `*` matches anything, NotActions take away within one entry."""

    def among(patterns: list[str] | None) -> bool:
        return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns or ())

    return any(among(item.get("actions")) and not among(item.get("notActions")) for item in permissions)


def _no(name: str, detail: str, *, code: str = "azure-failed") -> Check:
    return Check(name=name, ok=False, detail=detail, refusal=AzureRefusal(code, f"Nothing was changed: {detail}."))


def _unread(name: str, exc: Exception) -> Check:
    return Check(name=name, ok=None, detail=f"could not be read, which stops nothing: {str(exc)[:300]}")
