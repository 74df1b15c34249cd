"""Stories on the virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.promises.loop import run
from vipcore.arm.port import ArmReply


def in_time(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on the virtual clock."""

    async def main() -> None:
        await story()

    run(main())


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


def throttled(seconds: str = "7") -> ArmReply:
    """ARM's 429 about rates."""
    return ArmReply(status=429, headers={"retry-after": seconds}, body={"error": {"code": "SubscriptionRequestsThrottled"}})
