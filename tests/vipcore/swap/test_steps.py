"""Azure's known and possible behaviours while an address moves, swept: every swap ends right, in few writes."""

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Lost
from simulator.core.history import Exchange
from simulator.core.switches import Switches
from simulator.state.world import World
from tests.promises.harness import Harness, Node
from tests.promises.helpers import ATTACH, NIC_A, NIC_B, assert_kept, document, puts, switch, virtual
from vipcore.model import Nic

OPERATION_S = 8.0
RELEASE = ("operation-end", "acceptance")
PREVIEW = ("feature-missing", "version-unknown", "private", "all", "slow", "half-way")
STRATEGIES = ("put", "atomic", "auto")
SWAPS = 5
ALL_WAYS = list(itertools.product(RELEASE, PREVIEW, (False, True), STRATEGIES))


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


async def swap(harness: Harness, node: Node, permit: int) -> tuple[float, list[Exchange]]:
    """One swap there (even turns) or back: its seconds and its writes."""
    began, before = harness.loop.time(), len(writes(harness))
    member = "MIRRORB" if permit % 2 == 0 else "MIRRORA"
    assert (await node.claim(member, claim_id=f"c{permit}")).outcome == "moved"
    await assert_kept(harness, on=NIC_B if permit % 2 == 0 else NIC_A)
    return harness.loop.time() - began, writes(harness)[before:]


async def overlap_memory(harness: Harness) -> Any:
    """What the mirror's head remembers of overlapping."""
    return (await harness.head()).overlap_memory


@pytest.mark.parametrize(
    ("release", "preview", "public", "strategy"), ALL_WAYS, ids=["-".join(map(str, way)) for way in ALL_WAYS]
)
@virtual
async def test_every_swap_ends_right(release: str, preview: str, public: bool, strategy: str) -> None:
    """Whatever Azure lets go of when, and whatever the preview does: each swap moves the VIP, in five writes at most. (I4, I5)"""
    harness = swap_harness(strategy, public=public, released_at=release, move_ip_configurations=preview)
    node = harness.node("n1")

    for permit in range(SWAPS):
        _, sent = await swap(harness, node, permit)

        assert len(sent) <= 5, [(seen.method, seen.resource, seen.status, seen.code) for seen in sent]
        assert sum(seen.method == "POST" for seen in sent) <= 1


@pytest.mark.parametrize("strategy", ["put", "auto"])
@virtual
async def test_an_early_release_halves_the_swap(strategy: str) -> None:
    """Where Azure lets go at acceptance, both operations run at the same time: 0.55 of the serial time or less, in two writes."""
    harness = swap_harness(strategy, public=True, released_at="acceptance")
    node = harness.node("n1")

    taken = [await swap(harness, node, permit) for permit in range(4)]

    # `auto` plays safe in the first swap and finds out in the second.
    for took, sent in taken[1 if strategy == "auto" else 0 :]:
        assert took <= 0.55 * 2 * OPERATION_S
        assert [seen.status for seen in sent] == [200, 200]
    assert (await overlap_memory(harness))["release"] == "acceptance"


@virtual
async def test_the_call_that_moves_at_once_halves_the_swap() -> None:
    """With `moveIpConfigurations` a swap is one write, and takes 0.55 of the serial time or less."""
    harness = swap_harness("atomic", public=False, move_ip_configurations="private")
    node = harness.node("n1")

    for permit in range(3):
        took, sent = await swap(harness, node, permit)

        assert took <= 0.55 * 2 * OPERATION_S
        assert [seen.method for seen in sent] == ["POST"]


@virtual
async def test_a_write_that_may_still_come_is_not_settled_by_the_one_call() -> None:
    """While a write without an answer may still come, NICs are written under their etags and not moved in one call. (I2)"""
    harness = swap_harness("atomic", public=False, move_ip_configurations="private")
    node, hand = harness.node("n1"), harness.node("hand")
    source = harness.cloud.nic_named(NIC_A)
    with_vip = await hand.controller.arm.read_nic(source.id)
    assert isinstance(with_vip, Nic)
    harness.cloud.stranger(source, "drops-config")
    harness.cloud.script(ATTACH, fault=Lost(when="before", after_s=2.0))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    # While the attach is on its way, somebody gives the VIP to MIRRORA: what is left to do is a plain move.
    bare = await hand.controller.arm.read_nic(source.id)
    assert isinstance(bare, Nic)
    await hand.controller.arm.put(bare, with_vip.document)

    assert (await claim).outcome == "moved"

    assert {seen.method for seen in writes(harness)} == {"PUT"}
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    assert (await node.claim("MIRRORA", claim_id="back")).outcome == "moved"
    assert [seen.method for seen in writes(harness)][-1] == "POST"


@virtual
async def test_auto_finds_the_one_call_and_keeps_to_it() -> None:
    """`auto` tries the preview once a private VIP has been moved a few times, and goes on with it where it works."""
    harness = swap_harness("auto", public=False, move_ip_configurations="private")
    node = harness.node("n1")

    sent = [(await swap(harness, node, permit))[1] for permit in range(6)]

    assert [[seen.method for seen in one] for one in sent[3:]] == [["POST"]] * 3
    assert (await overlap_memory(harness))["atomic"] == "works"


@virtual
async def test_auto_leaves_the_one_call_that_stopped_working() -> None:
    """A preview that is taken away costs the swap one refused call; the two writes follow, and it is not tried again at once."""
    harness = swap_harness("auto", public=False, move_ip_configurations="private")
    node = harness.node("n1")
    for permit in range(4):
        await swap(harness, node, permit)
    switch(harness, move_ip_configurations="feature-missing")

    _, first = await swap(harness, node, 4)
    _, second = await swap(harness, node, 5)

    assert [seen.method for seen in first] == ["POST", "PUT", "PUT"]
    assert [seen.method for seen in second] == ["PUT", "PUT"]


@virtual
async def test_auto_does_not_send_public_addresses_through_a_private_preview() -> None:
    """A VIP with a public IP is never moved by `auto` in one call: nobody has said that the call can."""
    harness = swap_harness("auto", public=True, move_ip_configurations="private")
    node = harness.node("n1")

    sent = [one for permit in range(5) for one in (await swap(harness, node, permit))[1]]

    assert {seen.method for seen in sent} == {"PUT"}


@virtual
async def test_auto_asks_in_vain_at_most_once_in_many_swaps() -> None:
    """Where Azure lets go at the end, `auto` finds that out by one refused write, and asks again only after many swaps."""
    harness = swap_harness("auto", public=True)
    node = harness.node("n1")

    sent = []
    for permit in range(12):
        sent.append((await swap(harness, node, permit))[1])
        await asyncio.sleep(120.0)  # six changes in ten minutes are the limit

    refused = [seen for one in sent for seen in one if seen.status == 400]
    assert len(refused) == 1
    assert sum(len(one) for one in sent) == 2 * 12 + 1


@virtual
async def test_an_early_release_that_ends_costs_one_write() -> None:
    """Azure that let go early and no longer does: the early try is refused, the swap ends all the same; that is remembered."""
    harness = swap_harness("auto", public=True, released_at="acceptance")
    node = harness.node("n1")
    for permit in range(4):
        await swap(harness, node, permit)
    switch(harness, released_at="operation-end")

    _, first = await swap(harness, node, 4)
    _, second = await swap(harness, node, 5)

    assert [seen.status for seen in first] == [200, 400, 200]
    assert [seen.status for seen in second] == [200, 200]


@virtual
async def test_a_refused_early_try_costs_no_time() -> None:
    """`put` against an Azure that lets go at the end is as fast as waiting: the refusal comes while Azure works anyway."""
    harness = swap_harness("put", public=True)
    node = harness.node("n1")

    took, sent = await swap(harness, node, 0)

    assert took <= 1.06 * 2 * OPERATION_S
    assert len(sent) == 3
