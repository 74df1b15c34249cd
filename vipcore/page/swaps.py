"""What the newest rows of a trail tell of the last swaps, phase by phase. Pure.

The head keeps the phases of the last swap as they were measured. Of those before it, the rows tell when each NIC write began, so
their phases are what lies between: `decide`, `detach`, `attach`, and `wait` between tries.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vipcore import instants
from vipcore.instants import Instant
from vipcore.model import Json
from vipcore.page.timeline import Span

SWAPS_MAX: Final = 6
_ENDS: Final = {"swap.completed": "completed", "swap.failed": "failed"}


class Swap(NamedTuple):
    """A swap as it is drawn. `end`: completed, failed, running, or superseded; `actor`: who asked for it."""

    operation_id: str
    from_member: str
    to: str
    began: Instant
    end: str
    spans: tuple[Span, ...]
    actor: str = ""
    detail: str = ""

    @property
    def total_ms(self) -> int:
        """From its beginning to its end, or to now."""
        return sum(span.ms for span in self.spans)


def last_swaps(rows: Sequence[Json], status: Json, now: Instant) -> list[Swap]:
    """The newest first. `rows`: of the trail, newest first; `status`: of the mirror, with `last_swap` and `in_progress`."""
    operations: dict[str, list[Json]] = {}
    for row in rows:
        operation, at = row.get("operation_id"), _at(row)
        if isinstance(operation, str) and operation and at is not None:
            operations.setdefault(operation, []).append(row)
    progress, last = status.get("in_progress"), status.get("last_swap")
    running = progress["operation_id"] if progress else None
    found = [
        swap
        for operation, own in operations.items()
        if (swap := _swap(own[::-1], running=operation == running, now=now, phases=_measured(operation, last))) is not None
    ]
    return sorted(found, key=lambda swap: swap.began, reverse=True)[:SWAPS_MAX]


def _measured(operation: str, last: Mapping[str, Any] | None) -> tuple[Span, ...]:
    """The phases that the head keeps of this swap; none where it is not the last one."""
    if not last or last["operation_id"] != operation:
        return ()
    return tuple(Span(str(phase["name"]), _count(phase["ms"])) for phase in last["phases"])


def _swap(rows: Sequence[Json], *, running: bool, now: Instant, phases: tuple[Span, ...]) -> Swap | None:
    """One operation from its rows, oldest first; None where it is no swap, such as a claim that was confirmed."""
    if not running and not any(row.get("event") in ("nic.write", *_ENDS) for row in rows):
        return None
    last, end = rows[-1], _ENDS.get(str(rows[-1].get("event")), "superseded")
    done = next((row for row in rows if row.get("event") == "swap.completed"), None)
    if done is not None:
        last, end = done, "completed"
    to = str(next((row["member"] for row in (last, *rows) if row.get("member") and row.get("event") != "nic.write"), ""))
    began = min(begun for row in rows if (begun := _began(row)) is not None)
    if running and done is None:
        end = "running"
    until = now if end == "running" else _at(last) or began
    spans = phases if done is not None and phases else _spans(rows, to, began, until)
    return Swap(
        operation_id=str(last["operation_id"]),
        from_member=str(next((row["from_member"] for row in rows if row.get("from_member")), "")),
        to=to,
        began=began,
        end=end,
        spans=spans,
        actor=str(rows[0].get("actor", "")),
        detail=str(last.get("detail", "")) if end in ("failed", "superseded") else "",
    )


def _spans(rows: Sequence[Json], to: str, began: Instant, until: Instant) -> tuple[Span, ...]:
    """What lies between the marks that the rows set; neighbours of one name are one."""
    marks = [(began, "decide")]
    for row in rows:
        event, at = row.get("event"), _at(row)
        assert at is not None
        if event == "nic.write" and row.get("outcome") != "refused":  # a try that came too early begins nothing
            marks.append((_began(row) or at, "attach" if row.get("member") == to else "detach"))
        elif event in ("swap.failed", "swap.resumed"):
            marks.append((at, "wait" if event == "swap.failed" else "decide"))
    marks.sort(key=lambda mark: mark[0])
    found: list[Span] = []
    for index, (at, name) in enumerate(marks):
        ends = marks[index + 1][0] if index + 1 < len(marks) else until
        ms = max(0, round((min(ends, until) - at).total_seconds() * 1000))
        if found and found[-1].name == name:
            found[-1] = Span(name, found[-1].ms + ms)
        else:
            found.append(Span(name, ms))
    return tuple(span for span in found if span.ms > 0) or (Span("decide", 0),)


def _at(row: Json) -> Instant | None:
    """When the row was written; None where it does not say so, as a forged one may."""
    try:
        return instants.from_text(row["at"])
    except (KeyError, TypeError, ValueError):
        return None


def _began(row: Json) -> Instant | None:
    """When began what the row tells of."""
    at = _at(row)
    took = _count(row.get("duration_ms"))
    try:
        return at - instants.seconds(took / 1000) if at is not None else None
    except OverflowError:
        return at


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 10**11 else 0
