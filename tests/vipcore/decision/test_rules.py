"""The rules of judgement as tables: what a head and the status pages say of a claim or a move."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipcore.decision import rules
from vipcore.errors import Refusal
from vipcore.instants import to_text
from vipcore.ledger.head import Frozen, Head, RecordedClaim, Swap
from vipcore.model import Claim, Epoch, Member, Mirror, Move, Page, Vip

NOW = datetime(2026, 11, 23, 0, 29, tzinfo=UTC)
MIRROR = Mirror(
    name="PROD",
    members=(Member(name="A", nic_id="a", status_url="http://a/"), Member(name="B", nic_id="b", status_url="http://b/")),
    vips=(Vip(name="vip", private_ip="10.0.0.254"),),
    hold_s=30.0,
)
HEAD = Head(mirror="PROD", desired="A", epoch=Epoch(7), began=NOW)
P, N, U = Page.PRIMARY, Page.NOT_PRIMARY, Page.UNKNOWN


def at(seconds: float) -> datetime:
    """So many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def claim(member: str = "B", *, event: str = "NotifyBecomePrimary", began: datetime = NOW, issued_at: datetime = NOW) -> Claim:
    """A claim of that member."""
    return Claim(mirror="PROD", member=member, claim_id="c", key_id="k", issued_at=issued_at, began=began, event=event)


def recorded_claim(member: str, began: datetime, *, claim_id: str = "p") -> RecordedClaim:
    """A recorded claim."""
    return RecordedClaim(
        member=member, key_id="k", claim_id=claim_id, event="startup", began=began, recorded_at=at(1), code="mirror-frozen"
    )


def code(verdict: object) -> str:
    """`yes`, or why not."""
    return verdict.code if isinstance(verdict, Refusal) else "yes"


@pytest.mark.parametrize(("issued_s", "replayed"), [(-1, True), (0, True), (0.000001, False), (1, False)])
def test_replay_mark(issued_s: float, replayed: bool) -> None:
    """An `issued_at` at or before the key's mark is a replay; another key's mark says nothing. (I6)"""
    head = replace(HEAD, replay_marks={"k": to_text(NOW), "other": to_text(at(60))})

    assert (rules.replayed(head, claim(issued_at=at(issued_s))) is not None) is replayed
    assert rules.replayed(HEAD, claim()) is None


@pytest.mark.parametrize(
    ("member", "began_s", "superseded"),
    [("B", -1, True), ("B", 0, False), ("B", 1, False), ("A", -1, False)],
)
def test_superseded_by_the_decision_in_force(member: str, began_s: float, superseded: bool) -> None:
    """A claim that began before the decision for another member began is superseded; one for the same member never is."""
    assert (rules.superseded(HEAD, member, at(began_s)) is not None) is superseded
    assert rules.superseded(Head(mirror="PROD"), member, at(began_s)) is None


@pytest.mark.parametrize(("member", "began_s", "superseded"), [("A", 5, True), ("A", 10, False), ("B", 5, False)])
def test_superseded_by_a_recorded_claim(member: str, began_s: float, superseded: bool) -> None:
    """A recorded claim of another member that began later counts as a decision too."""
    head = replace(HEAD, recorded_claim=recorded_claim("B", at(10)))

    assert (rules.superseded(head, member, at(began_s)) is not None) is superseded


@pytest.mark.parametrize(("until_s", "frozen"), [(None, True), (1, True), (0, False), (-1, False)])
def test_freeze_ends_at_its_until(until_s: float | None, frozen: bool) -> None:
    """A freeze stops until it is lifted or its `until` has come; force is for moves."""
    until = None if until_s is None else at(until_s)
    head = replace(HEAD, frozen=Frozen(reason="upgrade", operator="ann", at=at(-60), until=until))
    move = Move(mirror="PROD", to="B", reason="r", operator="o", began=NOW)

    assert (rules.frozen(head, NOW) is not None) is frozen
    assert code(rules.move_frozen(head, move, NOW)) == ("mirror-frozen" if frozen else "yes")
    assert rules.move_frozen(head, replace(move, force=True), NOW) is None


PAGES = [
    # own, peer, event, verdict
    (P, N, "NotifyBecomePrimary", "yes"),
    (P, U, "NotifyBecomePrimary", "yes"),
    (U, U, "NotifyBecomePrimary", "yes"),
    (U, N, "startup", "yes"),
    (N, N, "NotifyBecomePrimary", "claimant-not-primary"),
    (N, U, "startup", "claimant-not-primary"),
    (N, N, "manual", "claimant-not-primary"),
    (N, N, "CheckBecomePrimaryOK", "yes"),
    (U, U, "CheckBecomePrimaryOK", "yes"),
    (N, P, "CheckBecomePrimaryOK", "peer-still-primary"),
    (P, P, "NotifyBecomePrimary", "peer-still-primary"),
    (U, P, "manual", "peer-still-primary"),
    (P, N, "watch", "yes"),
    (P, U, "watch", "yes"),
    (U, N, "watch", "claimant-not-primary"),
    (N, N, "watch", "claimant-not-primary"),
    (P, P, "watch", "peer-still-primary"),
]


@pytest.mark.parametrize(("own", "peer", "event", "expected"), PAGES)
def test_what_status_pages_say(own: Page, peer: Page, event: str, expected: str) -> None:
    """Pages that contradict hold the claim; pages that cannot be read never do, except a `watch` claim, which needs its own."""
    verdict = rules.contradiction(MIRROR, "B", event, {"B": own, "A": peer})

    assert code(verdict) == expected
    assert verdict is None or verdict.code in rules.HOLDING_CODES


def test_watch_without_pages_only_reports() -> None:
    """Where there are no pages a `watch` claim is never accepted."""
    assert code(rules.contradiction(MIRROR, "B", "watch", {})) == "claimant-not-primary"


HOLDS = [
    # event, seconds since the first such answer, accepted
    ("NotifyBecomePrimary", None, False),
    ("NotifyBecomePrimary", 29.999, False),
    ("NotifyBecomePrimary", 30, True),
    ("CheckBecomePrimaryOK", 30, True),
    ("NotifyBecomePrimary", 30 + rules.HOLD_STALE_S, True),
    ("NotifyBecomePrimary", 31 + rules.HOLD_STALE_S, False),
    ("startup", 60, False),
    ("manual", 60, False),
    ("watch", 60, False),
]


@pytest.mark.parametrize(("event", "since_s", "accepted"), HOLDS)
def test_hold_ends_for_the_events_of_iris(event: str, since_s: float | None, accepted: bool) -> None:
    """After `hold_s` the events by which IRIS itself decided go through, and the row says so; others stay refused."""
    head = HEAD if since_s is None else replace(HEAD, holds={"B": at(-since_s), "A": at(-600)})

    verdict = rules.paged(head, MIRROR, claim(event=event), {"A": P}, NOW)

    assert isinstance(verdict, str) is accepted
    if isinstance(verdict, str):
        assert "hold of 30 s is over" in verdict
    else:
        assert code(verdict) == "peer-still-primary"


def test_hold_of_no_time() -> None:
    """With `hold_s` 0 the events of IRIS go through at once, with the remark."""
    verdict = rules.paged(HEAD, replace(MIRROR, hold_s=0.0), claim(), {"A": P}, NOW)

    assert isinstance(verdict, str)
    assert verdict


@pytest.mark.parametrize(
    ("ages_s", "member", "held"),
    [([], "B", False), ([1, 2], "B", False), ([1, 2, 3], "B", True), ([1, 2, 3], "A", False), ([1, 2, 600], "B", False)],
)
def test_flapping(ages_s: list[float], member: str, held: bool) -> None:
    """More changes of holder than allowed within the time are held and recorded; a claim that changes nothing is not."""
    head = replace(HEAD, changes=tuple(at(-age) for age in ages_s))

    verdict = rules.flapping(head, member, NOW, changes=3, changes_s=600)

    assert (verdict is not None) is held
    if verdict:
        assert verdict.retry_after_s is not None
        assert 1 <= verdict.retry_after_s <= 60


def test_who_joins_a_swap() -> None:
    """Only a claim or move for the member that a running swap leads to waits for that swap."""
    head = replace(HEAD, swap=Swap(operation_id="o", from_member="B", started_at=NOW, actor="key:k"))

    assert [rules.joins(head, "A"), rules.joins(head, "B"), rules.joins(HEAD, "A")] == [True, False, False]


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 1000)), max_size=20))
def test_epoch_rises_by_one_with_every_change_of_desired(decisions: list[tuple[str, int]]) -> None:
    """The epoch never falls and rises by one exactly when desired changes; the decision's beginning never goes back for it."""
    head = Head(mirror="PROD")
    for step, (member, began_s) in enumerate(decisions):
        if rules.superseded(head, member, at(began_s)):
            continue
        held = replace(head, holds={"B": NOW}, drift="x", backup_seen={"backup": ["A"]})
        after = rules.decided(held, member, at(began_s), now=at(1000 + step), claim_id="c", changes_s=600)

        changed = member != head.desired
        assert after.epoch == head.epoch + changed
        assert after.desired == member
        assert after.began >= head.began
        assert len(after.changes) == len(head.changes) + (changed and head.desired is not None)
        kept = {} if member == "B" else held.holds
        assert (after.holds, after.drift, after.backup_seen) == (({}, None, {}) if changed else (kept, None, held.backup_seen))
        head = after


@pytest.mark.parametrize(
    ("member", "began_s", "kept"), [("B", 5, False), ("B", 10, False), ("A", 10, False), ("A", 11, False), ("A", 5, True)]
)
def test_decision_ends_recorded_claims_of_older_times(member: str, began_s: float, kept: bool) -> None:
    """A decision for that member, or one that began no earlier than the recorded claim, ends it."""
    head = replace(HEAD, desired="C", recorded_claim=recorded_claim("B", at(10)))

    after = rules.decided(head, member, at(began_s), now=at(20), claim_id=None, changes_s=600)

    assert (after.recorded_claim is not None) is kept


def test_newest_claim_is_the_recorded_one() -> None:
    """One claim is recorded per mirror, the one that began last; the same claim again keeps its hour running."""
    first = rules.recorded(HEAD, claim("A", began=at(1)), "mirror-frozen", at(2))
    older = rules.recorded(first, claim("B", began=at(0)), "mirror-frozen", at(3))
    newer = rules.recorded(first, replace(claim("B", began=at(5)), claim_id="d"), "flapping", at(6))
    again = rules.recorded(newer, replace(claim("B", began=at(5)), claim_id="d"), "mirror-frozen", at(60))

    assert older is first
    assert newer.recorded_claim is not None
    assert (newer.recorded_claim.member, newer.recorded_claim.recorded_at) == ("B", at(6))
    assert again.recorded_claim is not None
    assert (again.recorded_claim.code, again.recorded_claim.recorded_at) == ("mirror-frozen", at(6))
