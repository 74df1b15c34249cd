"""A mirror whose NICs refer to everything that they can refer to."""

from dataclasses import replace
from typing import Any, Final

from simulator import worlds
from simulator.state.world import SUBSCRIPTION, World, WorldPlain, WorldPublicIp
from vipcore.model import Json

NETWORK: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network"
SUBNET: Final = f"{NETWORK}/virtualNetworks/vnet/subnets/default"
REFERENCES: Final[dict[str, Any]] = {
    "publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/own"},
    "loadBalancerBackendAddressPools": [{"id": f"{NETWORK}/loadBalancers/lb/backendAddressPools/pool"}],
    "loadBalancerInboundNatRules": [{"id": f"{NETWORK}/loadBalancers/lb/inboundNatRules/rule"}],
    "applicationSecurityGroups": [{"id": f"{NETWORK}/applicationSecurityGroups/asg"}],
    "applicationGatewayBackendAddressPools": [{"id": f"{NETWORK}/applicationGateways/gw/backendAddressPools/pool"}],
    "gatewayLoadBalancer": {"id": f"{NETWORK}/loadBalancers/glb/frontendIPConfigurations/front"},
    "virtualNetworkTaps": [{"id": f"{NETWORK}/virtualNetworkTaps/tap"}],
}
KINDS: Final = {
    "asg": "applicationSecurityGroups",
    "lb": "loadBalancers",
    "glb": "loadBalancers",
    "gw": "applicationGateways",
    "tap": "virtualNetworkTaps",
}


def connected(*, lost: bool = False) -> World:
    """The holder refers to all that there is; `lost`: its VIP is on no NIC, and the other NIC is Failed."""

    def configuration(name: str, address: str, **more: Any) -> Json:
        fixed = {"privateIPAddress": address, "privateIPAllocationMethod": "Static", "subnet": {"id": SUBNET}}
        return {"name": name, "properties": {**fixed, **more}}

    world = worlds.default()
    vip = configuration("vip", "10.0.0.254", publicIPAddress={"id": f"{NETWORK}/publicIPAddresses/my_vip_ip"}, primary=False)
    body = [configuration("ipconfig1", "10.0.0.4", primary=True, **REFERENCES), *([] if lost else [vip])]
    holder = replace(world.nics[0], document={"properties": {"ipConfigurations": body}})
    other = replace(world.nics[1], state="Failed") if lost else world.nics[1]
    plain = (
        WorldPlain(type=f"Microsoft.Network/{kind}", name=name, document={"sku": {"name": "Standard"}})
        for name, kind in KINDS.items()
    )
    return replace(
        world,
        nics=(holder, other),
        public_ips=(*world.public_ips, WorldPublicIp(name="own")),
        others=(*world.others, *plain),
    )
