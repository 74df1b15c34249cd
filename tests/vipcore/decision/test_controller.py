"""What every use case shares: the table that nothing can be decided without."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from tests.promises.helpers import virtual
from vipcore.decision.controller import AT_ONCE, LATE_S_MAX, QUEUE_S_MAX, Admission, late_s, storage_needed
from vipcore.errors import NoIdentity, Refusal, Unreachable


@pytest.mark.parametrize(
    ("error", "code"), [(Unreachable("gone"), "storage-unavailable"), (NoIdentity("no token"), "identity-unavailable")]
)
def test_a_table_that_is_away_is_told_by_its_cause(error: Unreachable, code: str) -> None:
    """Where the identity gave no token for the table, the answer names the identity, since the table is well."""
    with pytest.raises(Refusal) as refused, storage_needed():
        raise error

    assert (refused.value.code, refused.value.status) == (code, 503)
    assert str(error) in refused.value.detail


def admission(measure: Callable[[], Awaitable[float]]) -> Admission:
    """For claims alone: nothing of it reaches a store."""
    return Admission(cast("Any", None), "i", measure)


async def full(stack: AsyncExitStack, admitting: Admission) -> None:
    """As many claims under way as are begun without a look."""
    for _ in range(AT_ONCE):
        await stack.enter_async_context(admitting.admitted())


def test_the_first_claims_are_begun_without_a_turn_of_the_loop() -> None:
    """Few claims at once are not looked at, so that a lone claim loses no time."""
    admitting = admission(late_s)
    for _ in range(AT_ONCE):
        with pytest.raises(StopIteration):  # it came to its end without waiting once
            admitting.admitted().__aenter__().send(None)


@virtual
async def test_claims_wait_in_their_order_while_the_process_is_late() -> None:
    """Beyond those, a claim is begun when the event loop keeps its time, the first come first."""
    seen = iter([LATE_S_MAX * 2, LATE_S_MAX * 2, 0.0, 0.0, LATE_S_MAX * 2, 0.0])
    began = asyncio.get_running_loop().time()
    begun: list[tuple[int, float]] = []

    async def measure() -> float:
        await asyncio.sleep(1.0)
        return next(seen)

    async def one(number: int) -> None:
        async with admitting.admitted():
            begun.append((number, asyncio.get_running_loop().time() - began))

    admitting = admission(measure)
    async with AsyncExitStack() as stack:
        await full(stack, admitting)
        await asyncio.gather(*(one(number) for number in range(3)))
        assert begun == [(0, 3.0), (1, 4.0), (2, 6.0)]
    await one(3)

    assert begun[-1] == (3, 6.0)


@virtual
async def test_a_claim_that_waits_too_long_is_asked_to_come_again() -> None:
    """A process that stays late answers `busy`, in time for the agent to try elsewhere, and lets the next one wait its turn."""
    began = asyncio.get_running_loop().time()

    async def measure() -> float:
        await asyncio.sleep(1.0)
        return LATE_S_MAX * 2

    admitting = admission(measure)
    async with AsyncExitStack() as stack:
        await full(stack, admitting)
        for count in (1, 2):
            with pytest.raises(Refusal) as refused:
                async with admitting.admitted():
                    pass
            assert (refused.value.code, asyncio.get_running_loop().time() - began) == ("busy", count * QUEUE_S_MAX)


async def test_a_loop_that_is_kept_busy_is_late() -> None:
    """What holds the loop up shows in its next return."""
    asyncio.get_running_loop().call_soon(time.sleep, LATE_S_MAX + 0.1)

    assert await late_s() > LATE_S_MAX
