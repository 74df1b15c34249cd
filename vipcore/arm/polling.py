"""When an operation is polled, and which reads are left out: what one subscription's work tells about the next.

Azure names no end of an operation, and its `Retry-After` is often longer than the operation. A single operation is polled after a
quarter of a second, later after three hundredths of the time that has passed. Among many, polls share the reads that are left
over, and the first one comes when most of the last operations had ended: 1.2 polls an operation instead of 30.

What earns its place, by the figure without it (`bench`):
- PROCESS_POLLS_PER_S: 600 swaps over 50 subscriptions cost 14 % more CPU and a third more delay of the event loop (p99). The
  virtual clock of `fleet` knows no CPU: there 1,000 mirrors over 50 subscriptions would be faster (1.16 instead of 1.89).
- EARLIER: 1,000 mirrors in one subscription take 1.082 times the bound instead of 1.057.
- The soon second poll: with the other simplifications 100 mirrors take 1.94 times the bound instead of 1.90.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Final

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

READS_LOW: Final = 60.0
"""With fewer reads than this in the bucket, reads that can be left out are. What is above goes to polls, a tenth a second."""

EARLIER: Final = 0.97
"""An operation that its first poll finds ended may have ended earlier: it counts as this part of the time."""

MOST: Final = 0.8
"""Among many, the first poll comes when this part of the last operations had ended."""


class PollCount:
    """How many operations this process polls."""

    count = 0


class Subscription:
    """One subscription's rate limits, and how its operations are polled. Times are the event loop's seconds."""

    def __init__(self, process_polls: PollCount | None = None) -> None:
        # A few less than Azure's: requests overtake each other on the way, and a second one in a 429 costs more than it brings.
        self.reads = RateLimit(size=244.0, per_s=25.0, window_max=10_000)
        self.writes = RateLimit(size=197.0, per_s=10.0, window_max=1_000)
        self.polling_now = 0  # operations of this subscription that are polled
        self.process_polls = process_polls or PollCount()  # those of all subscriptions: one count per process
        self.durations: deque[float] = deque(maxlen=31)  # of the last operations in seconds, as far as polls could tell
        self.usual_s = 0.0  # after how long most operations have lately ended; 0: not known yet

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

    def poll_after(self, elapsed_s: float, jitter: float, polls: int = 0) -> float:
        """Seconds until the next poll of an operation that has run for `elapsed_s` and was polled so often."""
        alone = min(POLL_S_MAX, max(FIRST_POLL_S, elapsed_s * 0.03))
        now = asyncio.get_running_loop().time()
        spare = max(0.0, self.reads.permits.available(now) - READS_LOW) / 10.0
        # Seconds between two polls of one operation, if all that are under way are polled equally often.
        shared = max(self.polling_now / (POLLS_PER_S + spare), self.process_polls.count / PROCESS_POLLS_PER_S)
        if shared <= alone:
            return alone
        if polls == 0 and self.usual_s > elapsed_s:
            return self.usual_s - elapsed_s + 0.1 * jitter
        soon = 2 * alone if polls == 1 and self.usual_s else shared
        return max(alone, spread(soon, jitter))

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """Count an operation among those that are polled, while the block runs."""
        self.polling_now += 1
        self.process_polls.count += 1
        try:
            yield
        finally:
            self.polling_now -= 1
            self.process_polls.count -= 1

    def poll_ended(self, elapsed_s: float, before_s: float) -> None:
        """Learn from an operation found ended after `elapsed_s`; the poll before was after `before_s` (0: there was none)."""
        self.durations.append((before_s + elapsed_s) / 2 if before_s else elapsed_s * EARLIER)
        self.usual_s = sorted(self.durations)[int(MOST * (len(self.durations) - 1))]
