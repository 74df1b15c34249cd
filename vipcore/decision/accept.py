"""The commit of a decision: confirmed without a write, begun with a lease of our own, or left to whoever drives now."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vipcore.decision import document, rules
from vipcore.decision.controller import Controller
from vipcore.decision.request import HeadChanged, Request
from vipcore.decision.takeover import begin, resumed
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, Swap, of_no_other_nics
from vipcore.model import Epoch, Outcome
from vipcore.swap.drive import Drive
from vipcore.swap.plan import Observed
from vipcore.swap.report import Report


async def confirm(controller: Controller, request: Request, head: Head, observed: Observed, remark: str | None) -> Outcome:
    """The VIP is in place by a fresh read and nobody drives: say so, decide it if it was not decided, write no NIC."""
    now = controller.clock.now()
    event = f"{request.kind}.confirmed"
    what = f"{event} {request.member}"
    operation_id = controller.clock.new_id()

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        if newest.etag != head.etag:
            raise HeadChanged(newest)
        after = _restated(controller, request, newest, now, request.claim_id)
        after = document.stamped(controller, request.mirror, after)
        after = of_no_other_nics(replace(after, swap=None, carried=observed.kept))
        after = request.use_issued_at(after)
        same = after.epoch == newest.epoch
        unchanged = same and newest.swap is None and newest.recorded_claim == after.recorded_claim
        if unchanged and (last := request.repeat(newest, what, now)):
            return request.left_out(after, last.left_out + 1), []
        after = request.told(after, what, now)
        said = _joined("The VIP is there already; no NIC was written.", _reason(request))
        if not same:
            # Only the first of the two rows tells how many were left out, and why contradicting pages did not stop it.
            accepted = _accepted_row(request, newest, operation_id, "decided", remark)
            return after, [accepted, request.entry(event, operation_id=operation_id, outcome="confirmed", detail=said)]
        detail = request.counted(_joined(said, _dropped(request, newest), remark), newest)
        return after, [request.entry(event, operation_id=operation_id, outcome="confirmed", detail=detail)]

    # Whoever moves the VIP commits to the head first: an unchanged etag proves that nobody has since it was read.
    await controller.store.commit(head, change)
    return Outcome(
        outcome="confirmed",
        mirror=request.mirror.name,
        holder=request.member,
        epoch=Epoch(head.epoch + (head.desired != request.member)),
        operation_id=operation_id,
        from_member=observed.placement().holder,
        total_ms=request.ms_so_far(),
    )


async def accept(controller: Controller, request: Request, head: Head, observed: Observed, remark: str | None) -> Drive:
    """Decision, row and lease in one transaction. The drive that comes back may write NICs."""
    seen_on = observed.placement().first
    report = Report(request.asked_at)
    report.end_phase("read", request.now())

    def beginning(newest: Head) -> tuple[Head, list[Entry]]:
        after, outcome = newest, "resumed"
        if not rules.joins(newest, request.member):
            operation_id, outcome = controller.clock.new_id(), "decided"
            after = _with_swap(controller, request, newest, controller.clock.now(), operation_id, seen_on=seen_on)
        assert after.swap is not None
        from_member = after.swap.from_member if after.swap.begun else seen_on
        row = _accepted_row(request, newest, after.swap.operation_id, outcome, remark, from_member=from_member)
        after = replace(after, swap=after.swap._replace(from_member=from_member, begun=True))
        return request.left_out(request.use_issued_at(after), 0), [row, *resumed(request, newest)]

    return await begin(controller, request, head, observed, beginning, report)


async def accept_beside(controller: Controller, request: Request, head: Head, remark: str | None) -> tuple[Head, str, int]:
    """Somebody drives: join their swap, or decide anew and wait for the lease.

    Returns the head, and the operation and epoch that are waited for. Where the answer to the commit was lost, that head may
    already be a later one, in which the swap is completed or another decision is in force.
    """
    now = controller.clock.now()
    fresh_id = controller.clock.new_id()
    waits_for, epoch = fresh_id, int(head.epoch)

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        nonlocal waits_for, epoch
        joins = rules.joins(newest, request.member)
        # The same signed request may have been accepted meanwhile (I6).
        if newest.etag != head.etag and (request.replayed(newest) or not (joins and newest.lease_live(now))):
            raise HeadChanged(newest)
        if joins and newest.swap is not None:
            waits_for, outcome = newest.swap.operation_id, "joined"
            after = _restated(controller, request, newest, now, newest.claim_id)
        else:
            waits_for, outcome = fresh_id, "decided"
            after = _with_swap(controller, request, newest, now, fresh_id)
        epoch = after.epoch
        row = _accepted_row(request, newest, waits_for, outcome, remark)
        return request.left_out(request.use_issued_at(after), 0), [row]

    stored = await controller.store.commit(head, change)
    return stored, waits_for, epoch


def _restated(controller: Controller, request: Request, head: Head, now: Instant, claim_id: str | None) -> Head:
    """The head with this request decided; a watch claim for the member that is desired already supersedes nobody."""
    same = head.desired == request.member and request.claim is not None and request.claim.event == "watch"
    began, changes_s = head.began if same else request.began, controller.config.max_changes_s
    after = rules.decided(head, request.member, began, now=now, claim_id=claim_id, changes_s=changes_s)
    return _with_nic(after, request)


def _with_nic(head: Head, request: Request) -> Head:
    """The head that knows the NIC of the member that this request is for: names may change in the document."""
    return replace(head, nics={**head.nics, request.member: request.mirror.nic_id(request.member)})


def _with_swap(
    controller: Controller, request: Request, newest: Head, now: Instant, operation_id: str, *, seen_on: str | None = None
) -> Head:
    """The head with this request decided and unfinished. NICs that an earlier driver may still write stay in flight.

    `seen_on`: who carries the VIP, where that was read.
    """
    claim_id, changes_s = request.claim_id, controller.config.max_changes_s
    after = rules.decided(newest, request.member, request.began, now=now, claim_id=claim_id, changes_s=changes_s, holder=seen_on)
    before = newest.swap
    swap = Swap(
        operation_id=operation_id,
        from_member=before.from_member if before else newest.desired,
        started_at=now,
        actor=request.caller.actor,
        maybe_in_flight=before.maybe_in_flight if before else (),
    )
    return _with_nic(replace(after, swap=swap), request)


def _accepted_row(request: Request, before: Head, operation_id: str, outcome: str, remark: str | None, **columns: Any) -> Entry:
    detail = _joined(_reason(request), _before(before), _dropped(request, before), remark)
    detail = request.counted(detail, before)
    return request.entry(f"{request.kind}.accepted", operation_id=operation_id, outcome=outcome, detail=detail, **columns)


def _before(before: Head) -> str:
    return f"Until now {before.desired} was to have the VIP." if before.desired else "It is the mirror's first decision."


def _reason(request: Request) -> str | None:
    return f"Reason: {request.move.reason.rstrip('.')}." if request.move else None


def _dropped(request: Request, before: Head) -> str | None:
    """What becomes of a recorded claim of another member, whose refusal said that it would be judged again."""
    recorded = before.recorded_claim
    if recorded is None or recorded.member == request.member or recorded.began > request.began:
        return None
    return f"The recorded claim of {recorded.member} is superseded."


def _joined(*sentences: str | None) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
