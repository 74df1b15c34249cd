"""Whether a text is a schedule that a Functions timer can run by. Pure.

The Functions host answers a schedule that it cannot read by not starting the timer, and says so only in its own log: without the
timer nobody goes on from a crash (I1), so we check first. Six fields, as https://github.com/atifaziz/NCrontab reads them:
`*`, values, ranges, steps and lists, English names for months and days; or an interval `hh:mm:ss`.
"""

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_LAST_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def schedule_fault(text: str) -> str | None:
    """What is wrong with it, as the end of a sentence that names the setting, or None."""
    if clock := re.fullmatch(r"(\d\d):([0-5]\d):([0-5]\d)", text, re.ASCII):
        return None if any(int(part) for part in clock.groups()) else "is an interval of no length"
    parts = text.split()
    if len(parts) != len(_FIELDS):
        return "must be an NCRONTAB expression of six fields, such as */30 * * * * *"
    allowed = []
    for part, (name, low, high, names) in zip(parts, _FIELDS, strict=True):
        values = _values(part, low, high, names)
        if values is None:
            return (
                f"has {part[:40]!r} as its {name}; there a value, a range, a step or a list of them from {low} to {high} may be"
            )
        allowed.append(values)
    if min(allowed[3]) > max(_LAST_DAYS[month - 1] for month in allowed[4]):
        return "names a day that none of its months has, so it never comes"
    return None


def _values(field: str, low: int, high: int, names: tuple[str, ...]) -> set[int] | None:
    """The values that a field allows, or None where it is none."""
    values: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if span == "*" else _value(first, low, names)
        end = _value(last, low, names) if dash else high if slash or span == "*" else begin
        by = _value(step, 1, ()) if slash else 1
        if begin is None or end is None or not by or not low <= begin <= end <= high:
            return None
        values.update(range(begin, end + 1, by))
    return values


def _value(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    return next((number for number, short in enumerate(names, low) if text.lower().startswith(short)), None)
