"""The lease on a mirror, and the check before every NIC write.

Invariant (I2): a NIC write starts only when the newest head, committed by this drive since its last write began and at most
`FRESH_HEAD_S` ago, says that
  1. this drive holds the lease, and the decision in force is the one it works for (its epoch);
  2. the lease outlives the next heartbeat and the difference between two instances' times;
  3. `Swap.maybe_in_flight` names the NIC, so that a successor knows that this write may still land, and `carried` holds what the
     VIPs' ip configurations carry, so that a successor attaches them with it although the write took them away.
While the lease is live nobody else drives, and nothing is confirmed.

A lease that is not renewed runs out three heartbeats and a second later, while a write of its owner may still be on its way
(docs/adr/0013-short-leases-and-the-table-s-time.md). That does no harm: the next driver rewrites the NICs that `maybe_in_flight`
names before anything else, and a drive that was paused finds another owner at its next check.

The lease is given back on every way out but two: a write of our own without an answer, which no read has settled, and a table
that does not answer. That lease runs out, like one of a process that died; `converge.py` says how the next driver goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from vipcore import instants
from vipcore.arm.polling import PollCount
from vipcore.errors import AzureRefusal, Unreachable, VipError
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry, Row
from vipcore.ledger.head import LEASE_MARGIN_S, Head, Lease, expecting_late_writes
from vipcore.ledger.store import OUTDATED, Change, CommitInDoubt, Store, WrongSeal
from vipcore.swap.in_flight import LATE_WRITES_S, InFlight
from vipcore.swap.report import Report

_T = TypeVar("_T")
HEARTBEAT_S: Final = 3.0
HEARTBEAT_S_MAX: Final = 15.0
HEARTBEATS_PER_S: Final = 60.0
"""Heartbeats of one process: with a thousand swaps under way, one of each every 3 s would be most of its work. Polls under way
stand in for swaps under way."""

RETRY_S_MAX: Final = 5.0
"""The longest wait between two tries to reach a table that is away."""

CHECK_TRIES: Final = 4
FRESH_HEAD_S: Final = 0.25
"""A lease that was renewed longer ago is renewed before a NIC write."""


class LostLease(VipError):
    """The newest head says that somebody else decides or drives now. `head`: that head."""

    def __init__(self, head: Head) -> None:
        super().__init__("another decision or another driver is in force")
        self.head = head


def heartbeat_s(polls: PollCount) -> float:
    """Seconds between two renewals of a lease."""
    return min(HEARTBEAT_S_MAX, max(HEARTBEAT_S, polls.count / HEARTBEATS_PER_S))


def renewed(owner: str, now: Instant, polls: PollCount) -> Lease:
    """A lease for this owner that begins now: it outlives two heartbeats that fail."""
    return Lease(owner=owner, until=now + instants.seconds(3 * heartbeat_s(polls) + 1))


def take_lease(head: Head, owner: str, now: Instant, polls: PollCount) -> Head:
    """The head with the lease in this owner's hand. After a lease that ran out, late writes of its owner are expected."""
    if head.lease is not None:
        members = head.swap.maybe_in_flight if head.swap else ()
        head = expecting_late_writes(head, members, now, now + instants.seconds(LATE_WRITES_S))
    return replace(head, lease=renewed(owner, now, polls))


class HeldLease:
    """The lease that one drive holds, and the head as this drive last knew it. Nobody else changes either.

    Times are loop seconds. Methods that reach for the table raise LostLease where the drive may not go on, and Unreachable where
    the table stays away until the deadline.
    """

    __slots__ = (
        "_in_doubt", "deadline", "head", "head_is_newest", "in_flight", "lock", "owner", "polls",
        "renewed_at", "report", "store",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        head: Head,
        in_flight: InFlight,
        report: Report,
        polls: PollCount,
        *,
        taken_at: float,
        deadline: float,
    ) -> None:
        assert head.lease is not None
        self.store, self.in_flight, self.report, self.polls = store, in_flight, report, polls
        self.owner, self.head, self.deadline = head.lease.owner, head, deadline
        self.renewed_at = taken_at
        """When the commit began that last renewed the lease."""
        self.head_is_newest = head.etag != OUTDATED
        self.lock = asyncio.Lock()
        """Held while the head is replaced: the heartbeat runs beside the work."""
        self._in_doubt: list[tuple[Row, list[Entry]]] = []
        """The last row of each commit without an answer, and its entries: nobody knows yet whether they are in the trail."""

    def check_held(self, head: Head) -> None:
        """Raises LostLease unless this drive may go on under this head."""
        if head.epoch != self.head.epoch or head.swap is None or head.lease is None or head.lease.owner != self.owner:
            raise LostLease(head)

    def left_s(self) -> float:
        """Seconds for which the lease in our head still runs."""
        return (self.head.lease.until - self.store.clock.now()).total_seconds() if self.head.lease else 0.0

    async def until_reachable(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """The result of work on the table; a table that is away is waited for until our deadline. Raises Unreachable then.

        A drive that gave up at once would leave the mirror to nobody until its lease has run out.
        """
        wait = 0.5
        while True:
            try:
                return await work()
            except Unreachable as exc:
                if isinstance(exc, WrongSeal) or _now() + wait >= self.deadline:
                    raise
            await asyncio.sleep(instants.spread(wait, self.store.clock.jitter()))
            wait = min(2 * wait, RETRY_S_MAX)

    async def keep_alive(self) -> None:
        """The heartbeat, beside the work. It stops on LostLease or Unreachable; the drive meets them at its next check."""
        try:
            while True:
                await asyncio.sleep(max(0.1, self.renewed_at + heartbeat_s(self.polls) - _now()))
                if self._is_due():
                    await self._renew()
        except (LostLease, Unreachable):
            return

    async def renew_if_due(self) -> None:
        """Renew the lease where that was done a heartbeat ago."""
        if self._is_due():
            await self.until_reachable(self._renew)

    def _is_due(self) -> bool:
        return _now() - self.renewed_at >= heartbeat_s(self.polls)

    async def commit_waiting(self) -> None:
        """Commit the entries that wait, if any, and renew the lease with them. Entries that were not committed wait on."""
        if self.report.waiting:
            await self.until_reachable(self._renew)

    async def _renew(self) -> None:
        """Renew the lease, and commit the entries that wait with it."""

        def change(head: Head) -> tuple[Head, list[Entry]]:
            self.check_held(head)
            now = self.store.clock.now()
            return self.in_flight.stamp(replace(head, lease=renewed(self.owner, now, self.polls)), now), []

        async with self.lock:
            await self._resolve_doubt()
            asked_at = _now()
            self.head = await self._commit(self.head, change)
            self.renewed_at, self.head_is_newest = asked_at, self.head.etag != OUTDATED

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
            self._in_doubt += [(rows[-1], list(sent))] if rows else []

        try:
            stored = await self.store.commit(head, with_waiting, sending)
        except Exception as exc:
            if not isinstance(exc, CommitInDoubt):
                self._in_doubt.clear()
            raise
        self._landed(stored.head_hash)
        self._in_doubt.clear()
        return stored

    async def _resolve_doubt(self) -> None:
        """Entries that did get into the trail although the answer to their commit was lost are not committed again."""
        for row, _ in self._in_doubt:
            stored = await self.store.ledger.load_row(row.mirror, row.seq)
            self._landed(stored.hash if stored else "")
        self._in_doubt.clear()

    def _landed(self, row_hash: str) -> None:
        """The row of this hash is in the trail, and with it the entries that were sent with it."""
        for row, sent in self._in_doubt:
            if row.hash == row_hash:
                self.report.committed(sent)

    async def check_before_write(self, *members: str) -> None:
        """Right before a write of these members' NICs; the write goes out without another wait, and uses the check up.

        Raises LostLease, Unreachable, or AzureRefusal `busy`: the write may not start. A plan that was made anew may write other
        NICs than the head names, so the head is made to name them first.
        """
        self.in_flight.announce(*members)
        try:
            await self._check()
        except BaseException:
            self.in_flight.withdraw(*members)
            raise
        self.head_is_newest = False

    async def _check(self) -> None:
        ready = not self.report.waiting and _now() - self.renewed_at <= FRESH_HEAD_S
        for _ in range(CHECK_TRIES):
            if not ready or not self._covers_next_write():
                await self.until_reachable(self._renew)
            if _now() >= self.deadline:
                # What is sent now would be cut off before its answer, and its row would lack ARM's request id (I3).
                what = "This request's time is over. The decision stands; a retry or the timer ends the swap."
                raise AzureRefusal("busy", what)
            if self._covers_next_write():
                return self.check_held(self.head)
            ready = False  # where the commit itself took long, the lease that it renewed may be short again by now
        raise AzureRefusal(
            "busy",
            "The Table service is too slow to keep a lease alive. The decision stands; a retry or the timer ends the swap.",
        )

    def _covers_next_write(self) -> bool:
        named = self.head.swap is None or self.in_flight.announced <= set(self.head.swap.maybe_in_flight)
        kept = self.head.carried == self.in_flight.observed.kept
        return named and kept and self.head_is_newest and self.left_s() >= HEARTBEAT_S + LEASE_MARGIN_S


def _now() -> float:
    return asyncio.get_running_loop().time()
