"""Instances share the five minutes of a subscription's writes through one row of the table."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from tests.promises.ledger import MemoryLedger
from tests.vipcore.arm.clock import in_time, now
from vipcore.arm.rate_limit import WINDOW_S, RateLimit
from vipcore.decision.shared_writes import GRAIN_S, SharedWrites
from vipcore.errors import CommitUnknown, Stale, Unreachable
from vipcore.instants import Instant
from vipcore.ledger.port import Granted

SUB = "00000000-0000-0000-0000-000000000000"


class LoopClock:
    """The table's time, `off_s` from the loop's."""

    is_off: ClassVar[bool] = False
    is_known: ClassVar[bool] = True

    def __init__(self, off_s: float = 0.0) -> None:
        self.off_s, self.rng = off_s, random.Random(off_s)

    def now(self) -> Instant:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now() + self.off_s)

    def new_id(self) -> str:
        raise AssertionError

    def jitter(self) -> float:
        return self.rng.random()


class Instance:
    """One instance: its own count of a subscription's ten writes in five minutes, and the row that all share."""

    def __init__(self, name: str, ledger: MemoryLedger, *, off_s: float = 0.0) -> None:
        self.limit = RateLimit(size=1_000.0, per_s=100.0, window_max=10)
        self.shared = SharedWrites(ledger, LoopClock(off_s), name)

    async def swap(self) -> bool:
        """A swap's permits: granted here, and beside the others'. If they do not fit, they are given back."""
        try:
            async with asyncio.timeout(1.0):
                await self.limit.acquire(2)
        except TimeoutError:
            return False
        if await self.shared.fit(SUB, self.limit):
            return True
        self.limit.release(2)
        return False

    def send(self, calls: int) -> None:
        """Permits are used."""
        for _ in range(calls):
            self.limit.sent(now())


class Slow(MemoryLedger):
    """Every exchange takes a moment, as over a network."""

    saves = 0

    async def load_granted(self, subscription: str) -> Granted:
        await asyncio.sleep(0.01)
        return await super().load_granted(subscription)

    async def save_granted(self, subscription: str, granted: Granted) -> None:
        await asyncio.sleep(0.01)
        self.saves += 1
        await super().save_granted(subscription, granted)


@pytest.mark.parametrize("seconds_apart", [0.0, 0.005, 0.015, 0.1])
def test_together_no_more_is_granted_than_fits(seconds_apart: float) -> None:
    """Two instances that want six swaps each in a window of five get at most five, at the same moment too."""

    async def story() -> None:
        ledger = Slow()
        instances = [Instance("a", ledger), Instance("b", ledger)]

        async def want(instance: Instance) -> int:
            return sum([await instance.swap() for _ in range(6)])

        first = asyncio.create_task(want(instances[0]))
        await asyncio.sleep(seconds_apart)
        assert 4 <= await want(instances[1]) + await first <= 5

    in_time(story)


def test_others_make_room_when_their_five_minutes_are_over() -> None:
    """What another instance wrote down is forgotten with the window, whether or not it is still there to say so."""

    async def story() -> None:
        ledger = Slow()
        gone, left = Instance("gone", ledger), Instance("left", ledger)
        for _ in range(5):
            assert await gone.swap()
        gone.send(10)
        assert not await left.swap()
        assert left.limit.free_at(2, now()) > now()
        await asyncio.sleep(WINDOW_S + GRAIN_S)
        assert await left.swap()
        assert list((await ledger.load_granted(SUB)).by_instance) == ["left"]

    in_time(story)


def test_clocks_that_differ_by_a_second_change_nothing() -> None:
    """Times in the row are the table's, which instances tell to within a second or two."""

    async def story() -> None:
        ledger = Slow()
        ahead, behind = Instance("ahead", ledger, off_s=1.0), Instance("behind", ledger, off_s=-1.0)
        for _ in range(3):
            assert await ahead.swap()
        assert [await behind.swap() for _ in range(3)] == [True, True, False]

    in_time(story)


def test_one_exchange_serves_all_who_wait() -> None:
    """A hundred swaps that come while the row is read and written cost two exchanges, not a hundred."""

    async def story() -> None:
        ledger = Slow()
        instance = Instance("a", ledger)
        instance.limit.window.size = 1_000
        assert all(await asyncio.gather(*(instance.swap() for _ in range(100))))
        assert ledger.saves <= 3
        assert sum((await ledger.load_granted(SUB)).by_instance["a"].values()) == 200

    in_time(story)


def test_the_table_s_failure_stops_no_swap() -> None:
    """Then each instance counts alone, with what Azure's answers tell."""

    class Away(MemoryLedger):
        async def save_granted(self, subscription: str, granted: Granted) -> None:
            raise Unreachable("away")

    async def story() -> None:
        assert await Instance("a", Away()).swap()

    in_time(story)


def test_a_lost_answer_is_settled_by_the_next_read() -> None:
    """The row may have been replaced: it is read again, and what stands there of ourselves is replaced, not added."""

    class Lossy(MemoryLedger):
        lost = False

        async def save_granted(self, subscription: str, granted: Granted) -> None:
            await super().save_granted(subscription, granted)
            if not self.lost:
                self.lost = True
                raise CommitUnknown("lost")

    async def story() -> None:
        ledger = Lossy()
        assert await Instance("a", ledger).swap()
        assert sum((await ledger.load_granted(SUB)).by_instance["a"].values()) == 2

    in_time(story)


@pytest.mark.parametrize("at_s", [0.0, 1.0, 2.5, 4.9])
def test_another_s_writes_count_until_azure_has_forgotten_them(at_s: float) -> None:
    """Times in the row are rounded up: whenever writes were sent, they are counted for all of their five minutes."""

    async def story() -> None:
        ledger = Slow()
        other, ours = Instance("other", ledger), Instance("ours", ledger)
        await asyncio.sleep(at_s)
        for _ in range(5):
            assert await other.swap()
        other.send(10)
        await other.shared.fit(SUB, other.limit)
        await asyncio.sleep(WINDOW_S - 1.5)
        assert not await ours.swap()

    in_time(story)


def test_a_row_that_others_always_replace_lets_nothing_begin() -> None:
    """Who never gets to write down what it has granted has not told the others: it waits."""

    class Contested(MemoryLedger):
        async def save_granted(self, subscription: str, granted: Granted) -> None:
            raise Stale(subscription)

    async def story() -> None:
        assert not await Instance("a", Contested()).swap()

    in_time(story)
