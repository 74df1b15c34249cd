"""Simulated Azures for the tests of swaps: switches, worlds and resource ids."""

from dataclasses import replace
from typing import Any

from simulator import worlds
from simulator.core.faults import Match
from simulator.core.switches import Switches
from simulator.state.world import World, WorldNic
from tests.promises.harness import SUB
from tests.promises.helpers import NIC_A, NIC_B

READ_A = Match(method="GET", kind="nic", name=NIC_A)
READ_B = Match(method="GET", kind="nic", name=NIC_B)
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Network"
SUBNET = f"{GROUP}/virtualNetworks/vnet/subnets/default"


JOINS = {
    "Microsoft.Network/networkInterfaces/write": f"{GROUP}/networkInterfaces/{NIC_B}",
    "Microsoft.Network/virtualNetworks/subnets/join/action": SUBNET,
    "Microsoft.Network/publicIPAddresses/join/action": f"{GROUP}/publicIPAddresses/my_vip_ip",
    "Microsoft.Network/networkSecurityGroups/join/action": f"{GROUP}/networkSecurityGroups/nsg",
}


def world(*more: WorldNic, b: dict[str, Any] | None = None, **parts: Any) -> World:
    """The default world with more NICs, and MIRRORB's NIC changed."""
    found = worlds.default()
    return replace(found, nics=(found.nics[0], replace(found.nics[1], **(b or {})), *more), **parts)


def fixed(**switches: Any) -> Switches:
    """Operations of three seconds, and other switches."""
    return Switches(latency="fixed:3", **switches)


def on_nobody() -> World:
    """The default world with the VIP on no NIC."""
    found = worlds.default()
    return replace(found, nics=(replace(found.nics[0], configs=found.nics[0].configs[:1]), found.nics[1]))
