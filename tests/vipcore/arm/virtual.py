"""The virtual clock for tests of waiting."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.promises.loop import run


def in_time(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on the virtual clock."""

    async def main() -> None:
        await story()

    run(main())


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()
