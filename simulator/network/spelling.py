"""How Azure writes down what a client puts, whatever its spelling (recorded; docs/facts/azure.md section 6).

Enumerations are shown in their own spelling, references are cut to their ids, and empty lists of references are dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.wire import Json

_ENUMERATIONS: Final[dict[str, tuple[str, ...]]] = {
    "privateIPAllocationMethod": ("Static", "Dynamic"),
    "privateIPAddressVersion": ("IPv4", "IPv6"),
    "publicIPAllocationMethod": ("Static", "Dynamic"),
    "publicIPAddressVersion": ("IPv4", "IPv6"),
    "nicType": ("Standard", "Elastic"),
    "auxiliaryMode": ("None", "MaxConnections", "Floating", "AcceleratedConnections"),
    "auxiliarySku": ("None", "A1", "A2", "A4", "A8"),
    "privateEndpointNetworkPolicies": ("Disabled", "Enabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"),
    "privateLinkServiceNetworkPolicies": ("Disabled", "Enabled"),
    "privateEndpointVNetPolicies": ("Disabled", "Basic"),
    "deleteOption": ("Delete", "Detach"),
    "sku": ("Basic", "Standard", "StandardV2"),
    "tier": ("Regional", "Global"),
}
_REFERENCES: Final = frozenset(
    {
        "subnet",
        "publicIPAddress",
        "networkSecurityGroup",
        "gatewayLoadBalancer",
        "routeTable",
        "natGateway",
        "publicIPPrefix",
    }
)
_REFERENCE_LISTS: Final = frozenset(
    {
        "loadBalancerBackendAddressPools",
        "loadBalancerInboundNatRules",
        "applicationGatewayBackendAddressPools",
        "applicationSecurityGroups",
        "virtualNetworkTaps",
    }
)


def spelled(member: str, value: Any) -> Any:
    """The value of an enumeration in its own spelling; any other value as it is."""
    if isinstance(value, str):
        return next((known for known in _ENUMERATIONS.get(member, ()) if known.lower() == value.lower()), value)
    return value


def tidied(properties: Mapping[str, Any]) -> Json:
    """The properties as Azure keeps them. Malformed values stay, so that the checks of a document can refuse them."""
    found: Json = {}
    for member, value in properties.items():
        if member in _REFERENCES:
            found[member] = _cut(value)
        elif member in _REFERENCE_LISTS and isinstance(value, list):
            if value:
                found[member] = [_cut(item) for item in value]
        else:
            found[member] = spelled(member, value)
    return found


def _cut(value: Any) -> Any:
    return {"id": value["id"]} if isinstance(value, dict) and "id" in value else value
