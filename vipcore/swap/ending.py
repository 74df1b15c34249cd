"""How a drive ends: completed, failed, or handed over; each with its rows and the lease in one transaction.

`lease.py` says when the lease is given back. If the table is away at that moment, the rows follow when it is back; only the end
of this process may lose them (I3).
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

from vipcore import instants
from vipcore.arm import nic
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Failure, Head, LastSwap, of_no_other_nics
from vipcore.model import Nic
from vipcore.swap.drive import Drive
from vipcore.swap.lease import LostLease

PATH_PROBE_S: Final = 3.0
BACKOFF_S_MAX: Final = 300.0
LATER_S: Final = 3600.0
LATER_WAIT_S_MAX: Final = 15.0


async def complete(drive: Drive) -> Head:
    """Compare, probe the path, and commit the end. Returns the head that says so; raises LostLease, Unreachable."""
    changed = _changed_otherwise(drive)
    path = await _probe(drive)
    total_ms = drive.report.ms_so_far(drive.now())
    swap, epoch = drive.lease.head.swap, drive.lease.head.epoch
    assert swap is not None
    last = LastSwap(
        operation_id=swap.operation_id,
        from_member=swap.from_member,
        to=drive.desired,
        at=drive.store.clock.now(),
        total_ms=total_ms,
        phases=tuple(drive.report.phases.items()),
    )
    proof = f"Every VIP is on the NIC of {drive.desired}, shown by a read after the last write."
    columns = {"member": drive.desired, "from_member": swap.from_member, "duration_ms": total_ms, "outcome": "moved"}
    columns["detail"] = " ".join([proof, *drive.report.notes, *path, *changed])
    rows = [drive.entry("swap.completed", **columns)]
    if drive.report.closing_event:
        again = f"The VIP is on the NIC of {drive.desired} again."
        rows.append(drive.entry(drive.report.closing_event, member=drive.desired, detail=again))

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        drive.lease.check_held(newest)
        swaps = int(newest.overlap_memory.get("swaps", 0)) + 1
        memory: dict[str, Any] = {**newest.overlap_memory, **drive.report.overlap_memory, "swaps": swaps}
        done = drive.in_flight.stamp(newest, drive.store.clock.now())
        failure = newest.failure if newest.failure and newest.failure.to != drive.desired else None
        done = replace(done, swap=None, lease=None, last_swap=last, overlap_memory=memory, drift=None, failure=failure)
        return of_no_other_nics(done), rows

    stored = await drive.lease.until_reachable(lambda: drive.lease.commit(drive.lease.head, change))
    # Where the answer to that commit was lost, `stored` may be a later head: what we completed is ours to tell all the same.
    return replace(stored, epoch=epoch, last_swap=last)


def _changed_otherwise(drive: Drive) -> list[str]:
    """A sentence for each written NIC on which something besides our VIPs differs (I5)."""
    found = []
    for member, before in drive.in_flight.before.items():
        shown = drive.observed[member]
        where = nic.differences(before, shown.document, drive.mirror.vips) if isinstance(shown, Nic) else []
        if where:
            found.append(f"The NIC of {member} also changed at {', '.join(where)[:200]}; our write did not change that.")
            drive.log("nic.differs", member=member, detail=found[-1])
    return found


async def _probe(drive: Drive) -> list[str]:
    """The path probe as a phase of its own; it never undoes anything."""
    target = drive.mirror.path_probe
    if target is None:
        return []
    within = min(PATH_PROBE_S, max(0.1, drive.lease.deadline - drive.now()))
    took = await drive.probes.path(target, within_s=within)
    drive.end_phase("path")
    if took is None:
        return [f"The path probe {target} did not answer within {within:g} s."]
    return [f"The path probe answered after {round(took * 1000)} ms."]


async def fail(drive: Drive, refusal: Refusal) -> None:
    """Say so in the trail, set the time of the next try, and release the lease if nothing of ours is in flight."""
    failed_at = drive.store.clock.now()

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        drive.lease.check_held(newest)
        assert newest.swap is not None
        failures = newest.swap.failures + 1
        backoff = min(5.0 * 2 ** min(failures - 1, 8), BACKOFF_S_MAX)
        swap = newest.swap._replace(failures=failures, retry_at=failed_at + instants.seconds(backoff))
        failure = Failure.of(swap, refusal)
        if drive.desired in drive.in_flight.before:  # what Azure says to a write no read may show (decision/readiness.py)
            failure = failure._replace(to=drive.desired, at=failed_at)
        failed = replace(newest, swap=swap, failure=failure)
        after = drive.in_flight.stamp(failed, drive.store.clock.now())
        if not drive.in_flight.unanswered:
            # What a driver before us may have left is still to be rewritten by whoever comes next.
            left = swap._replace(maybe_in_flight=drive.in_flight.left_to_others())
            after = replace(after, lease=None, swap=left)
        return after, [row]

    head = drive.lease.head
    row = drive.entry(
        "swap.failed",
        member=head.desired,
        from_member=head.swap.from_member if head.swap else None,
        duration_ms=drive.report.ms_so_far(drive.now()),
        outcome=refusal.code,
        detail=" ".join([refusal.detail[:1000], *drive.report.notes]),
    )
    try:
        await drive.lease.commit(head, change)
    except LostLease as lost:
        await let_go(drive, lost.head)
        return
    except Unreachable:
        drive.report.add(row)
        said = f"The swap failed, and its row waits until the table is back: {refusal.detail}"
        drive.log("swap.unrecorded", to=head.desired, code=refusal.code, detail=said)


async def let_go(drive: Drive, head: Head) -> None:
    """Somebody else decides or drives now: write down what we did, and hand over a lease that is still ours."""
    _tell_the_rest(drive)
    try:
        await _hand_over(drive, head)
    except Unreachable:
        said = "The table did not answer, so the lease was not given back; it runs out by itself."
        drive.log("lease.kept", detail=said)


def _tell_the_rest(drive: Drive) -> None:
    """What no row of this drive has told yet, and no later one will: writes that no read has judged (I3)."""
    for lost in drive.in_flight.take_unreported(*drive.in_flight.unreported):
        drive.tell_lost(lost, "this driver let go before a read could tell more")


async def _hand_over(drive: Drive, head: Head) -> None:
    """Commit the waiting entries, and release the lease if it is ours and no write of ours may still land. Raises Unreachable."""

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        after = drive.in_flight.stamp(newest, drive.store.clock.now())
        if newest.lease is None or newest.lease.owner != drive.lease.owner:
            # Whoever judges now must not take a read of before our writes for a fresh one.
            return (replace(newest, wrote_at=after.wrote_at) if drive.report.waiting else newest), []
        if after.swap is not None:
            after = replace(after, swap=after.swap._replace(maybe_in_flight=drive.in_flight.left_to_others()))
        return (after if drive.in_flight.unanswered else replace(after, lease=None)), []

    await drive.lease.commit(head, change)


_LATER: Final[set[asyncio.Task[None]]] = set()
"""What goes on after a request was answered, such as rows that wait for the table; the set keeps the tasks alive."""


def wind_up_later(drive: Drive, heartbeat: asyncio.Future[None]) -> None:
    """End the heartbeat and write the rest down. Not waited for: the table may hang, and the request's answer is due."""
    task = asyncio.ensure_future(_wind_up(drive, heartbeat))
    _LATER.add(task)
    task.add_done_callback(_LATER.discard)


async def _wind_up(drive: Drive, heartbeat: asyncio.Future[None]) -> None:
    async with drive.lease.lock:
        heartbeat.cancel()  # not in the middle of a commit of its own
    _tell_the_rest(drive)
    # The table was away when the rows of writes that Azure answered had to be committed: they follow when it is back.
    wait, until = 1.0, drive.now() + LATER_S
    while drive.report.waiting and drive.now() < until:
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, LATER_WAIT_S_MAX)
        try:
            await _hand_over(drive, await drive.store.ledger.load_head(drive.mirror.name))
        except Unreachable:
            continue
