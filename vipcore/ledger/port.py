"""The port of the Table service: one partition per mirror with its head and audit rows, and those of all mirrors together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from vipcore.instants import Instant
from vipcore.ledger.audit import Row
from vipcore.ledger.head import Head


class WorkItem(NamedTuple):
    """A row of the worklist: this mirror may have unfinished work. `etag` as read, for a delete that loses no newer hint."""

    mirror: str
    etag: str


class Sweep(NamedTuple):
    """How far the timer's sweep over all mirrors has come: `after` this name it goes on. `at`: when that was written."""

    after: str
    at: Instant


class Granted(NamedTuple):
    """The writes to one subscription that instances have granted: instance -> unix time in seconds -> how many.

    `etag`: None where the row was never written.
    """

    by_instance: Mapping[str, Mapping[int, int]]
    etag: str | None


class Ledger(Protocol):
    """The table: one partition per mirror with its head and audit rows; a worklist of hints, the sweep, granted writes.

    Every method raises Unreachable when the service cannot be used (nothing was changed, or, for the writes that are safe to
    repeat, it does not matter).
    """

    async def load_head(self, mirror: str) -> Head:
        """The head; one with etag None where the mirror was never written."""

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        """Replace the head and append the rows, all or nothing, if the head still has `head.etag` (None: if there is none).

        One entity group transaction: no state changes without its row. Rows are never updated. Returns the head with its new
        etag. Raises Stale if another writer was first, CommitUnknown if the write was sent and its answer is lost.
        """

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        """The audit row of that seq, or None."""

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        """At most `limit` rows below `before` (exclusive; None: from the newest), newest first; no other row is read."""

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        """The rows of the `limit` seqs from `seq` on that are there, in rising order, also rows whose columns are damaged."""

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        """The heads of these mirrors, read side by side; never-written ones included with etag None.

        A mirror whose head row is damaged is left out, so that it stops no other; `load_head` says what is wrong with it.
        """

    async def put_work_item(self, mirror: str) -> None:
        """Write the mirror's hint, also where one exists (its etag changes). May be repeated."""

    async def load_worklist(self) -> list[WorkItem]:
        """All hints."""

    async def drop_work_item(self, item: WorkItem) -> None:
        """Delete the hint if its etag is still this one; otherwise leave it."""

    async def load_sweep(self) -> Sweep | None:
        """How far the sweep has come; None where none was ever made, or the row is damaged."""

    async def save_sweep(self, sweep: Sweep) -> None:
        """Write down how far the sweep has come, whatever stands there. May be repeated."""

    async def put_heard(self, mirror: str, member: str, at: Instant) -> None:
        """Write down when a member's agent was last heard from, whatever stands there. May be repeated, or lost."""

    async def load_heard(self, mirror: str) -> Mapping[str, Instant]:
        """Member -> when its agent was last heard from."""

    async def load_granted(self, subscription: str) -> Granted:
        """What instances have granted of this subscription's writes."""

    async def save_granted(self, subscription: str, granted: Granted) -> None:
        """Replace it, if it is still the one that was read. Raises Stale, CommitUnknown."""

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        """Add to this instance's row of failed authentications. May be lost."""
