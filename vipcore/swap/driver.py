"""A driver: whoever holds a mirror's lease. Its time, its lease, its rows, and the fence that every NIC write passes.

Invariant (promise 2): `fence` lets a write start only when the newest head, read or committed since the last write began, says
that this driver holds the lease, that its epoch is in force, and that the lease outlives the write's timeout. A paused driver
that wakes later meets If-Match: its successor rewrites the NICs in `Swap.open` under a fresh etag before anything else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from vipcore import instants
from vipcore.arm.client import WRITE_TIMEOUT_S, Arm
from vipcore.arm.rate_limit import clamp
from vipcore.errors import AzureRefusal, Unreachable, VipError
from vipcore.ledger.audit import Entry, Row
from vipcore.ledger.head import Head, Lease, watching
from vipcore.ledger.store import OUTDATED, Change, CommitInDoubt, Store
from vipcore.model import Json, Mirror, Nic, Observation, Phase
from vipcore.ports import Probes
from vipcore.swap import plan
from vipcore.swap.plan import Plan, Step

_T = TypeVar("_T")
LEASE_TTL_S: Final = 45.0
LEASE_MARGIN_S: Final = 5.0
"""How far apart the wall clocks of two instances of the controller may be."""

HEARTBEAT_S: Final = 4.0
HEARTBEAT_S_MAX: Final = 9.0
HEARTBEATS_PER_S: Final = 60.0
"""Heartbeats of one process: with a thousand swaps under way, one of each every 4 s would be a quarter of its work."""

AWAY_S_MAX: Final = 5.0
"""How long we wait at most between two tries to reach a table that is away."""

FENCE_TRIES: Final = 4
FRESH_HEAD_S: Final = 0.25
"""A head read longer ago is read again before a NIC write."""

WATCH_S: Final = 900.0
"""How long a placement may still be the work of a write whose answer never came (contract section 9, promise 2)."""

assert WRITE_TIMEOUT_S + LEASE_MARGIN_S + 2 * HEARTBEAT_S_MAX < LEASE_TTL_S


class LostLease(VipError):
    """The newest head says that somebody else decides or drives now. `head`: that head."""

    def __init__(self, head: Head) -> None:
        super().__init__("another decision or another driver is in force")
        self.head = head


@dataclass(slots=True, kw_only=True)
class Driver:
    """One attempt to bring the VIPs to the head's desired member. `owner` stands in the head's lease; times are loop seconds."""

    store: Store
    probes: Probes
    arm: Arm
    mirror: Mirror
    head: Head
    owner: str
    actor: str
    correlation_id: str
    deadline: float
    began: float
    marked: float
    observed: dict[str, Observation]
    fences: set[str] = field(default_factory=set)
    """Members whose NICs a driver that died may still write: rewritten first."""
    unanswered: set[str] = field(default_factory=set)
    """Members whose NICs have a write of ours whose answer never came and which no read has settled."""
    writing: set[str] = field(default_factory=set)
    """Members whose NICs are at the fence: the head says so before the write goes out."""
    untold: dict[str, tuple[Step, Nic]] = field(default_factory=dict)
    """Member -> a write of its NIC without an answer, and the NIC as it was before, of which no read has told yet."""
    trouble: dict[str, Exception] = field(default_factory=dict)
    """Member -> what last went wrong with a write of its NIC, for the answer where every try was in vain."""
    drafts: list[Entry] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """ARM's request ids of writes that Azure refused, for the next row: an answer that arrived is told (promise 3)."""
    unsettled: tuple[Row, list[Entry]] | None = None
    """A row, and the drafts it was committed with, of which nobody has found out yet whether they are in the trail."""
    overlap_memory: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Json] = field(default_factory=dict)
    """Member -> its NIC's document before our first write, for the comparison afterwards."""
    remarks: list[str] = field(default_factory=list)
    closes: str | None = None
    """The event that ends with this swap besides `swap.completed`, such as `drift.repaired`."""
    wrote_at: float = -1.0
    """When the last answer to a write of ours came; -1: none yet."""
    moved_at_once: bool = False
    """Whether the one-call move was tried in this drive."""
    repairs: int = 0
    """How often desired's failed NIC was put back in this drive."""
    permits: int = 0
    """Writes for which Azure's budget has room already."""
    fresh: bool = True
    contact: float = 0.0
    """When the read or commit was begun that showed us `head`."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def desired(self) -> str:
        """The member that shall hold the VIPs."""
        assert self.head.desired is not None
        return self.head.desired

    def now(self) -> float:
        """The loop's steady time."""
        return asyncio.get_running_loop().time()

    def mark(self, name: str) -> None:
        """End the phase of that name now; stretches of one name add up."""
        now = self.now()
        ms, self.marked = round((now - self.marked) * 1000), now
        for index, phase in enumerate(self.phases):
            if phase.name == name:
                self.phases[index] = Phase(name=name, ms=phase.ms + ms)
                return
        self.phases.append(Phase(name=name, ms=ms))

    async def pause(self, seconds: float) -> None:
        """Wait, keep the lease alive, and give up at the deadline. Raises AzureRefusal `busy`, LostLease, Unreachable."""
        until = self.now() + max(0.0, seconds)
        while True:
            now = self.now()
            if now >= self.deadline:
                raise AzureRefusal(
                    "busy", "Azure has not finished within this request's time; the decision stands and is carried on."
                )
            if now - self.contact >= self.beat_s():
                await self.refresh()
            if now >= until:
                return
            await asyncio.sleep(clamp(min(until - now, HEARTBEAT_S), self.deadline, now))

    def beat_s(self) -> float:
        """Seconds between two looks at the head while nothing else is done with it."""
        return min(HEARTBEAT_S_MAX, max(HEARTBEAT_S, self.arm.polling_now.count / HEARTBEATS_PER_S))

    async def keep(self) -> None:
        """Beside the work: keep the lease alive while a call waits its turn. What goes wrong, the work meets at its next step."""
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                if self.now() - self.contact >= self.beat_s():
                    await self._refresh()
        except (LostLease, Unreachable):
            return

    async def reached(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """The result of work on the table, waiting for a table that is away until our deadline. Raises Unreachable then.

        A driver that gave up at once would leave its lease behind, and with it the mirror to nobody until that has run out.
        """
        wait = 0.5
        while True:
            try:
                return await work()
            except Unreachable:
                if self.now() + wait >= self.deadline:
                    raise
            await asyncio.sleep(wait * (0.75 + 0.5 * self.store.clock.jitter()))
            wait = min(2 * wait, AWAY_S_MAX)

    async def take_turn(self, calls: int) -> None:
        """Wait until Azure has room for that many writes of ours; turns taken ahead are used up first.

        Raises AzureRefusal `azure-throttled` at the deadline, LostLease, Unreachable.
        """
        wanted = calls - self.permits
        if wanted > 0:
            permit = asyncio.ensure_future(self.arm.subscription(self.mirror.members[0].nic_id).writes.acquire(wanted))
            try:
                while not permit.done():
                    await asyncio.wait([permit], timeout=clamp(HEARTBEAT_S, self.deadline, self.now()))
                    if not permit.done() and self.now() >= self.deadline:
                        raise AzureRefusal("azure-throttled", "Azure's limit of writes leaves no room yet; the decision stands.")
                    if self.now() - self.contact >= self.beat_s():
                        await self.refresh()
            finally:
                permit.cancel()
            self.permits = calls
        self.permits -= calls

    def return_turns(self) -> None:
        """Give back turns that were taken ahead and not needed."""
        self.arm.subscription(self.mirror.members[0].nic_id).writes.release(self.permits)
        self.permits = 0

    def took(self, head: Head) -> None:
        """Go on from what we committed; where others have gone on from there already, the fence reads the newest head first."""
        self.head, self.fresh = head, head.etag != OUTDATED

    def check_mine(self, head: Head) -> None:
        """Raises LostLease unless this driver may go on under this head."""
        if head.epoch != self.head.epoch or head.swap is None or head.lease is None or head.lease.owner != self.owner:
            raise LostLease(head)

    def lease_left_s(self) -> float:
        """Seconds for which the lease in our head still runs."""
        return (self.head.lease.until - self.store.clock.now()).total_seconds() if self.head.lease else 0.0

    async def refresh(self) -> None:
        """Read the head, check that we still drive, and renew a lease that gets short. Raises LostLease, Unreachable."""
        await self.reached(self._refresh)

    async def _refresh(self) -> None:
        async with self.lock:
            asked_at = self.now()
            head = await self.store.ledger.load_head(self.mirror.name)
            self.check_mine(head)
            self.head, self.contact, self.fresh = head, asked_at, True
        if self.lease_left_s() < WRITE_TIMEOUT_S + LEASE_MARGIN_S + self.beat_s():
            await self._flush(force=True)

    async def flush(self, *, force: bool = False) -> None:
        """Commit the rows that wait, if any, and renew the lease with them. Raises LostLease, Unreachable; the rows stay then."""
        await self.reached(lambda: self._flush(force=force))

    async def _flush(self, *, force: bool) -> None:
        async with self.lock:
            await self._settle()
            if not self.drafts and not force:
                return
            drafts, self.drafts = self.drafts, []

            def change(head: Head) -> tuple[Head, list[Entry]]:
                self.check_mine(head)
                lease = Lease(owner=self.owner, until=self.store.clock.now() + instants.seconds(LEASE_TTL_S))
                return self.noted(replace(head, lease=lease)), drafts

            asked_at = self.now()
            try:
                self.took(await self._commit(self.head, change))
                drafts = []
            finally:
                self.drafts = drafts + self.drafts  # what was not committed waits on, also where the deadline cut us off
            self.contact = asked_at

    async def record(self, head: Head, change: Change) -> Head:
        """Commit a change that takes the waiting rows along; the heartbeat's commit may not come in between."""
        async with self.lock:
            await self._settle()
            stored = await self._commit(head, change)
            self.drafts = []
        return stored

    async def _commit(self, head: Head, change: Change) -> Head:
        """Commit. Where its outcome stays unknown, also where our deadline cuts it off, `_settle` finds out before the next."""
        drafts: list[Entry] = []

        def noting(newest: Head) -> tuple[Head, Sequence[Entry]]:
            after, drafts[:] = change(newest)
            return after, drafts

        def sending(rows: Sequence[Row]) -> None:
            self.unsettled = (rows[-1], list(drafts)) if rows else None

        try:
            stored = await self.store.commit(head, noting, sending)
        except (CommitInDoubt, asyncio.CancelledError):
            raise
        except Exception:
            self.unsettled = None
            raise
        self.unsettled = None
        return stored

    async def _settle(self) -> None:
        """Rows that did get into the trail although the answer to their commit was lost are not committed again."""
        if self.unsettled is None:
            return
        row, sent = self.unsettled
        stored = await self.store.ledger.load_row(row.mirror, row.seq)
        self.unsettled = None
        if stored is not None and stored.hash == row.hash:
            self.drafts = [draft for draft in self.drafts if not any(draft is one for one in sent)]

    def noted(self, head: Head) -> Head:
        """The head with what only this driver knows: which NICs a write of ours may be in flight to, and when we last wrote."""
        now = self.store.clock.now()
        if head.swap is not None:
            may_write = self.unanswered | self.fences | self.writing | self._planned()
            head = replace(head, swap=replace(head.swap, open=tuple(sorted(may_write))))
        wrote_at = max(now, head.wrote_at) if self.wrote_at >= 0 else head.wrote_at
        head = replace(head, wrote_at=wrote_at)
        late = self.unanswered | self.fences
        return watching(head, late, now, now + instants.seconds(WATCH_S)) if late else head

    def _planned(self) -> set[str]:
        found = plan.plan(self.mirror, self.observed, self.desired)
        return {step.member for step in found.steps} if isinstance(found, Plan) else set()

    async def fence(self, *members: str) -> None:
        """Right before a write of these members' NICs. Raises LostLease, Unreachable, or AzureRefusal `busy`: it may not start.

        What a plan made anew wants to write may be other NICs than the head says: a successor would not know of them.
        """
        self.writing.update(members)
        try:
            await self._fence()
            if self.head.swap is not None and not self.writing <= set(self.head.swap.open):
                await self.flush(force=True)
                await self._fence()
        finally:
            self.writing.difference_update(members)

    async def _fence(self) -> None:
        if self.drafts:
            await self.flush()
        if not self.fresh or self.now() - self.contact > FRESH_HEAD_S:
            await self.refresh()
        if self.now() >= self.deadline:
            # What is sent now would be cut off before its answer, and its row would lack ARM's request id (promise 3).
            raise AzureRefusal("busy", "This request's time is over; the decision stands and is carried on.")
        for _ in range(FENCE_TRIES):
            if self.lease_left_s() >= WRITE_TIMEOUT_S + LEASE_MARGIN_S:
                return self.check_mine(self.head)
            # Where the commit itself took long, the lease that it renewed may be short again by now.
            await self.flush(force=True)
        raise AzureRefusal("busy", "The Table service is too slow to keep a lease alive; the decision stands and is carried on.")

    def ids(self, *request_ids: str) -> str | None:
        """The ArmRequestIds of a row: those of the writes refused before it, and its own, with commas between."""
        refused, self.refused = self.refused, []
        return ",".join(one for one in (*refused, *request_ids) if one) or None

    def row(self, event: str, *, detail: str | None = None, **columns: Any) -> Entry:
        """A row about this swap: who drives it, for whom, under which ids."""
        swap = self.head.swap
        return Entry(
            event=event,
            epoch=self.head.epoch,
            actor=self.actor,
            claim_id=self.head.claim_id,
            operation_id=swap.operation_id if swap else None,
            correlation_id=self.correlation_id,
            detail=detail,
            **columns,
        )
