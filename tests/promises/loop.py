"""An event loop whose time is virtual: waiting costs nothing, order is deterministic, and a deadlock is an error."""

import asyncio
import heapq
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class Deadlock(RuntimeError):
    """Every task waits for something that nothing will bring."""


class _Selector(selectors.BaseSelector):
    """Waits by moving the loop's time on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready and nothing is scheduled")
        if timeout > 0:
            self.now += timeout
        return []

    def get_map(self) -> Any:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that sleeps by adding."""

    def __init__(self) -> None:
        self.virtual = _Selector()
        super().__init__(self.virtual)
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.virtual.now

    def _run_once(self) -> None:
        """One turn, as BaseEventLoop's without sockets, signals and debugging: simulations spend their time here."""
        ready: Any = self._ready  # type: ignore[attr-defined]
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not ready:
            if not timers:
                raise Deadlock("nothing is ready and nothing is scheduled")
            self.virtual.now = max(self.virtual.now, timers[0]._when)
        now = self.virtual.now
        while timers and timers[0]._when <= now:
            handle = heapq.heappop(timers)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Cancelled timers are dropped when their time comes."""


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end in virtual time; tasks that are left over (of instances that died) are cancelled until they are gone."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(_turns())
        loop.close()


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
