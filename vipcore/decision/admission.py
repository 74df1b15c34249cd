"""How often a key may ask, and how many requests failed authentication."""

import asyncio
from collections import Counter
from typing import Final

from vipcore import instants
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger.store import Store

BURST: Final = 30.0
PER_S: Final = 1.0
FLUSH_S: Final = 60.0


class KeyRates:
    """One bucket per key id: a burst of 30, one a second. Bounded by the number of configured keys."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> None:
        """Raises Refusal `too-many-requests`."""
        now = asyncio.get_running_loop().time()
        level, at = self._buckets.get(key_id, (BURST, now))
        level = min(BURST, level + (now - at) * PER_S)
        if level < 1.0:
            raise Refusal("too-many-requests", f"More than {PER_S:g} request a second with key {key_id}; wait a moment.")
        self._buckets[key_id] = (level - 1.0, now)


class FailureCount:
    """Requests that failed authentication, by code: in memory, and at most once a minute in a row of this instance."""

    __slots__ = ("_counts", "_flushed_at", "_instance", "_store")

    def __init__(self, store: Store, instance: str) -> None:
        self._store, self._instance = store, instance
        self._counts: Counter[str] = Counter()
        self._flushed_at = float("-inf")

    async def count(self, code: str) -> None:
        """One more, in the log too."""
        self._counts[code] += 1
        self._store.log("authentication.failed", code=code)
        await self.flush()

    async def flush(self) -> None:
        """Write the counts down, if there are any and the last time is a minute ago."""
        now = asyncio.get_running_loop().time()
        if not self._counts or now - self._flushed_at < FLUSH_S:
            return
        self._flushed_at, counts = now, dict(self._counts)
        self._counts.clear()
        try:
            at = instants.to_text(self._store.clock.now())
            await self._store.ledger.count_failures(self._instance, counts, at)
        except Unreachable:
            self._counts.update(counts)
