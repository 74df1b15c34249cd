"""One attempt to bring the VIPs to the desired member: the context that every function of this room receives.

A `Drive` never changes; its parts do, each only by its own file (`tests/repository/test_owners.py`):

  lease      the head, and the right to write           lease.py
  in_flight  which writes may still land                in_flight.py
  journal    what the trail has still to be told        journal.py
  observed   what the NICs showed, and the plan         observed.py
  report     what the last row tells                    report.py
  attempts   how much this drive may still try          here
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from vipcore.arm.client import Arm
from vipcore.errors import AzureRefusal
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.store import Store
from vipcore.model import Mirror
from vipcore.ports import Probes
from vipcore.swap.in_flight import InFlight
from vipcore.swap.journal import Journal
from vipcore.swap.lease import HEARTBEAT_S, HeldLease
from vipcore.swap.observed import Observed
from vipcore.swap.report import Report

TRIES_MAX: Final = 12
"""Writes of one NIC in one drive, whatever their fate: a bound on what a stubborn fault may cost."""


class Attempts:
    """The bounds of one drive. `deadline`: loop seconds; `permits`: writes for which Azure's rate limit has room already."""

    __slots__ = ("deadline", "last_error", "one_call_tried", "permits", "repairs", "writes")

    def __init__(self, deadline: float, permits: int = 0) -> None:
        self.deadline, self.permits = deadline, permits
        self.writes: dict[str, int] = {}
        self.last_error: dict[str, Exception] = {}
        """Member -> what last went wrong with a write of its NIC, for the answer where every try was in vain."""
        self.repairs = 0
        self.one_call_tried = False

    def count_write(self, member: str) -> bool:
        """One more write of this member's NIC. Whether it is still within the bound."""
        self.writes[member] = self.writes.get(member, 0) + 1
        return self.writes[member] <= TRIES_MAX

    def uncount_write(self, member: str) -> None:
        """That write was not in vain: Azure asked us to wait, and the deadline bounds how long we do."""
        self.writes[member] -= 1

    def failed(self, member: str, error: Exception) -> None:
        """What went wrong with a write of this member's NIC, or with its operation."""
        self.last_error[member] = error

    def count_repair(self) -> int:
        """One more repair of desired's NIC. How many there were."""
        self.repairs += 1
        return self.repairs

    def try_one_call(self) -> None:
        """The move in one call is tried now, once in a drive."""
        self.one_call_tried = True

    def set_permits(self, permits: int) -> None:
        """How many writes have a permit."""
        self.permits = permits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Drive:
    """The collaborators and the parts of one drive."""

    store: Store
    probes: Probes
    arm: Arm
    mirror: Mirror
    caller: Caller
    lease: HeldLease
    journal: Journal
    in_flight: InFlight
    observed: Observed
    attempts: Attempts
    report: Report

    @property
    def desired(self) -> str:
        """The member that shall hold the VIPs."""
        assert self.lease.head.desired is not None
        return self.lease.head.desired

    def now(self) -> float:
        """The event loop's steady time, in seconds."""
        return asyncio.get_running_loop().time()

    def jitter(self) -> float:
        """A number from [0, 1), so that several drives do not act in the same moment."""
        return self.store.clock.jitter()

    def end_phase(self, name: str) -> None:
        """The phase of that name ends now."""
        self.report.end_phase(name, self.now())

    async def pause(self, seconds: float) -> None:
        """Wait, keep the lease alive, and give up at the deadline. Raises AzureRefusal `busy`, LostLease, Unreachable."""
        until = self.now() + max(0.0, seconds)
        while True:
            now = self.now()
            if now >= self.attempts.deadline:
                raise AzureRefusal(
                    "busy", "Azure has not finished within this request's time; the decision stands and is carried on."
                )
            await self.lease.refresh_if_due()
            if now >= until:
                return
            await asyncio.sleep(max(0.0, min(until - now, HEARTBEAT_S, self.attempts.deadline - now)))

    async def acquire_permits(self, calls: int) -> None:
        """Wait until Azure's rate limit has room for that many writes; permits acquired ahead are used up first.

        Raises AzureRefusal `azure-throttled` at the deadline, LostLease, Unreachable.
        """
        wanted = calls - self.attempts.permits
        if wanted > 0:
            writes = self.arm.subscription(self.mirror.members[0].nic_id).writes
            permit = asyncio.ensure_future(writes.acquire(wanted))
            try:
                while not permit.done():
                    await asyncio.wait([permit], timeout=max(0.0, min(HEARTBEAT_S, self.attempts.deadline - self.now())))
                    if not permit.done() and self.now() >= self.attempts.deadline:
                        raise AzureRefusal("azure-throttled", "Azure's limit of writes leaves no room yet; the decision stands.")
                    await self.lease.refresh_if_due()
            finally:
                permit.cancel()
            self.attempts.set_permits(calls)
        self.attempts.set_permits(self.attempts.permits - calls)

    async def acquire_ahead(self, calls: int) -> None:
        """Wait as `acquire_permits`, and keep the permits for the writes that follow."""
        await self.acquire_permits(calls)
        self.attempts.set_permits(self.attempts.permits + calls)

    def release_permits(self) -> None:
        """Give back permits that were acquired ahead and not needed."""
        self.arm.subscription(self.mirror.members[0].nic_id).writes.release(self.attempts.permits)
        self.attempts.set_permits(0)

    def entry(self, event: str, **columns: Any) -> Entry:
        """A row about this swap: who drives it, for whom, under which ids."""
        head = self.lease.head
        operation_id = head.swap.operation_id if head.swap else None
        return self.caller.entry(event, epoch=head.epoch, claim_id=head.claim_id, operation_id=operation_id, **columns)

    def write_entry(self, outcome: str, detail: str, *request_ids: str, **columns: Any) -> Entry:
        """A `nic.write` row, with ARM's ids of this write and of those that were refused before it."""
        ids = self.journal.request_ids(*request_ids)
        return self.entry("nic.write", outcome=outcome, detail=detail, arm_request_ids=ids, **columns)
