"""Surgery on a NIC's document: attach and detach ip configurations by name, and say what else differs. Pure.

A PUT replaces the whole NIC and what it leaves out goes back to its default, so the document travels as Azure sent it, unknown
properties included, and only our ip configurations and our tag change (I5; docs/facts/azure.md sections 6 and 12). Azure compares
resource names without case, and so do we. Only secondary configurations are ever ours: Azure refuses to delete a primary one.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from vipcore.model import Json, Nic, Vip

_VOLATILE: Final = frozenset({"etag", "provisioningState"})

_DEFINED: Final = frozenset({
    "privateIPAddress", "privateIPAllocationMethod", "privateIPAddressVersion", "primary", "subnet", "publicIPAddress",
    "applicationSecurityGroups", "provisioningState", "privateLinkConnectionProperties",
})  # fmt: skip
"""Properties of a VIP's ip configuration that the mirrors document, the NIC or Azure itself sets. All others travel with it."""


NOTHING: Final[Mapping[str, Json]] = {}


def configurations(document: Json) -> list[Json]:
    """The ip configurations of a NIC's document, in Azure's order."""
    return [item for item in properties(document).get("ipConfigurations") or () if isinstance(item, dict)]


def _name(configuration: Json) -> str:
    return str(configuration.get("name", "")).lower()


def properties(resource: Json | None) -> Json:
    """The properties of a resource's document or of an ip configuration; empty where there are none."""
    found = resource.get("properties") if resource else None
    return found if isinstance(found, dict) else {}


def referred(resource: Json | None, what: str) -> str | None:
    """The resource id of what a resource or an ip configuration refers to, or None."""
    reference = properties(resource).get(what)
    return str(reference["id"]) if isinstance(reference, dict) and reference.get("id") else None


_RIGHTS: Final = {
    "networkSecurityGroup": "networkSecurityGroups/join/action",
    "subnet": "virtualNetworks/subnets/join/action",
    "publicIPAddress": "publicIPAddresses/join/action",
    "applicationSecurityGroups": "applicationSecurityGroups/joinIpConfiguration/action",
    "loadBalancerBackendAddressPools": "loadBalancers/backendAddressPools/join/action",
    "loadBalancerInboundNatRules": "loadBalancers/inboundNatRules/join/action",
    "applicationGatewayBackendAddressPools": "applicationGateways/backendAddressPools/join/action",
    "gatewayLoadBalancer": "loadBalancers/frontendIPConfigurations/join/action",
    "virtualNetworkTaps": "virtualNetworkTaps/join/action",
}
"""What a NIC or its ip configurations refer to -> the right on it that Azure checks at a PUT (docs/facts/azure.md section 10)."""

REFERENCES: Final = frozenset(_RIGHTS)
"""The properties that refer to what needs a right."""


def rights(document: Json) -> dict[str, str]:
    """Resource id -> the right that Azure checks, for all that a PUT of this document refers to."""
    found: dict[str, str] = {}
    for owner in (document, *configurations(document)):
        for what, right in _RIGHTS.items():
            value = properties(owner).get(what)
            references = value if isinstance(value, list) else [value]
            ids = [item["id"] for item in references if isinstance(item, dict) and item.get("id")]
            found |= dict.fromkeys(ids, f"Microsoft.Network/{right}")
    return found


def at_address(configuration: Json | None, vip: Vip) -> bool:
    """Whether an ip configuration has the VIP's private address, however it is spelt (IPv6 has many ways)."""
    try:
        address = ipaddress.ip_address(str(properties(configuration).get("privateIPAddress")))
    except ValueError:
        return False
    return address == ipaddress.ip_address(vip.private_ip)


def named(document: Json, name: str) -> Json | None:
    """The ip configuration of that name, or None."""
    return next((item for item in configurations(document) if _name(item) == name.lower()), None)


def ours(document: Json, vips: Iterable[Vip]) -> list[Json]:
    """The ip configurations of these VIPs: those of a VIP's name, and secondary ones at its address.

    The document may have renamed a VIP, or changed its address: what it left behind has the one or the other. A NIC's primary
    address is never a VIP that we placed.
    """
    vips, first = tuple(vips), primary(document)
    names = {vip.name.lower() for vip in vips}

    def is_ours(item: Json) -> bool:
        return _name(item) in names or (item is not first and any(at_address(item, vip) for vip in vips))

    return [item for item in configurations(document) if is_ours(item)]


def _others(document: Json, vips: Iterable[Vip]) -> list[Json]:
    """The ip configurations that are not these VIPs', in Azure's order."""
    mine = [id(item) for item in ours(document, vips)]
    return [item for item in configurations(document) if id(item) not in mine]


def settings(document: Json, vips: Sequence[Vip]) -> dict[str, Json]:
    """VIP address -> what its ip configuration carries besides its definition: pools, NAT rules, what we do not know.

    A VIP is at its address; where none is, it is the one of its name, which had another address. VIPs not here are left out.
    """
    mine, found = ours(document, vips), {}
    for vip in vips:
        at = [item for item in mine if at_address(item, vip)]
        at = at or [item for item in mine if _name(item) == vip.name.lower() and not any(at_address(item, one) for one in vips)]
        if at:
            kept = {k: v for k, v in properties(at[0]).items() if k not in _DEFINED and v is not None}
            found[vip.private_ip] = kept
    return found


def other_definitions(document: Json, vips: Sequence[Vip]) -> list[str]:
    """A sentence for each VIP that is on this NIC, but not as the mirrors document defines it."""
    found = []
    for vip in vips:
        mine = ours(document, [vip])
        if mine and not carries(document, vip):
            item = next((item for item in mine if at_address(item, vip)), mine[0])
            public = (referred(item, "publicIPAddress") or "no public IP").rsplit("/", 1)[-1]
            is_there = f"{item.get('name')}, {properties(item).get('privateIPAddress')}, {public}"
            defined = f"{vip.name}, {vip.private_ip}, {(vip.public_ip_id or 'no public IP').rsplit('/', 1)[-1]}"
            found.append(f"The mirrors document defines VIP {defined}; found was {is_there}.")
    return found


def carries(document: Json, vip: Vip) -> bool:
    """Whether this NIC carries the VIP as it is defined: name, private address and public IP."""
    found = named(document, vip.name)
    return at_address(found, vip) and _same_public(found, vip)


def _same_public(configuration: Json | None, vip: Vip) -> bool:
    """Whether an ip configuration has the VIP's public IP, or none like the VIP."""
    return (referred(configuration, "publicIPAddress") or "").lower() == (vip.public_ip_id or "").lower()


def has_address(document: Json, vip: Vip) -> bool:
    """Whether this NIC has the VIP's private address, whatever the name of its ip configuration and its public IP."""
    return any(at_address(item, vip) for item in ours(document, [vip]))


def intruder(document: Json, vips: Sequence[Vip]) -> str | None:
    """The name of an ip configuration that holds an address or public IP of a mirror's VIPs and is not `ours`, or None.

    Somebody else made it, so it is not ours to delete: the address is taken. What one VIP has of another is put right by the
    next write.
    """
    others = _others(document, vips)
    held = [item for vip in vips for item in others if at_address(item, vip) or (vip.public_ip_id and _same_public(item, vip))]
    return str(held[0].get("name")) if held else None


def primary(document: Json) -> Json | None:
    """The primary ip configuration (the only one of a NIC that has just one)."""
    found = configurations(document)
    return next((item for item in found if properties(item).get("primary")), found[0] if found else None)


def subnet_of(document: Json) -> str | None:
    """The id of the subnet that the NIC's primary ip configuration is in."""
    return referred(primary(document), "subnet")


def is_primary(document: Json, name: str) -> bool:
    """Whether the ip configuration of that name is the NIC's primary one."""
    found = named(document, name)
    return found is not None and found is primary(document)


def detached(nic: Nic, vips: Sequence[Vip]) -> Json:
    """The document without the ip configurations of these VIPs."""
    return _with(nic.document, _others(nic.document, vips))


def attached(nic: Nic, vips: Sequence[Vip], carried: Mapping[str, Json] = NOTHING) -> Json:
    """The document with these VIPs, each in place of what is here of it; one that is already right stays as it is.

    `carried`: VIP address -> the settings that travel with it.
    """
    missing = [vip for vip in vips if not carries(nic.document, vip)]
    new = [_configuration(nic.document, vip, carried.get(vip.private_ip, {})) for vip in missing]
    return _with(nic.document, _others(nic.document, missing) + new)


TAG: Final = "mirror-vip-overwritten"
"""The one tag that we ever set on a NIC, and only where a rewrite changed nothing (docs/adr/0012-overwrite-is-proven.md)."""


def tagged(nic: Nic, value: str) -> Json:
    """The document with our tag of this value, everything else as it is."""
    return {**nic.document, "tags": {**(nic.document.get("tags") or {}), TAG: value}}


def _with(document: Json, kept: list[Json]) -> Json:
    return {**document, "properties": {**document["properties"], "ipConfigurations": kept}}


def _configuration(document: Json, vip: Vip, carried: Json) -> Json:
    """A new ip configuration for the VIP: in the NIC's subnet and application security groups (all of a NIC share them).

    What else it carries comes with it; what it is comes from the mirrors document alone.
    """
    groups = properties(primary(document)).get("applicationSecurityGroups")
    wanted: Json = {
        **carried,
        "privateIPAddress": vip.private_ip,
        "privateIPAllocationMethod": "Static",
        "privateIPAddressVersion": f"IPv{ipaddress.ip_address(vip.private_ip).version}",
        "primary": False,
        "subnet": {"id": subnet_of(document)},
    }
    if groups:
        wanted["applicationSecurityGroups"] = [{"id": group["id"]} for group in groups]
    if vip.public_ip_id:
        wanted["publicIPAddress"] = {"id": vip.public_ip_id}
    return {"name": vip.name, "properties": wanted}


def differences(before: Json, after: Json, vips: Sequence[Vip]) -> list[str]:
    """JSON pointers of what differs between two documents; our VIPs, our tag and Azure's own marks (`_VOLATILE`) aside.

    Shows whether a swap changed anything else on a NIC (I5). Ip configurations are compared by name, never by index.
    """

    def comparable(document: Json) -> Json:
        others = {_name(item): item for item in _others(document, vips)}
        tags = {name: value for name, value in (document.get("tags") or {}).items() if name != TAG}
        return {**_with(document, []), "ipConfigurations": others, "tags": tags}

    return sorted(_differences(comparable(before), comparable(after), ""))


def _differences(before: Any, after: Any, at: str) -> Iterator[str]:
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        before, after = dict(enumerate(before)), dict(enumerate(after))
    if isinstance(before, dict) and isinstance(after, dict):
        for name in (before.keys() | after.keys()) - _VOLATILE:
            both = name in before and name in after
            yield from _differences(before[name], after[name], f"{at}/{name}") if both else [f"{at}/{name}"]
    # Azure gives a resource id back in another case now and then.
    elif before != after and not (str(before).startswith("/") and str(before).lower() == str(after).lower()):
        yield at
