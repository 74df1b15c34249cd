"""How often we ask Azure: one budget per process and subscription, learnt from its rate-limit headers and 429s.

ARM gives each subscription and principal a bucket of 250 reads (25 a second refilled) and 200 writes (10 a second); the network
provider 10,000 GETs and 1,000 writes in 5 minutes (azure.md section 8). A lone swap never waits here. In a zone outage, when
a thousand do, three rules bring the last VIP into place as early as the buckets allow:

1. Calls wait their turn: work under way first, then new work in the order in which it began, so that nobody starves.
2. In a crowd a swap takes the turns of all its writes before its first read, so that none is left detached for want of a write
   and no read grows old in a queue.
3. Reads that may be left out are, and an operation is looked at when operations have lately used to end.

Asking too early would cost more: a 429 is an answer without use.
"""

import asyncio
import contextlib
import heapq
import math
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from vipcore.arm.errors import retry_after
from vipcore.arm.port import ArmReply

FIRST_LOOK_S: Final = 0.25
LOOK_S_MAX: Final = 5.0
POLLS_PER_S: Final = 15.0
"""Looks at operations, all swaps together, while no more reads are left over; the rest of ARM's 25 is for other reads."""

PROCESS_LOOKS_PER_S: Final = 120.0
"""Looks of one process, all subscriptions together: each costs it about 3 ms of CPU, and there is a loop to keep free."""

SCARCE: Final = 60.0
"""With fewer reads than this in the bucket, reads that may be left out are; what is above is spent on looks, a tenth a second."""

READS_AHEAD: Final = 6
"""Reads that a claim which has just come may still want: it is counted against the bucket before it asks for them."""

WRITES_OF_A_SWAP: Final = 2

EARLIER: Final = 0.97
"""An operation that its first look in a crowd finds ended may have ended earlier: it counts as this part of the time."""

MOST: Final = 0.8
"""The first look in a crowd is when so many of the last operations had ended."""

SHARE_MIN: Final = 0.05
"""The least that we take for our share of the provider's window, however much others have sent."""

WINDOW_S: Final = 300.5
"""The network provider's five minutes, and the time by which a call of then may have been slower than one of now."""

OPERATORS, UNDER_WAY, NEW, BACKGROUND = range(4)
"""Who goes first where calls wait their turn: an operator's look (rare), swaps that have begun, claims, the timer's looks."""

ORDER: Final[ContextVar[tuple[int, float]]] = ContextVar("ORDER", default=(OPERATORS, 0.0))
"""The class of what is being worked on, and when it began (seconds since 1970): older work of a class goes first."""


def prioritise() -> None:
    """From here on this task works on a swap that has begun: others wait for it, and a VIP may be on no NIC."""
    ORDER.set((UNDER_WAY, ORDER.get()[1]))


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that went out. `room`: how many calls in all Azure had had room for by then, as far as we knew."""

    at: float
    room: float


@dataclass(slots=True)
class RateLimit:
    """One kind of call (reads or writes) of one subscription: ARM's bucket and the network provider's window, as we know them."""

    size: float
    per_s: float
    window_max: int
    level: float = math.inf
    """Turns that could be given at `at`: those that were given are taken out, whether or not their calls have been sent."""
    at: float = 0.0
    remaining: float = math.inf
    """What Azure's bucket had left at `left_at`: calls that were sent are taken out."""
    remaining_at: float = 0.0
    blocked_until: float = 0.0
    call_times: deque[float] = field(default_factory=deque)
    """When calls of the last five minutes were sent, by us or, as far as Azure's count tells, by others."""
    foreign_calls: deque[float] = field(default_factory=deque)
    """Those of them that others sent."""
    used: int = 0
    """All calls so far, ours and others'."""
    reserved: int = 0
    """Turns that were given and whose calls have not been sent."""
    waiting: list[tuple[tuple[int, float], int, int, "asyncio.Future[None]"]] = field(default_factory=list)
    arrivals: int = 0
    timer: asyncio.TimerHandle | None = None

    def available(self, now: float) -> float:
        """How many turns could be given now; at the start the bucket is taken to be full."""
        return min(self.size, self.level + max(0.0, now - self.at) * self.per_s)

    def free_at(self, calls: int, now: float) -> float:
        """When that many calls may be sent: now, or later."""
        lacking = calls - self.available(now)
        at = max(self.blocked_until, now if lacking <= 0 else now + lacking / self.per_s)
        for calls_sent in (self.call_times, self.foreign_calls):
            while calls_sent and calls_sent[0] <= now - WINDOW_S:
                calls_sent.popleft()
        # Of what the window has room for only our share: others have given turns of theirs too, and nobody sees the other's.
        ours = 1.0 - len(self.foreign_calls) / max(1, len(self.call_times))
        over = math.ceil((self.reserved + calls) / max(ours, SHARE_MIN)) - (self.window_max - len(self.call_times))
        if over <= 0:
            return at
        # What is owed will be sent at a time nobody knows yet: look again in a second.
        return max(at, self.call_times[over - 1] + WINDOW_S if over <= len(self.call_times) else now + 1.0)

    def take(self, calls: int, now: float) -> None:
        """Give so many turns."""
        self.level, self.at = self.available(now) - calls, now
        self.reserved += calls

    def sent(self, now: float) -> Sent:
        """A call goes out, on a turn that was given. `heard` wants what this returns."""
        self.reserved = max(0, self.reserved - 1)
        self.call_times.append(now)
        self.used += 1
        self.remaining, self.remaining_at = min(self.size, self.remaining + (now - self.remaining_at) * self.per_s) - 1.0, now
        return Sent(at=now, room=self.remaining + self.used)

    def release(self, calls: int) -> None:
        """Turns that are not needed after all."""
        if calls > 0:
            self.level += calls
            self.reserved = max(0, self.reserved - calls)
            self._serve()

    def heard(self, sent: Sent, remaining: str, now: float) -> None:
        """Learn from Azure's own count. What is missing in it, and was not ours, others have used: a second instance of ours too.

        It is compared with what we knew when the call went out, less all that we have sent since, so that an answer's way back
        counts for nothing; Azure rounds it down.
        """
        if not remaining.isdecimal():
            return
        others = int(sent.room - self.used - float(remaining) - 1.0)
        if others > 0:
            self.level, self.at = self.available(now) - others, max(now, self.at)
            self.remaining -= others
            self.used += others
            self.call_times.extend([now] * others)
            self.foreign_calls.extend([now] * others)

    def throttled(self, sent: Sent, wait_s: float, now: float, *, window: bool) -> None:
        """Azure has refused a call, which counts for nothing, and wants to be left alone for so long.

        `window`: the provider's five minutes are full. What we had not counted is taken to have come evenly.
        """
        with contextlib.suppress(ValueError):
            self.call_times.remove(sent.at)
        self.blocked_until = max(self.blocked_until, now + wait_s)
        if not window:
            # Empty then, so that several instances do not send a burst in the same moment, which would be refused again.
            self.level, self.at = min(0.0, self.available(now)), self.blocked_until
        elif (missed := self.window_max - len(self.call_times)) > 0:
            first = self.blocked_until - WINDOW_S
            guessed = (first + (now - first) * number / missed for number in range(missed))
            self.foreign_calls = deque(sorted([*self.foreign_calls, *(guess := list(guessed))]))
            self.call_times = deque(sorted([*self.call_times, *guess]))

    async def acquire(self, calls: int = 1) -> None:
        """Wait until that many calls may be sent, by `ORDER`; each is then counted with `sent`, or given back."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self.waiting and self.free_at(calls, now) <= now:
            self.take(calls, now)
            return
        self.arrivals += 1
        future: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self.waiting, (ORDER.get(), self.arrivals, calls, future))
        self._serve()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(calls)
            raise

    def _serve(self) -> None:
        """Let go whoever's turn it is, and come back when the next one's is."""
        if not self.waiting:
            return
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
class PollCount:
    """How many operations are being looked at by this process."""

    count: int = 0


@dataclass(slots=True)
class Subscription:
    """One subscription's budgets, and how its operations are looked at. Times are the event loop's seconds."""

    # A few less than Azure's: requests overtake each other on the way, and a second one in a 429 costs more than it would bring.
    reads: RateLimit = field(default_factory=lambda: RateLimit(size=244.0, per_s=25.0, window_max=10_000))
    writes: RateLimit = field(default_factory=lambda: RateLimit(size=197.0, per_s=10.0, window_max=1_000))
    asking: int = 0
    """Claims and moves that read what they are judged by, and have taken no turns of writes yet."""
    polling_now: int = 0
    """Operations of this subscription that are being looked at."""
    process_polls: PollCount = field(default_factory=PollCount)
    """The same of all subscriptions: shared by the paces of a process."""
    lasted: deque[float] = field(default_factory=lambda: deque(maxlen=31))
    """How long the last operations took, as far as looks could tell, in seconds."""
    usual_s: float = 0.0
    """After how long most operations have lately ended; 0: not known yet."""

    def heard(self, method: str, sent: Sent, reply: ArmReply, now: float) -> None:
        """Learn from an answer."""
        kind = "reads" if method == "GET" else "writes"
        budget = self.reads if kind == "reads" else self.writes
        if reply.status == 429 and _throttled(reply):
            budget.throttled(sent, retry_after(reply.headers) or 2.0, now, window="TooManyCalls" in str(reply.body))
        else:
            budget.heard(sent, reply.headers.get(f"x-ms-ratelimit-remaining-subscription-{kind}", ""), now)

    def writes_contended(self, now: float) -> bool:
        """Whether who comes now shall have the turns of its writes before it reads."""
        wanted = WRITES_OF_A_SWAP * (self.asking + 1)
        return bool(self.writes.waiting) or self.writes.free_at(wanted, now) > now or self.reads_low(now)

    def reads_low(self, now: float) -> bool:
        """Whether reads that may be left out should be."""
        reads = self.reads
        left = reads.available(now) - READS_AHEAD * self.asking
        return now < reads.blocked_until or bool(reads.waiting) or left < SCARCE

    def poll_after(self, elapsed_s: float, jitter: float, looks: int = 0) -> float:
        """Seconds until the next look at an operation that has run for `elapsed_s` and was looked at so often.

        Alone: a quarter of a second, later three hundredths of what has passed. Among many: first when operations have lately
        used to end, then as often as all of them together may look.
        """
        alone = min(LOOK_S_MAX, max(FIRST_LOOK_S, elapsed_s * 0.03))
        shared = self._shared()
        if shared <= alone:
            return alone
        if looks == 0 and self.usual_s > elapsed_s:
            return self.usual_s - elapsed_s + 0.1 * jitter
        soon = 2 * alone if looks == 1 and self.usual_s else shared
        return max(alone, soon * (0.75 + 0.5 * jitter))

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """While an operation is looked at."""
        self.polling_now += 1
        self.process_polls.count += 1
        try:
            yield
        finally:
            self.polling_now -= 1
            self.process_polls.count -= 1

    def poll_ended(self, elapsed_s: float, before_s: float) -> None:
        """Learn from an operation found ended after `elapsed_s`; the look before was after `before_s` (0: there was none)."""
        self.lasted.append((before_s + elapsed_s) / 2 if before_s else elapsed_s * EARLIER)
        self.usual_s = sorted(self.lasted)[int(MOST * (len(self.lasted) - 1))]

    def _shared(self) -> float:
        """Seconds between two looks at one operation, if all that are under way shall be looked at alike."""
        now = asyncio.get_running_loop().time()
        spare = max(0.0, self.reads.available(now) - SCARCE) / 10.0
        return max(self.polling_now / (POLLS_PER_S + spare), self.process_polls.count / PROCESS_LOOKS_PER_S)


def _throttled(reply: ArmReply) -> bool:
    """Whether a 429 is about rates, not about a resource that another operation holds."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    return not (isinstance(error, dict) and error.get("code") == "RetryableError" and "TooManyCalls" not in str(error))


def clamp(seconds: float, deadline: float, now: float) -> float:
    """`seconds`, or what is left until the deadline; never negative, never nan."""
    left = deadline - now
    return max(0.0, min(seconds, left)) if math.isfinite(seconds) else max(0.0, left)
