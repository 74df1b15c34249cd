"""Rows of the trail for a terminal: the last of a mirror, folded, and a page of `GET /mirrors/{mirror}/audit?format=text`. Pure.

Any value of a row may be anything, since a forged row may be shown too.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from vipcore.entry.terminal import COLUMNS, curl, plain, when, width, wrapped
from vipcore.instants import Instant
from vipcore.model import Json

EVENTS: Final = 5
READ: Final = 60
"""How many of the newest rows are read for the last events: a swap that is stuck has three for each try."""

_TITLES: Final = ("SEQ", "AT (UTC)", "EVENT", "MEMBER", "OUTCOME", "TOOK")
_WIDEST: Final = (10, 19, 17, 24, 14, 9)
"""Columns of the table at most; what is wider pushes the rest of its row to the right."""


class Event(NamedTuple):
    """A row, how many like it there are among those that were read, and when the first of them was."""

    row: Json
    times: int
    first_at: str


def last(rows: Sequence[Json]) -> list[Event]:
    """The newest EVENTS of these rows, newest first. Rows that one swap, or one claim, repeats are one event.

    What a try of a swap did before it failed is told by its failure.
    """
    found: dict[object, Event] = {}
    failed: set[object] = set()
    for number, row in enumerate(rows):
        of = row.get("operation_id") or row.get("claim_id")
        if row.get("event") == "swap.failed":
            failed.add(of)
        elif of in failed and (row.get("event") == "swap.resumed" or row.get("outcome") == "refused"):
            continue
        like = (of, *(row.get(name) for name in ("event", "member", "from_member", "outcome"))) if of else number
        newest = found[like].row if like in found else row
        found[like] = Event(newest, found[like].times + 1 if like in found else 1, str(row.get("at", "")))
    return list(found.values())[:EVENTS]


def lines(event: Event, now: Instant) -> Iterator[str]:
    """An event in four lines at most."""
    row = event.row
    _, _, *told, by = _cells(row)
    again = f", {event.times} times since {_when(event.first_at, now)}" if event.times > 1 else ""
    what = " ".join(part for part in told if part)
    yield from wrapped(f"{_when(row.get('at'), now)}: {what}{again}", indent=" " * 8, first="  ")[:2]
    yield from wrapped(f"by {by}: {row.get('detail', '')}", indent=" " * 8, most=2)


def table(mirror: str, rows: Sequence[Json], link: str | None) -> Iterator[str]:
    """A page of the trail, newest first: a line for each row, and its sentence. `link`: the query of the next page, if any."""
    cells = [_cells(row)[:-1] for row in rows]
    widths = [min(most, max(width(line[n]) for line in (_TITLES, *cells))) for n, most in enumerate(_WIDEST)]
    if not rows:
        yield f"{mirror}: no row of the trail is of that period."
    else:
        yield _line(_TITLES, widths)
    for row, line in zip(rows, cells, strict=True):
        yield _line(line, widths)
        yield from wrapped(f"by {row.get('actor', '')}: {row.get('detail', '')}", indent=" " * 4, most=2)
    if link:
        yield "Older rows:"
        yield from curl(f"mirrors/{mirror}/audit{link}")


def _when(at: object, now: Instant) -> str:
    """When a row was written, as far as its column says."""
    with suppress(ValueError):
        return when(str(at), now)
    return plain(at)


def _cells(row: Json) -> tuple[str, ...]:
    """What a row's columns show, in the order of the titles, and by whom it is."""
    of, who, ms, at = row.get("from_member"), row.get("member", ""), row.get("duration_ms"), str(row.get("at", ""))
    took = f"{ms / 1000:.1f} s" if isinstance(ms, int) else ""
    shown = (row.get("seq", ""), f"{at[:10]} {at[11:19]}", row.get("event", ""), f"{of} -> {who}" if of else who)
    return tuple(plain(value) for value in (*shown, row.get("outcome", ""), took, row.get("actor", "")))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The cells side by side, cut at COLUMNS."""
    line = "  ".join(cell + " " * (most - width(cell)) for cell, most in zip(cells, widths, strict=True)).rstrip()
    while width(line) > COLUMNS:
        line = line[:-1]
    return line
