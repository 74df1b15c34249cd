"""The timer clock: runs each timer function at its schedule's times, one run of a function at a time.

What the real host does and this one does not: it remembers runs over restarts (`useMonitor`), so that a run missed
while it was down comes late; here the first run after a start is the schedule's next time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from serve import schedule
from serve.worker import Function

log = logging.getLogger("serve.timers")


class Run(Protocol):
    """Runs a timer function once and returns when it has ended."""

    async def __call__(self, function: Function, *, last: datetime | None, upcoming: datetime | None, past_due: bool) -> object:
        """Whatever it returns is ignored; it must not raise for a fault of the function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time as the timers see it, so that tests can play years."""

    now: Callable[[], datetime]  # UTC
    sleep_s: Callable[[float], Awaitable[None]]


def real_clock() -> Clock:
    """The machine's."""
    return Clock(now=lambda: datetime.now(UTC), sleep_s=asyncio.sleep)


def schedule_of(function: Function, app_settings: Mapping[str, str]) -> schedule.Schedule:
    """Read a timer function's schedule, `%NAME%` expanded from the app settings. Raises schedule.ScheduleError."""
    return schedule.parse(schedule.expand(str(function.trigger["schedule"]), app_settings))


async def keep(function: Function, when: schedule.Schedule, *, clock: Clock, run: Run) -> None:
    """Run the function at its times until canceled.

    A run that lasts past the next time does not overlap it: one run follows at once for all the times it covered.
    """
    last: datetime | None = None
    if function.trigger.get("runOnStartup"):
        last = clock.now()
        await run(function, last=None, upcoming=when.after(last), past_due=False)
    upcoming = when.after(clock.now())
    while True:
        # Sleeping in pieces keeps up with a wall clock that is set forward.
        while (remaining_s := (upcoming - clock.now()).total_seconds()) > 0:
            await clock.sleep_s(min(remaining_s, 60.0))
        await run(function, last=last, upcoming=when.after(upcoming), past_due=False)
        last, upcoming = upcoming, when.after(upcoming)
        if upcoming <= clock.now():
            upcoming = clock.now()
