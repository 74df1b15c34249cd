"""One attempt to bring the VIPs to the desired member: the context that every function of this room receives.

A `Drive` never changes; its parts do, each only by its own file (`tests/repository/test_owners.py`):

  lease      the head, and the right to write           lease.py
  in_flight  which writes may still land                in_flight.py
  observed   what the NICs showed, and the plan         plan.py
  report     what the trail has still to be told        report.py
  attempts   how much this drive may still try          here
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vipcore.arm.client import Arm
from vipcore.arm.errors import ArmError
from vipcore.arm.rate_limit import Permits
from vipcore.errors import AzureRefusal
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.store import Store
from vipcore.model import Json, Mirror, Missing, Nic
from vipcore.ports import Probes
from vipcore.swap.in_flight import InFlight, Lost
from vipcore.swap.lease import HEARTBEAT_S, HeldLease
from vipcore.swap.plan import FAILED, SUCCEEDED, Observed
from vipcore.swap.report import Report

TRIES_MAX: Final = 12
"""Writes of one NIC in one drive, whatever their fate: a bound on what a stubborn fault may cost."""


class Attempts:
    """How much one drive has tried. `permits`: the writes for which Azure's rate limit has room already."""

    __slots__ = ("last_error", "one_call_tried", "permits", "repairs", "without_settings", "writes")

    def __init__(self, permits: Permits) -> None:
        self.permits = permits
        self.writes: dict[str, int] = {}
        self.last_error: dict[str, Exception] = {}
        """Member -> what last went wrong with a write of its NIC, for the answer where every try was in vain."""
        self.repairs = 0
        self.one_call_tried = False
        self.without_settings = False
        """Whether Azure refused the VIPs with what they carry, so that they are attached without."""

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

    def leave_settings(self) -> None:
        """The VIPs are attached without what they carry."""
        self.without_settings = True

    def try_one_call(self) -> None:
        """The move in one call is tried now, once in a drive."""
        self.one_call_tried = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Drive:
    """The collaborators and the parts of one drive."""

    store: Store
    probes: Probes
    arm: Arm
    mirror: Mirror
    caller: Caller
    lease: HeldLease
    in_flight: InFlight
    observed: Observed
    attempts: Attempts
    report: Report

    @property
    def desired(self) -> str:
        """The member that shall hold the VIPs."""
        assert self.lease.head.desired is not None
        return self.lease.head.desired

    @property
    def carried(self) -> Mapping[str, Json]:
        """VIP address -> the settings that it is attached with."""
        return {} if self.attempts.without_settings else self.observed.carried

    def leave_settings(self, exc: ArmError) -> None:
        """Azure refused the attach with what the VIPs carry: the address comes first, and somebody is told what it lost."""
        names = ", ".join(sorted({name for one in self.carried.values() for name in one}))
        self.attempts.leave_settings()
        self.report.note(
            f"Azure refused the attach with {names[:100]} ({exc.code}), so the attach is made without; set that again by hand."
        )

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
            if now >= self.lease.deadline:
                raise AzureRefusal(
                    "busy",
                    "Azure has not finished within this request's time. The decision stands; a retry or the timer ends the swap.",
                )
            await self.lease.renew_if_due()
            if now >= until:
                return
            await asyncio.sleep(max(0.0, min(until - now, HEARTBEAT_S, self.lease.deadline - now)))

    async def hold_permits(self, calls: int) -> None:
        """Wait until Azure's rate limit has room for that many writes.

        Raises AzureRefusal `azure-throttled` at the deadline, LostLease, Unreachable.
        """
        while self.attempts.permits.held < calls:  # another write of this drive may take them while the lease is refreshed
            held = asyncio.ensure_future(self.attempts.permits.hold(calls))
            try:
                while not held.done():
                    await asyncio.wait([held], timeout=max(0.0, min(HEARTBEAT_S, self.lease.deadline - self.now())))
                    if not held.done() and self.now() >= self.lease.deadline:
                        raise AzureRefusal("azure-throttled", "Azure's limit of writes leaves no room yet; the decision stands.")
                    await self.lease.renew_if_due()
            finally:
                held.cancel()

    async def read(self, *members: str) -> None:
        """Read these members' NICs side by side. What a read tells of a write without an answer becomes a row.

        A NIC that was not there is looked for again: that was believed while the VIPs were seen elsewhere (I9).
        """
        names = dict.fromkeys((*members, *(name for name in self.observed if isinstance(self.observed[name], Missing))))
        for name, observation in (await self.arm.read_nics(self.mirror, names, self.observed)).items():
            self.observed.saw(name, observation)
            if isinstance(observation, Nic):
                self.in_flight.shown(name)
        for lost in self.in_flight.take_unreported(*members):
            self.tell_unanswered(lost)

    def tell_unanswered(self, lost: Lost) -> None:
        """What the last read says of a write whose answer is lost; where the NIC could not be read, the next read will."""
        member, again = lost.step.member, self.observed[lost.step.member]
        if not isinstance(again, Nic):
            self.in_flight.report_later(lost)
            return
        landed = again.etag != lost.before.etag
        if landed:
            self.in_flight.settled(member, self.now())
        found = "has changed since" if landed else "is still as it was; the write may come late"
        self.tell_lost(lost, f"a fresh read found: the NIC {found}")

    def tell_lost(self, lost: Lost, found: str) -> None:
        """The row of a write whose answer is lost. `found`: what is known of it now."""
        step = lost.step
        detail = f"A write of the NIC of {step.member} ({step.kind.value}) got no answer; {found}."
        self.report.add(self.write_entry("unknown", detail, lost.sent_at, lost.request_id, member=step.member))

    async def wait_until_stable(self, member: str, *, within_s: float = float("inf")) -> None:
        """Wait while the member's NIC is `Updating` by somebody else's operation, at most that long."""
        started = self.now()
        subscription = self.arm.subscription(self.mirror.nic_id(member))
        with subscription.polling() as polling:
            while isinstance(shown := self.observed[member], Nic) and shown.state not in (SUCCEEDED, FAILED):
                if self.now() - started >= within_s:
                    return
                await polling.wait(self.pause, lambda: self.now() - started, self.jitter())
                await self.read(member)

    def log(self, event: str, /, **fields: Any) -> None:
        """A line about this swap, where no row tells it."""
        claim, correlation = self.lease.head.claim_id, self.caller.correlation_id
        self.store.log(event, mirror=self.mirror.name, claim=claim, correlation=correlation, **fields)

    def entry(self, event: str, **columns: Any) -> Entry:
        """A row about this swap: who drives it, for whom, under which ids."""
        head = self.lease.head
        operation_id = head.swap.operation_id if head.swap else None
        return self.caller.entry(event, epoch=head.epoch, claim_id=head.claim_id, operation_id=operation_id, **columns)

    def write_entry(self, outcome: str, detail: str, sent_at: float, request_id: str, **columns: Any) -> Entry:
        """The `nic.write` row of a write that was sent then (loop seconds): what is known of it now, and after how long."""
        took_ms, ids = round((self.now() - sent_at) * 1000), request_id or None
        return self.entry("nic.write", outcome=outcome, detail=detail, duration_ms=took_ms, arm_request_ids=ids, **columns)
