"""How often we ask Azure: one budget per process and subscription, learnt from its rate-limit headers and 429s.

ARM gives each subscription and principal a bucket of 250 reads (25 a second refilled) and 200 writes (10 a second); the network
provider 10,000 GETs and 1,000 writes in 5 minutes (azure.md section 8). A lone swap never waits here. In a zone outage, when
a thousand do, calls wait their turn: in the order their swaps began, so that nobody starves, and a swap takes the turns of all its
writes at once, so that none is left detached for want of one. Asking too early would cost more: a 429 is an answer without use.
"""

import asyncio
import heapq
import math
import statistics
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from vipcore.arm_errors import retry_after
from vipcore.ports import ArmReply

FIRST_LOOK_S: Final = 0.25
LOOK_S_MAX: Final = 5.0
POLLS_PER_S: Final = 15.0
"""Looks at operations, all swaps together: what is left of ARM's 25 reads a second is for NICs and other users of the identity."""

SCARCE: Final = 60.0
"""With fewer remaining reads than this, reads that may be left out are."""

WINDOW_S: Final = 300.0

ORDER: Final[ContextVar[float]] = ContextVar("ORDER", default=0.0)
"""When what is being worked on began (seconds since 1970): older work goes first where calls wait their turn."""


@dataclass(slots=True)
class Budget:
    """One kind of call (reads or writes) of one subscription: ARM's bucket and the network provider's window, as we know them."""

    size: float
    per_s: float
    window_max: int
    level: float = math.inf
    at: float = 0.0
    blocked_until: float = 0.0
    spent: deque[float] = field(default_factory=deque)
    waiting: list[tuple[float, int, int, "asyncio.Future[None]"]] = field(default_factory=list)
    arrivals: int = 0
    timer: asyncio.TimerHandle | None = None

    def known(self, now: float) -> float:
        """The level now; at the start the bucket is taken to be full."""
        return min(self.size, self.level + (now - self.at) * self.per_s)

    def free_at(self, calls: int, now: float) -> float:
        """When that many calls may be sent: now, or later."""
        lacking = calls - self.known(now)
        at = max(self.blocked_until, now if lacking <= 0 else now + lacking / self.per_s)
        while self.spent and self.spent[0] <= now - WINDOW_S:
            self.spent.popleft()
        over = len(self.spent) + calls - self.window_max
        return max(at, self.spent[over - 1] + WINDOW_S) if over > 0 else at

    def take(self, calls: int, now: float) -> None:
        """Count calls that are about to be sent."""
        self.level, self.at = self.known(now) - calls, now
        self.spent.extend([now] * calls)

    def heard(self, remaining: str, throttled_s: float | None, now: float) -> None:
        """Learn from an answer: Azure's own count, and how long it wants to be left alone."""
        if remaining.isdecimal() and float(remaining) < self.known(now):
            self.level, self.at = float(remaining), now
        if throttled_s is not None:
            self.blocked_until = max(self.blocked_until, now + throttled_s)

    async def turn(self, calls: int = 1) -> None:
        """Wait until that many calls may be sent, older work first (`ORDER`); they are counted as sent on return."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self.waiting and self.free_at(calls, now) <= now:
            self.take(calls, now)
            return
        self.arrivals += 1
        future: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self.waiting, (ORDER.get(), self.arrivals, calls, future))
        self._serve()
        await future

    def _serve(self) -> None:
        """Let go whoever's turn it is, and come back when the next one's is."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        while self.waiting:
            _, _, calls, future = self.waiting[0]
            if not future.done():
                at = self.free_at(calls, now)
                if at > now + 1e-6:
                    self.timer = loop.call_at(at, self._serve)
                    return
                self.take(calls, now)
                future.set_result(None)
            heapq.heappop(self.waiting)


@dataclass(slots=True)
class Pace:
    """One subscription's budgets, and how its operations are looked at. Times are the event loop's seconds."""

    reads: Budget = field(default_factory=lambda: Budget(size=250.0, per_s=25.0, window_max=10_000))
    writes: Budget = field(default_factory=lambda: Budget(size=200.0, per_s=10.0, window_max=1_000))
    looking: int = 0
    """How many operations are being polled now."""
    lasted: deque[float] = field(default_factory=lambda: deque(maxlen=31))
    """How long the last operations took, in seconds."""

    def heard(self, method: str, reply: ArmReply, now: float) -> None:
        """Learn from an answer."""
        kind = "reads" if method == "GET" else "writes"
        wait = (retry_after(reply.headers) or 2.0) if reply.status == 429 and _throttled(reply) else None
        budget = self.reads if kind == "reads" else self.writes
        budget.heard(reply.headers.get(f"x-ms-ratelimit-remaining-subscription-{kind}", ""), wait, now)

    def scarce(self, now: float) -> bool:
        """Whether reads that may be left out should be."""
        return now < self.reads.blocked_until or bool(self.reads.waiting) or self.reads.known(now) < SCARCE

    def look_after(self, elapsed_s: float, jitter: float) -> float:
        """Seconds until the next look at an operation that has run for `elapsed_s`.

        Alone: a quarter of a second, later three hundredths of what has passed. Among many: as often as all of them together may look, and
        first when operations have lately used to end.
        """
        alone = min(LOOK_S_MAX, max(FIRST_LOOK_S, elapsed_s * 0.03))
        shared = self.looking / POLLS_PER_S
        if shared <= alone:
            return alone
        usual = statistics.median(self.lasted) if self.lasted else 0.0
        return max(shared * (0.75 + 0.5 * jitter), usual - elapsed_s + 0.1)


def _throttled(reply: ArmReply) -> bool:
    """Whether a 429 is about rates, not about a resource that another operation holds."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    return not (isinstance(error, dict) and error.get("code") == "RetryableError" and "TooManyCalls" not in str(error))


def clamp(seconds: float, deadline: float, now: float) -> float:
    """`seconds`, or what is left until the deadline; never negative, never nan."""
    left = deadline - now
    return max(0.0, min(seconds, left)) if math.isfinite(seconds) else max(0.0, left)
