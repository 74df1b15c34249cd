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
from vipcore.ledger import store
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, Repeat, repeated
from vipcore.model import Observation
from vipcore.swap import plan, preflight


async def judge(controller: Controller, ask: Request, head: Head, looking: Reads, now: Instant) -> str | None:
    """The checks from the replay mark to flapping. Returns a remark for the row; raises Refusal, its row written."""
    mirror, claim, move = ask.mirror, ask.claim, ask.move
    if claim and not ask.by_timer and not ask.spent and (no := rules.replayed(head, claim)):
        await controller.count_failure(no.code)
        raise Refusal(no.code, no.detail)
    if why := rules.superseded(head, ask.member, ask.began):
        await refuse(controller, ask, head, rules.Deny(code=f"{ask.kind}-superseded", detail=why))
    if rules.joins(head, ask.member):
        # A watch claim needs the pages' word also to join or to take over what is under way.
        if claim and claim.event == "watch" and (no := rules.contradiction(mirror, ask.member, "watch", await looking.said())):
            await refuse(controller, ask, head, no)
        return None
    stopped = rules.move_frozen(head, move, now) if move else None
    if claim and (why := rules.frozen(head, now)):
        stopped = rules.Deny(
            code="mirror-frozen",
            detail=f"{why}. The claim is recorded and judged again at the unfreeze.",
            recorded=True,
        )
    if stopped:
        await refuse(controller, ask, head, stopped)
    remark = None
    pages = await looking.said()
    if claim:
        verdict = rules.paged(head, mirror, claim, pages, now)
        remark = verdict.remark if isinstance(verdict, rules.Allow) else None
    else:
        no = rules.contradiction(mirror, ask.member, "NotifyBecomePrimary", pages)
        verdict = rules.forcible(no) if no and move and not move.force else rules.Allow()
    if isinstance(verdict, rules.Deny):
        await refuse(controller, ask, head, verdict)
    config = controller.ports.config
    if claim and (no := rules.flapping(head, ask.member, now, changes=config.max_changes, changes_s=config.max_changes_s)):
        await refuse(controller, ask, head, no)
    return remark


async def refuse(controller: Controller, ask: Request, head: Head, no: rules.Deny) -> None:
    """Write the refusal down (and the recorded claim, or the start of a hold, with it) and raise it."""
    now = controller.ports.clock.now()
    what = f"{ask.kind}.refused {no.code} {ask.member}"

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        after = newest
        if no.holds and ask.claim and rules.hold_began(newest, ask.mirror, ask.member, now) is None:
            after = replace(after, holds={**after.holds, ask.member: now})
        recorded = no.recorded and ask.claim is not None and not rules.superseded(newest, ask.member, ask.began)
        if recorded and ask.claim and not ask.spent and rules.replayed(newest, ask.claim):
            recorded = False  # the same signed request was recorded meanwhile (promise 6)
        if recorded and ask.claim:
            kept = rules.recorded(after, ask.claim, no.code, now)
            recorded = kept is not after  # a claim that began later may be kept already
            after = ask.spend(kept) if recorded else after
        last = newest.repeats.get(ask.actor)
        if ask.claim and last and last.what == what and now - last.at < instants.seconds(REPEAT_S) and not _news(newest, after):
            return replace(after, repeats={**after.repeats, ask.actor: replace(last, left_out=last.left_out + 1)}), []
        if ask.claim:
            after = repeated(after, ask.actor, Repeat(what=what, at=now))
        detail = left_out(no.detail, last.left_out if last else 0)
        rows = [ask.draft(f"{ask.kind}.refused", outcome=no.code, detail=detail)]
        if recorded:
            rows.append(ask.draft("claim.recorded", outcome=no.code, detail="Kept as the mirror's pending claim."))
        return after, rows

    begins = no.holds and rules.hold_began(head, ask.mirror, ask.member, now) is None
    if ask.by_timer and not begins:
        raise Refusal(no.code, no.detail, retry_after_s=no.retry_after_s)
    if no.recorded and ask.claim:
        await controller.ports.ledger.put_hint(ask.mirror.name)
    await store.commit(controller.ports, head, change)
    raise Refusal(no.code, no.detail, retry_after_s=no.retry_after_s)


def _news(before: Head, after: Head) -> bool:
    """Whether a refusal changes more than marks and counters, so that a row must say so."""
    old, new = before.pending, after.pending
    other = new is not None and (old is None or (old.claim_id, old.code) != (new.claim_id, new.code))
    return other or before.holds != after.holds


async def check_first(
    controller: Controller, ask: Request, head: Head, looks: dict[str, Observation], found: plan.Plan | plan.Blocked
) -> None:
    """The preflight: nothing is decided that reads say cannot be done (promise 10). A swap under way is only gone on with."""
    reason: Refusal | None = None
    if isinstance(found, plan.Blocked):
        reason = plan.refusal(looks, found, before="Nothing was changed: ")
    elif found.steps:
        checks = await preflight.check(controller.arm, controller.readings, ask.mirror, looks, ask.member)
        reason = preflight.refusal(checks)
    if reason is None:
        return
    if rules.joins(head, ask.member):
        raise reason
    no = rules.Deny(code=reason.code, detail=reason.detail, recorded=ask.claim is not None, retry_after_s=reason.retry_after_s)
    await refuse(controller, ask, head, no)
