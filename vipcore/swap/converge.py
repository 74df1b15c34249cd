"""Read, plan, write, read again, until every VIP is on desired's NIC: the one loop behind claims, moves, retries and the timer.

Order of effects: the caller has committed decision, row and lease in one transaction. Detaches go out side by side; each answer
becomes a `nic.write` row before the next write starts; the attach goes out; a read after the last write shows the end state;
`swap.completed`, the last rows and the end of the lease are one transaction; only then is the request answered.

If we die anywhere, the head says that a swap is unfinished (`Head.swap`), which NICs may have a write of ours in flight
(`Swap.maybe_in_flight`) and until when nobody else drives (`Head.lease`). Whoever takes over a lease that ran out first rewrites
those NICs under the etag of a fresh read, so that a late write fails, and then does what this module always does.
"""

import asyncio
from typing import Final

from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.rate_limit import prioritise
from vipcore.errors import AzureRefusal, Refusal
from vipcore.ledger.head import Head
from vipcore.model import Missing, Nic, Unreadable
from vipcore.swap import ending, plan, steps
from vipcore.swap.drive import Drive
from vipcore.swap.lease import LostLease
from vipcore.swap.plan import Blocked, Kind, Step
from vipcore.swap.write import finish, write

READS_MAX: Final = 4
"""Reads of a NIC that could not be read, before the drive gives up."""


async def converge(drive: Drive) -> Head:
    """Drive to the end and return the head that says so. The lease is released on every way out that leaves nothing in flight.

    Raises Refusal (what the request answers; the swap stays unfinished and is continued), LostLease, Unreachable.
    """
    prioritise()
    heartbeat = asyncio.ensure_future(drive.lease.keep_alive())
    try:
        await _to_the_end(drive)
        return await ending.complete(drive)
    except Refusal as refusal:
        await ending.fail(drive, refusal)
        raise
    except LostLease as lost:
        await ending.let_go(drive, lost.head)
        raise
    finally:
        drive.attempts.permits.release()
        ending.wind_up_later(drive, heartbeat)


async def _to_the_end(drive: Drive) -> None:
    blocked = 0
    while True:
        found = drive.observed.plan(drive.desired)
        if isinstance(found, Blocked):
            blocked += 1
            await _blocked(drive, found, blocked)
            continue
        plan.check_invariants(drive.mirror, found, drive.desired)
        # A write of our own that may still land is overwritten like one of a driver that died: nothing ends before that.
        lone = sorted(drive.in_flight.late - {step.member for step in found.steps})
        if lone:
            await _overwrite(drive, lone)
        elif found.done and steps.proven(drive):
            return
        elif found.done:
            await drive.read(drive.desired)
        elif not found.steps:
            await drive.wait_until_stable(drive.desired)
        else:
            await steps.carry_out(drive, found)


async def _blocked(drive: Drive, found: Blocked, times: int) -> None:
    """Read again what could not be read, a few times; nothing else helps by itself."""
    first = next((drive.observed[name] for name in found.unread), None)
    error = first.error if isinstance(first, Unreadable) else None
    hopeless = isinstance(error, ArmError) and error.cause is Cause.DENIED
    if not found.unread or hopeless or times >= READS_MAX:
        raise plan.refusal(drive.observed, found)
    await drive.pause(error.retry_after_s if isinstance(error, ArmError) and error.retry_after_s else 0.5 * times)
    await drive.read(*found.unread)


async def _overwrite(drive: Drive, members: list[str]) -> None:
    """Rewrite NICs as they are, so that a write that may still land meets another etag.

    Azure may keep the etag of a NIC that is put back as it was read: then our tag changes, which it cannot keep it for.
    """
    for member in members:
        for _ in range(READS_MAX):
            if isinstance(drive.observed[member], Unreadable):
                await drive.pause(0.5)
                await drive.read(member)
        if isinstance(drive.observed[member], Missing):
            drive.in_flight.gone(member)
            continue
        if isinstance(drive.observed[member], Unreadable):
            _watch_instead(drive, member)
            continue
        await drive.wait_until_stable(member, within_s=steps.HOLDER_STABLE_S)
        for kind in (Kind.OVERWRITE, Kind.TAG):
            before = drive.observed[member]
            written = await write(drive, Step(kind=kind, member=member))
            if written is None:
                return  # the NIC was read again: plan anew
            await finish(drive, written)
            await drive.read(member)
            after = drive.observed[member]
            if isinstance(before, Nic) and isinstance(after, Nic) and after.etag != before.etag:
                drive.in_flight.overwritten(member, drive.now())
                break


def _watch_instead(drive: Drive, member: str) -> None:
    """A NIC that cannot be read cannot be rewritten. A dead driver's write is left to the watch; for our own we give up."""
    if member in drive.in_flight.unanswered:
        raise AzureRefusal(
            "outcome-unknown",
            f"A write of the NIC of {member} got no answer, and the NIC cannot be read; it is rewritten when it can be.",
        )
    drive.report.note(f"The NIC of {member} could not be read and so was not rewritten; the timer watches it for a late write.")
    drive.in_flight.leave_to_watch(member)
