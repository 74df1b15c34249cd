"""A freeze: what it stops and what it does not, how it ends, and what is carried out then."""

import asyncio
from datetime import timedelta

import pytest

from simulator.core.switches import Switches
from tests.promises.harness import Harness
from tests.promises.helpers import (
    NIC_A,
    NIC_B,
    assert_kept,
    details,
    events,
    paged_document,
    puts,
    refused,
    switch,
    timer,
    virtual,
)
from tests.vipcore.decision.denials import DENIED
from vipcore.entry import freezes
from vipcore.errors import Refusal
from vipcore.model import Page


@virtual
async def test_a_claim_during_a_freeze_is_recorded_and_carried_out_at_the_unfreeze() -> None:
    """A claim during a freeze is answered mirror-frozen, recorded, and carried out by the timer at the unfreeze. (I1, I7)"""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze()

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "mirror-frozen"
    assert "frozen by op: test" in refusal.detail
    assert await events(harness) == ["frozen", "claim.refused", "claim.recorded"]
    await timer(node, 600.0)
    assert puts(harness) == []
    await node.unfreeze()
    await timer(node, 60.0)
    await assert_kept(harness, on=NIC_B)
    assert (await harness.head()).recorded_claim is None


@virtual
async def test_the_newest_claim_counts_at_the_unfreeze() -> None:
    """Of two claims during a freeze the one that began later is carried out at the unfreeze, and the other never."""
    harness = Harness()
    node = harness.node("n1")
    await asyncio.sleep(100.0)
    await node.freeze()
    await refused(node.claim("MIRRORA", age_s=10.0))
    await refused(node.claim("MIRRORB", age_s=5.0))
    assert (await refused(node.claim("MIRRORA", age_s=8.0))).code == "claim-superseded"

    await node.unfreeze()
    await timer(node, 90.0)

    await assert_kept(harness, on=NIC_B)
    assert (await harness.head()).epoch == 1


@virtual
async def test_a_recorded_claim_that_a_forced_move_supersedes_is_dropped() -> None:
    """A forced move during a freeze is the later decision: the claim recorded before it is not carried out at the unfreeze."""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB"))
    await asyncio.sleep(10.0)
    assert (await node.move("MIRRORA", force=True)).outcome == "confirmed"

    await node.unfreeze()
    await timer(node, 300.0)

    await assert_kept(harness, on=NIC_A)
    assert (await harness.head()).recorded_claim is None


@virtual
async def test_a_move_during_a_freeze() -> None:
    """A move during a freeze is only refused; with force it is carried out, and the freeze stays."""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze()

    assert (await refused(node.move("MIRRORB"))).code == "mirror-frozen"
    head = await harness.head()
    assert (head.recorded_claim, head.desired) == (None, None)

    assert (await node.move("MIRRORB", force=True)).outcome == "moved"
    assert (await harness.head()).frozen is not None
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_freeze_lets_an_unfinished_swap_finish() -> None:
    """A swap under way when the freeze is set ends, by its driver or, where that died, by the timer. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(2.0)
    await node.freeze()

    assert (await claim).outcome == "moved"
    await assert_kept(harness, on=NIC_B)

    await node.unfreeze()
    dying = asyncio.create_task(node.claim("MIRRORA", claim_id="c2"))
    await asyncio.sleep(2.0)
    node.kill()
    other = harness.node("n2")
    await other.freeze()
    await timer(other, 180.0)
    dying.cancel()
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_freeze_ends_at_its_time() -> None:
    """At `until` the timer lifts the freeze (actor reconciler) and carries out what was recorded meanwhile."""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze(for_s=300.0)
    await refused(node.claim("MIRRORB"))
    await timer(node, 290.0)
    assert (await harness.head()).frozen is not None

    await timer(node, 90.0)

    assert (await harness.head()).frozen is None
    row = next(row for row in await harness.trail() if row.columns["Event"] == "unfrozen")
    assert row.columns["Actor"] == "reconciler"
    await assert_kept(harness, on=NIC_B)
    await timer(node, 300.0)
    assert harness.ledger.worklist == {}


@virtual
async def test_a_freeze_whose_time_is_over_stops_nothing() -> None:
    """From `until` on a claim goes through, whether or not the timer has lifted the freeze yet."""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze(for_s=20.0)
    await asyncio.sleep(21.0)

    assert freezes.view(await harness.head(), node.now()) is None
    assert (await node.claim("MIRRORB")).outcome == "moved"
    await timer(node, 60.0)
    assert (await events(harness)).count("unfrozen") == 1


@virtual
async def test_a_freeze_without_an_end_stays() -> None:
    """A freeze without `until` stays until it is lifted, and an idle frozen mirror keeps no hint."""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze()

    await timer(node, 7200.0)

    assert (await harness.head()).frozen is not None
    assert harness.ledger.worklist == {}


@virtual
async def test_a_freeze_stops_the_hour_of_a_recorded_claim() -> None:
    """The hour of a recorded claim stands still during a freeze: it is carried out after a freeze of three hours."""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")
    await refused(node.claim("MIRRORB"))
    await timer(node, 1800.0)
    await node.freeze()
    await timer(node, 3 * 3600.0)
    await node.unfreeze()
    await timer(node, 1500.0)
    assert (await harness.head()).recorded_claim is not None
    switch(harness, denied=())

    await timer(node, 60.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_recorded_claim_goes_on_ageing_after_the_freeze() -> None:
    """After the unfreeze the hour goes on from where it stood, and a claim that could not be carried out then is dropped."""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")
    await refused(node.claim("MIRRORB"))
    await timer(node, 1800.0)
    await node.freeze()
    await timer(node, 3600.0)
    await node.unfreeze()

    await timer(node, 1950.0)

    assert (await harness.head()).recorded_claim is None


@virtual
async def test_a_freeze_that_is_set_again() -> None:
    """Setting a freeze again replaces its reason and end, and the hour of a recorded claim stands still from the first one on."""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")
    await refused(node.claim("MIRRORB"))
    await node.freeze(for_s=3000.0)
    await timer(node, 2400.0)
    await node.freeze()
    await timer(node, 2400.0)
    await node.unfreeze()
    head = await harness.head()

    assert head.recorded_claim is not None
    assert node.now() - head.recorded_claim.recorded_at < timedelta(seconds=60)
    assert (await events(harness)).count("frozen") == 2


@virtual
async def test_who_froze_and_why_is_in_the_trail() -> None:
    """Freeze and unfreeze leave a row each with operator and reason; lifting what is not set leaves none."""
    harness = Harness()
    node = harness.node("n1")
    await node.unfreeze()
    assert await events(harness) == []

    await node.freeze()
    await node.unfreeze()

    assert await details(harness, "frozen") == ["Frozen until it is lifted. Reason: test"]
    assert await details(harness, "unfrozen") == ["Unfrozen. Reason: test"]
    assert {row.columns["Actor"] for row in await harness.trail()} == {"operator:op"}


@virtual
async def test_a_freeze_cannot_end_in_the_past() -> None:
    """An `until` that has passed is refused and changes nothing. (I7)"""
    harness = Harness()
    node = harness.node("n1")

    with pytest.raises(Refusal, match="until: lies in the past") as refusal:
        await node.freeze(for_s=-1.0)

    assert refusal.value.code == "body-invalid"
    assert await events(harness) == []
    assert freezes.view(await harness.head(), node.now()) is None


@virtual
async def test_a_page_holds_a_recorded_claim_for_hold_s_only() -> None:
    """At the unfreeze a page that lies holds the recorded claim of an event of IRIS's own for hold_s, as it would the agent's."""
    harness = Harness(document=paged_document())
    harness.pages = {"MIRRORA": Page.PRIMARY, "MIRRORB": Page.NOT_PRIMARY}
    node = harness.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB", event="NotifyBecomePrimary"))
    await node.unfreeze()
    await node.tick()
    assert (await events(harness))[-1] == "claim.refused"
    await asyncio.sleep(20.0)
    await node.tick()
    assert harness.holders() == [NIC_A]
    await asyncio.sleep(15.0)

    await node.tick()

    await assert_kept(harness, on=NIC_B)
    assert "hold of 30 s is over" in (await details(harness, "claim.accepted"))[0]


@pytest.mark.parametrize("event", ["startup", "manual"])
@virtual
async def test_a_page_holds_a_recorded_claim_of_another_event(event: str) -> None:
    """A recorded claim of an event that is not IRIS's own stays held while the pages contradict it, in one row."""
    harness = Harness(document=paged_document())
    harness.pages = {"MIRRORA": Page.PRIMARY, "MIRRORB": Page.NOT_PRIMARY}
    node = harness.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB", event=event))
    await node.unfreeze()

    await timer(node, 240.0)

    assert harness.holders() == [NIC_A]
    assert (await events(harness)).count("claim.refused") == 2
