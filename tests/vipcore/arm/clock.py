"""Stories on the virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.promises.loop import run
from vipcore.arm.port import ArmReply
from vipcore.arm.rate_limit import NEW, ORDER


def in_time(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on the virtual clock, with a claim's priority where it sets no other."""

    async def main() -> None:
        ORDER.set((NEW, 0.0))
        await story()

    run(main())


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


def throttled(seconds: str = "7") -> ArmReply:
    """ARM's 429 about rates."""
    return ArmReply(status=429, headers={"retry-after": seconds}, body={"error": {"code": "SubscriptionRequestsThrottled"}})
