"""The time that stamps are made of: the table service's, whatever the machine's wall clock says. (I2)"""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.promises.loop import run
from vipcore.adapters.clock import TableClock
from vipcore.ledger.head import LEASE_MARGIN_S

TRUE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Service:
    """A service whose time is the virtual loop's, and a machine whose wall clock is off by so much."""

    def __init__(self, off_s: float) -> None:
        self.off_s = off_s
        self.lines: list[str] = []
        self.clock = TableClock(lambda event, /, **_: self.lines.append(event), self.wall)

    def now(self) -> datetime:
        """The true time."""
        return TRUE + timedelta(seconds=asyncio.get_running_loop().time())

    def wall(self) -> datetime:
        """The machine's."""
        return self.now() + timedelta(seconds=self.off_s)

    async def answer(self, there_s: float = 0.01, back_s: float = 0.01) -> None:
        """One exchange; the service stamps its answer in between."""
        sent_at = asyncio.get_running_loop().time()
        await asyncio.sleep(there_s)
        date = format_datetime(self.now(), usegmt=True)
        await asyncio.sleep(back_s)
        self.clock.heard(date, sent_at)

    def error_s(self) -> float:
        """How far what the clock tells is from the true time."""
        return abs((self.clock.now() - self.now()).total_seconds())


@given(off_s=st.floats(-1e5, 1e5), seed=st.integers(0, 10**6))
def test_table_s_time_is_told_whatever_the_wall_clock_says(off_s: float, seed: int) -> None:
    """After one answer two instances differ by less than the lease's margin, however far their wall clocks are off. (I2)"""
    rng = random.Random(seed)

    async def story() -> None:
        service = Service(off_s)
        await asyncio.sleep(rng.random())
        for _ in range(20):
            await service.answer(0.05 * rng.random(), 0.05 * rng.random())
            assert service.error_s() <= LEASE_MARGIN_S / 2 + 0.1
            service.off_s += rng.choice((0.0, 0.0, 3600.0, -7200.0))
            await asyncio.sleep(3.0 * rng.random())
            assert service.error_s() <= LEASE_MARGIN_S / 2 + 0.1

    run(story())


def test_slow_answer_moves_nothing_that_it_agrees_with() -> None:
    """A process that was paused hears an old `Date` late: that is no reason to set the time back."""

    async def story() -> None:
        service = Service(0.0)
        await service.answer()
        before = service.error_s()
        await service.answer(0.01, 60.0)
        assert service.error_s() == pytest.approx(before, abs=1e-3)

    run(story())


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 01 Mar 2026 12:00:00"])
def test_date_that_cannot_be_right_tells_nothing(date: str) -> None:
    """What a broken proxy may send leaves the time alone."""

    async def story() -> None:
        service = Service(0.0)
        service.clock.heard(date, 0.0)
        assert service.error_s() == 0.0
        assert not service.clock.is_off

    run(story())


def test_wrong_wall_clock_is_said_once_and_said_to_be_over() -> None:
    """The log has a line when the wall clock goes wrong, and one when it is right again; small errors are none."""

    async def story() -> Iterator[str]:
        service = Service(1.5)
        for off_s in (1.5, 3600.0, 3600.0, 0.3):
            service.off_s = off_s
            await service.answer()
        assert not service.clock.is_off
        return iter(service.lines)

    assert list(run(story())) == ["clock.off", "clock.right"]
