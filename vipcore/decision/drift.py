"""Drift: the placement differs from desired and nobody works on it.

An unfinished swap is finished; a VIP on no NIC is attached to desired; a VIP on another known member without a claim is reported
and left, unless the status pages say that desired is primary. A repair that may not begin has a row that says why, once per
reason. While late writes of a driver that died are expected, a placement that one of them explains is an unfinished swap, never
drift. A freeze stops all but that.
"""

from dataclasses import replace

from vipcore.decision import document, rules
from vipcore.decision.controller import Controller
from vipcore.decision.judge import check_first
from vipcore.decision.request import HeadChanged, Request, timer_request
from vipcore.decision.takeover import begin, drive_to_the_end
from vipcore.errors import Refusal
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Head, Swap
from vipcore.model import Mirror, Page, Placement, Seen
from vipcore.swap.plan import Observed, Plan
from vipcore.swap.report import Report


async def check_drift(
    controller: Controller, observed: Observed, head: Head, caller: Caller, *, late: bool, frozen: bool
) -> bool:
    """Compare the placement with desired, and act as the module says. Raises Refusal, HeadChanged, Unreachable.

    `late`: whether late writes are expected. Returns whether it drove.
    """
    desired = head.desired or ""
    mirror, seen = observed.mirror, observed.placement()
    if seen.state is Seen.UNKNOWN:
        return False
    found = observed.plan(desired)
    nothing_elsewhere = isinstance(found, Plan) and not found.detaches
    if seen.holder == desired and nothing_elsewhere:
        if head.drift is not None or head.carried != observed.kept:
            await _report(controller, head, observed, caller, None)
        return False
    found_as = observed.other_definitions()
    if found_as and not document.may_change(controller, head):
        controller.log("document.old", mirror=mirror.name, correlation=caller.correlation_id, detail=" ".join(found_as))
        return False
    request = timer_request(mirror, desired, head.began, caller)
    writing = {document.name_now(mirror, head, name) for name in head.late_writes.members}
    explained = late and set(seen.members) <= {desired, *writing}
    if explained and seen.state is not Seen.FOREIGN:
        state = seen.state.value
        why = f"The placement is {state}. A late write of the driver that died explains it; the swap is resumed."
        await check_first(controller, request, head, observed)
        await _drive(controller, request, head, observed, event="swap.resumed", detail=why, closing_event=None)
        return True
    sentence = " ".join([_sentence(seen, desired), *found_as])
    # Of several VIPs some may be on no NIC and the others where they should be: that is no other member's doing. Nor is what is
    # left of a VIP elsewhere, at an address that it had before.
    lost = seen.state is Seen.UNPLACED or seen.members == (desired,)
    may_repair = not frozen and seen.state is not Seen.FOREIGN
    if not may_repair or not (lost or await _pages_agree(controller, mirror, desired)):
        said = f"{sentence} The mirror is frozen: it is left so." if frozen else sentence
        await _report(controller, head, observed, caller, said)
        return False
    try:
        await check_first(controller, request, head, observed)
    except Refusal as refusal:
        await _report(controller, head, observed, caller, sentence, refusal)
        raise
    await _drive(controller, request, head, observed, event="drift.found", detail=sentence, closing_event="drift.repaired")
    return True


def _sentence(seen: Placement, desired: str) -> str:
    match seen.state:
        case Seen.UNPLACED:
            return f"The VIP is on no NIC; clients cannot connect until it is attached to {desired}."
        case Seen.FOREIGN:
            return "What a VIP needs is held by an ip configuration that is no VIP of this mirror."
        case _ if seen.members == (desired,):
            return f"Not every VIP is on the NIC of {desired}, and there alone, as the mirrors document defines it."
        case _:
            return (
                f"The VIP is on {' and '.join(seen.members)}; desired is {desired}. No claim moved it: somebody moved it by hand."
            )


async def _pages_agree(controller: Controller, mirror: Mirror, desired: str) -> bool:
    """Whether the pages say that desired is primary, and no other member's does."""
    pages = await controller.pages(mirror)
    return pages.get(desired) is Page.PRIMARY and list(pages.values()).count(Page.PRIMARY) == 1


async def _report(
    controller: Controller,
    head: Head,
    observed: Observed,
    caller: Caller,
    sentence: str | None,
    refusal: Refusal | None = None,
) -> None:
    """Report a drift once, or (None) that it is over; keep what the VIPs carry where they are in place.

    `refusal`: why its repair may not begin. Each reason is reported once; the code alone is that of one that passes by itself.
    """
    told = sentence
    if sentence and refusal:
        told = f"{sentence} It is not repaired ({refusal.code}): {refusal.detail[:1000]}"
        sentence = f"{sentence} It is not repaired ({refusal.code})." if refusal.status == 503 else told
    if sentence is not None and head.drift == sentence:
        return
    if head.drift != sentence:
        await controller.ledger.put_work_item(head.mirror)

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.etag != head.etag:
            return newest, []
        if sentence is None:
            newest = replace(newest, carried=observed.kept)
            if newest.drift is None:
                return newest, []
        event = "drift.found" if sentence else "drift.repaired"
        detail = told or "The VIP is back where it should be; the controller did not move it."
        outcome = refusal.code if refusal else None
        return replace(newest, drift=sentence), [caller.entry(event, member=head.desired, outcome=outcome, detail=detail)]

    await controller.store.commit(head, change)


async def _drive(
    controller: Controller,
    request: Request,
    head: Head,
    observed: Observed,
    *,
    event: str,
    detail: str,
    closing_event: str | None,
) -> None:
    """Drive to the decision in force although no swap is unfinished.

    `event` and `detail` are the row that states the intent. `closing_event` ends it besides `swap.completed`; without one it is
    an unfinished swap, which a freeze lets finish.
    """
    await controller.ledger.put_work_item(request.mirror.name)
    from_member = observed.placement().first

    def beginning(newest: Head) -> tuple[Head, list[Entry]]:
        now = controller.clock.now()
        if closing_event and rules.frozen(newest, now):
            raise HeadChanged(newest)
        operation_id = controller.clock.new_id()
        swap = Swap(operation_id=operation_id, from_member=from_member, started_at=now, actor=request.caller.actor, begun=True)
        entry = request.entry(event, operation_id=operation_id, from_member=from_member, detail=detail)
        return replace(newest, swap=swap), [entry]

    drive = await begin(controller, request, head, observed, beginning, Report(request.asked_at, closing_event))
    await drive_to_the_end(controller, request, drive)
