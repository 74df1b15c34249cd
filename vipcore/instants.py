"""Instants as text: RFC 3339 UTC with six decimals and `Z`, the one form used in the table, on the wire and in answers."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

Instant = datetime
"""A moment, always aware and in UTC; resolution one microsecond."""

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_LOOSE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def to_text(at: Instant) -> str:
    """`2026-11-23T00:29:00.000000Z`. Such texts of one length sort as the instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def from_text(text: str) -> Instant:
    """The instant of a text in exactly our form. Raises ValueError for any other form, or where no such instant exists."""
    if not _FORM.fullmatch(text):
        raise ValueError("an instant must look like 2026-11-23T00:29:00.000000Z")
    return datetime.fromisoformat(text)


def from_rfc3339(text: str) -> Instant:
    """The instant of any RFC 3339 text with an offset, as operators type them. Raises ValueError."""
    if not _LOOSE.fullmatch(text):
        raise ValueError("an instant must be RFC 3339 with an offset, such as 2026-11-23T00:29:00Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("an instant must lie in the years 1 to 9999 in UTC") from exc


def clock(text: str) -> str:
    """`2026-11-28 02:10:11`, for people: a text of our form without its fraction."""
    return f"{text[:10]} {text[11:19]}"


def length(s: int) -> str:
    """So many seconds for people, in the one unit that says enough: `49 min`."""
    size, unit = next((size, unit) for size, unit in _UNITS if s >= size or size == 1)
    return f"{s // size} {unit}"


def spread(wait_s: float, jitter: float) -> float:
    """`wait_s` times 0.75 to 1.25, by a `jitter` from [0, 1), so that several waits do not end in the same moment."""
    return wait_s * (0.75 + 0.5 * jitter)


def seconds(n: float) -> timedelta:
    """N seconds as a timedelta."""
    return timedelta(seconds=n)
