"""How instances share the five minutes of a subscription's writes: what each has granted stands in one row of the table.

Azure's answers tell nothing of the network provider's five minutes before they are used up. A swap whose attach is refused then
leaves its VIP on no NIC for minutes. So the invariant: **no swap begins before the row tells of its writes, and all that the row
tells of fits into the five minutes.** It is replaced under the etag with which it was read: of two instances that take the last
writes at once, one reads it again, and waits.

The order: permits are granted in this process (`arm/rate_limit.py`), then the row is read and replaced, beside the reads of NICs.
One exchange serves all swaps that wait for it. If we die after it, what we granted counts as sent for five minutes. A repair by
the timer and repeated writes of a swap take no part: their VIP may be on no NIC. They stand in the next row.

The table's failure stops no swap here: this saves time, and is no part of what makes a swap safe.
"""

import asyncio
import math
from collections import Counter, deque
from typing import Final

from vipcore.arm.rate_limit import WINDOW_S, RateLimit
from vipcore.errors import CommitUnknown, Stale, Unreachable
from vipcore.ledger.port import Granted, Ledger
from vipcore.ports import Clock

GRAIN_S: Final = 5
"""Times are rounded up to so many seconds, so that the row has room for dozens of instances."""

_TRIES: Final = 8
_PAUSE_S: Final = 0.02


class SharedWrites:
    """Of one instance, for all subscriptions."""

    def __init__(self, ledger: Ledger, clock: Clock, instance: str) -> None:
        self._ledger, self._clock, self._instance = ledger, clock, instance
        self._locks: dict[str, asyncio.Lock] = {}
        self._last: dict[str, tuple[float, bool]] = {}
        """Subscription -> when the last exchange began, in loop seconds, and whether all fitted. Bounded by the document."""

    async def fit(self, subscription: str, limit: RateLimit) -> bool:
        """Whether all that is granted of `limit` fits, and stands in the row. If not, `limit` knows others' calls now."""
        granted_at = limit.granted_at
        async with self._locks.setdefault(subscription, asyncio.Lock()):
            began, fitted = self._last.get(subscription, (-1.0, False))
            if began <= granted_at:
                began = asyncio.get_running_loop().time()
                fitted = await self._exchange(subscription, limit)
                self._last[subscription] = began, fitted
        return fitted

    async def _exchange(self, subscription: str, limit: RateLimit) -> bool:
        loop = asyncio.get_running_loop()
        for attempt in range(_TRIES):
            await asyncio.sleep(_PAUSE_S * attempt * self._clock.jitter())
            try:
                granted = await self._ledger.load_granted(subscription)
                now, wall = loop.time(), self._clock.now().timestamp()
                recent = {
                    name: {at: calls for at, calls in one.items() if at > wall - WINDOW_S}
                    for name, one in granted.by_instance.items()
                    if name != self._instance
                }
                elsewhere = (now + at - wall for one in recent.values() for at, calls in one.items() for _ in range(calls))
                limit.window.elsewhere = deque(sorted(elsewhere))
                if limit.room(now) < 0:
                    return False
                ours = Counter(_until(wall + at - now) for at in limit.window.ours)
                ours[_until(wall)] += limit.reserved
                by_instance = {name: one for name, one in {**recent, self._instance: ours}.items() if one}
                await self._ledger.save_granted(subscription, Granted(by_instance, granted.etag))
                return True
            except (Stale, CommitUnknown):
                continue
            except Unreachable:
                return True
        return False


def _until(unix_s: float) -> int:
    return math.ceil(unix_s / GRAIN_S) * GRAIN_S
