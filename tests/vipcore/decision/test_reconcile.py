"""One mirror in a timer pass: an unfinished swap is finished, a recorded claim is judged anew."""

import asyncio
import json
from dataclasses import replace
from itertools import product

import pytest

from simulator.core.faults import Status
from simulator.core.switches import Switches
from tests.promises.harness import Harness, parsed
from tests.promises.helpers import (
    ALWAYS,
    DETACH,
    NIC_A,
    NIC_B,
    assert_kept,
    cured,
    details,
    document,
    events,
    refused,
    switch,
    timer,
    virtual,
)
from tests.vipcore.deaths import DieAt
from tests.vipcore.decision.denials import DENIED, denied_write
from tests.vipcore.decision.pages import N, P, U, paged
from tests.vipcore.decision.test_rules import HEAD, MIRROR, NOW, at, recorded_claim
from vipcore.decision.reconcile import Act, act_for
from vipcore.ledger.head import Frozen, Head, Lease, Swap
from vipcore.model import Member, Page


@pytest.mark.parametrize("writes", [1, 2])
@virtual
async def test_a_swap_whose_driver_died_is_finished_by_the_timer_alone(writes: int) -> None:
    """A swap whose driver died after a write is finished by another instance's timer, with a row that says so. (I1)"""
    harness = Harness(fate=DieAt(writes))
    dying = harness.node("n1")
    claim = asyncio.create_task(dying.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert dying.dead

    await timer(harness.node("n2"), 240.0)

    claim.cancel()
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    assert "swap.resumed" in await events(harness)


@virtual
async def test_a_swap_that_keeps_failing_is_tried_less_and_less_often() -> None:
    """The timer's tries back off up to five minutes, and the swap is done soon after the cause is gone. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(DETACH, fault=Status(status=400, body=b'{"error":{"code":"BadRequest","message":"no"}}'), times=ALWAYS)
    await refused(node.claim("MIRRORB"))

    await timer(node, 3600.0)

    tries = [row for row in await harness.trail() if row.columns["Event"] == "swap.failed"]
    assert 12 <= len(tries) <= 20
    cured(harness)
    await timer(node, 330.0)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_recorded_claim_is_judged_though_the_document_has_lost_desired() -> None:
    """A member that the document no longer has is nowhere to go; a claim of another one that is recorded is carried out."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    head = await harness.head()
    harness.ledger.heads["PROD"] = (replace(head, desired="OLD").to_entity(), 'W/"x"')
    await node.freeze()
    await refused(node.claim("MIRRORA"))
    await node.unfreeze()

    await timer(node, 60.0)

    assert harness.holders() == [NIC_A]
    assert (await harness.head()).recorded_claim is None


@virtual
async def test_a_claim_that_preflight_stops_is_recorded() -> None:
    """A claim stopped by preflight is kept, its answer is the error, and the timer carries it out when it can. (I1)"""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")

    assert (await refused(node.claim("MIRRORB"))).code == "azure-denied"

    assert (await events(harness)) == ["claim.refused", "claim.recorded"]
    await timer(node, 120.0)
    assert harness.holders() == [NIC_A]
    switch(harness, denied=())
    await timer(node, 60.0)
    await assert_kept(harness, on=NIC_B)
    assert (await harness.head()).recorded_claim is None


@virtual
async def test_a_recorded_claim_is_judged_by_the_pages_of_then() -> None:
    """The timer judges a recorded claim anew, pages included: what speaks against it then holds it."""
    harness, node = paged(U, U)
    switch(harness, denied=(DENIED,))
    await refused(node.claim("MIRRORB", event="manual"))
    harness.pages = {"MIRRORA": P, "MIRRORB": N}
    switch(harness, denied=())

    await timer(node, 300.0)
    assert harness.holders() == [NIC_A]
    harness.pages = {"MIRRORA": N, "MIRRORB": P}
    await timer(node, 60.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_recorded_claim_ends_after_an_hour() -> None:
    """A recorded claim that could not be carried out for an hour is dropped, and a row says so."""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")
    await refused(node.claim("MIRRORB"))

    await timer(node, 3540.0)
    assert (await harness.head()).recorded_claim is not None
    await timer(node, 150.0)
    assert (await harness.head()).recorded_claim is None
    assert "dropped: it is more than 3600 s old" in (await details(harness, "claim.refused"))[-1]
    switch(harness, denied=())
    await timer(node, 600.0)
    await assert_kept(harness, on=None)
    assert harness.holders() == [NIC_A]
    assert harness.ledger.worklist == {}


@virtual
async def test_a_recorded_claim_is_judged_though_an_older_swap_cannot_end() -> None:
    """Where nothing can finish the swap to one member, the timer still carries out a newer recorded claim of another."""
    harness = Harness(config=replace(parsed(json.dumps(document())), max_changes=1, max_changes_s=120.0))
    node = harness.node("n1")
    await node.move("MIRRORA")
    claim = asyncio.create_task(refused(node.claim("MIRRORB", claim_id="b")))
    await asyncio.sleep(1.5)
    harness.cloud.switches = replace(harness.cloud.switches, denied=(denied_write(harness, NIC_B),))
    assert (await claim).code == "azure-denied"
    assert harness.holders() == []
    assert (await refused(node.claim("MIRRORA", claim_id="a"))).code == "flapping"

    await timer(node, 300.0)

    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_page_that_turned_primary_is_followed() -> None:
    """With follow_primary a member whose page turned primary after the last decision gets the VIP, after several looks."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    await node.tick()
    await asyncio.sleep(30.0)
    await node.tick()
    assert harness.holders() == [NIC_A]
    await timer(node, 90.0)

    await assert_kept(harness, on=NIC_B)
    row = (await harness.trail())[-1]
    assert row.columns["Actor"] == "reconciler"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((N, P), (N, P)),  # it said primary already when the decision was taken: it has not turned
        ((P, N), (P, P)),  # the holder's page says primary too
        ((P, N), (U, U)),  # nothing is known
        ((U, U), (U, P)),  # it was never seen to say anything else
    ],
)
@virtual
async def test_a_page_that_is_not_followed(before: tuple[Page, Page], after: tuple[Page, Page]) -> None:
    """Pages that did not turn since the last decision, or that contradict each other, are not followed."""
    harness, node = paged(*before, follow_primary=True)
    await node.move("MIRRORA", force=True)
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": after[0], "MIRRORB": after[1]}

    await timer(node, 600.0)

    await assert_kept(harness, on=NIC_A)


@virtual
async def test_pages_are_not_followed_unless_asked_for() -> None:
    """Without follow_primary the timer acts on no page."""
    harness, node = paged(P, N)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    await timer(node, 600.0)

    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_frozen_mirror_follows_no_page() -> None:
    """A freeze stops the following of pages too; after it the page's primary gets the VIP."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    await node.freeze()
    harness.pages = {"MIRRORA": N, "MIRRORB": P}
    await timer(node, 300.0)
    assert harness.holders() == [NIC_A]

    await node.unfreeze()
    await timer(node, 180.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_page_that_turns_is_followed_across_processes() -> None:
    """Which pages were seen to say not primary is in the head: the next process follows the turn as well."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    node.kill()
    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    await timer(harness.node("n2"), 180.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_following_yields_to_a_decision_made_while_the_pages_were_asked() -> None:
    """A move that arrives during the timer's look at the pages is a later decision than the page that turned."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": N, "MIRRORB": P}
    await timer(node, 60.0)
    slowly = node.controller.probes.page

    async def page(member: Member) -> Page:
        shown = await slowly(member)
        await asyncio.sleep(2.0)
        return shown

    node.controller.probes.page = page  # type: ignore[method-assign]  # this instance's network is slow
    looking = asyncio.create_task(node.tick())
    await asyncio.sleep(1.0)
    await harness.node("n2").move("MIRRORA", force=True)
    await looking

    assert (await harness.head()).desired == "MIRRORA"
    await assert_kept(harness, on=NIC_A)


WHO = ("", "A", "B")
"""For whom a claim is recorded: for nobody, for the member that is desired, for another."""

WHAT_THE_TIMER_DOES = [
    # driven, unfinished, recorded, frozen (None: either way, or for any), what the timer does
    ((True, None, None, None), Act.LEAVE),
    ((False, True, "", None), Act.FINISH),
    ((False, True, "A", None), Act.FINISH),
    ((False, True, "B", True), Act.FINISH),
    ((False, True, "B", False), Act.JUDGE),
    ((False, False, "", None), Act.CHECK),
    ((False, False, "A", True), Act.CHECK),
    ((False, False, "B", True), Act.CHECK),
    ((False, False, "A", False), Act.JUDGE),
    ((False, False, "B", False), Act.JUDGE),
]


def head_of(*, driven: bool, unfinished: bool, recorded: str, frozen: bool) -> Head:
    """A head that says so; desired is A."""
    return replace(
        HEAD,
        lease=Lease(owner="n1", until=at(45)) if driven else None,
        swap=Swap(operation_id="o", from_member="B", started_at=NOW, actor="key:k") if unfinished else None,
        recorded_claim=recorded_claim(recorded, at(10)) if recorded else None,
        frozen=Frozen(reason="upgrade", operator="ann", at=at(-60)) if frozen else None,
    )


@pytest.mark.parametrize("situation", list(product([False, True], [False, True], WHO, [False, True])))
def test_every_situation_has_one_row(situation: tuple[bool, bool, str, bool]) -> None:
    """A table says one thing for each situation, and the timer does that; a claim that was judged already counts for nothing."""
    driven, unfinished, recorded, frozen = situation
    rows = [act for row, act in WHAT_THE_TIMER_DOES if all(w is None or w == s for w, s in zip(row, situation, strict=True))]
    head = head_of(driven=driven, unfinished=unfinished, recorded=recorded, frozen=frozen)
    unrecorded = replace(head, recorded_claim=None)

    assert [act_for(MIRROR, head, NOW)] == rows
    assert act_for(MIRROR, head, NOW, judged=True) is act_for(MIRROR, unrecorded, NOW)


@pytest.mark.parametrize(
    ("head", "act"),
    [
        (head_of(driven=True, unfinished=True, recorded="B", frozen=False), Act.LEAVE),
        (head_of(driven=False, unfinished=True, recorded="", frozen=True), Act.FINISH),
        (head_of(driven=False, unfinished=True, recorded="B", frozen=False), Act.JUDGE),
        (head_of(driven=False, unfinished=True, recorded="B", frozen=True), Act.FINISH),
        (head_of(driven=False, unfinished=False, recorded="B", frozen=True), Act.CHECK),
        (head_of(driven=False, unfinished=False, recorded="A", frozen=False), Act.JUDGE),
    ],
)
def test_what_the_timer_does(head: Head, act: Act) -> None:
    """A live lease is left alone; a freeze lets a swap finish and keeps a recorded claim. (I1, I7)"""
    assert act_for(MIRROR, head, NOW) is act
