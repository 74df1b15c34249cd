"""The judgement of an ask, in the contract's order of checks (section 6), and how a refusal is written down.

A refusal changes no NIC, no desired and no epoch: at most it leaves a row, a recorded claim, the start of a hold, or a count
(promise 7).
"""

from collections.abc import Sequence
from dataclasses import replace

from vipcore import instants
from vipcore.decision import rules
from vipcore.decision.controller import REPEAT_S, Controller, left_out
from vipcore.decision.request import Reads, Request
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, Repeat, repeated
from vipcore.model import Observation
from vipcore.swap import plan, preflight


async def judge(controller: Controller, request: Request, head: Head, reads: Reads, now: Instant) -> str | None:
    """The checks from the replay mark to flapping. Returns a remark for the row; raises Refusal, its row written."""
    mirror, claim, move = request.mirror, request.claim, request.move
    if claim and not request.by_timer and not request.issued_at_used and (deny := rules.replayed(head, claim)):
        await controller.count_failure(deny.code)
        raise Refusal(deny.code, deny.detail)
    if why := rules.superseded(head, request.member, request.began):
        await refuse(controller, request, head, rules.Deny(code=f"{request.kind}-superseded", detail=why))
    if rules.joins(head, request.member):
        # A watch claim needs the pages' word also to join or to take over what is under way.
        if (
            claim
            and claim.event == "watch"
            and (deny := rules.contradiction(mirror, request.member, "watch", await reads.said()))
        ):
            await refuse(controller, request, head, deny)
        return None
    stopped = rules.move_frozen(head, move, now) if move else None
    if claim and (why := rules.frozen(head, now)):
        stopped = rules.Deny(
            code="mirror-frozen",
            detail=f"{why}. The claim is recorded and judged again at the unfreeze.",
            recorded=True,
        )
    if stopped:
        await refuse(controller, request, head, stopped)
    remark = None
    pages = await reads.said()
    if claim:
        verdict = rules.paged(head, mirror, claim, pages, now)
        remark = verdict.remark if isinstance(verdict, rules.Allow) else None
    else:
        deny = rules.contradiction(mirror, request.member, "NotifyBecomePrimary", pages)
        verdict = rules.forcible(deny) if deny and move and not move.force else rules.Allow()
    if isinstance(verdict, rules.Deny):
        await refuse(controller, request, head, verdict)
    config = controller.config
    if claim and (deny := rules.flapping(head, request.member, now, changes=config.max_changes, changes_s=config.max_changes_s)):
        await refuse(controller, request, head, deny)
    return remark


async def refuse(controller: Controller, request: Request, head: Head, deny: rules.Deny) -> None:
    """Write the refusal down (and the recorded claim, or the start of a hold, with it) and raise it."""
    now = controller.clock.now()
    what = f"{request.kind}.refused {deny.code} {request.member}"

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        after = newest
        if deny.holds and request.claim and rules.hold_began(newest, request.mirror, request.member, now) is None:
            after = replace(after, holds={**after.holds, request.member: now})
        recorded = deny.recorded and request.claim is not None and not rules.superseded(newest, request.member, request.began)
        if recorded and request.claim and not request.issued_at_used and rules.replayed(newest, request.claim):
            recorded = False  # the same signed request was recorded meanwhile (promise 6)
        if recorded and request.claim:
            kept = rules.recorded(after, request.claim, deny.code, now)
            recorded = kept is not after  # a claim that began later may be kept already
            after = request.use_issued_at(kept) if recorded else after
        last = newest.repeats.get(request.actor)
        if (
            request.claim
            and last
            and last.what == what
            and now - last.at < instants.seconds(REPEAT_S)
            and not _news(newest, after)
        ):
            return replace(after, repeats={**after.repeats, request.actor: replace(last, left_out=last.left_out + 1)}), []
        if request.claim:
            after = repeated(after, request.actor, Repeat(what=what, at=now))
        detail = left_out(deny.detail, last.left_out if last else 0)
        rows = [request.draft(f"{request.kind}.refused", outcome=deny.code, detail=detail)]
        if recorded:
            rows.append(request.draft("claim.recorded", outcome=deny.code, detail="Kept as the mirror's pending claim."))
        return after, rows

    begins = deny.holds and rules.hold_began(head, request.mirror, request.member, now) is None
    if request.by_timer and not begins:
        raise Refusal(deny.code, deny.detail, retry_after_s=deny.retry_after_s)
    if deny.recorded and request.claim:
        await controller.ledger.put_work_item(request.mirror.name)
    await controller.store.commit(head, change)
    raise Refusal(deny.code, deny.detail, retry_after_s=deny.retry_after_s)


def _news(before: Head, after: Head) -> bool:
    """Whether a refusal changes more than marks and counters, so that a row must say so."""
    old, new = before.recorded_claim, after.recorded_claim
    other = new is not None and (old is None or (old.claim_id, old.code) != (new.claim_id, new.code))
    return other or before.holds != after.holds


async def check_first(
    controller: Controller, request: Request, head: Head, observed: dict[str, Observation], found: plan.Plan | plan.Blocked
) -> None:
    """The preflight: nothing is decided that reads say cannot be done (promise 10). A swap under way is only gone on with."""
    reason: Refusal | None = None
    if isinstance(found, plan.Blocked):
        reason = plan.refusal(observed, found, before="Nothing was changed: ")
    elif found.steps:
        checks = await preflight.check(controller.arm, controller.readings, request.mirror, observed, request.member)
        reason = preflight.refusal(checks)
    if reason is None:
        return
    if rules.joins(head, request.member):
        raise reason
    deny = rules.Deny(
        code=reason.code, detail=reason.detail, recorded=request.claim is not None, retry_after_s=reason.retry_after_s
    )
    await refuse(controller, request, head, deny)
