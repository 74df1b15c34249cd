"""One claim or one move, from the verified request to its answer: judge, commit the decision, drive or wait, answer.

The judgement is committed only over the very head it was made on: if another was first, it is made again. The order of effects:
the hint for the timer, then decision, row and lease in one transaction, then NIC writes (converge.py). If we die after the hint,
the timer finds a head without work; after the transaction, an unfinished swap that it finishes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from vipcore import instants
from vipcore.arm.rate_limit import NEW, ORDER, WRITES_OF_A_SWAP, prioritise
from vipcore.decision import rules
from vipcore.decision.controller import REPEAT_S, Controller, left_out, storage_unavailable
from vipcore.decision.judge import check_first, judge, refuse
from vipcore.decision.request import HeadChanged, Reads, Request
from vipcore.decision.takeover import drive, driver_for, resumed, take_lease, wait_for_swap
from vipcore.errors import Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, Repeat, Swap, repeated
from vipcore.model import Observation, Outcome
from vipcore.swap import plan, preflight
from vipcore.swap.driver import LEASE_MARGIN_S, Driver

_ROUNDS_MAX: Final = 20
_WAIT_SHARE: Final = 0.7
"""What part of a request's time may be spent waiting for turns, so that the rest is enough for a swap."""

_OTHERS_S: Final = 0.5
"""After so long a wait somebody else may have decided."""

_GRACE_S: Final = 7.0


async def carry_out(controller: Controller, request: Request) -> Outcome:
    """Judge, decide, drive or wait. Raises Refusal."""
    ORDER.set((NEW, request.began.timestamp()))
    reads = Reads.begin(controller, request.mirror)
    try:
        head = await controller.load_head(request.mirror.name)
        # The driver keeps its own, earlier deadline; this one is for calls that wait their turn before anything is decided.
        async with asyncio.timeout_at(request.deadline + _GRACE_S):
            for _ in range(_ROUNDS_MAX):
                try:
                    return await _decide(controller, request, head, reads)
                except HeadChanged as changed:
                    head = changed.head
        raise Refusal("busy", "The mirror's state changed too often while this was judged; try again.")
    except TimeoutError as exc:
        raise Refusal("busy", "This could not be finished within a request's time; try the same again.") from exc
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc
    finally:
        reads.drop()
        _release_writes(controller, request)


async def _decide(controller: Controller, request: Request, head: Head, reads: Reads) -> Outcome:
    now = controller.clock.now()
    remark = await judge(controller, request, head, reads, now)
    if reads.nics is not None and _will_work(request, head):
        preflight.read_ahead(controller.arm, controller.readings, request.mirror)
    if reads.nics is None and _will_work(request, head):
        await _acquire_writes(controller, request, head, now)
    adding = asyncio.create_task(controller.ledger.put_work_item(request.mirror.name)) if _will_work(request, head) else None
    try:
        joins, driven = rules.joins(head, request.member), head.lease_live(now, margin_s=LEASE_MARGIN_S)
        observed = {} if joins and driven else await _shown(controller, request, head, reads)
        if not (joins and driven):
            found = plan.plan(request.mirror, observed, request.member)
            left = head.lease is not None or (head.swap is not None and head.swap.open)
            if isinstance(found, plan.Plan) and found.done and not left and not joins:
                return await _confirm(controller, request, head, observed, remark)
            await check_first(controller, request, head, observed, found)
        await (adding or controller.ledger.put_work_item(request.mirror.name))
        driver, operation_id, epoch = None, "", 0
        if driven:
            head, operation_id, epoch = await _accept_beside(controller, request, head, remark)
        else:
            driver = await _accept(controller, request, head, observed, remark)
            driver.permits, request.permits = request.permits, 0
        request.issued_at_used = True
    finally:
        if adding:
            await asyncio.wait([adding])
            adding.exception()
    _release_writes(controller, request)
    if driver:
        return await drive(controller, request, driver)
    reads.forget()
    return await wait_for_swap(controller, request, head, operation_id, epoch=epoch)


async def _acquire_writes(controller: Controller, request: Request, head: Head, now: Instant) -> None:
    """In a crowd: wait until Azure has room for this swap's writes, so that what is read then is acted on at once.

    Raises Refusal `azure-throttled` when that takes too long; the claim is recorded, and keeps its place, which is when it began.
    """
    joins = rules.joins(head, request.member)
    if request.permits or (joins and head.lease_live(now, margin_s=LEASE_MARGIN_S)):
        return
    if head.swap is not None:
        prioritise()  # the VIP may be on no NIC
    loop = asyncio.get_running_loop()
    began, writes = loop.time(), controller.arm.subscription(request.mirror.members[0].nic_id).writes
    try:
        async with asyncio.timeout_at(request.asked_at + _WAIT_SHARE * request.deadline_s):
            await writes.acquire(WRITES_OF_A_SWAP)
    except TimeoutError:
        wait = max(2, min(30, int(writes.free_at(1, loop.time()) - loop.time()) + 1))
        detail = "Azure's limit of writes leaves no room yet. Older claims go first; this one keeps its place."
        if joins:
            raise Refusal("azure-throttled", detail, retry_after_s=wait) from None
        deny = rules.Deny(code="azure-throttled", detail=detail, recorded=request.claim is not None, retry_after_s=wait)
        await refuse(controller, request, head, deny)
    request.permits = WRITES_OF_A_SWAP
    prioritise()
    if loop.time() - began > _OTHERS_S:
        newest = await controller.load_head(request.mirror.name)
        if newest.etag != head.etag:
            raise HeadChanged(newest)


async def _shown(controller: Controller, request: Request, head: Head, reads: Reads) -> dict[str, Observation]:
    """The NICs. Raises Refusal `azure-throttled` where Azure leaves no room to read them in time; the claim is recorded then."""
    try:
        async with asyncio.timeout_at(request.asked_at + _WAIT_SHARE * request.deadline_s):
            return await reads.shown(head)
    except TimeoutError:
        detail = "Azure's limit of reads leaves no room to look at the NICs."
        if rules.joins(head, request.member):
            raise Refusal("azure-throttled", detail, retry_after_s=30) from None
        deny = rules.Deny(code="azure-throttled", detail=detail, recorded=request.claim is not None, retry_after_s=30)
        await refuse(controller, request, head, deny)
        raise AssertionError("a refusal is raised") from None


def _release_writes(controller: Controller, request: Request) -> None:
    """Give back turns that no driver has taken over."""
    controller.arm.subscription(request.mirror.members[0].nic_id).writes.release(request.permits)
    request.permits = 0


def _will_work(request: Request, head: Head) -> bool:
    """Whether it is already sure that work will be left for the timer if we die (the hint may then go out early)."""
    return head.desired != request.member or head.swap is not None


async def _confirm(
    controller: Controller, request: Request, head: Head, observed: dict[str, Observation], remark: str | None
) -> Outcome:
    """The VIP is in place by a fresh read and nobody drives: say so, decide it if it was not decided, write no NIC."""
    now = controller.clock.now()
    what = f"{request.kind}.confirmed {request.member}"
    operation_id = controller.clock.new_id()
    epoch = head.epoch

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        nonlocal epoch
        if newest.etag != head.etag:
            raise HeadChanged(newest)
        config = controller.config
        claim_id = request.claim.claim_id if request.claim else None
        after = rules.decided(
            newest, request.member, _restated(request, newest), now=now, claim_id=claim_id, changes_s=config.max_changes_s
        )
        after = request.use_issued_at(replace(after, swap=None))
        epoch = after.epoch
        last = newest.repeats.get(request.actor)
        unchanged = after.epoch == newest.epoch and newest.swap is None and newest.recorded_claim == after.recorded_claim
        if request.claim and unchanged and last and last.what == what and now - last.at < instants.seconds(REPEAT_S):
            return replace(after, repeats={**after.repeats, request.actor: replace(last, left_out=last.left_out + 1)}), []
        if request.claim:
            after = repeated(after, request.actor, Repeat(what=what, at=now))
        # One row tells how many were left out, and why pages that contradict it did not stop it: the first.
        rows = [] if after.epoch == newest.epoch else [_accepted_row(request, newest, operation_id, "decided", remark)]
        said = _reason(request) or "The VIP is there already; no NIC was written."
        said = " ".join(sentence for sentence in (said, None if rows else _dropped(request, newest)) if sentence)
        detail = said if rows else left_out(f"{said} {remark}" if remark else said, last.left_out if last else 0)
        rows.append(request.draft(f"{request.kind}.confirmed", operation_id=operation_id, outcome="confirmed", detail=detail))
        return after, rows

    # Nothing between the read of this head and its replacement can have moved the VIP: who moves it commits to the head first.
    await controller.store.commit(head, change)
    total_ms = round((asyncio.get_running_loop().time() - request.asked_at) * 1000)
    return Outcome(
        outcome="confirmed",
        mirror=request.mirror.name,
        holder=request.member,
        epoch=epoch,
        operation_id=operation_id,
        from_member=plan.placement(request.mirror, observed).holder,
        total_ms=total_ms,
    )


def _restated(request: Request, head: Head) -> Instant:
    """A watch claim for the member that is desired already is no newer decision: it supersedes nobody."""
    same = head.desired == request.member and request.claim is not None and request.claim.event == "watch"
    return head.began if same else request.began


def _reason(request: Request) -> str | None:
    return f"Reason: {request.move.reason.rstrip('.')}." if request.move else None


def _dropped(request: Request, before: Head) -> str | None:
    """What becomes of a recorded claim of another member, whose refusal said that it would be judged again."""
    recorded_claim = before.recorded_claim
    older = recorded_claim is not None and recorded_claim.member != request.member and recorded_claim.began <= request.began
    return f"The recorded claim of {recorded_claim.member} is superseded." if recorded_claim and older else None


def _accepted_row(request: Request, before: Head, operation_id: str, outcome: str, remark: str | None, **columns: Any) -> Entry:
    sentences = [_reason(request), f"Desired was {before.desired or 'nobody'}.", _dropped(request, before), remark]
    last = before.repeats.get(request.actor)
    detail = left_out(" ".join(sentence for sentence in sentences if sentence), last.left_out if last else 0)
    return request.draft(f"{request.kind}.accepted", operation_id=operation_id, outcome=outcome, detail=detail, **columns)


def _told(request: Request, head: Head) -> Head:
    """The head after an accepted row of this key: that row says how many were left out before it, the next one need not."""
    last = head.repeats.get(request.actor)
    return head if last is None else replace(head, repeats={**head.repeats, request.actor: replace(last, left_out=0)})


async def _accept_beside(controller: Controller, request: Request, head: Head, remark: str | None) -> tuple[Head, str, int]:
    """Somebody drives: join their swap, or decide anew and wait for the lease.

    Returns the head, and the operation and epoch that are waited for. Where the answer to the commit was lost, that head may
    already be a later one, in which the swap is completed or another decision is in force.
    """
    now = controller.clock.now()
    fresh_id = controller.clock.new_id()
    waits_for, epoch = fresh_id, int(head.epoch)

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        nonlocal waits_for, epoch
        if newest.etag != head.etag and not (
            rules.joins(newest, request.member) and newest.lease_live(now, margin_s=LEASE_MARGIN_S)
        ):
            raise HeadChanged(newest)
        if (
            newest.etag != head.etag
            and request.claim
            and not request.by_timer
            and not request.issued_at_used
            and rules.replayed(newest, request.claim)
        ):
            raise HeadChanged(newest)  # the same signed request was accepted meanwhile (promise 6)
        if rules.joins(newest, request.member):
            assert newest.swap is not None
            waits_for, epoch = newest.swap.operation_id, newest.epoch
            after = rules.decided(
                newest,
                request.member,
                _restated(request, newest),
                now=now,
                claim_id=newest.claim_id,
                changes_s=controller.config.max_changes_s,
            )
            return _told(request, request.use_issued_at(after)), [
                _accepted_row(request, newest, newest.swap.operation_id, "joined", remark)
            ]
        after = _with_swap(controller, request, newest, fresh_id, now)
        waits_for, epoch = fresh_id, after.epoch
        return _told(request, request.use_issued_at(after)), [_accepted_row(request, newest, fresh_id, "decided", remark)]

    stored = await controller.store.commit(head, change)
    return stored, waits_for, epoch


def _with_swap(
    controller: Controller, request: Request, newest: Head, operation_id: str, now: Instant, *, seen_on: str | None = None
) -> Head:
    """The head with this ask decided and unfinished. NICs that an earlier driver may still write stay in `open`.

    `seen_on`: who carries the VIP, where that was looked at.
    """
    claim_id = request.claim.claim_id if request.claim else None
    changes_s = controller.config.max_changes_s
    after = rules.decided(
        newest, request.member, request.began, now=now, claim_id=claim_id, changes_s=changes_s, holder=newest.desired or seen_on
    )
    came_from = newest.swap.from_member if newest.swap else newest.desired
    left = newest.swap.open if newest.swap else ()
    swap = Swap(operation_id=operation_id, from_member=came_from, started_at=now, actor=request.actor, open=left)
    return replace(after, swap=swap)


async def _accept(
    controller: Controller, request: Request, head: Head, observed: dict[str, Observation], remark: str | None
) -> Driver:
    """Decision, row and lease in one transaction. The driver that comes back may write NICs."""
    seen = plan.placement(request.mirror, observed)
    seen_on = seen.holder or (seen.members[0] if seen.members else None)
    driver = driver_for(controller, request, head, observed)
    driver.mark("read")

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        if newest.etag != head.etag:
            raise HeadChanged(newest)
        now = controller.clock.now()
        resumes = rules.joins(newest, request.member) and newest.swap is not None
        if resumes and newest.swap:
            operation_id, after = newest.swap.operation_id, newest
        else:
            operation_id = controller.clock.new_id()
            after = _with_swap(controller, request, newest, operation_id, now, seen_on=seen_on)
        assert after.swap is not None
        from_member = after.swap.from_member if resumes and after.swap.begun else seen_on
        outcome = "resumed" if resumes else "decided"
        rows = [_accepted_row(request, newest, operation_id, outcome, remark, from_member=from_member)]
        rows += resumed(request, newest) if newest.swap else []
        driver.fences = set(after.swap.open) & set(observed)  # as in `take_over`
        driver.head = after = replace(after, swap=replace(after.swap, from_member=from_member, begun=True))
        after = driver.noted(request.use_issued_at(take_lease(driver, after)))
        return _told(request, after), rows

    driver.contact = driver.now()
    driver.took(await controller.store.commit(head, change))
    driver.mark("accept")
    return driver
