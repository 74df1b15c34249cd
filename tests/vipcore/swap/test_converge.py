"""Convergence: from every placement, on every Azure, the VIPs end on the desired member."""

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Lands
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Harness
from tests.promises.helpers import DETACH, NIC_A, NIC_B, agent, assert_kept, document, other_content, puts, virtual
from tests.vipcore.effects import GET, PUT, watched
from tests.vipcore.swap.azure import fixed
from tests.vipcore.swap.swaps import PREVIEW, RELEASE, STRATEGIES, SWAPS, swap, swap_harness
from vipcore.arm.nic import TAG

ALL_WAYS = list(itertools.product(RELEASE, PREVIEW, (False, True), STRATEGIES))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "preview", "public", "strategy"), ALL_WAYS, ids=["-".join(map(str, way)) for way in ALL_WAYS]
)
@virtual
async def test_every_swap_ends_right(release: str, preview: str, public: bool, strategy: str) -> None:
    """Whatever Azure lets go of when, and whatever the preview does: each swap moves the VIP, in five writes at most. (I4, I5)"""
    harness = swap_harness(strategy, public=public, released_at=release, move_ip_configurations=preview)
    node = harness.node("n1")

    for turn in range(SWAPS):
        _, sent = await swap(harness, node, turn)

        assert len(sent) <= 5, [(seen.method, seen.resource, seen.status, seen.code) for seen in sent]
        assert sum(seen.method == "POST" for seen in sent) <= 1


@virtual
async def test_a_holder_that_does_not_exist_any_more() -> None:
    """A VIP whose holder's NIC was deleted is attached to the claimant: nothing is left to detach it from. (I9)"""
    found = worlds.default()
    harness = Harness(world=replace(found, nics=found.nics[1:]))
    node = harness.node("n1")

    outcome = await node.claim("MIRRORB")

    assert (outcome.outcome, outcome.from_member) == ("moved", None)
    await assert_kept(harness, on=NIC_B)


@pytest.mark.slow
@pytest.mark.parametrize("released_at", ["operation-end", "acceptance"])
@pytest.mark.parametrize("strategy", ["put", "auto", "atomic"])
@pytest.mark.parametrize("one_call", ["feature-missing", "version-unknown", "private", "all", "slow", "half-way"])
@virtual
async def test_every_strategy_on_every_azure(one_call: str, strategy: str, released_at: str) -> None:
    """Whenever Azure lets go of an address and whatever it thinks of the one-call move, six swaps in a row end in place. (I1)"""
    harness = Harness(
        switches=fixed(released_at=released_at, move_ip_configurations=one_call), document=document(strategy=strategy)
    )
    node, before = harness.node("n1"), other_content(harness)

    for turn in range(6):
        member, nic = [("MIRRORB", NIC_B), ("MIRRORA", NIC_A)][turn % 2]
        outcome, refusals = await agent(node, member, claim_id=f"c{turn}")
        assert (outcome.outcome, outcome.holder, outcome.epoch) == ("moved", member, turn + 1), refusals
        await assert_kept(harness, on=nic)
    assert other_content(harness) == before


@virtual
async def test_the_requests_of_a_swap() -> None:
    """A swap reads each NIC once before, writes each once, and verifies each with one read after its write."""
    harness, node, effects = watched()

    await node.claim("MIRRORB")

    asked = Counter((seen.method, seen.target.split("?")[0].split("/providers/", 1)[-1]) for seen in harness.cloud.history)
    polls = sum(number for (_, what), number in asked.items() if "/operations/" in what)
    assert 4 <= polls <= 30
    assert {number for (method, what), number in asked.items() if method == "GET" and "/operations/" not in what} == {1, 2}
    assert effects.until(PUT).count(GET) == 2
    assert (effects.count()[GET], effects.count()[PUT]) == (4, 2)
    await assert_kept(harness, on=NIC_B)


def several() -> tuple[Any, dict[str, Any]]:
    """A world and a document of three members and three VIPs, IPv6 among them, and all on MIRRORA."""
    found = worlds.default()
    more = (WorldConfig(name="vip2", address="10.0.0.253"), WorldConfig(name="vip3", address="10.0.0.252"))
    nics = (
        replace(found.nics[0], configs=(*found.nics[0].configs, *more)),
        found.nics[1],
        WorldNic(name="dr", vm="", configs=(WorldConfig(name="ipconfig1", address="10.0.0.6"),)),
    )
    vips = [
        {"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"},
        {"name": "vip2", "private_ip": "10.0.0.253"},
        {"name": "vip3", "private_ip": "10.0.0.252"},
    ]
    members = {"MIRRORA": {"nic": NIC_A}, "MIRRORB": {"nic": NIC_B}, "DR/IRIS": {"nic": "dr"}}
    return replace(found, nics=nics), document(vips=vips, members=members)


@pytest.mark.parametrize(("member", "nic"), [("MIRRORB", NIC_B), ("DR/IRIS", "dr")])
@virtual
async def test_all_vips_move_together(member: str, nic: str) -> None:
    """All VIPs of a mirror move together, in one write per NIC. (I1)"""
    world, doc = several()
    harness = Harness(world=world, document=doc)
    node = harness.node("n1")

    assert (await node.claim(member)).outcome == "moved"

    assert len(puts(harness)) == 2
    for address in ("10.0.0.254", "10.0.0.253", "10.0.0.252"):
        await assert_kept(harness, on=nic, address=address)


@virtual
async def test_vips_that_are_split_over_the_members() -> None:
    """VIPs found on several members are gathered on the claimant; the detaches go out side by side."""
    world, doc = several()
    first, second, third = world.nics
    spread = replace(
        world,
        nics=(
            replace(first, configs=first.configs[:2]),
            replace(second, configs=(*second.configs, first.configs[2])),
            replace(third, configs=(*third.configs, first.configs[3])),
        ),
    )
    harness = Harness(world=spread, document=doc)
    node = harness.node("n1")

    outcome = await node.claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert len(puts(harness)) == 3
    assert harness.loop.time() < 8.0
    for address in ("10.0.0.254", "10.0.0.253", "10.0.0.252"):
        await assert_kept(harness, on=NIC_B, address=address)


@virtual
async def test_a_vip_on_no_member() -> None:
    """`from` is null where the VIP was on no member, and only one NIC is written."""
    found = worlds.default()
    nobody = replace(found, nics=(replace(found.nics[0], configs=found.nics[0].configs[:1]), found.nics[1]))
    harness = Harness(world=nobody)

    outcome = await harness.node("n1").claim("MIRRORB")

    assert (outcome.outcome, outcome.from_member, len(puts(harness))) == ("moved", None, 1)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_vip_that_is_half_right_is_put_right() -> None:
    """A configuration of the VIP's name with another address or without its public IP is no VIP: it is written anew."""
    found = worlds.default()
    wrong = (found.nics[0].configs[0], WorldConfig(name="vip", address="10.0.0.77"))
    harness = Harness(world=replace(found, nics=(replace(found.nics[0], configs=wrong), found.nics[1])))

    outcome = await harness.node("n1").claim("MIRRORA")

    assert outcome.outcome == "moved"
    assert harness.holders("10.0.0.77") == []
    await assert_kept(harness, on=NIC_A)


@pytest.mark.parametrize("unchanged_put", ["kept", "rewritten"])
@virtual
async def test_a_dead_drivers_write_is_overwritten_until_the_etag_is_another(unchanged_put: str) -> None:
    """Azure may keep the etag of a NIC that is put back as it was: our tag changes it then, and the late write fails. (I2)"""
    harness = Harness(switches=fixed(unchanged_put=unchanged_put))
    dying, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(DETACH, fault=Lands(after_s=60.0))
    claim = asyncio.create_task(dying.claim("MIRRORB"))
    while not puts(harness):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # it is on its way
    dying.kill()

    outcome = await other.move("MIRRORA", force=True)

    assert outcome.outcome == "moved"
    await asyncio.sleep(90.0)
    claim.cancel()
    assert harness.holders() == [NIC_A]
    tagged = TAG in harness.cloud.nic_named(NIC_A).doc.top.get("tags", {})
    assert tagged is (unchanged_put == "kept")
    await assert_kept(harness, on=NIC_A, rows_of_writes=False)
