"""The judgement of a claim or move, in the order of checks of docs/api.md section 6, and how a refusal is written down.

A refusal changes no NIC, no desired and no epoch: at most it leaves a row, a recorded claim, the start of a hold, or a count
(I7).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from vipcore.decision import repeats, rules
from vipcore.decision.controller import Controller
from vipcore.decision.reads import Reads
from vipcore.decision.request import Request
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.swap import plan, preflight
from vipcore.swap.observed import Observed


async def judge(controller: Controller, request: Request, head: Head, reads: Reads, now: Instant) -> str | None:
    """The checks from the replay mark to flapping. Returns a remark for the row; raises Refusal, its row written."""
    mirror, claim, move = request.mirror, request.claim, request.move
    if deny := request.replayed(head):
        await controller.failures.count(deny.code)
        raise Refusal(deny.code, deny.detail)
    if why := rules.superseded(head, request.member, request.began):
        await refuse(controller, request, head, rules.Deny(code=f"{request.kind}-superseded", detail=why))
    if rules.joins(head, request.member):
        # A watch claim needs the pages' word also to join or to take over what is under way.
        watches = claim is not None and claim.event == "watch"
        if watches and (deny := rules.contradiction(mirror, request.member, "watch", await reads.pages())):
            await refuse(controller, request, head, deny)
        return None
    if move and (deny := rules.move_frozen(head, move, now)):
        await refuse(controller, request, head, deny)
    if claim and (why := rules.frozen(head, now)):
        detail = f"{why}. The claim is recorded and judged again when the freeze is lifted."
        await refuse(controller, request, head, rules.Deny(code="mirror-frozen", detail=detail, recorded=True))
    verdict = _pages_verdict(head, request, await reads.pages(), now)
    if isinstance(verdict, rules.Deny):
        await refuse(controller, request, head, verdict)
    config = controller.config
    if claim and (deny := rules.flapping(head, request.member, now, changes=config.max_changes, changes_s=config.max_changes_s)):
        await refuse(controller, request, head, deny)
    return verdict.remark


def _pages_verdict(head: Head, request: Request, pages: rules.Pages, now: Instant) -> rules.Verdict:
    if request.claim:
        return rules.paged(head, request.mirror, request.claim, pages, now)
    deny = rules.contradiction(request.mirror, request.member, "NotifyBecomePrimary", pages)
    return rules.forcible(deny) if deny and request.move and not request.move.force else rules.Allow()


async def refuse(controller: Controller, request: Request, head: Head, deny: rules.Deny) -> NoReturn:
    """Write the refusal down (and the recorded claim, or the start of a hold, with it) and raise it."""
    now = controller.clock.now()
    what = f"{request.kind}.refused {deny.code} {request.member}"

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        after = newest
        if deny.holds and request.claim and rules.hold_began(newest, request.mirror, request.member, now) is None:
            after = replace(after, holds={**after.holds, request.member: now})
        kept = _recorded(request, newest, after, deny, now)
        after = request.use_issued_at(kept) if kept else after
        if repeats.is_repeat(newest, request, what, now) and not _news(newest, after):
            return repeats.left_out(after, request), []
        after = repeats.told(after, request, what, now)
        detail = repeats.with_count(deny.detail, newest, request)
        rows = [request.entry(f"{request.kind}.refused", outcome=deny.code, detail=detail)]
        if kept:
            rows.append(request.entry("claim.recorded", outcome=deny.code, detail="Kept as the mirror's pending claim."))
        return after, rows

    begins = deny.holds and rules.hold_began(head, request.mirror, request.member, now) is None
    if begins or not request.by_timer:
        if deny.recorded and request.claim:
            await controller.ledger.put_work_item(request.mirror.name)
        await controller.store.commit(head, change)
    raise Refusal(deny.code, deny.detail, retry_after_s=deny.retry_after_s)


def _recorded(request: Request, newest: Head, after: Head, deny: rules.Deny, now: Instant) -> Head | None:
    """`after` with the claim recorded; None where it is not to be, or a claim that began later is recorded already."""
    if not deny.recorded or request.claim is None or rules.superseded(newest, request.member, request.began):
        return None
    if request.replayed(newest):
        return None  # the same signed request was recorded meanwhile (I6)
    kept = rules.recorded(after, request.claim, deny.code, now)
    return None if kept is after else kept


def _news(before: Head, after: Head) -> bool:
    """Whether a refusal changes more than marks and counters, so that a row must say so."""
    old, new = before.recorded_claim, after.recorded_claim
    other = new is not None and (old is None or (old.claim_id, old.code) != (new.claim_id, new.code))
    return other or before.holds != after.holds


async def stop(controller: Controller, request: Request, head: Head, refusal: Refusal) -> NoReturn:
    """Refuse because of Azure. A request that joins a swap just raises; any other refusal is written, and its claim recorded."""
    if rules.joins(head, request.member):
        raise refusal
    recorded = request.claim is not None
    deny = rules.Deny(code=refusal.code, detail=refusal.detail, recorded=recorded, retry_after_s=refusal.retry_after_s)
    await refuse(controller, request, head, deny)


async def check_first(controller: Controller, request: Request, head: Head, observed: Observed) -> None:
    """The preflight: nothing is decided that reads say cannot be done (I10). Raises Refusal."""
    found = observed.plan(request.member)
    reason: Refusal | None = None
    if isinstance(found, plan.Blocked):
        reason = plan.refusal(observed, found, before="Nothing was changed: ")
    elif found.steps:
        writing = preflight.may_be_writing(head, controller.clock.now())
        checks = await preflight.check(controller.preflight_cache, request.mirror, observed, request.member, writing=writing)
        reason = preflight.refusal(checks)
    if reason is not None:
        await stop(controller, request, head, reason)
