"""Permits and rate limits: nobody asks Azure for more than it allows, waits without need, or starves."""

import asyncio
import random

import pytest

from simulator.core.errors import Refused
from simulator.core.switches import Switches
from simulator.state.throttle import Limits
from tests.vipcore.arm.clock import in_time, now, throttled
from vipcore.arm.port import ArmReply
from vipcore.arm.rate_limit import NEW, ORDER, UNDER_WAY, RateLimit, Subscription


def test_a_lone_swap_never_waits() -> None:
    """Calls of one swap, a few hundred reads in a minute among them, all get their turn at once."""

    async def story() -> None:
        subscription = Subscription()
        for _ in range(240):
            began = now()
            await subscription.reads.acquire()
            subscription.reads.sent(now())
            assert now() == began
            await asyncio.sleep(0.25)
        await subscription.writes.acquire(2)
        assert now() == pytest.approx(60.0)

    in_time(story)


def test_calls_beyond_the_bucket_come_as_it_is_filled() -> None:
    """After a burst of the bucket's size, as many calls a second go out as Azure refills."""

    async def story() -> None:
        budget = RateLimit(size=10.0, per_s=5.0, window_max=1_000)
        for _ in range(10):
            await budget.acquire()
        assert now() == 0.0
        for _ in range(25):
            await budget.acquire()
        assert now() == pytest.approx(5.0)

    in_time(story)


def test_work_under_way_goes_first_then_who_began_first() -> None:
    """Who waits is served by class, then by when it began, whatever the order of arrival."""

    async def story() -> None:
        budget, served = RateLimit(size=1.0, per_s=1.0, window_max=1_000), []
        await budget.acquire()

        async def one(name: str, order: tuple[int, float]) -> None:
            ORDER.set(order)
            await budget.acquire()
            served.append(name)

        orders = {"young": (NEW, 9.0), "old": (NEW, 1.0), "attach": (UNDER_WAY, 8.0), "older attach": (UNDER_WAY, 7.0)}
        await asyncio.gather(*(one(name, order) for name, order in orders.items()))
        assert served == ["older attach", "attach", "old", "young"]

    in_time(story)


def test_all_writes_of_a_swap_have_their_turn_together() -> None:
    """Two writes are given together or not at all, so that no address is left detached for want of a write."""

    async def story() -> None:
        budget = RateLimit(size=3.0, per_s=1.0, window_max=1_000)
        await budget.acquire(2)
        began = now()
        await budget.acquire(2)
        assert now() - began == pytest.approx(1.0)

    in_time(story)


def test_turns_that_are_given_back_are_given_on() -> None:
    """Turns that nobody needs serve the next who waits, at once."""

    async def story() -> None:
        budget = RateLimit(size=2.0, per_s=0.001, window_max=1_000)
        await budget.acquire(2)
        waiting = asyncio.ensure_future(budget.acquire(2))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        budget.release(2)
        await waiting
        assert now() == pytest.approx(1.0)

    in_time(story)


@pytest.mark.parametrize("served_first", [False, True])
def test_who_gives_up_waiting_leaves_no_turn_behind(served_first: bool) -> None:
    """A waiter that is canceled, also in the very moment in which it is served, costs nobody a turn."""

    async def story() -> None:
        budget = RateLimit(size=1.0, per_s=1.0, window_max=1_000)
        await budget.acquire()
        gives_up = asyncio.ensure_future(budget.acquire())
        await asyncio.sleep(0)
        if served_first:
            budget.release(1)
        gives_up.cancel()
        await asyncio.gather(gives_up, return_exceptions=True)
        began = now()
        await budget.acquire()
        assert now() - began <= 1.0 + 1e-6
        assert budget.reserved == (1 if served_first else 2)

    in_time(story)


def test_the_five_minutes_count_from_when_a_call_was_sent() -> None:
    """A turn that was taken and whose call goes out later frees its place in the window five minutes after that."""

    async def story() -> None:
        budget = RateLimit(size=100.0, per_s=100.0, window_max=2)
        await budget.acquire(2)
        budget.sent(now())
        await asyncio.sleep(40.0)
        budget.sent(now())
        await budget.acquire()
        assert 300.0 <= now() <= 301.0
        budget.sent(now())
        await budget.acquire()
        assert 340.0 <= now() <= 341.0

    in_time(story)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_azure_never_refuses_who_waits_for_turns(seed: int) -> None:
    """Whatever the demand, and though requests overtake each other: ARM's buckets and the provider's window refuse nothing."""

    async def story() -> None:
        rng, subscription = random.Random(seed), Subscription()
        limits, switches = Limits(), Switches(throttling="both")
        refused = []

        async def swap() -> None:
            await asyncio.sleep(rng.random() * rng.choice([1.0, 60.0, 400.0]))
            await subscription.writes.acquire(2)
            for kind, budget in (
                ("reads", subscription.reads),
                ("writes", subscription.writes),
                ("reads", subscription.reads),
                ("writes", subscription.writes),
            ):
                if kind == "reads":
                    await budget.acquire()
                budget.sent(now())
                await asyncio.sleep(rng.random() * 0.05)
                try:
                    limits.arm(switches, "s", "p", kind, now())  # type: ignore[arg-type]  # a Literal by its value
                    limits.nrp(switches, "s", kind, now())  # type: ignore[arg-type]  # as above
                except Refused as refusal:
                    refused.append((now(), str(refusal)))
                await asyncio.sleep(rng.random() * rng.choice([0.1, 10.0]))

        await asyncio.gather(*(swap() for _ in range(700)))
        assert refused == []

    in_time(story)


def answer(kind: str, remaining: int) -> ArmReply:
    """An answer with Azure's own count."""
    return ArmReply(status=200, headers={f"x-ms-ratelimit-remaining-subscription-{kind}": str(remaining)})


def test_others_who_use_the_bucket_are_noticed() -> None:
    """What is missing in Azure's count and was not ours, others have used: of the bucket and of the five minutes."""

    async def story() -> None:
        subscription = Subscription()
        await subscription.reads.acquire()
        sent = subscription.reads.sent(now())
        subscription.heard("GET", sent, answer("reads", 3), now())
        assert subscription.reads.available(now()) == pytest.approx(3.0, abs=2.0)
        assert len(subscription.reads.call_times) == pytest.approx(subscription.reads.size - 3.0, abs=2.0)
        assert subscription.reads_low(now())

    in_time(story)


def test_what_others_used_is_counted_once() -> None:
    """Answers to calls that were under way together tell of the same calls of others."""

    async def story() -> None:
        budget = RateLimit(size=100.0, per_s=1.0, window_max=1_000)
        await budget.acquire(10)
        together = [budget.sent(now()) for _ in range(10)]
        for number, sent in enumerate(together):
            budget.heard(sent, str(100 - 50 - number - 1), now())
        assert len(budget.foreign_calls) == pytest.approx(50, abs=1)
        assert budget.available(now()) == pytest.approx(40.0, abs=1.0)

    in_time(story)


def test_an_answers_way_back_is_nobodys_call() -> None:
    """What Azure refilled while its answer was on the way is not missing in its count."""

    async def story() -> None:
        budget = RateLimit(size=100.0, per_s=10.0, window_max=1_000)
        await budget.acquire(50)
        sent = [budget.sent(now()) for _ in range(50)][-1]
        await asyncio.sleep(4.0)
        budget.heard(sent, "50", now())
        assert not budget.foreign_calls
        assert budget.available(now()) == pytest.approx(90.0)

    in_time(story)


def test_azures_rounding_costs_no_turns() -> None:
    """Azure rounds its count down; taking that at its word each time would lose half of a scarce budget."""

    async def story() -> None:
        budget = RateLimit(size=10.0, per_s=5.0, window_max=1_000)
        budget.take(6, now())
        sent = [budget.sent(now()) for _ in range(6)][-1]
        budget.heard(sent, "3", now())
        assert budget.available(now()) == 4.0

    in_time(story)


def test_a_throttle_stops_everybody_for_as_long_as_it_says() -> None:
    """After a 429 about rates nobody asks until its Retry-After is over, and then one by one; other kinds of calls go on."""

    async def story() -> None:
        subscription = Subscription()
        subscription.heard("GET", subscription.reads.sent(now()), throttled(), now())
        await subscription.writes.acquire()
        assert now() == 0.0
        await subscription.reads.acquire()
        assert now() == pytest.approx(7.0, abs=0.1)
        await subscription.reads.acquire()
        assert now() == pytest.approx(7.0 + 2 / 25.0, abs=0.01)

    in_time(story)


def test_a_refused_call_is_not_counted_in_the_five_minutes() -> None:
    """What ARM refused never came to the provider."""

    async def story() -> None:
        subscription = Subscription()
        subscription.heard("PUT", subscription.writes.sent(now()), throttled(), now())
        assert len(subscription.writes.call_times) == 0

    in_time(story)


def test_a_full_five_minutes_is_taken_at_its_word() -> None:
    """Where the provider says that its window is full, what we had not counted is taken to have come evenly, and leaves so."""

    async def story() -> None:
        await asyncio.sleep(100.0)
        subscription = Subscription()
        details = [{"code": "RetryableErrorDueToTooManyCalls", "message": "too many calls"}]
        body = {"error": {"code": "RetryableError", "details": details}}
        reply = ArmReply(status=429, headers={"retry-after": "200"}, body=body)
        subscription.heard("PUT", subscription.writes.sent(now()), reply, now())
        assert len(subscription.writes.call_times) == subscription.writes.window_max
        began = now()
        await subscription.writes.acquire()
        assert now() - began == pytest.approx(200.0, abs=3.0)
        assert 3.0 < subscription.writes.free_at(30, now()) - now() < 70.0
        assert subscription.writes.free_at(4, now()) > now()

    in_time(story)


def test_only_our_share_of_a_window_that_fills_up_is_given_away() -> None:
    """Two who share the last hundred calls give away fifty each, so that neither leaves an address detached for want of one."""

    async def story() -> None:
        budget = RateLimit(size=2_000.0, per_s=1_000.0, window_max=1_000)
        for times in (budget.call_times, budget.foreign_calls):
            times.extend([now()] * 450)
        budget.call_times.extend([now()] * 450)
        budget.take(48, now())
        assert budget.free_at(2, now()) <= now()
        budget.take(2, now())
        assert budget.free_at(2, now()) > now()

    in_time(story)


def test_a_lock_is_no_throttle() -> None:
    """A 429 because another operation holds the resource stops nobody else."""

    async def story() -> None:
        subscription = Subscription()
        body = {"error": {"code": "RetryableError", "details": [{"code": "RetryableErrorDueToAnotherOperation"}]}}
        refused = ArmReply(status=429, headers={"retry-after": "11"}, body=body)
        subscription.heard("PUT", subscription.writes.sent(now()), refused, now())
        await subscription.writes.acquire()
        assert now() == 0.0

    in_time(story)


def test_a_few_are_no_crowd() -> None:
    """A handful of claims at once read everything at once; with dozens the next one waits for its writes before it reads."""

    async def story() -> None:
        subscription = Subscription()
        subscription.asking = 5
        assert not subscription.writes_contended(now())
        assert not subscription.reads_low(now())
        subscription.asking = 60
        assert subscription.writes_contended(now())
        assert subscription.reads_low(now())

    in_time(story)
