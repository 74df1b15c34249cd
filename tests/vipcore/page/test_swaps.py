"""The last swaps from the newest rows of a trail."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vipcore import instants
from vipcore.instants import Instant
from vipcore.page.swaps import SWAPS_MAX, last_swaps
from vipcore.page.timeline import Span

START = instants.from_text("2026-11-28T02:00:00.000000Z")
IDLE: dict[str, Any] = {"in_progress": None, "last_swap": None}


def at(seconds: float) -> Instant:
    """So many seconds after the start."""
    return START + instants.seconds(seconds)


def row(event: str, seconds: float, operation: str = "o1", **columns: Any) -> dict[str, Any]:
    """A row."""
    return {"event": event, "at": instants.to_text(at(seconds)), "operation_id": operation, **columns}


ACCEPTED = row("claim.accepted", 0.5, member="B", from_member="A", actor="key:b")
DETACHED = row("nic.write", 1.0, member="A", duration_ms=200)
ATTACHED = row("nic.write", 4.0, member="B", duration_ms=0)
COMPLETED = row("swap.completed", 7.0, member="B", from_member="A", duration_ms=7000)


def test_a_swap_from_its_rows() -> None:
    """From its beginning to its end, each NIC write from when it was sent to the next one's beginning."""
    (swap,) = last_swaps([COMPLETED, ATTACHED, DETACHED, ACCEPTED], IDLE, at(60))

    assert (swap.from_member, swap.to, swap.end, swap.began, swap.actor) == ("A", "B", "completed", at(0), "key:b")
    assert swap.spans == (Span("decide", 800), Span("detach", 3200), Span("attach", 3000))
    assert swap.total_ms == 7000


def test_a_write_that_azure_refused_begins_no_phase() -> None:
    """An attach that was tried before Azure had let go of the address is part of the detach."""
    early = row("nic.write", 1.5, member="B", outcome="refused")

    (swap,) = last_swaps([COMPLETED, ATTACHED, early, DETACHED, ACCEPTED], IDLE, at(60))

    assert [span.name for span in swap.spans] == ["decide", "detach", "attach"]


def test_writes_are_drawn_by_when_they_began() -> None:
    """A detach is written down when its operation has ended, so behind an attach that began after it and was told at once."""
    slow = row("nic.write", 5.0, member="A", duration_ms=4000)
    attach = row("nic.write", 4.0, member="B", duration_ms=0)

    (swap,) = last_swaps([COMPLETED, slow, attach, ACCEPTED], IDLE, at(60))

    assert swap.spans == (Span("decide", 1000), Span("detach", 3000), Span("attach", 3000))


def test_the_phases_that_were_measured_are_taken() -> None:
    """Of the last swap the head keeps them."""
    last = {"operation_id": "o1", "phases": [{"name": "detach", "ms": 6900}, {"name": "verify", "ms": 100}]}

    (swap,) = last_swaps([COMPLETED, ATTACHED, DETACHED, ACCEPTED], {**IDLE, "last_swap": last}, at(60))

    assert swap.spans == (Span("detach", 6900), Span("verify", 100))


def test_a_swap_under_way_goes_on_until_now() -> None:
    """Its last phase has no end yet; before its first write it is drawn, too."""
    running = {**IDLE, "in_progress": {"operation_id": "o1"}}

    (swap,) = last_swaps([DETACHED, ACCEPTED], running, at(3))
    (fresh,) = last_swaps([ACCEPTED], running, at(1.5))

    assert (swap.end, swap.to, swap.spans) == ("running", "B", (Span("decide", 300), Span("detach", 2200)))
    assert (fresh.end, fresh.spans) == ("running", (Span("decide", 1000),))


def test_a_failed_try_is_followed_by_a_wait() -> None:
    """What lies between two tries is no part of either; the swap's end is the last try's."""
    failed = row("swap.failed", 2.0, member="B", from_member="A", detail="Azure refused.")
    again = row("nic.write", 12.0, member="A")

    (swap,) = last_swaps([failed, DETACHED, ACCEPTED], IDLE, at(60))
    (mended,) = last_swaps(
        [{**COMPLETED, "at": instants.to_text(at(15)), "duration_ms": 3000}, again, failed, ACCEPTED], IDLE, at(60)
    )

    assert (swap.end, swap.detail) == ("failed", "Azure refused.")
    assert (mended.end, mended.detail) == ("completed", "")
    assert mended.spans == (Span("decide", 1500), Span("wait", 10_000), Span("detach", 3000))


def test_what_wrote_no_nic_is_no_swap() -> None:
    """A claim that was confirmed, a refusal, a freeze: none is drawn. One that a newer decision ended is."""
    assert (
        last_swaps(
            [ACCEPTED, row("claim.confirmed", 3, "o2", member="B"), {"event": "frozen", "at": ACCEPTED["at"]}], IDLE, at(9)
        )
        == []
    )
    assert [swap.end for swap in last_swaps([DETACHED, ACCEPTED], IDLE, at(9))] == ["superseded"]


ANY = st.one_of(st.none(), st.integers(-(10**20), 10**20), st.text("aé<0:", max_size=5), st.just(instants.to_text(START)))
ROW = st.dictionaries(
    st.sampled_from(["event", "at", "operation_id", "member", "from_member", "duration_ms", "actor", "detail"]), ANY, max_size=8
)
GENUINE = st.builds(
    lambda event, seconds, operation, member, ms: row(event, seconds, operation, member=member, duration_ms=ms),
    st.sampled_from(["claim.accepted", "nic.write", "swap.failed", "swap.resumed", "swap.completed"]),
    st.floats(0, 1e6), st.sampled_from("opqrstuvw"), st.sampled_from("AB"), st.integers(0, 10**12),
)  # fmt: skip


@given(rows=st.lists(st.one_of(ROW, GENUINE), max_size=30), running=st.sampled_from(["o", "p", None]))
def test_any_rows_give_swaps_that_can_be_drawn(rows: list[dict[str, Any]], running: str | None) -> None:
    """Rows may be forged or missing: what is shown has phases that last, and is the newest few."""
    found = last_swaps(rows, {**IDLE, "in_progress": {"operation_id": running} if running else None}, at(2e6))

    assert len(found) <= SWAPS_MAX
    assert all(span.ms >= 0 for swap in found for span in swap.spans)
    assert [swap.began for swap in found] == sorted((swap.began for swap in found), reverse=True)
