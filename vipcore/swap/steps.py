"""The writes of one plan: a repair; or the detaches side by side, then the attach.

Each function returns early, for a new plan, whenever something is not as it was planned for.

Overlap: nobody has published when Azure lets go of a dropped address, when it accepts the detach or when the operation ends
(docs/facts/azure.md sections 13 and 17). `strategy: put` tries the attach at acceptance. `auto` does so where that has worked
for this mirror, and now and then to find out. A refused try costs one write and no time.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from vipcore.arm import nic
from vipcore.arm.errors import ArmError
from vipcore.errors import AzureRefusal
from vipcore.instants import spread
from vipcore.model import Nic
from vipcore.swap import one_call, plan
from vipcore.swap.drive import Drive
from vipcore.swap.plan import Plan, Step
from vipcore.swap.write import Written, finish, write

REPAIRS_MAX: Final = 3
EXPLORE_EVERY: Final = 25
"""With `auto`, one swap in so many tries whether Azure has begun to let go at acceptance."""

HOLDER_STABLE_S: Final = 30.0
"""How long an `Updating` NIC that is to lose the VIP is waited for; then our write supersedes what is at work there."""

_T = TypeVar("_T")


async def carry_out(drive: Drive, found: Plan) -> None:
    """The plan's next write or writes, where the plan is still right when others have ended what they do to its NICs.

    Raises AzureRefusal, LostLease, Unreachable.
    """
    for step in found.detaches:
        await drive.wait_until_stable(step.member, within_s=HOLDER_STABLE_S)
    # Also where only something is to be detached: an older read of a NIC that is `Updating` may show what it no longer has.
    await drive.wait_until_stable(drive.desired)
    drive.end_phase("wait")
    if drive.observed.plan(drive.desired) != found:
        return
    if found.repair:
        await _repair(drive, found.repair)
    elif not await one_call.move(drive, found):
        await _one_by_one(drive, found)


async def _one_by_one(drive: Drive, found: Plan) -> None:
    """The detaches side by side, and the attach as soon as Azure lets go of the addresses."""
    await drive.hold_permits(len(found.steps))
    losing = [step.member for step in found.detaches]
    detaching = await _all(*(write(drive, step) for step in found.detaches))
    accepted = [written for written in detaching if written is not None]
    if len(accepted) < len(detaching):
        await _finish_all(drive, accepted)
        await drive.read(*losing)
        return
    pending = [written for written in accepted if written.pending]
    early = await _attach_early(drive, found.attach) if found.attach and pending and _overlaps(drive) else None
    if not await _finish_all(drive, accepted):
        if early:
            await _finish_all(drive, [early])
        return
    if losing:
        drive.end_phase("detach")
    if found.attach is None or (early is None and _has_everything(drive)):
        await drive.read(*losing)
        return
    await _attach(drive, found, early)


def _has_everything(drive: Drive) -> bool:
    """Whether desired's NIC was seen to have what it needs: an early try may have taken effect although its answer was lost."""
    found = drive.observed.plan(drive.desired)
    return isinstance(found, Plan) and found.attach is None


async def _repair(drive: Drive, step: Step) -> None:
    """Write desired's failed NIC back unchanged; where that does not help, the swap stops with everything in place."""
    written = await _attach_when_free(drive, step)
    if written is None:
        return
    repaired = await finish(drive, written)
    drive.end_phase("repair")
    await drive.read(drive.desired)
    if drive.attempts.count_repair() >= REPAIRS_MAX and not repaired:
        raise AzureRefusal(
            "azure-failed",
            f"The NIC of {drive.desired} is Failed, and writing it back unchanged {REPAIRS_MAX} times did not repair it; "
            f"see what is wrong with it or its VM. The last answer: {drive.attempts.last_error.get(drive.desired)}",
        )


async def _attach(drive: Drive, found: Plan, early: Written | None) -> None:
    """Write the attach, unless an early try was accepted, follow it, and read the NICs that were written."""
    assert found.attach is not None
    others = [step.member for step in found.detaches if not _read_since(drive, step.member, 0.0)]
    # The reads that verify the detaches go out while Azure works on the attach.
    verifying = asyncio.ensure_future(drive.read(*others))
    try:
        written = early or await _attach_when_free(drive, found.attach)
        if written is not None and await finish(drive, written):
            drive.end_phase("attach")
            if not proven(drive):
                await drive.read(drive.desired)
            await verifying
            drive.end_phase("verify")
    finally:
        await asyncio.wait([verifying])


def proven(drive: Drive) -> bool:
    """Whether what is known of desired's NIC comes from a read that was sent after our last write was answered (I4)."""
    return _read_since(drive, drive.desired, drive.in_flight.wrote_at)


def _read_since(drive: Drive, member: str, at: float) -> bool:
    """Whether what is known of this NIC comes from a read that was sent then or later, not from the answer to our write of it."""
    shown = drive.observed[member]
    return isinstance(shown, Nic) and shown.read_at >= at


async def _attach_when_free(drive: Drive, step: Step) -> Written | None:
    """Write the attach. Where no stranger has the address: wait, or rewrite the NIC of ours that has it, and plan anew.

    A holder that Azure does not name is one of ours, as far as this drive knows: where somebody else has the address, the next
    preflight finds it in the subnet's list.
    """
    known = dict(drive.observed)
    try:
        return await write(drive, step)
    except ArmError as exc:
        holder = drive.mirror.member_of(exc.holder)
        if holder == drive.desired and await _make_room(drive):
            return None
        if exc.holder and holder is None:
            raise exc.refusal() from exc
        concerned = dict.fromkeys((holder, drive.desired)) if holder else known
        if holder and isinstance(before := known[holder], Nic) and before.state == plan.FAILED:
            # A failed operation may keep what the NIC no longer shows; putting the NIC again makes Azure let go.
            drive.in_flight.overwrite(holder)
        tries = drive.attempts.writes[step.member]
        await drive.pause(spread(min(0.3 * 2**tries, 5.0), drive.jitter()))
        await drive.read(*concerned)
        for member in concerned:
            await drive.wait_until_stable(member, within_s=HOLDER_STABLE_S)
        return None


async def _make_room(drive: Drive) -> bool:
    """Azure may refuse an address that desired's own NIC gives from one ip configuration to another: two writes do it then.

    False: there is none of ours to take away.
    """
    shown = drive.observed[drive.desired]
    if not isinstance(shown, Nic) or not nic.ours(shown.document, drive.mirror.vips):
        return False
    names = tuple(vip.name for vip in drive.mirror.vips if nic.ours(shown.document, [vip]))
    written = await write(drive, Step(kind=plan.Kind.DETACH, member=drive.desired, vips=names))
    if written is not None:
        await finish(drive, written)
        await drive.read(drive.desired)
    return True


async def _attach_early(drive: Drive, step: Step) -> Written | None:
    """Try the attach while the detach is still at work. A refusal is expected if Azure releases the address only at the end."""
    await drive.lease.commit_waiting()
    try:
        written = await write(drive, step, early=True)
    except ArmError as exc:
        # One that Azure does not name is most likely our own, which lets go.
        if exc.holder and drive.mirror.member_of(exc.holder) is None:
            raise exc.refusal() from exc
        drive.report.release_seen("completion")
        drive.attempts.uncount_write(step.member)
        return None
    if written is not None:
        drive.report.release_seen("acceptance")
    return written


def _overlaps(drive: Drive) -> bool:
    """Whether to try the attach before the detach has ended."""
    known = drive.lease.head.overlap_memory
    if drive.mirror.strategy == "put" or known.get("release") == "acceptance":
        return True
    # The first swap of a mirror plays safe; the second finds out, and then one in EXPLORE_EVERY.
    return int(known.get("swaps", 0)) % EXPLORE_EVERY == 1


async def _finish_all(drive: Drive, written: list[Written]) -> bool:
    return all(await _all(*(finish(drive, item) for item in written)))


async def _all(*waits: Coroutine[Any, Any, _T]) -> list[_T]:
    """Run all to completion side by side, then raise the first error."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]
