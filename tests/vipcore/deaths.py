"""Instances that die at a chosen point."""

from dataclasses import replace

from simulator import worlds
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import document


class DieAt(Fate):
    """An instance dies right after its n-th NIC write took effect."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def between(self, node: Node, label: str) -> None:
        if label == "arm PUT networkInterfaces":
            self.count -= 1
            if self.count == 0:
                node.kill()


def third_member() -> Harness:
    """A harness whose mirror has a third member, MIRRORC on c_nic, and whose first instance dies after its first NIC write."""
    world = worlds.default()
    other = WorldNic(name="c_nic", configs=(WorldConfig(name="own", address="10.0.0.9"),))
    described = document()
    described["mirrors"]["PROD"]["members"]["MIRRORC"] = {"nic": "c_nic"}
    return Harness(world=replace(world, nics=(*world.nics, other)), document=described, fate=DieAt(1))
