"""Permits: nothing is sent that Azure would refuse, nobody waits without need, and nobody starves."""

import asyncio
import random

import pytest

from simulator.core.errors import Refused
from simulator.core.switches import Switches
from simulator.state.throttle import Limits
from tests.vipcore.arm.clock import in_time, now, throttled
from vipcore.arm.polling import Subscription
from vipcore.arm.port import ArmReply
from vipcore.arm.rate_limit import NEW, ORDER, PEOPLE, UNDER_WAY, Permits, RateLimit

# -- permits -----------------------------------------------------------------------------------------------------------


def test_a_lone_swap_never_waits() -> None:
    """Calls of one swap, a few hundred reads in a minute among them, all get their permits at once."""

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
        limit = RateLimit(size=10.0, per_s=5.0, window_max=1_000)
        for _ in range(10):
            await limit.acquire()
        assert now() == 0.0
        for _ in range(25):
            await limit.acquire()
        assert now() == pytest.approx(5.0)

    in_time(story)


def test_work_under_way_goes_first_then_who_began_first() -> None:
    """Who waits is served by class, then by when it began, whatever the order of arrival."""

    async def story() -> None:
        limit, served = RateLimit(size=1.0, per_s=1.0, window_max=1_000), []
        await limit.acquire()

        async def one(name: str, order: tuple[int, float]) -> None:
            ORDER.set(order)
            await limit.acquire()
            served.append(name)

        orders = {"young": (NEW, 9.0), "old": (NEW, 1.0), "attach": (UNDER_WAY, 8.0), "older attach": (UNDER_WAY, 7.0)}
        await asyncio.gather(*(one(name, order) for name, order in orders.items()))
        assert served == ["older attach", "attach", "old", "young"]

    in_time(story)


async def people(subscription: Subscription, reads: int) -> list[asyncio.Task[None]]:
    """So many reads that somebody asks for at once."""

    async def one() -> None:
        ORDER.set((PEOPLE, 0.0))
        await subscription.reads.acquire()
        subscription.reads.sent(now())

    asked = [asyncio.create_task(one()) for _ in range(reads)]
    await asyncio.sleep(0.001)
    return asked


def test_reads_for_people_leave_three_quarters_to_swaps() -> None:
    """However many people ask, a claim finds its reads' permits at once, and people get what is refilled above that."""

    async def story() -> None:
        subscription = Subscription()
        asked = await people(subscription, 400)
        assert 60 <= sum(task.done() for task in asked) <= 62
        for _ in range(180):
            await subscription.reads.acquire()
            subscription.reads.sent(now())
        assert now() < 0.01
        await asyncio.sleep(20.0)
        assert sum(task.done() for task in asked) >= 300

    in_time(story)


def test_people_who_wait_are_no_reason_to_save() -> None:
    """A swap leaves out no read and acquires no permit ahead because people wait; it does because claims wait."""

    async def story() -> None:
        subscription = Subscription()
        await people(subscription, 400)
        assert (subscription.reads_low(), subscription.writes_contended()) == (False, False)
        waiting = asyncio.create_task(subscription.reads.acquire(200))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert (subscription.reads_low(), subscription.writes_contended()) == (True, True)

    in_time(story)


@pytest.mark.parametrize("sent", [True, False])
def test_a_permit_is_used_by_the_call_that_is_sent_and_by_no_other(sent: bool) -> None:
    """A call that fails before it is sent leaves its permit to the next one, and the end of the drive gives the rest back."""

    async def story() -> None:
        limit = RateLimit(size=10.0, per_s=5.0, window_max=1_000)
        permits = Permits(limit)
        await permits.hold(3)
        with permits.one() as permit:
            if sent:
                permit.used = True
                limit.sent(now())
        assert (permits.held, limit.reserved) == ((2, 2) if sent else (3, 3))
        permits.release()
        assert (permits.held, limit.reserved) == (0, 0)

    in_time(story)


def test_all_writes_of_a_swap_get_their_permits_together() -> None:
    """Two permits are granted together or not at all, so that no address is left detached for want of a write."""

    async def story() -> None:
        limit = RateLimit(size=3.0, per_s=1.0, window_max=1_000)
        await limit.acquire(2)
        began = now()
        await limit.acquire(2)
        assert now() - began == pytest.approx(1.0)

    in_time(story)


def test_released_permits_are_granted_again() -> None:
    """A released permit goes to the next who waits, at once."""

    async def story() -> None:
        limit = RateLimit(size=2.0, per_s=0.001, window_max=1_000)
        await limit.acquire(2)
        waiting = asyncio.ensure_future(limit.acquire(2))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        limit.release(2)
        await waiting
        assert now() == pytest.approx(1.0)

    in_time(story)


@pytest.mark.parametrize("served_first", [False, True])
def test_who_gives_up_waiting_keeps_no_permit(served_first: bool) -> None:
    """A waiter that is canceled, even at the moment in which it is served, costs nobody a permit."""

    async def story() -> None:
        limit = RateLimit(size=1.0, per_s=1.0, window_max=1_000)
        await limit.acquire()
        gives_up = asyncio.ensure_future(limit.acquire())
        await asyncio.sleep(0)
        if served_first:
            limit.release(1)
        gives_up.cancel()
        await asyncio.gather(gives_up, return_exceptions=True)
        began = now()
        await limit.acquire()
        assert now() - began <= 1.0 + 1e-6
        assert limit.reserved == (1 if served_first else 2)

    in_time(story)


def test_the_five_minutes_count_from_when_a_call_was_sent() -> None:
    """A granted permit whose call is sent later frees its place in the window five minutes after that call."""

    async def story() -> None:
        limit = RateLimit(size=100.0, per_s=100.0, window_max=2)
        await limit.acquire(2)
        limit.sent(now())
        await asyncio.sleep(40.0)
        limit.sent(now())
        await limit.acquire()
        assert 300.0 <= now() <= 301.0
        limit.sent(now())
        await limit.acquire()
        assert 340.0 <= now() <= 341.0

    in_time(story)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_azure_never_refuses_who_waits_for_permits(seed: int) -> None:
    """Whatever the demand, and though requests overtake each other: ARM's buckets and the provider's window refuse nothing."""

    async def story() -> None:
        rng, subscription = random.Random(seed), Subscription()
        limits, switches = Limits(), Switches(throttling="both")
        refused = []

        async def swap() -> None:
            await asyncio.sleep(rng.random() * rng.choice([1.0, 60.0, 400.0]))
            await subscription.writes.acquire(2)
            for kind, limit in (
                ("reads", subscription.reads),
                ("writes", subscription.writes),
                ("reads", subscription.reads),
                ("writes", subscription.writes),
            ):
                if kind == "reads":
                    await limit.acquire()
                limit.sent(now())
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


# -- what Azure tells --------------------------------------------------------------------------------------------------


def answer(kind: str, remaining: int) -> ArmReply:
    """An answer with Azure's own count."""
    return ArmReply(status=200, headers={f"x-ms-ratelimit-remaining-subscription-{kind}": str(remaining)})


def test_others_who_use_the_bucket_are_noticed() -> None:
    """What Azure's count lacks and we did not send, others have sent: in the bucket and in the five minutes."""

    async def story() -> None:
        subscription = Subscription()
        await subscription.reads.acquire()
        sent = subscription.reads.sent(now())
        subscription.answered("GET", sent, answer("reads", 3), now())
        assert subscription.reads.permits.available(now()) == pytest.approx(3.0, abs=2.0)
        known = len(subscription.reads.window.ours) + len(subscription.reads.window.missing)
        assert known == pytest.approx(subscription.reads.permits.size - 3.0, abs=2.0)
        assert subscription.reads_low()

    in_time(story)


def test_what_others_used_is_counted_once() -> None:
    """Answers to calls that were under way together tell of the same calls of others."""

    async def story() -> None:
        limit = RateLimit(size=100.0, per_s=1.0, window_max=1_000)
        await limit.acquire(10)
        together = [limit.sent(now()) for _ in range(10)]
        for number, sent in enumerate(together):
            limit.answered(sent, str(100 - 50 - number - 1), now())
        assert len(limit.window.ours) == 10
        assert len(limit.window.missing) == pytest.approx(50, abs=1)
        assert limit.permits.available(now()) == pytest.approx(40.0, abs=1.0)

    in_time(story)


def test_an_answers_way_back_is_nobodys_call() -> None:
    """What Azure refilled while its answer was on the way is no call of others."""

    async def story() -> None:
        limit = RateLimit(size=100.0, per_s=10.0, window_max=1_000)
        await limit.acquire(50)
        sent = [limit.sent(now()) for _ in range(50)][-1]
        await asyncio.sleep(4.0)
        limit.answered(sent, "50", now())
        assert len(limit.window.ours) == 50
        assert limit.permits.available(now()) == pytest.approx(90.0)

    in_time(story)


def test_azures_rounding_costs_no_permits() -> None:
    """Azure rounds its count down; taking that at its word each time would lose half of a small limit."""

    async def story() -> None:
        limit = RateLimit(size=10.0, per_s=5.0, window_max=1_000)
        await limit.acquire(6)
        sent = [limit.sent(now()) for _ in range(6)][-1]
        limit.answered(sent, "3", now())
        assert limit.permits.available(now()) == 4.0

    in_time(story)


def test_a_throttle_stops_everybody_for_as_long_as_it_says() -> None:
    """After a 429 about rates nothing is sent until its Retry-After is over, then one call after the other; other kinds go on."""

    async def story() -> None:
        subscription = Subscription()
        subscription.answered("GET", subscription.reads.sent(now()), throttled(), now())
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
        subscription.answered("PUT", subscription.writes.sent(now()), throttled(), now())
        assert len(subscription.writes.window.ours) == 0

    in_time(story)


def test_a_lock_is_no_throttle() -> None:
    """A 429 because another operation holds the resource stops nobody else."""

    async def story() -> None:
        subscription = Subscription()
        body = {"error": {"code": "RetryableError", "details": [{"code": "RetryableErrorDueToAnotherOperation"}]}}
        refused = ArmReply(status=429, headers={"retry-after": "11"}, body=body)
        subscription.answered("PUT", subscription.writes.sent(now()), refused, now())
        await subscription.writes.acquire()
        assert now() == 0.0

    in_time(story)
