"""When an operation is polled, and which reads are left out: what one subscription's work tells about the next.

Azure names no end of an operation, and its `Retry-After` is often longer than the operation. A single operation is polled after a
quarter of a second, later after three hundredths of the time that has passed. Among many, one of a subscription's operations is
a scout: it is polled all the time, and tells how long operations take. The others are first polled when most of the last ones had
ended; later polls share the reads that are left over. Only an operation that was polled twice tells how long it took.

What earns its place, by the figure without it (`bench`):
- PROCESS_POLLS_PER_S: 600 swaps over 50 subscriptions cost 14 % more CPU and a third more delay of the event loop (p99).
- Scouts, and what is expected before the first has ended: 10,000 mirrors over 50 subscriptions took 5.19 times the bound without,
  and take 1.41 with them.
- The soon second poll: without it 1,000 mirrors over 50 subscriptions take 1.33 times the bound instead of 1.23.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Self

from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.port import ArmReply
from vipcore.arm.rate_limit import WRITES_OF_A_SWAP, RateLimit, Sent
from vipcore.instants import spread

FIRST_POLL_S: Final = 0.25
POLL_S_MAX: Final = 5.0
POLLS_PER_S: Final = 15.0
"""Polls of all operations together while no further reads are left over; the rest of ARM's 25 a second is for other reads."""

PROCESS_POLLS_PER_S: Final = 120.0
"""Polls of one process, all subscriptions together: each takes about 3 ms of CPU from the event loop."""

READS_LOW: Final = 120.0
"""With fewer reads than this in the bucket, reads that can be left out are. What is above goes to polls, a tenth a second."""

USUAL_S: Final = 10.0
"""How long an operation is expected to take until the first ones have ended (docs/facts/azure.md section 9)."""

STEP_S: Final = 1.0
"""Whoever waits for a first poll looks so often whether operations have become shorter."""

SCOUT: Final = 4.0
"""So many times rarer than a lone operation is a scout polled."""

MOMENT_S: Final = 0.01
"""The shortest pause before a first poll: a clock that is asked twice may not have moved."""

MOST: Final = 0.8
"""Among many, the first poll comes when this part of the last operations had ended."""


class PollCount:
    """How many operations are followed, and how many of them have been polled: the others wait for their first poll."""

    count = polled = 0


class Subscription:
    """One subscription's rate limits, and how its operations are polled. Times are the event loop's seconds."""

    def __init__(self, process_polls: PollCount | None = None) -> None:
        # A few less than Azure's: requests overtake each other on the way, and a second one in a 429 costs more than it brings.
        self.reads = RateLimit(size=244.0, per_s=25.0, window_max=10_000)
        self.writes = RateLimit(size=197.0, per_s=10.0, window_max=1_000)
        self.polls = PollCount()  # of this subscription
        self.process_polls = process_polls or PollCount()  # of all subscriptions: one count per process
        self.scouts = 0
        self.durations: deque[float] = deque(maxlen=31)  # of the last operations in seconds, as far as polls could tell
        self.usual_s = USUAL_S  # after how long most operations have lately ended

    def answered(self, method: str, sent: Sent, reply: ArmReply, now: float) -> None:
        """Learn from an answer's headers and status."""
        kind, limit = ("reads", self.reads) if method == "GET" else ("writes", self.writes)
        error = ArmError(reply) if reply.status == 429 else None
        if error and error.cause is Cause.THROTTLED:
            limit.throttled(sent, error.retry_after_s or 2.0, now)
        else:
            limit.answered(sent, reply.headers.get(f"x-ms-ratelimit-remaining-subscription-{kind}", ""), now)

    def writes_contended(self) -> bool:
        """Whether a new claim must acquire the permits of its writes before it reads."""
        now = asyncio.get_running_loop().time()
        return self.writes.contended() or self.writes.free_at(WRITES_OF_A_SWAP, now) > now or self.reads_low()

    def reads_low(self) -> bool:
        """Whether reads that can be left out should be."""
        reads, now = self.reads, asyncio.get_running_loop().time()
        return now < reads.blocked_until or reads.contended() or reads.permits.available(now) < READS_LOW

    def pause_s(self, operations: int, in_process: int) -> float:
        """Seconds between two polls of one operation, if so many are polled equally often."""
        spare = max(0.0, self.reads.permits.available(asyncio.get_running_loop().time()) - READS_LOW) / 10.0
        return max(operations / (POLLS_PER_S + spare), in_process / PROCESS_POLLS_PER_S)

    def polling(self) -> "Polling":
        """Follow one operation, while the `with` block runs."""
        return Polling(self)

    def poll_ended(self, elapsed_s: float, before_s: float) -> None:
        """Learn from an operation found ended after `elapsed_s`; the poll before was after `before_s` (0: there was none)."""
        if before_s:
            self.durations.append((before_s + elapsed_s) / 2)
            self.usual_s = sorted(self.durations)[int(MOST * (len(self.durations) - 1))]


class Polling:
    """One operation that is followed, as a context manager. A scout tells the others how long operations take now."""

    __slots__ = ("_polls", "_scout", "_subscription")

    def __init__(self, subscription: Subscription) -> None:
        self._subscription, self._polls, self._scout = subscription, 0, subscription.scouts == 0

    def __enter__(self) -> Self:
        self._subscription.scouts += self._scout
        for counted in (self._subscription.polls, self._subscription.process_polls):
            counted.count += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.scouts -= self._scout
        for counted in (self._subscription.polls, self._subscription.process_polls):
            counted.count -= 1
            counted.polled -= self._polls > 0

    async def wait(self, pause: Callable[[float], Awaitable[None]], elapsed: Callable[[], float], jitter: float) -> None:
        """Pause until the next poll is due. `elapsed`: tells the seconds since the operation began."""
        if self._polls == 0 and not self._scout and self._among_many(elapsed()):
            while (left := self._subscription.usual_s + 0.1 * jitter - elapsed()) > 0:
                await pause(max(MOMENT_S, min(left, STEP_S)))
        else:
            await pause(self._pause_s(elapsed(), jitter))
        if self._polls == 0:
            for counted in (self._subscription.polls, self._subscription.process_polls):
                counted.polled += 1
        self._polls += 1

    def _among_many(self, elapsed_s: float) -> bool:
        subscription = self._subscription
        shared = subscription.pause_s(subscription.polls.count, subscription.process_polls.count)
        return shared > _alone_s(elapsed_s)

    def _pause_s(self, elapsed_s: float, jitter: float) -> float:
        subscription, alone = self._subscription, _alone_s(elapsed_s)
        if not self._among_many(elapsed_s):
            return alone
        shared = subscription.pause_s(subscription.polls.polled, subscription.process_polls.polled)
        return max(alone, spread(SCOUT * alone if self._scout else 2 * alone if self._polls == 1 else shared, jitter))


def _alone_s(elapsed_s: float) -> float:
    """Seconds until the next poll of an operation that is polled as often as is useful."""
    return min(POLL_S_MAX, max(FIRST_POLL_S, elapsed_s * 0.03))
