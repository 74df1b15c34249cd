"""Following an accepted write's operation to its end.

An operation that failed may have changed the NIC all the same (docs/facts/azure.md section 7): only a read tells.
"""

from typing import Final

from vipcore.arm import nic
from vipcore.arm.errors import ArmError, Cause
from vipcore.errors import NoReply, NotSent
from vipcore.model import Nic
from vipcore.swap.drive import Drive
from vipcore.swap.observe import read, wait_until_stable
from vipcore.swap.plan import FAILED, SUCCEEDED, Kind
from vipcore.swap.write import Written

BESIDE_S: Final = 1.0
"""An operation accepted longer ago ran beside another one that has ended, and may have ended too: it is polled at once."""

POLL_FAULTS_MAX: Final = 6
"""Polls in a row that led to nothing; then the NIC itself is read."""

_USELESS: Final = frozenset({Cause.DENIED, Cause.FORBIDDEN, Cause.FATAL})
"""Failures of a poll that another poll meets again. They say nothing of the operation: the NIC is read instead."""


async def finish(drive: Drive, written: Written) -> bool:
    """Follow the write's operation to its end. True: succeeded. False: it failed or was superseded; the NIC was read again.

    Raises AzureRefusal `busy` at the deadline, LostLease, Unreachable.
    """
    if not written.pending:
        return True
    await drive.lease.commit_waiting()
    member = written.step.member
    if written.operation is None:
        await wait_until_stable(drive, member)
        return True
    subscription = drive.arm.subscription(drive.mirror.nic_id(member))
    faults, polls, before_s = 0, 0, 0.0
    waits = drive.now() - written.sent_at < BESIDE_S or subscription.reads_low()
    with subscription.polling():
        while True:
            if waits:
                await drive.pause(subscription.poll_after(drive.now() - written.sent_at, drive.jitter(), polls))
            waits = True
            elapsed = drive.now() - written.sent_at
            try:
                if subscription.reads_low() and written.step.vips:
                    ended = await _ended_by_its_nic(drive, written)
                else:
                    ended = await _poll(drive, written)
                if ended is not None:
                    subscription.poll_ended(elapsed, before_s)
                    return ended
                polls, faults, before_s = polls + 1, 0, elapsed
            except (ArmError, NotSent, NoReply) as exc:
                cause = exc.cause if isinstance(exc, ArmError) else None
                if isinstance(exc, ArmError) and (exc.ended_operation or cause is Cause.GONE):
                    return await _ended_badly(drive, written, exc)
                if cause is not Cause.THROTTLED:
                    faults += 1
                if isinstance(exc, NotSent) or cause in _USELESS or faults >= POLL_FAULTS_MAX:
                    # We may not or do not poll this URL, or it stopped answering: the NIC tells as well.
                    await read(drive, member)
                    await wait_until_stable(drive, member)
                    return True


async def _poll(drive: Drive, written: Written) -> bool | None:
    """True: succeeded. None: not ended. Raises as `Arm.poll`."""
    return await drive.arm.poll(drive.mirror.nic_id(written.step.member), written.operation or "") or None


async def _ended_by_its_nic(drive: Drive, written: Written) -> bool | None:
    """One read instead of two where reads are scarce: a NIC that is `Succeeded` again tells of the end and what came of it.

    None: not ended. True: it shows what was written. False: it shows something else. Raises as `Arm.poll`.
    """
    member, vips = written.step.member, written.step.vips
    await read(drive, member)
    shown = drive.observed[member]
    if not isinstance(shown, Nic) or shown.state == FAILED:
        return await _poll(drive, written)
    if shown.state != SUCCEEDED:
        return None
    if written.step.kind is Kind.DETACH:
        return not any(nic.named(shown.document, vip) for vip in vips)
    return all(nic.carries(shown.document, vip) for vip in drive.mirror.vips if vip.name in vips)


async def _ended_badly(drive: Drive, written: Written, exc: ArmError) -> bool:
    """The write already has its row; the failure goes into the row that ends the swap."""
    member = written.step.member
    drive.attempts.failed(member, exc)
    drive.store.log("operation.ended", mirror=drive.mirror.name, member=member, code=exc.code, request=written.request_id)
    drive.report.note(f"The operation {written.request_id} on the NIC of {member} ended with {exc.code}: {exc.message}")
    await read(drive, member)
    await wait_until_stable(drive, member)
    return False
