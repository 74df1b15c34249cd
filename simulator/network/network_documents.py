"""Virtual networks and subnets as documents: what a PUT asks for, and what an answer shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.core import addresses
from simulator.core.errors import Refused
from simulator.core.ids import resource_id
from simulator.core.model import Subnet
from simulator.network import documents
from simulator.network.spelling import tidied
from simulator.state.ledger import address_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.model import Nic, Vnet
    from simulator.core.wire import Json
    from simulator.request.visit import Visit

VNET_TYPE: Final = "Microsoft.Network/virtualNetworks"
_IPAM_SINCE: Final = "2024-01-01"
_SUBNET_READ_ONLY: Final = frozenset({"provisioningState", "ipConfigurations", "addressPrefix", "addressPrefixes"})


def shown_vnet(visit: Visit, vnet: Vnet) -> Json:
    """The virtual network with its subnets, as an answer shows it."""
    properties: Json = {"provisioningState": vnet.state, "resourceGuid": vnet.guid}
    properties.update({"virtualNetworkPeerings": [], "enableDdosProtection": False, "enableVmProtection": False})
    properties.update(vnet.properties)
    if visit.api_version > "2020-04-01":
        del properties["enableVmProtection"]  # recorded answers show it only until then, even if a client put it
    if visit.api_version >= _IPAM_SINCE:
        properties["privateEndpointVNetPolicies"] = "Disabled"
        properties["addressSpace"] = {"ipamPoolPrefixAllocations": [], **vnet.properties.get("addressSpace", {})}
    properties["subnets"] = [shown_subnet(visit, subnet) for subnet in vnet.subnets.values()]
    shown: Json = {"name": vnet.name, "id": vnet.id, "etag": vnet.etag, "type": VNET_TYPE, "location": vnet.location}
    return {**shown, **vnet.top, "properties": properties}


def shown_subnet(visit: Visit, subnet: Subnet) -> Json:
    """The subnet as an answer shows it. $expand=ipConfigurations shows whole ip configurations instead of their ids."""
    expand = "ipconfigurations" in visit.query.get("$expand", "").lower()
    properties: Json = {"provisioningState": subnet.state}
    if len(subnet.prefixes) == 1:
        properties["addressPrefix"] = subnet.prefixes[0]
    else:
        properties["addressPrefixes"] = list(subnet.prefixes)
    if visit.api_version >= _IPAM_SINCE:
        properties["ipamPoolPrefixAllocations"] = []
    configs = configs_in(visit, subnet, expand=expand)
    if configs:
        properties["ipConfigurations"] = configs
    policies = "Disabled" if visit.api_version >= "2022-01-01" else "Enabled"
    properties.update({"delegations": [], "privateEndpointNetworkPolicies": policies})
    properties["privateLinkServiceNetworkPolicies"] = "Enabled"
    properties.update(subnet.properties)
    shown: Json = {"name": subnet.name, "id": subnet.id, "etag": subnet.etag, "properties": properties}
    return {**shown, "type": f"{VNET_TYPE}/subnets"}


def configs_in(visit: Visit, subnet: Subnet, *, expand: bool) -> list[Json]:
    """Every ip configuration that holds an address in the subnet, including those that a running operation releases.

    The list of ids is cached until the ledger changes, because the subnet of a fleet has tens of thousands.
    """
    version, upper = len(visit.state.ledger.log), visit.state.switches.subnet_config_ids == "upper-case"
    cached = f"{subnet.key} {upper}"
    kept = visit.state.resources.subnet_configs.get(cached)
    if not expand and kept is not None and kept[0] == version:
        return kept[1]
    found: list[Json] = []
    vnet_key = subnet.key.partition("/subnets/")[0]
    seen: set[str] = set()
    for nic in visit.state.resources.nics.values():
        held = [(f, c) for f, c in zip(nic.doc.facts, nic.doc.configs, strict=True) if f.subnet == subnet.key]
        for fact, config in held:
            seen.add(fact.address)
            found.append(documents.shown_config(nic, config) if expand else {"id": _config_id(nic, fact.name, upper=upper)})
        for fact in nic.stable.facts:
            holder = visit.state.ledger.holder(address_key(vnet_key, fact.address))
            if fact.subnet == subnet.key and fact.address not in seen and holder is not None and holder[0] is nic:
                seen.add(fact.address)
                found.append({"id": _config_id(nic, fact.name, upper=upper)})
                if expand:
                    old = next(c for c in nic.stable.configs if c.name == fact.name)
                    found[-1] = documents.shown_config(nic, old)
    if not expand:
        visit.state.resources.subnet_configs[cached] = (version, found)
    return found


def _config_id(nic: Nic, name: str, *, upper: bool) -> str:
    """The id of an ip configuration as its subnet shows it: since 2024 mostly with group and names in upper case (recorded)."""
    if not upper:
        return f"{nic.id}/ipConfigurations/{name}"
    nic_id = resource_id(nic.subscription, nic.group.upper(), "networkInterfaces", nic.name.upper())
    return f"{nic_id}/ipConfigurations/{name.upper()}"


def read_subnet(vnet_id: str, body: Mapping[str, Any], etag: str) -> Subnet:
    """The subnet that a PUT asks for. Raises Refused for a malformed body."""
    given = documents.as_object(body.get("properties"), "properties")
    prefixes = documents.as_array(given.get("addressPrefixes"), "addressPrefixes") or [given.get("addressPrefix")]
    name = str(body.get("name"))
    try:
        spelled = tuple(str(prefix) for prefix in prefixes)
        for prefix in spelled:
            addresses.in_prefix("10.0.0.4", prefix)
    except ValueError as error:
        raise Refused("InvalidRequestFormat", reason=str(error)) from None
    properties = tidied({k: v for k, v in given.items() if k not in _SUBNET_READ_ONLY and v is not None})
    subnet_id = f"{vnet_id}/subnets/{name}"
    return Subnet(subnet_id, subnet_id.lower(), name, spelled, properties, etag, "Updating")
