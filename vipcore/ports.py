"""What the core needs from outside, as Protocols whose docstrings are contracts; each exists because it is faked in tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vipcore.instants import Instant
from vipcore.ledger.audit import Row
from vipcore.ledger.head import Head
from vipcore.model import Member, Page
from vipcore.settings.config import Config


class Clock(Protocol):
    """Wall time and names. Steady time and waiting are the event loop's, so that a virtual loop moves both."""

    def now(self) -> Instant:
        """The wall clock, in UTC."""

    def new_id(self) -> str:
        """A fresh UUID text."""

    def jitter(self) -> float:
        """A number from [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A row of the worklist: this mirror may have unfinished work. `etag` as read, for a delete that loses no newer hint."""

    mirror: str
    etag: str


class Ledger(Protocol):
    """The table: one partition per mirror with its head and audit rows, and a worklist partition of hints.

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

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        """Add to this instance's row of failed authentications. May be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRequest:
    """A request to Azure Resource Manager. `url`: a path with query, or an absolute URL that Azure gave (an operation's)."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReply:
    """Azure's answer. Header names in lower case; `body`: the JSON value, or None where there is none or it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = field(default=None, repr=False)


class Transport(Protocol):
    """One HTTP exchange with ARM, authenticated, never retried: whether to send a write again is the core's decision."""

    async def send(self, request: ArmRequest) -> ArmReply:
        """The answer, whatever its status. Raises NotSent if the request certainly had no effect, NoReply if it may have."""


class Probes(Protocol):
    """Looks at things outside Azure's API. Neither method raises; a hang is not an answer."""

    async def page(self, member: Member) -> Page:
        """What the member's status page says, within its own short timeout."""

    async def path(self, target: str, *, within_s: float) -> float | None:
        """Seconds until the path probe's target answered, or None if it did not within `within_s`."""


@dataclass(slots=True, kw_only=True)
class Ports:
    """The collaborators of every use case, built once per process. `instance`: a name for this process in leases."""

    config: Config
    ledger: Ledger
    transport: Transport
    probes: Probes
    clock: Clock
    instance: str
    log: Callable[..., None]
    """`log("event.name", field=value, ...)`: one structured line; never a secret."""
