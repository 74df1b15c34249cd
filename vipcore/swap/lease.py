"""The lease on a mirror, and the check before every NIC write.

Invariant (I2): a NIC write starts only when the newest head, read or committed since the last write began and at most
`FRESH_HEAD_S` ago, says that
  1. this drive holds the lease, and the decision in force is the one it works for (its epoch);
  2. the lease outlives the write's timeout and the difference between two instances' clocks;
  3. `Swap.maybe_in_flight` names the NIC, so that a successor knows that this write may still land.
While the lease is live nobody else drives, and nothing is confirmed.

The lease is given back on every way out but two: a write of our own without an answer, which no read has settled, and a table
that does not answer. That lease runs out, like one of a process that died; `converge.py` says how the next driver goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from vipcore import instants
from vipcore.arm.client import WRITE_TIMEOUT_S
from vipcore.arm.polling import PollCount
from vipcore.errors import AzureRefusal, Unreachable, VipError
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry, Row
from vipcore.ledger.head import LEASE_MARGIN_S, Head, Lease, expecting_late_writes
from vipcore.ledger.store import OUTDATED, Change, CommitInDoubt, Store
from vipcore.swap.in_flight import LATE_WRITES_S, InFlight
from vipcore.swap.report import Report

_T = TypeVar("_T")
LEASE_TTL_S: Final = 45.0
HEARTBEAT_S: Final = 4.0
HEARTBEAT_S_MAX: Final = 9.0
HEARTBEATS_PER_S: Final = 60.0
"""Heartbeats of one process: with a thousand swaps under way, one of each every 4 s would be a quarter of its work. Polls under
way stand in for swaps under way."""

RETRY_S_MAX: Final = 5.0
"""The longest wait between two tries to reach a table that is away."""

CHECK_TRIES: Final = 4
FRESH_HEAD_S: Final = 0.25
"""A head read longer ago is read again before a NIC write."""

assert WRITE_TIMEOUT_S + LEASE_MARGIN_S + 2 * HEARTBEAT_S_MAX < LEASE_TTL_S


class LostLease(VipError):
    """The newest head says that somebody else decides or drives now. `head`: that head."""

    def __init__(self, head: Head) -> None:
        super().__init__("another decision or another driver is in force")
        self.head = head


def renewed(owner: str, now: Instant) -> Lease:
    """A lease for this owner that begins now."""
    return Lease(owner=owner, until=now + instants.seconds(LEASE_TTL_S))


def take_lease(head: Head, owner: str, now: Instant) -> Head:
    """The head with the lease in this owner's hand. After a lease that ran out, late writes of its owner are expected."""
    if head.lease is not None:
        members = head.swap.maybe_in_flight if head.swap else ()
        head = expecting_late_writes(head, members, now, now + instants.seconds(LATE_WRITES_S))
    return replace(head, lease=renewed(owner, now))


class HeldLease:
    """The lease that one drive holds, and the head as this drive last knew it. Nobody else changes either.

    Times are loop seconds. Methods that reach for the table raise LostLease where the drive may not go on, and Unreachable where
    the table stays away until the deadline.
    """

    __slots__ = (
        "_in_doubt", "deadline", "head", "head_is_newest", "head_read_at", "in_flight", "lock", "owner", "polls",
        "report", "store",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        head: Head,
        in_flight: InFlight,
        report: Report,
        polls: PollCount,
        *,
        read_at: float,
        deadline: float,
    ) -> None:
        assert head.lease is not None
        self.store, self.in_flight, self.report, self.polls = store, in_flight, report, polls
        self.owner, self.head, self.deadline = head.lease.owner, head, deadline
        self.head_read_at = read_at
        """When the read or commit began that showed us `head`."""
        self.head_is_newest = head.etag != OUTDATED
        self.lock = asyncio.Lock()
        """Held while the head is read or replaced: the heartbeat runs beside the work."""
        self._in_doubt: tuple[Row, list[Entry]] | None = None
        """A row whose commit got no answer, and that commit's entries: nobody knows yet whether they are in the trail."""

    def check_held(self, head: Head) -> None:
        """Raises LostLease unless this drive may go on under this head."""
        if head.epoch != self.head.epoch or head.swap is None or head.lease is None or head.lease.owner != self.owner:
            raise LostLease(head)

    def left_s(self) -> float:
        """Seconds for which the lease in our head still runs."""
        return (self.head.lease.until - self.store.clock.now()).total_seconds() if self.head.lease else 0.0

    def heartbeat_s(self) -> float:
        """Seconds between two looks at the head while nothing else is done with it."""
        return min(HEARTBEAT_S_MAX, max(HEARTBEAT_S, self.polls.count / HEARTBEATS_PER_S))

    async def until_reachable(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """The result of work on the table; a table that is away is waited for until our deadline. Raises Unreachable then.

        A drive that gave up at once would leave the mirror to nobody until its lease has run out.
        """
        wait = 0.5
        while True:
            try:
                return await work()
            except Unreachable:
                if _now() + wait >= self.deadline:
                    raise
            await asyncio.sleep(instants.spread(wait, self.store.clock.jitter()))
            wait = min(2 * wait, RETRY_S_MAX)

    async def keep_alive(self) -> None:
        """The heartbeat, beside the work. It stops on LostLease or Unreachable; the drive meets them at its next check."""
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                if self._is_due():
                    await self._refresh()
        except (LostLease, Unreachable):
            return

    async def refresh_if_due(self) -> None:
        """Refresh where the head was last heard of a heartbeat ago."""
        if self._is_due():
            await self.until_reachable(self._refresh)

    def _is_due(self) -> bool:
        return _now() - self.head_read_at >= self.heartbeat_s()

    async def _refresh(self) -> None:
        """Read the head, check that we still drive, and renew a lease that gets short."""
        async with self.lock:
            asked_at = _now()
            head = await self.store.ledger.load_head(self.head.mirror)
            self.check_held(head)
            self.head, self.head_read_at, self.head_is_newest = head, asked_at, True
        if self.left_s() < WRITE_TIMEOUT_S + LEASE_MARGIN_S + self.heartbeat_s():
            await self._renew()

    async def commit_waiting(self) -> None:
        """Commit the entries that wait, if any, and renew the lease with them. Entries that were not committed wait on."""
        await self.until_reachable(lambda: self._renew(only_with_entries=True))

    async def _renew(self, *, only_with_entries: bool = False) -> None:
        """Renew the lease, and commit the entries that wait with it."""

        def change(head: Head) -> tuple[Head, list[Entry]]:
            self.check_held(head)
            now = self.store.clock.now()
            return self.in_flight.stamp(replace(head, lease=renewed(self.owner, now)), now), []

        async with self.lock:
            await self._resolve_doubt()
            if only_with_entries and not self.report.waiting:
                return
            asked_at = _now()
            self.head = await self._commit(self.head, change)
            self.head_read_at, self.head_is_newest = asked_at, self.head.etag != OUTDATED

    async def commit(self, head: Head, change: Change) -> Head:
        """Commit a change, with the waiting entries before its own; no heartbeat commits in between. Returns the stored head."""
        async with self.lock:
            await self._resolve_doubt()
            return await self._commit(head, change)

    async def _commit(self, head: Head, change: Change) -> Head:
        """Where the outcome stays unknown, also because the deadline cuts us off, the next commit first finds it out."""
        sent: list[Entry] = []

        def with_waiting(newest: Head) -> tuple[Head, Sequence[Entry]]:
            after, entries = change(newest)
            sent[:] = [*self.report.waiting, *entries]
            return after, sent

        def sending(rows: Sequence[Row]) -> None:
            self._in_doubt = (rows[-1], sent) if rows else None

        try:
            stored = await self.store.commit(head, with_waiting, sending)
        except Exception as exc:
            if not isinstance(exc, CommitInDoubt):
                self._in_doubt = None
            raise
        self._in_doubt = None
        self.report.committed(sent)
        return stored

    async def _resolve_doubt(self) -> None:
        """Entries that did get into the trail although the answer to their commit was lost are not committed again."""
        if self._in_doubt is None:
            return
        row, sent = self._in_doubt
        stored = await self.store.ledger.load_row(row.mirror, row.seq)
        self._in_doubt = None
        if stored is not None and stored.hash == row.hash:
            self.report.committed(sent)

    async def check_before_write(self, *members: str) -> None:
        """Right before a write of these members' NICs; the write goes out without another wait, and uses the check up.

        Raises LostLease, Unreachable, or AzureRefusal `busy`: the write may not start. A plan that was made anew may write other
        NICs than the head names, so the head is made to name them first.
        """
        self.in_flight.announce(*members)
        try:
            await self._check()
            if self.head.swap is not None and not self.in_flight.announced <= set(self.head.swap.maybe_in_flight):
                await self.until_reachable(self._renew)
                await self._check()
        except BaseException:
            self.in_flight.withdraw(*members)
            raise
        self.head_is_newest = False

    async def _check(self) -> None:
        if self.report.waiting:
            await self.commit_waiting()
        if not self.head_is_newest or _now() - self.head_read_at > FRESH_HEAD_S:
            await self.until_reachable(self._refresh)
        if _now() >= self.deadline:
            # What is sent now would be cut off before its answer, and its row would lack ARM's request id (I3).
            raise AzureRefusal("busy", "This request's time is over. The decision stands; a retry or the timer ends the swap.")
        for _ in range(CHECK_TRIES):
            if self.left_s() >= WRITE_TIMEOUT_S + LEASE_MARGIN_S:
                return self.check_held(self.head)
            # Where the commit itself took long, the lease that it renewed may be short again by now.
            await self.until_reachable(self._renew)
        raise AzureRefusal(
            "busy",
            "The Table service is too slow to keep a lease alive. The decision stands; a retry or the timer ends the swap.",
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
