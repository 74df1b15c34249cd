"""One NIC write to the end of its operation: what it carries, when it may go out, and what each way it can go wrong means.

Changes: the NIC of the step's member, by one PUT; `attempts`, `in_flight`, `report` and `observed` through their methods; the
lease through `check_before_write`, and by keeping it alive while it waits. Never: another NIC, anything in the document but our
VIPs' ip configurations and the tag that proves an overwrite (docs/adr/0012-overwrite-is-proven.md), a PUT repeated without a
fresh read, the end of the swap or of the lease.

A write that was refused had no effect. A write whose answer is lost (`NoReply`, a 5xx) may have had one: nothing is repeated
before a fresh read, and the member stays in `InFlight.late` until a read or an accepted write of ours settles it. An operation
that failed may have changed the NIC all the same (docs/facts/azure.md section 7): only a read tells.
"""

from dataclasses import dataclass
from typing import Final

from vipcore import instants
from vipcore.arm import nic
from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.port import ArmReply
from vipcore.errors import AzureRefusal, NoReply, NoToken, NotSent
from vipcore.model import Json, Nic
from vipcore.swap.drive import TRIES_MAX, Drive
from vipcore.swap.in_flight import Lost
from vipcore.swap.plan import FAILED, SUCCEEDED, Kind, Step

FRESH_S: Final = 15.0
"""A NIC read longer ago is read again before it is written: If-Match on NICs is undocumented (docs/facts/azure.md section 5)."""

BESIDE_S: Final = 1.0
"""An operation accepted longer ago ran beside another one that has ended, and may have ended too: it is polled at once."""

POLL_FAULTS_MAX: Final = 6
"""Polls in a row that led to nothing; then the NIC itself is read."""

_USELESS: Final = frozenset({Cause.DENIED, Cause.FORBIDDEN, Cause.FATAL})
"""Failures of a poll that another poll meets again. They say nothing of the operation: the NIC is read instead."""


@dataclass(slots=True, kw_only=True, eq=False)
class Written:
    """A write that Azure accepted. `operation`: the URL that tells its end, None where it has ended or only the NIC tells."""

    step: Step
    operation: str | None
    request_id: str
    pending: bool
    sent_at: float


def document(drive: Drive, step: Step, shown: Nic) -> Json:
    """What the step's PUT carries: the NIC as it is, but for our VIPs."""
    match step.kind:
        case Kind.DETACH:
            return nic.detached(shown, drive.mirror.vips)
        case Kind.ATTACH:
            return nic.attached(shown, drive.mirror.vips, drive.carried)
        case Kind.REPAIR | Kind.OVERWRITE:
            return shown.document
        case Kind.TAG:
            return nic.tagged(shown, instants.to_text(drive.store.clock.now()))


async def write(drive: Drive, step: Step, *, early: bool = False) -> Written | None:
    """Carry out one step. None: nothing was accepted; the NIC was read again where that helps, and the caller plans anew.

    `early`: another operation is known to be at work; a lock or a throttle is then not waited for here.

    Raises AzureRefusal where an operator or time must help, ArmError with ADDRESS where another NIC holds the address,
    LostLease, Unreachable.
    """
    if not drive.attempts.count_write(step.member):
        raise _in_vain(drive, step.member)
    await drive.hold_permits(1)
    with drive.attempts.permits.one() as permit:
        shown = await _read_shortly_before(drive, step.member)
        if shown is None:
            return None
        await drive.lease.check_before_write(step.member)
        drive.in_flight.sent(step.member, shown.document)
        sent_at = drive.now()
        try:
            after, reply = await drive.arm.put(shown, document(drive, step, shown), permit)
        except (ArmError, NotSent, NoReply) as exc:
            waits = isinstance(exc, ArmError) and exc.cause in (Cause.THROTTLED, Cause.LOCKED)
            request_id = exc.request_id if isinstance(exc, ArmError) else ""
            if waits:
                drive.attempts.uncount_write(step.member)
            if without_effect(exc):
                drive.in_flight.refused(step.member)
                if isinstance(exc, ArmError):
                    detail = f"Azure refused the {_what(drive, step)}: {exc}"
                    drive.report.add(drive.write_entry("refused", detail, sent_at, request_id, member=step.member))
            else:
                drive.in_flight.lost(step.member)
                drive.in_flight.report_later(Lost(step, shown, sent_at, request_id))
            if not (early and (waits or _settings_refused(drive, step, exc))):
                await _not_accepted(drive, step, exc)
            return None
    return _accepted(drive, step, after, reply, sent_at)


async def _read_shortly_before(drive: Drive, member: str) -> Nic | None:
    """The NIC as read within FRESH_S. None: it is no longer as it was, or cannot be read."""
    shown = drive.observed[member]
    if isinstance(shown, Nic) and drive.now() - shown.read_at <= FRESH_S:
        return shown
    await drive.read(member)
    again = drive.observed[member]
    return again if isinstance(shown, Nic) and isinstance(again, Nic) and again.etag == shown.etag else None


def without_effect(exc: ArmError | NotSent | NoReply) -> bool:
    """Whether the write certainly did nothing. That says nothing about an earlier one to the same NIC without an answer."""
    return isinstance(exc, NotSent) or (isinstance(exc, ArmError) and exc.cause is not Cause.TRANSIENT)


def _accepted(drive: Drive, step: Step, after: Nic, reply: ArmReply, sent_at: float) -> Written:
    if step.vips:
        drive.in_flight.accepted(step.member, drive.now())
    else:  # the NIC may be as it was, its etag included
        drive.in_flight.answered(step.member, drive.now())
    drive.observed.saw(step.member, after)
    pending = after.state not in (SUCCEEDED, FAILED)
    outcome = "completed" if after.state == SUCCEEDED else "accepted"
    detail = f"Azure {outcome} the {_what(drive, step)}."
    drive.report.add(drive.write_entry(outcome, detail, sent_at, reply.request_id, member=step.member))
    return Written(step=step, operation=reply.operation, request_id=reply.request_id, pending=pending, sent_at=sent_at)


def _what(drive: Drive, step: Step) -> str:
    """The write, as its row names it."""
    carried = sorted({name for one in drive.carried.values() for name in one}) if step.kind is Kind.ATTACH else ()
    vips = f"{', '.join(step.vips)} (with {', '.join(carried)})" if carried else ", ".join(step.vips)
    return _WHAT[step.kind].format(vips=vips[:500], member=step.member)


_LATE: Final = "an earlier write without an answer fails if it still comes"
_WHAT: Final = {
    Kind.DETACH: "detach of {vips} from the NIC of {member}",
    Kind.ATTACH: "attach of {vips} to the NIC of {member}",
    Kind.REPAIR: "write that puts the failed NIC of {member} back unchanged, to repair it",
    Kind.OVERWRITE: f"write that puts the NIC of {{member}} back unchanged, so that {_LATE}",
    Kind.TAG: f"tag {nic.TAG} on the NIC of {{member}}, so that {_LATE}: its etag had stayed as it was",
}


async def _not_accepted(drive: Drive, step: Step, exc: ArmError | NotSent | NoReply) -> None:
    """Judge a write that was not accepted: read the NIC, so that the caller plans anew, or raise."""
    drive.attempts.failed(step.member, exc)
    if isinstance(exc, ArmError):
        detail = f"Azure refused to {step.kind.value} at the NIC of {step.member}: {exc.message}"
        drive.log("nic.refused", member=step.member, code=exc.code, request=exc.request_id or None, detail=detail)
        match exc.cause:
            case Cause.ADDRESS if step.kind in (Kind.ATTACH, Kind.REPAIR):
                raise exc
            case Cause.ADDRESS if exc.holder is None or drive.mirror.member_of(exc.holder):
                await drive.pause(1.0 + drive.jitter())  # Azure lets go of it, as far as this drive knows
            case _ if _settings_refused(drive, step, exc):
                drive.leave_settings(exc)
            case Cause.ADDRESS | Cause.DENIED | Cause.FORBIDDEN | Cause.FATAL | Cause.GONE:
                raise exc.refusal()
            case Cause.THROTTLED | Cause.LOCKED:
                wait = exc.retry_after_s if exc.retry_after_s is not None else 1.0 + drive.jitter()
                if drive.now() + wait >= drive.lease.deadline:
                    raise exc.refusal()
                await drive.pause(wait)
            case Cause.TOKEN | Cause.TRANSIENT:
                await drive.pause((exc.retry_after_s or 0.5) + drive.jitter() * 0.5)
            case _:
                await drive.pause(0.05 * drive.jitter())
    else:
        await drive.pause(0.2 + 0.3 * drive.jitter())
    await drive.read(step.member)


def _settings_refused(drive: Drive, step: Step, exc: Exception) -> bool:
    """Whether what the VIPs carry may be why this attach was refused: a pool that is gone, a right on it that is missing."""
    causes = (Cause.DENIED, Cause.FORBIDDEN, Cause.FATAL, Cause.GONE)
    return step.kind is Kind.ATTACH and isinstance(exc, ArmError) and exc.cause in causes and any(drive.carried.values())


def _in_vain(drive: Drive, member: str) -> AzureRefusal:
    """The refusal after TRIES_MAX writes of one NIC in vain, with the code of the last error."""
    before = f"{TRIES_MAX} writes of the NIC of {member} failed to bring it to the desired state. "
    match drive.attempts.last_error.get(member):
        case ArmError(cause=Cause.TRANSIENT) | NoReply() as exc:
            return AzureRefusal("outcome-unknown", f"{before}The last one got no answer that tells whether it took effect: {exc}")
        case ArmError(cause=(Cause.ETAG | Cause.ADDRESS) as cause):  # an address that a stranger has is told at once
            who = "Somebody else changed the NIC between each read of ours and the write; find out who writes it."
            return AzureRefusal("busy", f"{before}{who if cause is Cause.ETAG else 'Azure has not let go of the address yet.'}")
        case ArmError() as exc:
            refusal = exc.refusal()
            return AzureRefusal(refusal.code, f"{before}{refusal.detail}", retry_after_s=refusal.retry_after_s)
        case NoToken() as exc:
            return AzureRefusal("identity-unavailable", f"{before}The last one was not sent: {exc}")
        case NotSent() as exc:
            return AzureRefusal("azure-failed", f"{before}Azure could not be reached: {exc}")
        case _:
            return AzureRefusal("azure-failed", before.rstrip())


async def finish(drive: Drive, written: Written) -> bool:
    """Follow the write's operation to its end. True: succeeded. False: it failed or was superseded; the NIC was read again.

    Raises AzureRefusal `busy` at the deadline, LostLease, Unreachable.
    """
    if not written.pending:
        return True
    await drive.lease.commit_waiting()
    member = written.step.member
    if written.operation is None:
        await drive.wait_until_stable(member)
        return True
    subscription = drive.arm.subscription(drive.mirror.nic_id(member))
    faults, before_s = 0, 0.0
    waits = drive.now() - written.sent_at < BESIDE_S or subscription.reads_low()
    with subscription.polling() as polling:
        while True:
            if waits:
                await polling.wait(drive.pause, lambda: drive.now() - written.sent_at, drive.jitter())
            waits = True
            elapsed = drive.now() - written.sent_at
            try:
                ended = await _ended(drive, written, by_its_nic=bool(written.step.vips) and subscription.reads_low())
                if ended is not None:
                    subscription.poll_ended(elapsed, before_s)
                    return ended
                faults, before_s = 0, elapsed
            except (ArmError, NotSent, NoReply) as exc:
                cause = exc.cause if isinstance(exc, ArmError) else None
                if isinstance(exc, ArmError) and (exc.ended_operation or cause is Cause.GONE):
                    return await _ended_badly(drive, written, exc)
                if cause is not Cause.THROTTLED:
                    faults += 1
                if isinstance(exc, NotSent) or cause in _USELESS or faults >= POLL_FAULTS_MAX:
                    # We may not or do not poll this URL, or it stopped answering: the NIC tells as well.
                    await drive.read(member)
                    await drive.wait_until_stable(member)
                    return True


async def _ended(drive: Drive, written: Written, *, by_its_nic: bool) -> bool | None:
    """None: not ended. True: succeeded. False: the NIC shows something else than what was written. Raises as `Arm.poll`.

    `by_its_nic`: one read instead of two where reads are scarce; a NIC that is `Succeeded` again tells what came of it, too.
    """
    member, vips = written.step.member, written.step.vips
    if by_its_nic:
        await drive.read(member)
        shown = drive.observed[member]
        if isinstance(shown, Nic) and shown.state != FAILED:
            if shown.state != SUCCEEDED:
                return None
            if written.step.kind is Kind.DETACH:
                return not nic.ours(shown.document, drive.mirror.vips)
            return all(nic.carries(shown.document, vip) for vip in drive.mirror.vips if vip.name in vips)
    return await drive.arm.poll(drive.mirror.nic_id(member), written.operation or "") or None


async def _ended_badly(drive: Drive, written: Written, exc: ArmError) -> bool:
    """The write already has its row; the failure goes into the row that ends the swap."""
    member = written.step.member
    drive.attempts.failed(member, exc)
    said = f"The operation {written.request_id} on the NIC of {member} ended with {exc.code}: {exc.message}"
    drive.log("operation.ended", member=member, code=exc.code, request=written.request_id, detail=said)
    drive.report.note(said)
    if (
        written.step.kind is Kind.ATTACH
        and drive.attempts.writes.get(member, 0) >= TRIES_MAX // 2
        and any(drive.carried.values())
    ):
        drive.leave_settings(exc)
    await drive.read(member)
    await drive.wait_until_stable(member)
    return False
