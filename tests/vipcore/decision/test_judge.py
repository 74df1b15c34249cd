"""Judgement: status pages and their hold, superseded and recorded claims, and too many changes of holder."""

import asyncio
from dataclasses import replace

import pytest

from simulator.core.faults import Match, Status
from simulator.core.switches import Switches
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, agent, assert_kept, details, events, puts, refused, timer, virtual
from tests.vipcore.decision.denials import DENIED
from tests.vipcore.decision.pages import BINDING, OTHERS, N, P, U, paged
from tests.vipcore.effects import watched
from vipcore.errors import Refusal
from vipcore.model import Page
from vipcore.settings.environment import Config


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


async def swing(node: Node, times: int, apart_s: float) -> list[str]:
    """Claims of both members in turn; the outcome or the code of each."""
    said = []
    for turn in range(times):
        try:
            said.append((await node.claim(["MIRRORB", "MIRRORA"][turn % 2], claim_id=f"c{turn}")).outcome)
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
async def test_moves_do_not_use_up_the_changes_of_claims() -> None:
    """However often an operator moves the VIP to and fro, a member's claim is not held with `flapping`."""
    harness = Harness()
    node = harness.node("n1")
    for turn in range(8):
        await node.move(["MIRRORB", "MIRRORA"][turn % 2])

    assert (await node.claim("MIRRORB")).outcome == "moved"
    assert len((await harness.head()).changes) == 1


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
async def test_a_refused_claim_changes_nothing() -> None:
    """A refused request leaves a row and no more: no write, no desired, no epoch. (I7)"""
    harness, node, _ = watched()
    harness.cloud.script(Match(kind="nic", name=NIC_B), fault=Status(status=404), times=ALWAYS)

    await refused(node.move("MIRRORB"))

    head = await harness.head()
    assert (head.desired, head.epoch, head.recorded_claim, head.swap, head.lease) == (None, 0, None, None, None)
    assert (puts(harness), await events(harness)) == ([], ["move.refused"])


@virtual
async def test_a_no_of_the_preflight_is_given_only_under_the_newest_head() -> None:
    """What was found may be the work of somebody whose decision this head does not tell of: the claim is judged again. (I7)"""

    class FrozenMeanwhile(Fate):
        done = False

        async def before(self, node: Node, label: str) -> None:
            if label == "arm GET Microsoft.Authorization" and node.name == "n1" and not self.done:
                self.done = True
                await harness.node("n2").freeze()

    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)), fate=FrozenMeanwhile())

    refusal = await refused(harness.node("n1").claim("MIRRORB"))

    assert refusal.code == "mirror-frozen"
    assert "claim.refused" in await events(harness)
    assert not puts(harness)
