"""NCRONTAB, the six-field schedule of Functions timers, and the interval form `hh:mm:ss`. Pure; all times are UTC.

Unlike cron, a day must satisfy day-of-month *and* day-of-week (NCrontab's rule); five fields mean second 0.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# name, lowest, highest; 7 is Sunday too.
FIELDS: Final = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
# 29 February on a given weekday comes round after 28 years at most within 2000 to 2099; longer means never.
YEARS_MAX: Final = 29


class ScheduleError(ValueError):
    """A schedule that can't be read or never comes, or a setting it names that is absent; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """A fixed interval."""

    period: timedelta

    def after(self, at: datetime) -> datetime:
        """The next time strictly after `at`."""
        return at + self.period


@dataclass(frozen=True, slots=True, kw_only=True)
class Ncrontab:
    """The allowed values of each field, in the order of FIELDS."""

    allowed: tuple[frozenset[int], ...]

    def after(self, at: datetime) -> datetime:
        """The next time strictly after `at`. Raises ScheduleError if there is none (30 February)."""
        second, minute, hour, _, _, _ = self.allowed
        time = at.replace(microsecond=0) + timedelta(seconds=1)
        limit = at.year + YEARS_MAX
        while time.year < limit:
            if not self._day_fits(time):
                time = time.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif time.hour not in hour:
                time = time.replace(minute=0, second=0) + timedelta(hours=1)
            elif time.minute not in minute:
                time = time.replace(second=0) + timedelta(minutes=1)
            elif time.second not in second:
                time += timedelta(seconds=1)
            else:
                return time
        raise ScheduleError("the schedule never comes")

    def _day_fits(self, time: datetime) -> bool:
        day, month, weekday = self.allowed[3:]
        return time.month in month and time.day in day and time.isoweekday() % 7 in weekday


Schedule = Every | Ncrontab


def parse(text: str) -> Schedule:
    """Read a schedule. Raises ScheduleError."""
    if clock := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text.strip()):
        hours, minutes, seconds = map(int, clock.groups())
        period = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if not period:
            raise ScheduleError(f"{text!r} is no interval")
        return Every(period=period)
    parts = text.split()
    if len(parts) == len(FIELDS) - 1:
        parts.insert(0, "0")
    if len(parts) != len(FIELDS):
        raise ScheduleError(f"{text!r} has {len(parts)} fields, six are needed")
    fields = (_field(part, *field) for part, field in zip(parts, FIELDS, strict=True))
    *others, weekdays = fields
    return Ncrontab(allowed=(*others, frozenset(day % 7 for day in weekdays)))


def expand(text: str, settings: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by that app setting, as the host does. Raises ScheduleError if one is absent."""

    def setting(match: re.Match[str]) -> str:
        try:
            return settings[match[1]]
        except KeyError:
            raise ScheduleError(f"the schedule names the setting {match[1]}, which is not set") from None

    return re.sub(r"%([^%]+)%", setting, text)


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        first_text, dash, last_text = span.partition("-")
        if span == "*":
            first, last = low, high if name != "weekday" else 6
        else:
            first = _value(text, name, first_text)
            # `5/10` runs from 5 to the field's end; `5` is 5 alone.
            last = _value(text, name, last_text) if dash else high if slash else first
        step = _value(text, "step", step_text) if slash else 1
        if step < 1 or not low <= first <= last <= high:
            raise ScheduleError(f"{part!r} is no {name} ({low} to {high})")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _value(field: str, name: str, text: str) -> int:
    names = {"month": MONTHS, "weekday": DAYS}.get(name, ())
    if text[:3].lower() in names:
        return names.index(text[:3].lower()) + (name == "month")
    if not (text.isascii() and text.isdigit()):
        raise ScheduleError(f"{text!r} in {field!r} is no {name}")
    return int(text)
