"""Who is primary: status pages and the hold, superseded and recorded claims, anti-flap, the path probe, followed pages."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from simulator.core.faults import Answer, Match
from simulator.core.switches import Denial, Switches
from tests.promises.harness import Harness, Node, parsed
from tests.promises.helpers import (
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    details,
    document,
    events,
    paged_document,
    puts,
    refused,
    switch,
    timer,
    virtual,
)
from vipcore.errors import Refusal
from vipcore.model import Member, Page
from vipcore.settings.config import Config

P, N, U = Page.PRIMARY, Page.NOT_PRIMARY, Page.UNKNOWN
BINDING = ["CheckBecomePrimaryOK", "NotifyBecomePrimary"]
OTHERS = ["startup", "manual", "watch"]


def paged(a: Page, b: Page, **mirror: Any) -> tuple[Harness, Node]:
    """A harness whose members have pages that say so, and an instance on it."""
    harness = Harness(document=paged_document(**mirror))
    harness.pages = {"MIRRORA": a, "MIRRORB": b}
    return harness, harness.node("n1")


# -- what pages hold, and for how long -----------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [P, N, U])
@pytest.mark.parametrize("event", BINDING)
@virtual
async def test_a_peer_that_says_primary_holds_a_claim_for_hold_s(event: str, own: Page) -> None:
    """A peer's page that says primary holds IRIS's own events for at most hold_s; then they go through with a remark."""
    harness, node = paged(P, own)

    outcome, refusals = await agent(node, "MIRRORB", event=event)

    assert {refusal.code for refusal in refusals} == {"peer-still-primary"}
    assert "The status page of MIRRORA says that it is primary" in refusals[0].detail
    assert 30.0 <= harness.loop.time() - outcome.total_ms / 1000 < 34.0
    remark = (await details(harness, "claim.accepted"))[0]
    assert "accepted although the status page of MIRRORA says" in remark
    assert "hold of 30 s is over" in remark
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_its_own_page_holds_a_claimant() -> None:
    """A claimant's page that says not primary holds NotifyBecomePrimary, for at most hold_s."""
    harness, node = paged(N, N, hold_s=7)

    outcome, refusals = await agent(node, "MIRRORB", event="NotifyBecomePrimary")

    assert {refusal.code for refusal in refusals} == {"claimant-not-primary"}
    assert 7.0 <= harness.loop.time() - outcome.total_ms / 1000 < 10.0
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_its_own_page_does_not_hold_the_check() -> None:
    """CheckBecomePrimaryOK is not held for the claimant's own page, which cannot say primary yet."""
    _, node = paged(N, N)

    outcome, refusals = await agent(node, "MIRRORB", event="CheckBecomePrimaryOK")

    assert (outcome.outcome, refusals) == ("moved", [])


@pytest.mark.parametrize("event", OTHERS)
@pytest.mark.parametrize("pages", [(P, P), (N, N)])
@virtual
async def test_other_events_stay_refused_while_pages_contradict(pages: tuple[Page, Page], event: str) -> None:
    """startup, manual and watch are refused for as long as the contradiction lasts, and go through when it ends."""
    harness, node = paged(*pages)
    for _ in range(40):
        refusal = await refused(node.claim("MIRRORB", event=event))
        assert refusal.code in {"peer-still-primary", "claimant-not-primary"}
        await asyncio.sleep(5.0)
    assert puts(harness) == []

    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    assert (await node.claim("MIRRORB", event=event)).outcome == "moved"


@pytest.mark.parametrize("event", [*BINDING, "startup", "manual"])
@pytest.mark.parametrize("pages", [(U, U), (U, P), (N, U), (N, P)])
@virtual
async def test_pages_that_cannot_be_reached_hold_nothing(pages: tuple[Page, Page], event: str) -> None:
    """A page that hangs or cannot be reached says nothing, so it never holds a claim."""
    harness, node = paged(*pages)

    outcome, refusals = await agent(node, "MIRRORB", event=event)

    assert (outcome.outcome, refusals) == ("moved", [])
    assert "although" not in (await details(harness, "claim.accepted"))[0]


@pytest.mark.parametrize("pages", [(U, U), (N, U), (N, N), (P, P), (P, N), (P, U)])
@virtual
async def test_a_watch_claim_needs_its_own_page(pages: tuple[Page, Page]) -> None:
    """A watch claim is accepted only if the claimant's page says primary and no other member's does."""
    harness, node = paged(*pages)

    refusal = await refused(node.claim("MIRRORB", event="watch"))

    assert refusal.code == ("peer-still-primary" if pages[0] is P else "claimant-not-primary")
    assert puts(harness) == []


@virtual
async def test_a_watch_claim_where_there_are_no_pages() -> None:
    """Where there are no pages a watch claim is answered claimant-not-primary."""
    node = Harness().node("n1")

    assert (await refused(node.claim("MIRRORB", event="watch"))).code == "claimant-not-primary"


@pytest.mark.parametrize("pages", [(N, P), (U, P)])
@virtual
async def test_a_watch_claim_that_its_page_confirms(pages: tuple[Page, Page]) -> None:
    """A watch claim that its page confirms and no other contradicts moves the VIP."""
    _, node = paged(*pages)

    assert (await node.claim("MIRRORB", event="watch")).outcome == "moved"


@virtual
async def test_a_hold_belongs_to_one_member() -> None:
    """Each member's hold begins with its own first answer; another member's does not count for it."""
    harness, node = paged(P, P)
    await refused(node.claim("MIRRORB"))
    await asyncio.sleep(31.0)

    assert (await refused(node.claim("MIRRORA"))).code == "peer-still-primary"
    assert (await node.claim("MIRRORB")).outcome == "moved"
    assert (await harness.head()).holds == {}


@virtual
async def test_a_refused_claim_leaves_one_row_a_minute() -> None:
    """A claim that is held again and again writes at most one row a minute, and the next one says how many were left out. (I7)"""
    harness, node = paged(P, N)
    for _ in range(61):
        await refused(node.claim("MIRRORB", event="manual"))
        await asyncio.sleep(1.0)

    rows = await details(harness, "claim.refused")
    assert len(rows) == 2
    assert "like the one before were left out" in rows[1]
    assert (await harness.head()).epoch == 0


@pytest.mark.parametrize("pages", [(P, N), (P, U), (N, N)])
@virtual
async def test_a_move_obeys_pages_unless_forced(pages: tuple[Page, Page]) -> None:
    """A move is refused while pages contradict it, is never let through by time, and goes through when it is forced."""
    harness, node = paged(*pages)
    code = "peer-still-primary" if pages[0] is P else "claimant-not-primary"
    assert (await refused(node.move("MIRRORB"))).code == code
    await asyncio.sleep(31.0)
    assert (await refused(node.move("MIRRORB"))).code == code

    assert (await node.move("MIRRORB", force=True)).outcome == "moved"
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_an_isolated_old_primary_never_wins_the_vip_back() -> None:
    """An old primary that is cut off and believes in itself claims in vain, as long as the new primary's page says primary."""
    harness, node = paged(U, P)
    assert (await node.claim("MIRRORB")).outcome == "moved"
    harness.pages = {"MIRRORA": P, "MIRRORB": P}

    for _ in range(60):
        assert (await refused(node.claim("MIRRORA", event="watch"))).code == "peer-still-primary"
        await node.tick()
        await asyncio.sleep(30.0)

    await assert_kept(harness, on=NIC_B)


# -- superseded, joined, flapping --------------------------------------------------------------------------------------


@virtual
async def test_a_claim_that_began_before_the_decision_in_force_is_superseded() -> None:
    """A claim that began before the accepted one of another member began is superseded, however late it arrives."""
    harness = Harness()
    node = harness.node("n1")
    await asyncio.sleep(100.0)
    assert (await node.claim("MIRRORB", age_s=20.0)).outcome == "moved"

    refusal = await refused(node.claim("MIRRORA", age_s=60.0))
    assert (refusal.code, refusal.retry_after_s) == ("claim-superseded", None)
    assert (await node.claim("MIRRORA", age_s=5.0)).outcome == "moved"


@virtual
async def test_a_move_begins_on_its_arrival() -> None:
    """A claim that began before a move to another member arrived is superseded by it."""
    harness = Harness()
    node = harness.node("n1")
    await asyncio.sleep(100.0)
    await node.move("MIRRORB")

    assert (await refused(node.claim("MIRRORA", age_s=50.0))).code == "claim-superseded"
    await assert_kept(harness, on=NIC_B)


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


async def swing(node: Node, times: int, apart_s: float) -> list[str]:
    """Claims of both members in turn; the outcome or the code of each."""
    said = []
    for permit in range(times):
        try:
            said.append((await node.claim(["MIRRORB", "MIRRORA"][permit % 2], claim_id=f"c{permit}")).outcome)
        except Refusal as refusal:
            said.append(refusal.code)
        await asyncio.sleep(apart_s)
    return said


@virtual
async def test_flapping() -> None:
    """More than six changes of holder in ten minutes are held with `flapping` and recorded; an operator may always move."""
    harness = Harness()
    node = harness.node("n1")

    said = await swing(node, 8, 10.0)

    assert said == ["moved"] * 6 + ["flapping", "confirmed"]
    assert (await node.move("MIRRORB")).outcome == "moved"
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_flapping_claim_is_recorded_and_carried_out_when_it_is_calm() -> None:
    """A claim held for flapping is recorded, and the timer carries it out when the changes are long enough ago."""
    harness = Harness()
    node = harness.node("n1")
    said = await swing(node, 7, 5.0)
    assert said[-1] == "flapping"
    recorded_claim = (await harness.head()).recorded_claim
    assert recorded_claim is not None
    assert (recorded_claim.member, recorded_claim.code) == ("MIRRORB", "flapping")
    assert (await events(harness))[-2:] == ["claim.refused", "claim.recorded"]

    await timer(node, 660.0)

    assert (await harness.head()).recorded_claim is None
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_how_many_changes_are_too_many_is_a_setting() -> None:
    """VIP_MAX_CHANGES says how many changes in how many seconds are let through."""
    first = Harness()
    assert first.config is not None
    harness = Harness(config=replace(first.config, max_changes=1, max_changes_s=60.0))
    assert isinstance(harness.config, Config)

    assert await swing(harness.node("n1"), 3, 0.0) == ["moved", "flapping", "confirmed"]


# -- recorded claims ---------------------------------------------------------------------------------------------------

DENIED = Denial(action="Microsoft.Network/publicIPAddresses/join/action")


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
async def test_only_the_newest_claim_is_kept() -> None:
    """The newest recorded claim is the pending one; an older one of another member is superseded by it."""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")
    await asyncio.sleep(100.0)
    assert (await refused(node.claim("MIRRORB", age_s=10.0))).code == "azure-denied"

    assert (await refused(node.claim("MIRRORA", age_s=50.0))).code == "claim-superseded"
    head = await harness.head()
    assert head.recorded_claim is not None
    assert head.recorded_claim.member == "MIRRORB"


@virtual
async def test_a_recorded_claim_spends_its_issued_at() -> None:
    """A recorded claim spends its issued_at: the same signed request is a replay. A held one does not. (I6)"""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)))
    node = harness.node("n1")
    at = node.now()
    await refused(node.claim("MIRRORB", issued_at=at))
    assert (await refused(node.claim("MIRRORB", issued_at=at))).code == "claim-replayed"

    held, other = paged(P, N)
    at = other.now()
    assert (await refused(other.claim("MIRRORB", issued_at=at))).code == "peer-still-primary"
    assert (await refused(other.claim("MIRRORB", issued_at=at))).code == "peer-still-primary"
    assert held.holders() == [NIC_A]


# -- the path ----------------------------------------------------------------------------------------------------------


class Path:
    """Probes whose path answers after that long, or never."""

    def __init__(self, took_s: float | None) -> None:
        self.took_s = took_s
        self.asked: list[str] = []

    async def page(self, member: Member) -> Page:
        """No member has one."""
        raise AssertionError(member)

    async def path(self, target: str, *, within_s: float) -> float | None:
        """As it was told."""
        self.asked.append(target)
        await asyncio.sleep(within_s if self.took_s is None else self.took_s)
        return self.took_s


@pytest.mark.parametrize("took_s", [0.4, None])
@virtual
async def test_the_path_is_a_phase_of_its_own(took_s: float | None) -> None:
    """The path probe is reported as a phase of its own, and one that is not answered undoes nothing."""
    harness = Harness(document=document(path_probe="tcp://10.0.0.254:1972"))
    node = harness.node("n1")
    node.controller.probes = path = Path(took_s)

    outcome = await node.claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert path.asked == ["tcp://10.0.0.254:1972"]
    took = {phase.name: phase.ms for phase in outcome.phases}["path"]
    assert took == pytest.approx(3000 if took_s is None else 400, abs=5)
    said = (await details(harness, "swap.completed"))[0]
    assert ("did not answer within 3 s" if took_s is None else "answered after 400 ms") in said
    await assert_kept(harness, on=NIC_B)


# -- following the pages -----------------------------------------------------------------------------------------------


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


# -- what an audit against the contract found ----------------------------------------------------------------------------


@virtual
async def test_a_confirmation_does_not_restart_another_members_hold() -> None:
    """A hold lasts hold_s from its first answer, however often the holder has itself confirmed meanwhile."""
    _, node = paged(P, N)
    await node.move("MIRRORA")
    codes = []
    for number in range(3):
        codes.append((await refused(node.claim("MIRRORB", claim_id="b", age_s=10.0 * number))).code)
        assert (await node.claim("MIRRORA", event="watch", claim_id=f"a{number}")).outcome == "confirmed"
        await asyncio.sleep(10.0)

    assert codes == ["peer-still-primary"] * 3
    assert (await node.claim("MIRRORB", claim_id="b", age_s=30.0)).outcome == "moved"


@virtual
async def test_a_watch_confirmation_supersedes_nobody() -> None:
    """A watch claim of the holder decides nothing: a claim of another member that began before it still goes through."""
    harness, node = paged(P, N)
    await node.move("MIRRORA")
    await asyncio.sleep(10.0)
    await refused(node.claim("MIRRORB", claim_id="b"))
    await asyncio.sleep(5.0)
    assert (await node.claim("MIRRORA", event="watch", claim_id="a")).outcome == "confirmed"
    await asyncio.sleep(27.0)

    assert (await node.claim("MIRRORB", claim_id="b", age_s=32.0)).outcome == "moved"
    await assert_kept(harness, on=NIC_B)


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


@virtual
async def test_an_older_claim_does_not_pretend_to_be_recorded() -> None:
    """Only the newest claim is kept; the refusal of an older one leaves no row that says it was."""
    harness = Harness()
    node = harness.node("n1")
    await node.move("MIRRORA")
    await node.freeze()
    await asyncio.sleep(100.0)
    await refused(node.claim("MIRRORB", claim_id="new", age_s=1.0))
    await asyncio.sleep(61.0)
    await refused(node.claim("MIRRORB", claim_id="old", age_s=100.0))

    recorded_claim = (await harness.head()).recorded_claim
    assert recorded_claim is not None
    assert recorded_claim.claim_id == "new"
    assert (await events(harness))[-3:] == ["claim.refused", "claim.recorded", "claim.refused"]


@virtual
async def test_a_claim_whose_reads_have_no_turn_is_recorded() -> None:
    """Where a throttle outlasts the request and the NICs cannot be read, the claim is recorded, and the timer goes on with it."""
    harness = Harness()
    node = harness.node("n1")
    await node.move("MIRRORA")
    await asyncio.sleep(5.0)
    harness.cloud.script(Match(method="GET", kind="nic"), fault=Answer(name="SubscriptionRequestsThrottled", retry_after=600))
    await node.controller.read_all(harness.mirror())

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-throttled"
    assert (await events(harness))[-2:] == ["claim.refused", "claim.recorded"]
    await timer(node, 900.0)
    await assert_kept(harness, on=NIC_B)


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
async def test_a_recorded_claim_keeps_no_drift_from_repair() -> None:
    """A VIP on no NIC is attached to desired, also while a claim that cannot be carried out is recorded for another member."""
    harness = Harness(switches=Switches(latency="fixed:3"))
    harness.cloud.switches = replace(harness.cloud.switches, denied=(denied_write(harness, NIC_B),))
    node = harness.node("n1")
    await node.move("MIRRORA")
    await asyncio.sleep(5.0)
    assert (await refused(node.claim("MIRRORB"))).code == "azure-denied"
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "drops-config")

    await timer(node, 660.0)

    assert (await harness.head()).recorded_claim is not None
    await assert_kept(harness, on=NIC_A)


def denied_write(harness: Harness, name: str) -> Denial:
    """The identity may not write that NIC."""
    return Denial(action="Microsoft.Network/networkInterfaces/write", scope=harness.cloud.nic_named(name).id)
