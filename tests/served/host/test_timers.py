import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from serve import schedule, timers
from serve.timers import Clock
from serve.worker import Function

START = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


class VirtualTime:
    """A clock that moves only when somebody sleeps, and ends the test at its end."""

    def __init__(self, *, ends_after_s: float) -> None:
        self.time = START
        self.end = START + timedelta(seconds=ends_after_s)

    async def sleep_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        if self.time > self.end:
            raise asyncio.CancelledError

    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, sleep_s=self.sleep_s)


async def runs(function: Function, text: str, *, lasting_s: float, ends_after_s: float) -> list[float]:
    """When a function that takes so long was run, in seconds after START."""
    virtual = VirtualTime(ends_after_s=ends_after_s)
    at: list[float] = []

    async def run(function: Function, *, last: datetime | None, upcoming: datetime | None, past_due: bool) -> None:
        at.append((virtual.time - START).total_seconds())
        await virtual.sleep_s(lasting_s)

    with pytest.raises(asyncio.CancelledError):
        await timers.keep(function, schedule.parse(text), clock=virtual.clock(), run=run)
    return at


def timer(**trigger: object) -> Function:
    """A timer function; only its trigger matters here."""
    return Function(name="tick", id="1", trigger={"type": "timerTrigger", "name": "timer", **trigger})


async def test_timer_runs_at_the_times_of_its_schedule() -> None:
    """A timer runs at the clock's times, not at so much after its start."""
    assert await runs(timer(), "*/30 * * * * *", lasting_s=0, ends_after_s=100) == [29, 59, 89]


async def test_run_that_lasts_too_long_does_not_overlap() -> None:
    """A run that lasts past its next times is not run beside itself: one run follows at once, for all of them."""
    assert await runs(timer(), "*/30 * * * * *", lasting_s=70, ends_after_s=200) == [29, 99, 169]


async def test_run_on_startup_runs_at_once() -> None:
    """`run_on_startup` means now, and then at the schedule's times."""
    assert await runs(timer(runOnStartup=True), "*/30 * * * * *", lasting_s=0, ends_after_s=60) == [0, 29, 59]
