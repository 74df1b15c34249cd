"""Polling: ends are seen soon, and many operations share the reads that are left over."""

import asyncio
import contextlib
import random

import pytest

from tests.vipcore.arm.clock import in_time, now
from vipcore.arm.polling import FIRST_POLL_S, POLL_S_MAX, PROCESS_POLLS_PER_S, PollCount, Subscription


@pytest.mark.parametrize("elapsed_s", [0.0, 1.0, 8.0, 60.0, 600.0])
def test_alone_the_end_is_seen_soon(elapsed_s: float) -> None:
    """A lone operation is polled after a quarter of a second, later after three hundredths of what has passed, at most 5 s."""

    async def story() -> None:
        subscription = Subscription()
        with subscription.polling():
            wait = subscription.poll_after(elapsed_s, 0.5)
        assert wait == min(POLL_S_MAX, max(FIRST_POLL_S, 0.03 * elapsed_s))

    in_time(story)


@pytest.mark.parametrize("true_s", [3.0, 8.0, 20.0])
def test_among_many_the_first_poll_finds_most_ended(true_s: float) -> None:
    """However long operations take, the time of the first poll settles near their end: few polls each, little overshoot."""

    async def story() -> None:
        rng, subscription, overshoot, polls_made = random.Random(1), Subscription(), [], []

        async def operation() -> None:
            await asyncio.sleep(rng.random() * 300.0)  # ten a second, as many as writes can be made
            began, polls, before = now(), 0, 0.0
            with subscription.polling():
                while True:
                    await asyncio.sleep(subscription.poll_after(now() - began, rng.random(), polls))
                    await subscription.reads.acquire()
                    subscription.reads.sent(now())
                    elapsed = now() - began
                    polls += 1
                    if elapsed >= true_s:
                        break
                    before = elapsed
            subscription.poll_ended(elapsed, before)
            overshoot.append(elapsed - true_s)
            polls_made.append(polls)

        await asyncio.gather(*(operation() for _ in range(3_000)))
        late = len(overshoot) // 4  # what came after it had settled
        assert sum(polls_made[late:]) / len(polls_made[late:]) <= 2.0
        assert sum(overshoot[late:]) / len(overshoot[late:]) <= max(1.0, 0.15 * true_s)

    in_time(story)


def test_a_process_polls_only_so_often() -> None:
    """Operations of many subscriptions together are polled no more often than one process can bear."""

    async def story() -> None:
        everywhere = PollCount()
        subscriptions = [Subscription(process_polls=everywhere) for _ in range(600)]
        with contextlib.ExitStack() as stack:
            for subscription in subscriptions:
                stack.enter_context(subscription.polling())
            waits = [subscription.poll_after(1.0, 0.5, polls=2) for subscription in subscriptions]
        assert sum(1.0 / wait for wait in waits) <= PROCESS_POLLS_PER_S * 1.01

    in_time(story)
