"""Driving a swap, waiting for somebody else's, and taking over one whose driver is gone."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from vipcore.arm.rate_limit import Permits
from vipcore.decision import document
from vipcore.decision.controller import Controller
from vipcore.decision.judge import check_first
from vipcore.decision.request import HeadChanged, Request
from vipcore.errors import Refusal
from vipcore.instants import spread
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.model import Outcome, Phase
from vipcore.swap.converge import converge
from vipcore.swap.drive import Attempts, Drive
from vipcore.swap.in_flight import InFlight
from vipcore.swap.lease import HeldLease, LostLease, take_lease
from vipcore.swap.plan import Observed
from vipcore.swap.report import Report

Beginning = Callable[[Head], tuple[Head, list[Entry]]]
"""The head that was judged -> the head with an unfinished swap, and the rows that say why."""


async def begin(
    controller: Controller, request: Request, head: Head, observed: Observed, beginning: Beginning, report: Report
) -> Drive:
    """Decision, rows and lease in one transaction over exactly this head. The drive that comes back may write NICs.

    Raises HeadChanged where another was first, what `beginning` raises, and Unreachable.
    """
    owner = f"{controller.instance}/{controller.clock.new_id()}"
    observed.recall(head.carried)
    in_flight = InFlight(observed, document.in_flight(request.mirror, head))
    found_as = observed.other_definitions()
    for sentence in found_as:
        report.note(sentence)
    if not observed.kept and any(observed.carried.values()):
        report.note(
            "What the VIPs carry is too much for the head to keep; it would be lost if this driver died between its writes."
        )

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.etag != head.etag:
            raise HeadChanged(newest)
        after, entries = beginning(newest)
        after = document.stamped(controller, request.mirror, after)
        now = controller.clock.now()
        return in_flight.stamp(take_lease(after, owner, now, controller.arm.polling_now), now), entries

    asked_at = request.now()
    stored = await controller.store.commit(head, change)
    report.end_phase("accept", request.now())
    permits = request.permits or Permits(controller.arm.limits_of(request.mirror).writes)
    lease = HeldLease(
        controller.store,
        stored,
        in_flight,
        report,
        controller.arm.polling_now,
        taken_at=asked_at,
        deadline=request.deadline,
    )
    return Drive(
        store=controller.store,
        probes=controller.probes,
        arm=controller.arm,
        mirror=request.mirror,
        caller=request.caller,
        lease=lease,
        in_flight=in_flight,
        observed=observed,
        attempts=Attempts(permits),
        report=report,
    )


async def drive_to_the_end(controller: Controller, request: Request, drive: Drive) -> Outcome:
    """Drive; where another driver took over the same decision, wait for that one. Raises Refusal."""
    head = drive.lease.head
    operation_id, epoch = head.swap.operation_id if head.swap else "", head.epoch
    try:
        return _moved(request, await converge(drive))
    except Refusal as refusal:
        if refusal.code in ("azure-denied", "azure-failed", "address-taken"):
            # What was read before is out of date: the next try reads it again before it detaches anything.
            controller.preflight_cache.forget(request.mirror)
        raise
    except LostLease as lost:
        return await wait_for_swap(controller, request, lost.head, operation_id, epoch=epoch)


async def wait_for_swap(controller: Controller, request: Request, head: Head, operation_id: str, *, epoch: int) -> Outcome:
    """Wait for the swap under way; take the lease over where it is free. Raises Refusal."""
    wait = 0.1
    while True:
        if head.epoch < epoch:
            raise HeadChanged(head)  # an epoch never falls: the head was set back or removed, and is rebuilt at the next commit
        if head.epoch > epoch:
            raise Refusal(
                f"{request.kind}-superseded",
                f"Meanwhile epoch {head.epoch} made {head.desired} the one that holds the VIP.",
            )
        if head.swap is None:
            if head.last_swap is not None and head.last_swap.operation_id == operation_id:
                return _moved(request, head)
            # The swap that we waited for is gone, and is not the last one completed: judge again.
            raise HeadChanged(head)
        if not head.lease_live(controller.clock.now()):
            try:
                observed = await document.read_known(controller.read_all, request.mirror, head)
                return await take_over(controller, request, head, observed)
            except HeadChanged as overtaken:
                head = overtaken.head  # somebody else was first: what is waited for is still the same swap
                continue
        if request.now() + wait >= request.deadline:
            raise Refusal("busy", "The swap under way has not finished within this request's time; try the same again.")
        await asyncio.sleep(spread(wait, controller.clock.jitter()))
        wait = min(wait * 1.5, 1.0)
        head = await controller.load_head(request.mirror.name)


async def take_over(controller: Controller, request: Request, head: Head, observed: Observed) -> Outcome:
    """The lease is free and the swap unfinished: drive it. Raises Refusal, HeadChanged."""
    request.mirror = observed.mirror
    await check_first(controller, request, head, observed)

    def beginning(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.swap is None:
            raise HeadChanged(newest)
        swap = newest.swap
        if not swap.begun:
            swap = swap._replace(from_member=observed.placement().first, begun=True)
        after = replace(newest, swap=swap)
        return after, resumed(request, after)

    drive = await begin(controller, request, head, observed, beginning, Report(request.asked_at))
    return await drive_to_the_end(controller, request, drive)


def resumed(request: Request, before: Head) -> list[Entry]:
    """The row that says that an unfinished swap changes hands; none where no swap is unfinished."""
    if before.swap is None:
        return []
    how = "its driver's lease ran out" if before.lease else "its driver had let go"
    detail = f"The swap to {before.desired} of epoch {before.epoch} was unfinished; {how}."
    swap = before.swap
    return [request.entry("swap.resumed", operation_id=swap.operation_id, from_member=swap.from_member, detail=detail)]


def _moved(request: Request, head: Head) -> Outcome:
    last = head.last_swap
    assert last is not None
    return Outcome(
        outcome="moved",
        mirror=request.mirror.name,
        holder=last.to,
        epoch=head.epoch,
        operation_id=last.operation_id,
        from_member=last.from_member,
        phases=tuple(Phase(name=name, ms=ms) for name, ms in last.phases),
        total_ms=last.total_ms,
    )
