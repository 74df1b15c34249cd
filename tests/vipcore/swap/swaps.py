"""Swaps there and back, counted and timed."""

from dataclasses import replace
from typing import Any

from simulator import worlds
from simulator.core.history import Exchange
from simulator.core.switches import Switches
from simulator.state.world import World
from tests.promises.harness import Harness, Node
from tests.promises.helpers import NIC_A, NIC_B, assert_kept, document, puts

OPERATION_S = 8.0
RELEASE = ("operation-end", "acceptance")
PREVIEW = ("feature-missing", "version-unknown", "private", "all", "slow", "half-way")
STRATEGIES = ("put", "atomic", "auto")
SWAPS = 5


def swap_harness(strategy: str, *, public: bool, **switches: Any) -> Harness:
    """The default world, with or without the public IP on the VIP."""
    vip = {"name": "vip", "private_ip": "10.0.0.254", **({"public_ip": "my_vip_ip"} if public else {})}
    return Harness(
        world=worlds.default() if public else private_world(),
        document=document(strategy=strategy, vips=[vip]),
        switches=Switches(latency=f"fixed:{OPERATION_S:g}", **switches),
    )


def private_world() -> World:
    """The default world, whose VIP has no public IP."""
    found = worlds.default()
    holder = found.nics[0]
    configs = tuple(replace(config, public_ip="") for config in holder.configs)
    return replace(found, nics=(replace(holder, configs=configs), *found.nics[1:]))


def writes(harness: Harness) -> list[Exchange]:
    """NIC writes and moves in one call so far, accepted or not."""
    moves = [seen for seen in harness.cloud.history if seen.method == "POST" and "/moveipconfigurations" in seen.target.lower()]
    return sorted([*puts(harness), *moves], key=lambda seen: seen.at)


async def swap(harness: Harness, node: Node, turn: int) -> tuple[float, list[Exchange]]:
    """One swap there (even turns) or back: its seconds and its writes."""
    began, before = harness.loop.time(), len(writes(harness))
    member = "MIRRORB" if turn % 2 == 0 else "MIRRORA"
    assert (await node.claim(member, claim_id=f"c{turn}")).outcome == "moved"
    await assert_kept(harness, on=NIC_B if turn % 2 == 0 else NIC_A)
    return harness.loop.time() - began, writes(harness)[before:]


async def overlap_memory(harness: Harness) -> Any:
    """What the mirror's head remembers of overlapping."""
    return (await harness.head()).overlap_memory
