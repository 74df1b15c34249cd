"""The judgement of a claim or move, in the order of checks of docs/api.md section 6, and how a refusal is written down.

A refusal changes no NIC, no desired and no epoch: at most it leaves a row, a recorded claim, the start of a hold, or a count
(I7).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from vipcore.decision import rules
from vipcore.decision.controller import Controller
from vipcore.decision.reads import Reads
from vipcore.decision.request import HeadChanged, Request
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.swap import plan, preflight
from vipcore.swap.plan import Observed


async def judge(controller: Controller, request: Request, head: Head, reads: Reads, now: Instant) -> str | None:
    """The checks from the replay mark to flapping. Returns a remark for the row; raises Refusal, its row written."""
    mirror, claim, move = request.mirror, request.claim, request.move
    if against := request.replayed(head):
        await controller.admission.count(against.code)
        raise against
    if why := rules.superseded(head, request.member, request.began):
        await refuse(controller, request, head, Refusal(f"{request.kind}-superseded", why))
    if rules.joins(head, request.member):
        # A watch claim needs the pages' word also to join or to take over what is under way.
        watches = claim is not None and claim.event == "watch"
        if watches and (against := rules.contradiction(mirror, request.member, "watch", await reads.pages())):
            await refuse(controller, request, head, against)
        return None
    if move and (against := rules.move_frozen(head, move, now)):
        await refuse(controller, request, head, against)
    if claim and (why := rules.frozen(head, now)):
        detail = f"{why}. The claim is recorded and judged again when the freeze is lifted."
        await refuse(controller, request, head, Refusal("mirror-frozen", detail), recorded=True)
    pages = await reads.pages()
    verdict = rules.paged(head, mirror, claim, pages, now) if claim else None
    if move and not move.force and (against := rules.contradiction(mirror, move.to, "NotifyBecomePrimary", pages)):
        verdict = rules.forcible(against)
    if isinstance(verdict, Refusal):
        await refuse(controller, request, head, verdict)
    changes, changes_s = controller.config.max_changes, controller.config.max_changes_s
    if claim and (against := rules.flapping(head, request.member, now, changes=changes, changes_s=changes_s)):
        await refuse(controller, request, head, against, recorded=True)
    return verdict


async def refuse(controller: Controller, request: Request, head: Head, refusal: Refusal, *, recorded: bool = False) -> NoReturn:
    """Write the refusal down and raise it. Its row may begin a hold; `recorded`: a refused claim is kept for the timer."""
    now = controller.clock.now()
    what = f"{request.kind}.refused {refusal.code} {request.member}"
    holds, recorded = refusal.code in rules.HOLDING_CODES, recorded and request.claim is not None

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        after = newest
        if holds and request.claim and rules.hold_began(newest, request.mirror, request.member, now) is None:
            after = replace(after, holds={**after.holds, request.member: now})
        kept = _recorded(request, newest, after, refusal.code, now) if recorded else None
        after = request.use_issued_at(kept) if kept else after
        if (last := request.repeat(newest, what, now)) and not _news(newest, after):
            return request.left_out(after, last.left_out + 1), []
        after, detail = request.told(after, what, now), request.counted(refusal.detail, newest)
        rows = [request.entry(f"{request.kind}.refused", outcome=refusal.code, detail=detail)]
        if kept:
            rows.append(request.entry("claim.recorded", outcome=refusal.code, detail="Recorded: the timer judges it again."))
        return after, rows

    begins = holds and rules.hold_began(head, request.mirror, request.member, now) is None
    if begins or not request.by_timer:
        if recorded:
            await controller.ledger.put_work_item(request.mirror.name)
        await controller.store.commit(head, change)
    raise refusal


def _recorded(request: Request, newest: Head, after: Head, code: str, now: Instant) -> Head | None:
    """`after` with the claim recorded; None where it is not to be, or a claim that began later is recorded already."""
    if request.claim is None or rules.superseded(newest, request.member, request.began):
        return None
    if request.replayed(newest):
        return None  # the same signed request was recorded meanwhile (I6)
    kept = rules.recorded(after, request.claim, code, now)
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
    await refuse(controller, request, head, refusal, recorded=True)


async def check_first(controller: Controller, request: Request, head: Head, observed: Observed) -> None:
    """The preflight: nothing is decided that reads say cannot be done (I10). Raises Refusal."""
    found = observed.plan(request.member)
    if isinstance(found, plan.Blocked):
        await stop(controller, request, head, plan.refusal(observed, found, before="Nothing was changed: "))
    elif found.steps:
        writing = preflight.may_be_writing(head, controller.clock.now())
        checks = await preflight.check(controller.preflight_cache, request.mirror, observed, request.member, writing=writing)
        if reason := preflight.refusal(checks):
            newest = await controller.load_head(request.mirror.name)
            if newest.etag != head.etag:
                raise HeadChanged(newest)  # what was found may be the work of a write that this head does not tell of
            await stop(controller, request, head, reason)
