"""A mirror's trail with its filters: what the template shows of it. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vipcore import instants
from vipcore.model import Json
from vipcore.page.overview import mirror_link
from vipcore.page.timeline import told

_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
_SHOWN: Final = frozenset({"seq", "at", "event", "detail"})
"""What a row's line shows by itself, and its columns need not."""

TONES: Final = {
    "swap.completed": "good", "swap.failed": "bad", "drift.found": "bad", "drift.repaired": "good", "frozen": "frozen",
    "unfrozen": "frozen", "claim.refused": "warn", "move.refused": "warn", "claim.recorded": "warn", "swap.resumed": "busy",
    "claim.accepted": "busy", "move.accepted": "busy", "nic.write": "busy", "head.rebuilt": "bad",
}  # fmt: skip


class Filter(NamedTuple):
    """Which rows are asked for. `since` <= At < `until`, as RFC 3339 texts; `typed`: the same as they were typed."""

    event: str = ""
    member: str = ""
    since: str = ""
    until: str = ""
    typed: tuple[str, str] = ("", "")
    before: int = 0
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: Mapping[str, str], events: Sequence[str]) -> "Filter":
        """The filter of a query. What cannot be used is left out, and `faults` says so."""
        faults: list[str] = []
        bounds: list[str] = []
        typed = (query.get("from", "")[:40], query.get("to", "")[:40])
        for name, text in zip(("from", "to"), typed, strict=True):
            try:
                bounds.append(_instant(text))
            except ValueError:
                bounds.append("")
                faults.append(f"“{name}” is no time, so it is left out. Write it like 2026-11-28T02:10, in UTC.")
        event, number = query.get("event", ""), query.get("before", "")
        if event and event not in events:
            faults.append("There is no such event, so that filter is left out.")
            event = ""
        before = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
        return cls(event, query.get("member", "")[:64], bounds[0], bounds[1], typed, before, tuple(faults))

    @property
    def is_set(self) -> bool:
        """Whether any row is left out."""
        return bool(self.event or self.member or self.since or self.until)

    def has(self, row: Json) -> bool:
        """Whether the row is asked for."""
        at = str(row.get("at", ""))
        return (
            self.event in ("", row.get("event"))
            and (not self.member or self.member in (row.get("member"), row.get("from_member")))
            and (not self.since or self.since <= at)
            and (not self.until or at < self.until)
        )

    def query(self) -> dict[str, str]:
        """The period, as `GET .../audit` takes it."""
        return {name: text for name, text in (("from", self.since), ("to", self.until)) if text}

    def link(self, mirror: str, before: int = 0) -> str:
        """The query of the page with these rows, from `before` on."""
        kept: dict[str, str | int] = {"event": self.event, "member": self.member, "from": self.typed[0], "to": self.typed[1]}
        return mirror_link(mirror, **kept, before=before)


class Record(NamedTuple):
    """A row as a line, and all its columns for who opens it."""

    seq: str
    at: str
    event: str
    tone: str
    about: str
    detail: str
    columns: tuple[tuple[str, str], ...]


class Trail(NamedTuple):
    """What is shown of the trail. `looked_at`: how many rows were read for it; `older`: the link to those before, or empty."""

    filter: Filter
    records: tuple[Record, ...]
    looked_at: int
    older: str
    newest: str


def trail(mirror: str, asked: Filter, rows: Sequence[Json], looked_at: int, following: int | None) -> Trail:
    """`rows`: those that the filter has, newest first; `following`: the seq below which the trail goes on, None at its end."""
    older = asked.link(mirror, following) if following else ""
    newest = asked.link(mirror) if asked.before else ""
    return Trail(asked, tuple(map(record, rows)), looked_at, older, newest)


def record(row: Json) -> Record:
    """One row. Any value may be anything, since a forged row may be shown too."""
    event, source, member = (str(row.get(name, "")) for name in ("event", "from_member", "member"))
    moved = f"{source} → {member}" if source and member and source != member else member
    took, outcome = row.get("duration_ms"), str(row.get("outcome", ""))
    parts = [moved, outcome, told(took) if isinstance(took, int) and 0 <= took < 10**11 else "", _actor(row)]
    warns = (event, outcome) == ("nic.write", "refused") or (event == "readiness.changed" and outcome != "ready")
    tone = "warn" if warns else TONES.get(event, "quiet")
    columns = tuple((name.replace("_", " "), str(value)) for name, value in row.items() if name not in _SHOWN)
    at = str(row.get("at", ""))
    shown = instants.clock(at) if len(at) == 27 else at
    about = " · ".join(part for part in parts if part)
    return Record(str(row.get("seq", "")), shown, event, tone, about, str(row.get("detail", "")), columns)


def _actor(row: Mapping[str, Any]) -> str:
    actor = str(row.get("actor", ""))
    return f"by {actor}" if actor else ""


def _instant(text: str) -> str:
    """A time as it is typed or picked, in UTC, in the form of the rows' At; empty for none. Raises ValueError."""
    text = text.strip()
    if _LOCAL.fullmatch(text):
        text = text + ("Z" if text.count(":") == 2 else ":00Z")
    return instants.to_text(instants.from_rfc3339(text)) if text else ""
