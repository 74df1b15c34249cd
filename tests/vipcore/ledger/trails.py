"""Sealed rows, and what the verification says of them once they were stored."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from vipcore.ledger import audit
from vipcore.ledger.audit import Broken, Entry, Link, Row, Seal, check_chain

AT = "2026-11-23T00:29:00.000000Z"
KEY, OLD_KEY, OTHER_KEY = b"k" * 32, b"o" * 32, b"x" * 32
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


drafts = st.builds(
    Entry,
    event=st.sampled_from(audit.EVENTS),
    actor=texts,
    member=st.none() | texts,
    detail=st.none() | texts,
    evidence=st.none() | texts,
    duration_ms=st.none() | st.integers(0, 10**9),
)
trails = st.lists(drafts, min_size=1, max_size=8)


def chain(some: Sequence[Entry], seal: Seal | None = None, *, after: Link | None = None) -> tuple[Row, ...]:
    """Rows of these drafts, the first one after that link."""
    link = after or Link()
    return audit.append("PROD", link.seq, link.hash, some, at=AT, epoch=7, seal=seal or Seal())


def stored(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as the service gives them back."""
    return [{**row.to_entity(), "Timestamp": datetime.now(UTC)} for row in rows]


def judged(entities: Sequence[Mapping[str, Any]], seal: Seal | None = None) -> Link | Broken:
    """What the verification says of stored entities."""
    return check_chain("PROD", [Row.from_entity(entity) for entity in entities], Link(), seal or Seal())
