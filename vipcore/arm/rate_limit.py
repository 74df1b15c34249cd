"""How many calls we may send to Azure: one rate limit per process, subscription and kind of call.

ARM gives each subscription and principal a bucket of 250 reads (refilled by 25 a second) and 200 writes (10 a second). The
network provider allows 10,000 GETs and 1,000 writes in five minutes (docs/facts/azure.md section 8). Each call needs a permit. A
single swap gets its permits at once. In a zone outage a thousand swaps wait for theirs, and three rules place the last VIP as
early as the limits allow:

1. Permits go to swaps that have begun, then to new work in the order in which it began. Nobody starves.
2. Under contention a swap acquires the permits of all its writes before its first read. No address stays detached for want of
   a write, and no read grows old in a queue.
3. Reads that can be left out are, and an operation is first polled when operations have lately ended (`polling.py`).

Reads for people (status, dry runs) come last and take only what is above `kept` (docs/adr/0015-reads-for-people.md): however many
monitors ask, three quarters of the bucket are there when a claim comes, and no swap saves reads because people wait.

Sending too early would cost more than waiting: a 429 uses up a call and brings nothing. What Azure's rate-limit headers and 429s
tell corrects our count; of the five minutes they tell nothing, so there instances tell each other (`decision/shared_writes.py`).
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final, NamedTuple

WRITES_OF_A_SWAP: Final = 2

WINDOW_S: Final = 300.5
"""The network provider's five minutes, and the time by which an earlier call may have been slower than one of now."""

UNDER_WAY, NEW, BACKGROUND, PEOPLE = range(4)
"""Priorities, first served first: swaps that have begun, claims and moves, the timer, reads for people (status, dry runs)."""

PEOPLE_SHARE: Final = 0.25
"""What part of a bucket reads for people may empty."""

ORDER: Final[ContextVar[tuple[int, float]]] = ContextVar("ORDER", default=(PEOPLE, 0.0))
"""The priority of the current task's work, and when it began (seconds since 1970): of equal priority, older work goes first.

A context variable, since every call of a request needs it and only `acquire` reads it: tasks inherit it from the one that starts
them, so reads that go out side by side have the priority of their request.
"""


def prioritise() -> None:
    """From here on this task works on a swap that has begun. It goes first, since a VIP may be on no NIC."""
    ORDER.set((UNDER_WAY, ORDER.get()[1]))


class Sent(NamedTuple):
    """A call that was sent. `room`: how many calls in all Azure had room for by then, by our count."""

    at: float
    room: float


class Bucket:
    """A token bucket: holds at most `size`, is refilled by `per_s` a second, and starts full."""

    def __init__(self, size: float, per_s: float) -> None:
        self.size, self.per_s = size, per_s
        self.level, self.at = size, 0.0

    def available(self, now: float) -> float:
        """How many tokens there are now; negative if more were taken."""
        return min(self.size, self.level + max(0.0, now - self.at) * self.per_s)

    def take(self, tokens: float, now: float) -> None:
        """Take tokens out, whether or not there are so many."""
        self.level, self.at = self.available(now) - tokens, max(now, self.at)


class Window:
    """The calls of the network provider's five minutes: how many there may be, and when they were sent, earliest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.ours: deque[float] = deque()
        self.missing: deque[float] = deque()  # calls that others sent, as far as Azure's answers tell
        self.elsewhere: deque[float] = deque()  # calls that other instances wrote down, what they have granted among them

    def room(self, now: float) -> int:
        """How many more calls fit in."""
        for times in (self.ours, self.missing, self.elsewhere):
            while times and times[0] <= now - WINDOW_S:
                times.popleft()
        # Azure's answers tell of other instances' calls too: whichever tells of more counts.
        return self.size - len(self.ours) - max(len(self.missing), len(self.elsewhere))

    def room_at(self, over: int, now: float) -> float:
        """When so many of these calls, more than there is room for, are over; at the latest a time to look again."""
        known = over <= len(self.ours) and not self.missing and not self.elsewhere
        return self.ours[over - 1] + WINDOW_S if known else now + 1.0


class RateLimit:
    """One kind of call (reads or writes) of one subscription. Times are the event loop's seconds."""

    def __init__(self, *, size: float, per_s: float, window_max: int) -> None:
        self.permits = Bucket(size, per_s)  # permits that can be granted: granted ones are taken out, whether used or not
        self.azure = Bucket(size, per_s)  # Azure's own bucket by our count: calls that were sent are taken out
        self.window = Window(window_max)
        self.kept = int(size * (1 - PEOPLE_SHARE))  # so many people leave to swaps, of the bucket and of the five minutes
        self.blocked_until = 0.0
        self.used = 0  # all calls so far, ours and others'
        self.reserved = 0  # permits that were granted and whose calls have not been sent
        self.granted_at = 0.0  # when the last ones were
        self.waiting: list[tuple[tuple[int, float], int, int, asyncio.Future[None]]] = []
        self.arrivals = 0
        self.timer: asyncio.TimerHandle | None = None

    def free_at(self, calls: int, now: float) -> float:
        """When so many permits can be granted: now, or later."""
        over = calls - self.room(now)
        room_at = self.window.room_at(over, now) if over > 0 else now
        refilled_at = now + max(0.0, calls - self.permits.available(now)) / self.permits.per_s
        return max(self.blocked_until, refilled_at, room_at)

    def room(self, now: float) -> int:
        """How many more calls fit into the five minutes beside all that were granted or sent, ours and others'."""
        return self.window.room(now) - self.reserved

    def contended(self) -> bool:
        """Whether swaps or the timer wait for permits. That people wait is no reason to save."""
        return bool(self.waiting) and self.waiting[0][0][0] != PEOPLE

    def release(self, calls: int) -> None:
        """Take back permits that are not needed."""
        self.permits.level += calls
        self.reserved = max(0, self.reserved - calls)
        self._serve()

    def sent(self, now: float) -> Sent:
        """A call is sent, on a permit. Pass the result to `answered` or `throttled`."""
        self.reserved = max(0, self.reserved - 1)
        self.window.ours.append(now)
        self.used += 1
        self.azure.take(1, now)
        return Sent(at=now, room=self.azure.level + self.used)

    def answered(self, sent: Sent, remaining: str, now: float) -> None:
        """Learn from Azure's own count: what it lacks and we did not send, others have sent (another instance of ours, too).

        It is compared with what we knew when the call was sent, less all that we have sent since, so the answer's way back does
        not count. Azure rounds it down.
        """
        foreign = int(sent.room - self.used - float(remaining) - 1.0) if remaining.isdecimal() else 0
        if foreign > 0:
            self.permits.take(foreign, now)
            self.azure.level -= foreign
            self.used += foreign
            self.window.missing.extend([now] * foreign)

    def throttled(self, sent: Sent, wait_s: float, now: float) -> None:
        """Azure refused a call, which does not count, and wants no more for so long."""
        with contextlib.suppress(ValueError):
            self.window.ours.remove(sent.at)
        self.blocked_until = max(self.blocked_until, now + wait_s)
        # Empty then, so that several instances do not send a burst at the same moment, which Azure would refuse again.
        self.permits.level, self.permits.at = min(0.0, self.permits.available(now)), self.blocked_until

    async def acquire(self, calls: int = 1) -> None:
        """Wait for so many permits, in the order of `ORDER`. Each is then used with `sent` or given back with `release`."""
        self.arrivals += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (ORDER.get(), self.arrivals, calls, future))
        self._serve()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(calls)
            raise

    def _serve(self) -> None:
        """Grant permits to those who wait, first ones first, and set a timer for the next who has to wait on."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.timer is not None:
            self.timer.cancel()
        while self.waiting:
            order, _, calls, future = self.waiting[0]
            if not future.done():
                at = self.free_at(max(calls, self.kept) if order[0] == PEOPLE else calls, now)
                if at > now + 1e-6:
                    self.timer = loop.call_at(at, self._serve)
                    return
                self.permits.take(calls, now)
                self.reserved += calls
                self.granted_at = now
                future.set_result(None)
            heapq.heappop(self.waiting)


class Permit:
    """Allows one call. Whoever sends the call sets `used`."""

    used = False


class Permits:
    """What one drive holds of a limit. Whatever way it ends, `release` gives back what was not used: no permit can get lost."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: RateLimit) -> None:
        self.limit, self.held = limit, 0

    async def hold(self, calls: int) -> None:
        """Wait until so many are held."""
        if (missing := calls - self.held) > 0:
            await self.limit.acquire(missing)
            self.held += missing

    @contextlib.contextmanager
    def one(self) -> Iterator[Permit]:
        """Set one aside for a call. Where the block ends without that call being sent, it is held again."""
        permit = Permit()
        self.held -= 1
        try:
            yield permit
        finally:
            if not permit.used:
                self.held += 1

    def release(self) -> None:
        """Give back what is held."""
        held, self.held = self.held, 0
        self.limit.release(held)
