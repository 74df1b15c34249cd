"""A head that is behind its trail: it was deleted, or restored from an older copy. The rows since then are put into it. Pure.

Invariant: head and rows change in one transaction, so the newest row says which seq and hash the head must have, the highest
Epoch is the mirror's, and the newest acceptance or confirmation names the member that is desired. Nothing is guessed: what no row
tells is dropped. A swap without an end counts as one whose driver's lease ran out just now, with a write in flight to any NIC:
the next driver rewrites the NICs of all members, and a driver that is alive finds another owner at its next commit.

The rebuilt head is committed like any other, with the row `head.rebuilt`. If we die before that, the next commit that meets the
newer rows, or the timer's sweep, does it again. docs/adr/0014-a-head-can-be-rebuilt.md says what it costs.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import Final

from vipcore import instants
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry, Row
from vipcore.ledger.head import OF_LOST_HEAD, OTHER_KEYS, REPLAY_MARKS_MAX, Frozen, Head, LastSwap, Lease, Swap
from vipcore.model import Epoch

ROWS_MAX: Final = 20_000
CHANGES_KEPT: Final = 256
_ACCEPTED: Final = ("claim.accepted", "move.accepted")
_CONFIRMED: Final = ("claim.confirmed", "move.confirmed")
_ENDS: Final = (*_CONFIRMED, "swap.completed")
"""After one of these no swap is unfinished."""

_DRIVEN: Final = ("swap.resumed", "drift.found")
"""With an operation they begin a drive, or go on with one."""

_FREEZES: Final = ("frozen", "unfrozen")
_FREEZE: Final = re.compile(r"Frozen until (.+?)\. Reason: (.*)", re.DOTALL)
"""The Detail of a `frozen` row (entry/freezes.py)."""


def is_enough(head: Head, rows: Sequence[Row]) -> bool:
    """Whether these rows, the newest first, reach down to the head's, or to the decision and the freeze in force."""
    told = _newest(rows, *_ACCEPTED, *_CONFIRMED) and _newest(rows, *_FREEZES)
    return bool(rows) and (rows[-1].seq <= head.seq + 1 or len(rows) >= ROWS_MAX or told is not None)


def rebuilt(head: Head, rows: Sequence[Row], now: Instant) -> tuple[Head, Entry]:
    """The head with what these rows say, and a row about it. `rows`: those after the head's, the newest first, at least one."""
    newest = rows[0]
    decision, completed = _newest(rows, *_ACCEPTED, *_CONFIRMED), _newest(rows, "swap.completed")
    swap = _swap(head, rows, now)
    after = replace(
        head,
        epoch=Epoch(max(head.epoch, *(_number(row, "Epoch") for row in rows))),
        seq=newest.seq,
        head_hash=newest.hash,
        alg=_text(newest, "Alg"),
        replay_marks=_marks(head, rows),
        lease=Lease(owner=OF_LOST_HEAD, until=now) if swap else None,
        swap=swap,
        last_swap=_last_swap(completed, now) if completed else head.last_swap,
        wrote_at=now,
        recorded_claim=None,
        frozen=_frozen(head, rows, now),
        holds={},
        changes=_changes(head, rows, now),
        repeats={},
        drift=None,
        backup_seen={},
    )
    if decision is not None:
        desired, began = _text(decision, "Member"), max(head.began, _at(decision, now))
        after = replace(after, desired=desired, began=began, claim_id=_text(decision, "ClaimId") or None)
    operation = swap.operation_id if swap else None
    detail = _told(head, after, rows[-1].seq)
    return after, Entry("head.rebuilt", actor="reconciler", member=after.desired, operation_id=operation, detail=detail)


def _told(before: Head, after: Head, oldest: int) -> str:
    was = "gone" if before.etag is None else f"set back to row {before.seq}"
    swap = f"swap {after.swap.operation_id} is unfinished" if after.swap else "no swap is unfinished"
    frozen = "frozen" if after.frozen else "not frozen"
    return (
        f"The head was {was} and is rebuilt from rows {oldest} to {after.seq}: {after.desired or 'nobody'} is desired, {swap}, "
        f"the mirror is {frozen}. Not known: recorded claims, holds, counted repeats, "
        "what the VIPs carry, and what the rows before say."
    )


def _swap(head: Head, rows: Sequence[Row], now: Instant) -> Swap | None:
    """The unfinished swap, of the newest acceptance: a `swap.resumed` beside it may tell of the swap that it replaced."""
    since_end = list(takewhile(lambda row: _event(row) not in _ENDS, rows))
    begun = _newest(since_end, *_ACCEPTED) or _newest([row for row in since_end if _text(row, "OperationId")], *_DRIVEN)
    if begun is None and len(since_end) < len(rows):
        return None
    swap = head.swap
    if begun is not None and (swap is None or swap.operation_id != _text(begun, "OperationId")):
        own = [row for row in since_end if _text(row, "OperationId") == _text(begun, "OperationId")]
        from_member = next((name for row in own if (name := _text(row, "FromMember"))), None)
        swap = Swap(
            operation_id=_text(begun, "OperationId"),
            from_member=from_member,
            started_at=_at(own[-1], now),
            actor=_text(own[-1], "Actor"),
            begun=from_member is not None,
        )
    return swap._replace(retry_at=instants.NEVER) if swap else None


def _marks(head: Head, rows: Sequence[Row]) -> dict[str, str]:
    """Per key the newest `issued_at` that is known; every other key's mark is the newest row's At (I6)."""
    floor = _text(rows[0], "At")
    marks = {key: mark if rows[-1].seq <= head.seq + 1 else max(mark, floor) for key, mark in head.replay_marks.items()}
    marks[OTHER_KEYS] = max(marks.get(OTHER_KEYS, ""), floor)
    for row in rows:
        if (issued_at := _text(row, "IssuedAt")) and (actor := _text(row, "Actor")).startswith("key:"):
            key = actor.removeprefix("key:")
            marks[key] = max(marks.get(key, ""), issued_at)
    return dict(sorted(marks.items(), key=lambda item: item[1])[-REPLAY_MARKS_MAX:])


def _changes(head: Head, rows: Sequence[Row], now: Instant) -> tuple[Instant, ...]:
    """When claims changed the holder, for the limit against flapping."""
    found, desired = list(head.changes), head.desired
    for row in reversed(rows):
        if _event(row) in (*_ACCEPTED, *_CONFIRMED):
            decided = (_event(row), _text(row, "Outcome")) == ("claim.accepted", "decided")
            if decided and (desired or _text(row, "FromMember")) not in ("", _text(row, "Member")):
                found.append(_at(row, now))
            desired = _text(row, "Member")
    return tuple(found[-CHANGES_KEPT:])


def _frozen(head: Head, rows: Sequence[Row], now: Instant) -> Frozen | None:
    row = _newest(rows, *_FREEZES)
    if row is None:
        return head.frozen
    if _event(row) == "unfrozen":
        return None
    said, until = _FREEZE.fullmatch(_text(row, "Detail")), None
    with suppress(ValueError):
        until = instants.from_text(said[1]) if said else None
    reason = said[2] if said else _text(row, "Detail")
    return Frozen(reason=reason, operator=_text(row, "Actor").removeprefix("operator:"), at=_at(row, now), until=until)


def _last_swap(row: Row, now: Instant) -> LastSwap:
    operation, from_member, to = (_text(row, name) for name in ("OperationId", "FromMember", "Member"))
    return LastSwap(operation, from_member or None, to, _at(row, now), _number(row, "DurationMs"))


def _newest(rows: Sequence[Row], *events: str) -> Row | None:
    return next((row for row in rows if _event(row) in events), None)


def _event(row: Row) -> str:
    return _text(row, "Event")


def _text(row: Row, column: str) -> str:
    """A column of a row that may be damaged or forged; empty where it is no text."""
    found = row.columns.get(column)
    return found if isinstance(found, str) else ""


def _number(row: Row, column: str) -> int:
    found = row.columns.get(column)
    return found if isinstance(found, int) else 0


def _at(row: Row, now: Instant) -> Instant:
    try:
        return instants.from_text(_text(row, "At"))
    except ValueError:
        return now
