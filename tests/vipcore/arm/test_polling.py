"""Polling: ends are seen soon, and many operations share the reads that are left over."""

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.vipcore.arm.clock import in_time, now
from vipcore.arm.polling import FIRST_POLL_S, POLL_S_MAX, PROCESS_POLLS_PER_S, PollCount, Polling, Subscription


async def pause_after(polling: Polling, elapsed_s: float, jitter: float = 0.5) -> float:
    """How long it waits for its next poll of an operation that began so long ago."""
    began = now()
    await polling.wait(asyncio.sleep, lambda: elapsed_s + now() - began, jitter)
    return now() - began


@pytest.mark.parametrize("elapsed_s", [0.0, 1.0, 8.0, 60.0, 600.0])
def test_alone_the_end_is_seen_soon(elapsed_s: float) -> None:
    """A lone operation is polled after a quarter of a second, later after three hundredths of what has passed, at most 5 s."""

    async def story() -> None:
        subscription = Subscription()
        with subscription.polling() as polling:
            wait = await pause_after(polling, elapsed_s)
        assert wait == pytest.approx(min(POLL_S_MAX, max(FIRST_POLL_S, 0.03 * elapsed_s)))

    in_time(story)


async def many(subscription: Subscription, true_s: Callable[[], float], operations: int) -> list[tuple[int, float]]:
    """Operations that begin at ten a second, as many as writes can be made: the polls of each, and how late its end was seen."""
    rng, found = random.Random(1), []

    async def operation() -> None:
        await asyncio.sleep(rng.random() * operations / 10.0)
        began, takes, polls, before, elapsed = now(), true_s(), 0, 0.0, 0.0
        with subscription.polling() as polling:
            while elapsed < takes:
                before = elapsed
                await polling.wait(asyncio.sleep, lambda: now() - began, rng.random())
                await subscription.reads.acquire()
                subscription.reads.sent(now())
                elapsed, polls = now() - began, polls + 1
        subscription.poll_ended(elapsed, before)
        found.append((polls, elapsed - takes))

    await asyncio.gather(*(operation() for _ in range(operations)))
    return found


@pytest.mark.parametrize("true_s", [3.0, 8.0, 20.0])
def test_among_many_the_first_poll_finds_most_ended(true_s: float) -> None:
    """However long operations take, the time of the first poll settles near their end: few polls each, little overshoot."""

    async def story() -> None:
        found = await many(Subscription(), lambda: true_s, 3_000)
        late = found[len(found) // 4 :]  # what came after it had settled
        assert sum(polls for polls, _ in late) / len(late) <= 2.0
        assert sum(overshoot for _, overshoot in late) / len(late) <= max(1.0, 0.15 * true_s)

    in_time(story)


@pytest.mark.parametrize(("first_s", "then_s"), [(20.0, 3.0), (3.0, 20.0)])
def test_operations_that_become_shorter_or_longer_are_noticed(first_s: float, then_s: float) -> None:
    """Scouts are polled all the time: two minutes after operations have changed, their ends are seen soon again."""

    async def story() -> None:
        began = now()
        found = await many(Subscription(), lambda: first_s if now() - began < 100.0 else then_s, 4_000)
        late = found[-1_500:]
        assert sum(polls for polls, _ in late) / len(late) <= 2.0
        assert sum(overshoot for _, overshoot in late) / len(late) <= max(1.0, 0.15 * then_s)

    in_time(story)


def test_a_process_polls_only_so_often() -> None:
    """Operations of many subscriptions together are polled no more often than one process can bear."""

    async def story() -> None:
        everywhere, polls = PollCount(), 0

        async def operation() -> None:
            nonlocal polls
            began = now()
            with Subscription(process_polls=everywhere).polling() as polling:
                while True:
                    await polling.wait(asyncio.sleep, lambda: now() - began, 0.5)
                    polls += began + 30.0 < now() < began + 60.0

        tasks = [asyncio.create_task(operation()) for _ in range(600)]
        await asyncio.sleep(61.0)
        for task in tasks:
            task.cancel()
        assert polls <= PROCESS_POLLS_PER_S * 30.0 * 1.01

    in_time(story)
