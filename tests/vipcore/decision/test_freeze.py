"""An operator's stop sign: what it stops and what not, how it ends, and what is carried out then (contract section 6)."""

import asyncio
from datetime import timedelta

import pytest

from simulator.core.faults import Hangs
from simulator.core.switches import Denial, Switches
from tests.promises.acts import (
    DETACH,
    NIC_A,
    NIC_B,
    agent,
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
from tests.promises.stage import Stage
from vipcore.entry import freezes
from vipcore.errors import Refusal
from vipcore.model import Page

DENIED = Denial(action="Microsoft.Network/publicIPAddresses/join/action")


@virtual
async def test_a_claim_during_a_freeze_is_recorded_and_carried_out_at_the_unfreeze() -> None:
    """A claim during a freeze is answered mirror-frozen, recorded, and carried out by the timer at the unfreeze. (I1, I7)"""
    stage = Stage()
    node = stage.node("n1")
    await node.freeze()

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "mirror-frozen"
    assert "frozen by op: test" in refusal.detail
    assert await events(stage) == ["frozen", "claim.refused", "claim.recorded"]
    await timer(node, 600.0)
    assert puts(stage) == []
    await node.unfreeze()
    await timer(node, 60.0)
    await assert_kept(stage, on=NIC_B)
    assert (await stage.head()).recorded_claim is None


@virtual
async def test_the_newest_claim_counts_at_the_unfreeze() -> None:
    """Of two claims during a freeze the one that began later is carried out at the unfreeze, and the other never."""
    stage = Stage()
    node = stage.node("n1")
    await asyncio.sleep(100.0)
    await node.freeze()
    await refused(node.claim("MIRRORA", age_s=10.0))
    await refused(node.claim("MIRRORB", age_s=5.0))
    assert (await refused(node.claim("MIRRORA", age_s=8.0))).code == "claim-superseded"

    await node.unfreeze()
    await timer(node, 90.0)

    await assert_kept(stage, on=NIC_B)
    assert (await stage.head()).epoch == 1


@virtual
async def test_a_recorded_claim_that_a_forced_move_supersedes_is_dropped() -> None:
    """A forced move during a freeze is the later decision: the claim recorded before it is not carried out at the unfreeze."""
    stage = Stage()
    node = stage.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB"))
    await asyncio.sleep(10.0)
    assert (await node.move("MIRRORA", force=True)).outcome == "confirmed"

    await node.unfreeze()
    await timer(node, 300.0)

    await assert_kept(stage, on=NIC_A)
    assert (await stage.head()).recorded_claim is None


@virtual
async def test_a_move_during_a_freeze() -> None:
    """A move during a freeze is only refused; with force it is carried out, and the freeze stays."""
    stage = Stage()
    node = stage.node("n1")
    await node.freeze()

    assert (await refused(node.move("MIRRORB"))).code == "mirror-frozen"
    head = await stage.head()
    assert (head.recorded_claim, head.desired) == (None, None)

    assert (await node.move("MIRRORB", force=True)).outcome == "moved"
    assert (await stage.head()).frozen is not None
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_force_never_overrides_the_preflight() -> None:
    """Force overrides the pages and a freeze, never the preflight. (I10)"""
    stage = Stage(switches=Switches(latency="fixed:3", denied=(DENIED,)), document=paged_document())
    stage.pages = {"MIRRORA": Page.PRIMARY}
    node = stage.node("n1")
    await node.freeze()

    assert (await refused(node.move("MIRRORB", force=True))).code == "azure-denied"
    assert puts(stage) == []
    assert (await stage.head()).recorded_claim is None


@virtual
async def test_a_freeze_lets_an_unfinished_swap_finish() -> None:
    """A swap under way when the freeze is set ends, by its driver or, where that died, by the timer. (I1)"""
    stage = Stage()
    node = stage.node("n1")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(2.0)
    await node.freeze()

    assert (await claim).outcome == "moved"
    await assert_kept(stage, on=NIC_B)

    await node.unfreeze()
    dying = asyncio.create_task(node.claim("MIRRORA", claim_id="c2"))
    await asyncio.sleep(2.0)
    node.kill()
    other = stage.node("n2")
    await other.freeze()
    await timer(other, 180.0)
    dying.cancel()
    await assert_kept(stage, on=NIC_A)


@virtual
async def test_a_retry_of_a_swap_under_way_during_a_freeze() -> None:
    """The same claim again, while its swap is unfinished, waits for it and gets its outcome although the mirror is frozen."""
    stage = Stage()
    node = stage.node("n1")
    stage.cloud.script(DETACH, fault=Hangs(for_s=250.0))
    assert (await refused(node.claim("MIRRORB"))).code == "busy"
    await node.freeze()

    outcome, _ = await agent(node, "MIRRORB")

    assert outcome.outcome == "moved"
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_a_freeze_stops_the_repair_of_drift() -> None:
    """During a freeze drift is reported and not repaired; after it, it is."""
    stage = Stage()
    node = stage.node("n1")
    await node.claim("MIRRORB")
    await node.freeze()
    stage.cloud.stranger(stage.cloud.nic_named(NIC_B), "drops-config")

    await timer(node, 300.0)
    assert stage.holders() == []
    assert (await events(stage)).count("drift.found") == 1
    await node.unfreeze()
    await timer(node, 60.0)

    await assert_kept(stage, on=NIC_B)


@virtual
async def test_a_freeze_ends_at_its_time() -> None:
    """At `until` the timer lifts the freeze (actor reconciler) and carries out what was recorded meanwhile."""
    stage = Stage()
    node = stage.node("n1")
    await node.freeze(for_s=300.0)
    await refused(node.claim("MIRRORB"))
    await timer(node, 290.0)
    assert (await stage.head()).frozen is not None

    await timer(node, 90.0)

    assert (await stage.head()).frozen is None
    row = next(row for row in await stage.trail() if row.columns["Event"] == "unfrozen")
    assert row.columns["Actor"] == "reconciler"
    await assert_kept(stage, on=NIC_B)
    await timer(node, 300.0)
    assert stage.ledger.worklist == {}


@virtual
async def test_a_freeze_whose_time_is_over_stops_nothing() -> None:
    """From `until` on a claim goes through, whether or not the timer has lifted the freeze yet."""
    stage = Stage()
    node = stage.node("n1")
    await node.freeze(for_s=20.0)
    await asyncio.sleep(21.0)

    assert freezes.view(await stage.head(), node.now()) is None
    assert (await node.claim("MIRRORB")).outcome == "moved"
    await timer(node, 60.0)
    assert (await events(stage)).count("unfrozen") == 1


@virtual
async def test_a_freeze_without_an_end_stays() -> None:
    """A freeze without `until` stays until it is lifted, and an idle frozen mirror keeps no hint."""
    stage = Stage()
    node = stage.node("n1")
    await node.freeze()

    await timer(node, 7200.0)

    assert (await stage.head()).frozen is not None
    assert stage.ledger.worklist == {}


@virtual
async def test_a_freeze_stops_the_hour_of_a_recorded_claim() -> None:
    """The hour of a recorded claim stands still during a freeze: it is carried out after a freeze of three hours."""
    stage = Stage(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = stage.node("n1")
    await refused(node.claim("MIRRORB"))
    await timer(node, 1800.0)
    await node.freeze()
    await timer(node, 3 * 3600.0)
    await node.unfreeze()
    await timer(node, 1500.0)
    assert (await stage.head()).recorded_claim is not None
    switch(stage, denied=())

    await timer(node, 60.0)

    await assert_kept(stage, on=NIC_B)


@virtual
async def test_a_recorded_claim_goes_on_ageing_after_the_freeze() -> None:
    """After the unfreeze the hour goes on from where it stood, and a claim that could not be carried out then is dropped."""
    stage = Stage(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = stage.node("n1")
    await refused(node.claim("MIRRORB"))
    await timer(node, 1800.0)
    await node.freeze()
    await timer(node, 3600.0)
    await node.unfreeze()

    await timer(node, 1950.0)

    assert (await stage.head()).recorded_claim is None


@virtual
async def test_a_freeze_that_is_set_again() -> None:
    """Setting a freeze again replaces its reason and end, and the hour of a recorded claim stands still from the first one on."""
    stage = Stage(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = stage.node("n1")
    await refused(node.claim("MIRRORB"))
    await node.freeze(for_s=3000.0)
    await timer(node, 2400.0)
    await node.freeze()
    await timer(node, 2400.0)
    head = await node.unfreeze()

    assert head.recorded_claim is not None
    assert node.now() - head.recorded_claim.recorded_at < timedelta(seconds=60)
    assert (await events(stage)).count("frozen") == 2


@virtual
async def test_who_froze_and_why_is_in_the_trail() -> None:
    """Freeze and unfreeze leave a row each with operator and reason; lifting what is not set leaves none."""
    stage = Stage()
    node = stage.node("n1")
    await node.unfreeze()
    assert await events(stage) == []

    await node.freeze()
    await node.unfreeze()

    assert await details(stage, "frozen") == ["Frozen until it is lifted. Reason: test"]
    assert await details(stage, "unfrozen") == ["Unfrozen. Reason: test"]
    assert {row.columns["Actor"] for row in await stage.trail()} == {"operator:op"}


@virtual
async def test_a_freeze_cannot_end_in_the_past() -> None:
    """An `until` that has passed is refused and changes nothing. (I7)"""
    stage = Stage()
    node = stage.node("n1")

    with pytest.raises(Refusal, match="until: lies in the past") as refusal:
        await node.freeze(for_s=-1.0)

    assert refusal.value.code == "body-invalid"
    assert await events(stage) == []
    assert freezes.view(await stage.head(), node.now()) is None


@virtual
async def test_a_page_holds_a_recorded_claim_for_hold_s_only() -> None:
    """At the unfreeze a page that lies holds the recorded claim of an event of IRIS's own for hold_s, as it would the agent's."""
    stage = Stage(document=paged_document())
    stage.pages = {"MIRRORA": Page.PRIMARY, "MIRRORB": Page.NOT_PRIMARY}
    node = stage.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB", event="NotifyBecomePrimary"))
    await node.unfreeze()
    await node.tick()
    assert (await events(stage))[-1] == "claim.refused"
    await asyncio.sleep(20.0)
    await node.tick()
    assert stage.holders() == [NIC_A]
    await asyncio.sleep(15.0)

    await node.tick()

    await assert_kept(stage, on=NIC_B)
    assert "hold of 30 s is over" in (await details(stage, "claim.accepted"))[0]


@pytest.mark.parametrize("event", ["startup", "manual"])
@virtual
async def test_a_page_holds_a_recorded_claim_of_another_event(event: str) -> None:
    """A recorded claim of an event that is not IRIS's own stays held while the pages contradict it, in one row."""
    stage = Stage(document=paged_document())
    stage.pages = {"MIRRORA": Page.PRIMARY, "MIRRORB": Page.NOT_PRIMARY}
    node = stage.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB", event=event))
    await node.unfreeze()

    await timer(node, 240.0)

    assert stage.holders() == [NIC_A]
    assert (await events(stage)).count("claim.refused") == 2


@virtual
async def test_a_move_says_that_it_supersedes_a_recorded_claim() -> None:
    """A claim was told that it would be judged again; the row of the move that ends that says so."""
    stage = Stage()
    node = stage.node("n1")
    await node.move("MIRRORA")
    await node.freeze()
    await refused(node.claim("MIRRORB"))

    await node.move("MIRRORA", force=True)

    assert (await details(stage, "move.confirmed"))[-1].endswith("The recorded claim of MIRRORB is superseded.")
    assert (await stage.head()).recorded_claim is None
