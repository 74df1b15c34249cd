"""Acceptance: the intent is committed first, the epoch rises with desired, and the newer decision wins."""

import asyncio

import pytest

from tests.promises.harness import Harness, Node
from tests.promises.helpers import NIC_A, NIC_B, assert_kept, details, events, refused, timer, virtual
from tests.vipcore.decision.pages import N, P, paged
from tests.vipcore.effects import PUT, watched
from vipcore.settings.environment import Config


@virtual
async def test_the_epoch_rises_with_each_change_of_desired() -> None:
    """The epoch rises by one with each change of desired and with nothing else. (I2)"""
    harness, node, _ = watched()
    epochs = []
    for turn, member in enumerate(["MIRRORB", "MIRRORB", "MIRRORA", "MIRRORA", "MIRRORB"]):
        epochs.append((await node.claim(member, claim_id=f"c{turn}")).epoch)

    assert epochs == [1, 1, 2, 2, 3]
    assert (await harness.head()).epoch == 3


@virtual
async def test_the_intent_is_committed_before_the_first_write() -> None:
    """No NIC is written before a committed row says why, and the hint for the timer went out before that row. (I3)"""
    harness, node, effects = watched()

    await node.claim("MIRRORB")

    before = effects.until(PUT)
    assert before.count("table commit") == 1
    assert before.index("table put_hint") < before.index("table commit")
    first = (await harness.trail())[0]
    assert (first.columns["Event"], first.columns["Outcome"]) == ("claim.accepted", "decided")


@pytest.mark.parametrize("apart_s", [0.0, 0.02, 0.1, 1.0, 3.1, 3.5, 6.1])
@virtual
async def test_two_claimants(apart_s: float) -> None:
    """Of two members that claim at the same time one ends with the VIP, and the other is told that it was superseded. (I1, I2)"""
    harness, node, _ = watched()
    other = harness.node("n2")
    await asyncio.sleep(1.0)

    async def claim(at: Node, member: str) -> str:
        try:
            return (await at.claim(member, claim_id=member)).outcome
        except Exception as exc:
            return str(getattr(exc, "code", repr(exc)))

    b = asyncio.create_task(claim(node, "MIRRORB"))
    await asyncio.sleep(apart_s)
    a = asyncio.create_task(claim(other, "MIRRORA"))
    said = {"MIRRORB": await b, "MIRRORA": await a}
    await timer(node, 240.0)

    head = await harness.head()
    assert head.desired is not None
    assert said[head.desired] in {"moved", "confirmed"}
    loser = said["MIRRORA" if head.desired == "MIRRORB" else "MIRRORB"]
    assert loser in {"claim-superseded", "moved", "confirmed"}
    await assert_kept(harness, on=NIC_A if head.desired == "MIRRORA" else NIC_B)


@virtual
async def test_a_to_b_to_a_within_seconds() -> None:
    """A to B to A within seconds ends on A with the epochs in order. (I2)"""
    harness, node, _ = watched()
    other = harness.node("n2")
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    await asyncio.sleep(1.0)
    second = asyncio.create_task(refused(other.claim("MIRRORA", claim_id="c2")))
    await asyncio.sleep(1.0)

    third = await node.claim("MIRRORB", claim_id="c3")

    assert (third.holder, third.epoch) == ("MIRRORB", 3)
    assert (await first).code == (await second).code == "claim-superseded"
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_the_first_change_of_holder_counts_as_one() -> None:
    """Where the VIP was on another member before anybody was desired, the first claim is a change of holder too."""
    harness = Harness()
    assert harness.config is not None
    node = harness.node("n1")
    node.controller.config = Config(mirrors=harness.config.mirrors, max_changes=2)

    await node.claim("MIRRORB")
    await node.claim("MIRRORA")

    assert (await refused(node.claim("MIRRORB"))).code == "flapping"


@virtual
async def test_a_newer_claim_ends_the_older_ones_wait() -> None:
    """A newer accepted claim of another member ends the wait of the older one with claim-superseded. (I2)"""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    older = asyncio.create_task(refused(node.claim("MIRRORB")))
    await asyncio.sleep(2.0)

    newer = await other.claim("MIRRORA", claim_id="newer")

    assert (newer.holder, newer.epoch) == ("MIRRORA", 2)
    assert (await older).code == "claim-superseded"
    await timer(node, 120.0)
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_claim_against_a_move_under_way_ends_the_moves_wait() -> None:
    """A newer accepted claim ends an operator's wait with move-superseded."""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    move = asyncio.create_task(refused(node.move("MIRRORB")))
    await asyncio.sleep(2.0)

    await other.claim("MIRRORA")

    assert (await move).code == "move-superseded"
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_watch_claim_joins_no_swap_against_the_pages() -> None:
    """Also where a swap to its member is under way, or was left by a driver that died, a watch claim needs the pages' word."""
    harness, node = paged(N, P)
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(2.0)
    harness.pages = {"MIRRORA": P, "MIRRORB": N}
    assert (await refused(node.claim("MIRRORB", event="watch", claim_id="w"))).code == "peer-still-primary"
    await claim

    bare = Harness().node("n1")
    claim = asyncio.create_task(bare.claim("MIRRORB"))
    await asyncio.sleep(2.0)
    assert (await refused(bare.claim("MIRRORB", event="watch", claim_id="w"))).code == "claimant-not-primary"
    await claim


@virtual
async def test_a_move_says_that_it_supersedes_a_recorded_claim() -> None:
    """A claim was told that it would be judged again; the row of the move that ends that says so."""
    harness = Harness()
    node = harness.node("n1")
    await node.move("MIRRORA")
    await node.freeze()
    await refused(node.claim("MIRRORB"))

    await node.move("MIRRORA", force=True)

    assert (await details(harness, "move.confirmed"))[-1].endswith("The recorded claim of MIRRORB is superseded.")
    assert (await harness.head()).recorded_claim is None


@virtual
async def test_one_request_delivered_twice_at_once_joins_a_swap_once() -> None:
    """Of two deliveries of one signed request, judged on the same head, one joins the swap and the other is a replay. (I6)"""
    harness = Harness()
    node, second, third = harness.node("n1"), harness.node("n2"), harness.node("n3")
    driving = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    at = second.now()

    deliveries = [one.claim("MIRRORB", claim_id="twice", issued_at=at) for one in (second, third)]
    answers = await asyncio.gather(*deliveries, return_exceptions=True)

    assert (await driving).outcome == "moved"
    assert sorted(type(answer).__name__ for answer in answers) == ["Outcome", "Refusal"]
    assert (await events(harness)).count("claim.accepted") == 2
