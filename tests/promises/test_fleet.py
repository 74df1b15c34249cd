"""A zone fails: many mirrors at once, under Azure's limits, with the production code on the virtual clock. No wall clock here."""

import asyncio
import functools
from typing import Any

import pytest

from bench.fleet import bound_s, last_allowed_s
from bench.virtual import Fleet, Swapped
from simulator import worlds
from simulator.core.switches import Switches
from tests.promises.loop import run
from vipcore.entry import status

OPERATION_S = 8.0


def outage(
    mirrors: int, subscriptions: int = 1, *, seed: int = 0, instances: int = 1, **switches: Any
) -> tuple[Fleet, list[Swapped]]:
    """All mirrors claim at once; the harness afterwards and how each fared."""
    chosen = {"latency": f"fixed:{OPERATION_S:g}", "throttling": "both", "history_max": 1, **switches}

    async def story() -> tuple[Fleet, list[Swapped]]:
        fleet = Fleet(mirrors, subscriptions, switches=Switches(**chosen), seed=seed, instances=instances)
        return fleet, await fleet.claim_all(within_s=7_200.0)

    return run(story())


@functools.cache
def crowd() -> tuple[Fleet, list[Swapped]]:
    """400 mirrors of one subscription: four times the burst that Azure allows."""
    return outage(400)


def assert_placed(fleet: Fleet, swaps: list[Swapped]) -> None:
    """Every mirror's VIP is on its B side and nowhere else, in `Succeeded`."""
    assert len(swaps) == fleet.mirrors
    states = {nic.name: nic.state for nic in fleet.cloud.nics.values()}
    assert set(states.values()) == {"Succeeded"}
    shown = {nic.name for nic in fleet.cloud.nics.values() if any(fact.name == "vip" for fact in nic.doc.facts)}
    for number in range(fleet.mirrors):
        mirror = worlds.fleet_mirror(number, fleet.subscriptions)
        assert mirror.nic_b in shown
        assert mirror.nic_a not in shown


def reads(fleet: Fleet) -> int:
    """GETs of all kinds."""
    return sum(count for (method, _), count in fleet.calls.items() if method == "GET")


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_mirrors_in_one_subscription(seed: int) -> None:
    """All are placed in little more than what Azure's limits allow, in the fewest writes, and Azure refuses nothing."""
    fleet, swaps = outage(100, seed=seed)

    assert_placed(fleet, swaps)
    assert fleet.throttled == 0
    assert fleet.calls["PUT", "nic"] == 2 * 100
    # Two operations are the least; at a hundred mirrors the reads of the first burst cost a little on top.
    assert max(swap.placed_at for swap in swaps) <= 2 * OPERATION_S + 16.0
    assert {swap.attempts for swap in swaps} == {1}


def test_nobody_starves() -> None:
    """With four times the burst that Azure allows, who asked first is served first, give or take a few."""
    fleet, swaps = crowd()

    assert_placed(fleet, swaps)
    by_asking = sorted(swaps, key=lambda swap: swap.asked_at)
    place = {swap.mirror: index for index, swap in enumerate(sorted(swaps, key=lambda swap: swap.placed_at))}
    # The first hundred are at work at the same time, and within a time of looks their ends may be seen in any order.
    assert max(place[swap.mirror] - index for index, swap in enumerate(by_asking)) <= 120
    assert max(swap.placed_at - swap.asked_at for swap in swaps) <= 1.5 * bound_s(400, 1, OPERATION_S)


def test_subscriptions_do_not_wait_for_each_other() -> None:
    """A hundred mirrors over ten subscriptions take no longer than ten in one."""
    fleet, swaps = outage(100, 10)

    assert_placed(fleet, swaps)
    assert max(swap.placed_at for swap in swaps) <= 2 * OPERATION_S + 4.0


def test_no_address_waits_for_the_next_five_minutes() -> None:
    """Where two instances use up a subscription's writes, a mirror is untouched or on its way: what is detached is attached.

    Together they are as fast as one, and Azure refuses little.
    """
    fleet, swaps = outage(620, instances=2)

    assert_placed(fleet, swaps)
    assert max(swap.placed_at for swap in swaps) <= 1.25 * bound_s(620, 1, OPERATION_S)
    assert fleet.throttled <= 100
    assert max(fleet.dark_s()) <= 3 * OPERATION_S


def test_reads_are_left_out_when_they_are_scarce() -> None:
    """In a crowd a swap costs six reads at most, preflight, looks and proof included."""
    fleet, _ = crowd()

    assert reads(fleet) / 400 <= 6.0


def test_a_smaller_bucket_than_we_believe_is_learnt() -> None:
    """Where somebody else uses up the subscription's writes, 429s are few and every VIP is placed all the same."""
    fleet, swaps = outage(100, arm_writes=(60.0, 3.0))

    assert_placed(fleet, swaps)
    assert fleet.throttled <= 40


def test_a_throttle_without_retry_after_is_survived() -> None:
    """429s that do not say for how long are waited out too."""
    fleet, swaps = outage(100, arm_writes=(60.0, 3.0), arm_reads=(100.0, 10.0), throttle_retry_after=False)

    assert_placed(fleet, swaps)


def test_operations_of_random_length() -> None:
    """With operations as lately recorded, some of them minutes long, every agent gets its 200 in the end."""
    fleet, swaps = outage(100, latency="modern", seed=7)

    assert_placed(fleet, swaps)


@pytest.mark.parametrize(
    ("calls", "expected_s"), [(1, 0.0), (200, 0.0), (210, 1.0), (1_000, 80.0), (1_001, 300.0), (2_000, 380.0)]
)
def test_the_bound_is_what_the_limits_allow(calls: int, expected_s: float) -> None:
    """The bound's arithmetic: a burst of 200, ten a second, a thousand in five minutes."""
    assert last_allowed_s(calls, bucket=200.0, per_s=10.0, window=1_000) == pytest.approx(expected_s, abs=1e-6)


@pytest.mark.soak
def test_nine_hundred_mirrors_through_two_instances() -> None:
    """With the provider's five minutes used up by two instances, nearly as fast as through one, and few calls in vain."""
    fleet, swaps = outage(900, instances=2)

    assert_placed(fleet, swaps)
    assert max(swap.placed_at for swap in swaps) <= 1.15 * bound_s(900, 1, OPERATION_S)
    assert fleet.throttled <= 400


@pytest.mark.soak
def test_a_thousand_mirrors_within_a_tenth_of_the_bound() -> None:
    """1,000 mirrors in one subscription: the last VIP is placed within 1.10 of what the limits allow."""
    fleet, swaps = outage(1_000)

    assert_placed(fleet, swaps)
    assert max(swap.placed_at for swap in swaps) <= 1.10 * bound_s(1_000, 1, OPERATION_S)


def test_monitoring_keeps_no_claim_waiting() -> None:
    """While somebody asks for the status of 400 mirrors every 15 s, a claim takes at most 5 s longer than without."""

    async def story(*, monitored: bool) -> float:
        fleet = Fleet(400, 1, switches=Switches(latency=f"fixed:{OPERATION_S:g}", throttling="both", history_max=1))
        asked: set[asyncio.Task[Any]] = set()

        async def monitor() -> None:
            while True:
                for name in fleet.config.mirrors:
                    asked.add(asyncio.create_task(status.mirror(fleet.controllers[0], name, "cid")))
                    await asyncio.sleep(15.0 / 400)

        monitoring = asyncio.create_task(monitor()) if monitored else None
        await asyncio.sleep(60.0)
        (swapped,) = await fleet.claim_all(within_s=200.0, only=1)
        for task in (monitoring, *asked) if monitoring else ():
            task.cancel()
        return swapped.placed_at - swapped.asked_at

    assert run(story(monitored=True)) <= run(story(monitored=False)) + 5.0
