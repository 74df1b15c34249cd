"""One claim or one move, from the verified request to its answer: judge, commit the decision, drive or wait, answer.

The judgement is committed only over the very head it was made on: if another was first, it is made again. The order of effects:
the work item for the timer, then decision, row and lease in one transaction, then NIC writes (swap/converge.py). If we die after
the work item, the timer finds a head without work; after the transaction, an unfinished swap that it finishes.
"""

import asyncio
from typing import Final

from vipcore.arm.rate_limit import NEW, ORDER, WRITES_OF_A_SWAP, Permits, prioritise
from vipcore.decision import rules
from vipcore.decision.accept import accept, accept_beside, confirm
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.judge import check_first, judge, stop
from vipcore.decision.reads import Reads
from vipcore.decision.request import HeadChanged, Request
from vipcore.decision.takeover import drive_to_the_end, wait_for_swap
from vipcore.errors import Refusal
from vipcore.ledger.head import Head
from vipcore.model import Outcome
from vipcore.swap import preflight
from vipcore.swap.plan import Observed, Plan

_ROUNDS_MAX: Final = 20
_WAIT_SHARE: Final = 0.7
"""What part of a request's time may be spent waiting for permits, so that the rest is enough for a swap."""

_OTHERS_S: Final = 0.5
"""After so long a wait somebody else may have decided."""

_GRACE_S: Final = 7.0


async def carry_out(controller: Controller, request: Request) -> Outcome:
    """Judge, decide, drive or wait. Raises Refusal."""
    ORDER.set((NEW, request.began.timestamp()))
    reads = Reads(controller, request.mirror)
    try:
        head = await controller.load_head(request.mirror.name)
        # A drive keeps its own, earlier deadline; this one is for calls that wait for permits before anything is decided.
        async with asyncio.timeout_at(request.deadline + _GRACE_S):
            for _ in range(_ROUNDS_MAX):
                try:
                    with storage_needed():
                        return await _decide(controller, request, head, reads)
                except HeadChanged as changed:
                    head = changed.head
        raise Refusal("busy", "The mirror's state changed too often while this was judged; try again.")
    except TimeoutError as exc:
        raise Refusal("busy", "This could not be finished within a request's time; try the same again.") from exc
    finally:
        reads.drop()
        if request.permits:
            request.permits.release()


async def _decide(controller: Controller, request: Request, head: Head, reads: Reads) -> Outcome:
    now = controller.clock.now()
    remark = await judge(controller, request, head, reads, now)
    # Where it is already sure that work is left for the timer if we die, the work item goes out early.
    will_work = head.desired != request.member or head.swap is not None
    joins, driven, held = rules.joins(head, request.member), head.lease_live(now), None
    if will_work and reads.nics is not None and not (joins and driven):
        preflight.read_ahead(controller.preflight_cache, request.mirror)
        held = asyncio.create_task(_hold_permits(controller, request))
    elif will_work and reads.nics is None and not (joins and driven):
        await _acquire_permits(controller, request, head)
    early = asyncio.create_task(controller.ledger.put_work_item(request.mirror.name)) if will_work else None
    try:
        observed = None
        if not (joins and driven):
            observed = await _observed(controller, request, head, reads)
            request.mirror = observed.mirror
            found = observed.plan(request.member)
            left = head.lease is not None or (head.swap is not None and head.swap.maybe_in_flight)
            if isinstance(found, Plan) and found.done and not left and not joins:
                return await confirm(controller, request, head, observed, remark)
            await check_first(controller, request, head, observed)
        await (early or controller.ledger.put_work_item(request.mirror.name))
        drive, operation_id, epoch = None, "", 0
        if driven or observed is None:
            head, operation_id, epoch = await accept_beside(controller, request, head, remark)
        else:
            await _granted(held, head, reads)
            drive = await accept(controller, request, head, observed, remark)
        request.issued_at_used = True
    finally:
        await _end(early, held)
    if drive:
        return await drive_to_the_end(controller, request, drive)
    if request.permits:
        request.permits.release()
    reads.forget_nics()
    return await wait_for_swap(controller, request, head, operation_id, epoch=epoch)


async def _hold_permits(controller: Controller, request: Request) -> None:
    """Wait until Azure has room for a swap's writes, also beside what other instances have granted."""
    writes = controller.arm.limits_of(request.mirror).writes
    request.permits = request.permits or Permits(writes)
    while request.permits.held < WRITES_OF_A_SWAP:
        await request.permits.hold(WRITES_OF_A_SWAP)
        if not await controller.shared_writes.fit(request.mirror.subscription, writes):
            request.permits.release()


async def _granted(held: asyncio.Task[None] | None, head: Head, reads: Reads) -> None:
    """Wait for permits that were free when this was judged. Raises HeadChanged where others took them: wait first, then read."""
    if held is None:
        return
    await asyncio.wait([held], timeout=_OTHERS_S)
    if not held.done():
        reads.forget_nics()
        raise HeadChanged(head)
    held.result()


async def _end(early: asyncio.Task[None] | None, held: asyncio.Task[None] | None) -> None:
    """Let the work item be written, and wait for permits no longer."""
    if held:
        held.cancel()
    if begun := [task for task in (early, held) if task]:
        await asyncio.gather(*begun, return_exceptions=True)


async def _acquire_permits(controller: Controller, request: Request, head: Head) -> None:
    """While writes are contended: wait until Azure has room for this swap's, so that what is read then is acted on at once.

    Raises Refusal `azure-throttled` when that takes too long; the claim is recorded, and keeps its place, which is when it began.
    """
    if request.permits and request.permits.held:
        return
    if head.swap is not None:
        prioritise()  # the VIP may be on no NIC
    began, writes = request.now(), controller.arm.limits_of(request.mirror).writes
    try:
        async with asyncio.timeout_at(request.asked_at + _WAIT_SHARE * request.deadline_s):
            await _hold_permits(controller, request)
    except TimeoutError:
        wait = max(2, min(30, int(writes.free_at(1, request.now()) - request.now()) + 1))
        detail = "Azure's limit of writes leaves no room yet. Older claims go first; this one keeps its place."
        await stop(controller, request, head, Refusal("azure-throttled", detail, retry_after_s=wait))
    prioritise()
    if request.now() - began > _OTHERS_S:
        newest = await controller.load_head(request.mirror.name)
        if newest.etag != head.etag:
            raise HeadChanged(newest)


async def _observed(controller: Controller, request: Request, head: Head, reads: Reads) -> Observed:
    """The NICs. Raises Refusal `azure-throttled` where Azure leaves no room to read them in time; the claim is recorded then."""
    try:
        async with asyncio.timeout_at(request.asked_at + _WAIT_SHARE * request.deadline_s):
            return await reads.observed(head)
    except TimeoutError:
        detail = "Azure's limit of reads leaves no room to look at the NICs."
        await stop(controller, request, head, Refusal("azure-throttled", detail, retry_after_s=30))
