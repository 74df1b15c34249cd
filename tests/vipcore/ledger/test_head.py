"""The head's values and pure changes."""

from datetime import UTC, datetime, timedelta

import pytest

from vipcore.instants import to_text
from vipcore.ledger import head as heads
from vipcore.ledger.head import Head, Lease, Repeat

NOW = datetime(2026, 11, 23, 0, 29, tzinfo=UTC)


def test_marks_never_go_back() -> None:
    """A mark moves forward only; of very many keys the ones used last are kept, the one being used always. (I6)"""
    head = heads.use_issued_at(heads.use_issued_at(Head(mirror="M"), "k", NOW), "k", NOW - timedelta(hours=1))
    assert head.replay_marks == {"k": to_text(NOW)}

    for number in range(heads.REPLAY_MARKS_MAX):
        head = heads.use_issued_at(head, f"other-{number}", NOW + timedelta(seconds=number + 1))
    assert "k" not in head.replay_marks
    assert len(head.replay_marks) == heads.REPLAY_MARKS_MAX
    assert "k" in heads.use_issued_at(head, "k", NOW).replay_marks


def test_last_refusals_of_few_actors_are_kept() -> None:
    """What counts repeated refusals is bounded; the actor that spoke last is in it."""
    head = Head(mirror="M")
    for number in range(heads.REPEATS_MAX + 1):
        head = heads.repeated(head, f"key:{number}", Repeat(what="x", at=NOW + timedelta(seconds=number)))

    assert len(head.repeats) == heads.REPEATS_MAX
    assert "key:0" not in head.repeats


@pytest.mark.parametrize(("later_s", "leased"), [(-1e-6, True), (0.0, True), (2.0 - 1e-6, True), (2.0, False)])
def test_lease_ends_with_a_margin_for_other_clocks(later_s: float, leased: bool) -> None:
    """A lease holds until its instant, and 2 s longer: whoever looks may take the time to be another than its owner does. (I2)"""
    head = Head(mirror="M", lease=Lease(owner="i", until=NOW))

    assert head.lease_live(NOW + timedelta(seconds=later_s)) is leased
    assert not Head(mirror="M").lease_live(NOW)
