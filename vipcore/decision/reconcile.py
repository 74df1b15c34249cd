"""One pass of the timer: finish what is unfinished, judge recorded claims again, end freezes that are over, and look for drift.

Which mirrors: those with a hint in the worklist (work left behind), those that follow their pages, and a slice of all, so that
every head is seen within ten minutes. Hints are read before the heads; one is deleted only under the etag read then, only where
the head, read after it, shows no work, and only when it is so old that no request which wrote it can still be about to commit
its decision. So whatever is decided while a pass runs keeps the hint that was written for it.

Drift (contract section 9): an unfinished swap is finished; a VIP on no NIC is attached to desired; a VIP on another known member
is reported and left, unless the status pages say that desired is primary. While a mirror is watched after a driver died, a
placement other than desired is the work of a late write: an unfinished swap, never drift. A freeze stops all but the first.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vipcore import instants
from vipcore.arm.rate_limit import BACKGROUND, ORDER
from vipcore.decision import rules
from vipcore.decision.controller import Controller
from vipcore.decision.decide import carry_out
from vipcore.decision.freeze import unfrozen
from vipcore.decision.request import HeadChanged, Request
from vipcore.decision.takeover import drive_anew, take_over
from vipcore.errors import Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, RecordedClaim
from vipcore.ledger.port import WorkItem
from vipcore.limits import PLATFORM_S_MAX
from vipcore.model import Claim, Mirror, Page, Placement, Seen
from vipcore.swap import plan
from vipcore.swap.driver import LEASE_MARGIN_S

ACTOR: Final = "reconciler"
PASS_S: Final = 60.0
"""How long a pass may drive; what is not done then is gone on with by the next one."""

ATTEND_S: Final = 90.0
"""How long a pass may be at one mirror: reads that wait for Azure's throttle to end would keep it from all others."""

HINT_S_MIN: Final = PLATFORM_S_MAX + LEASE_MARGIN_S
"""How long a hint stays at least after a pass first saw it: its request may commit until the platform cuts it off."""

SWEEP_S: Final = 540.0
SWEEP_MIN: Final = 10
SIDE_BY_SIDE: Final = 64
LOOKS_TO_FOLLOW: Final = 3


async def run_pass(controller: Controller, correlation_id: str) -> None:
    """One timer pass. Faults of one mirror are logged and leave the others alone; Unreachable ends the pass quietly.

    Raises what a defect of ours raises, after all mirrors have been attended to.
    """
    if controller.config.fatal:
        return
    mirrors = controller.config.mirrors
    await controller.flush_failures()
    try:
        worklist = {item.mirror: item for item in await controller.ledger.load_worklist()}
        now = asyncio.get_running_loop().time()
        controller.worklist_seen = {item: controller.worklist_seen.get(item, now) for item in worklist.values()}
        swept = set(_slice(controller, sorted(mirrors)))
        following = {mirror.name for mirror in mirrors.values() if mirror.follow_primary and mirror.has_pages}
        names = [name for name in mirrors if name in worklist or name in swept or name in following]
        heads = await controller.ledger.load_heads(names)
    except Unreachable as exc:
        controller.log("timer.skipped", why=str(exc)[:200])
        return
    for name in set(names) - set(heads):
        controller.log("timer.skipped", mirror=name, why="its head row is damaged")
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(name: str) -> None:
        async with gate:
            await _attend(controller, mirrors[name], heads[name], worklist.get(name), correlation_id, check_drift=name in swept)

    attended = [name for name in names if name in heads]
    results = await asyncio.gather(*(one(name) for name in attended), return_exceptions=True)
    defects = {name: result for name, result in zip(attended, results, strict=True) if isinstance(result, BaseException)}
    for name, defect in defects.items():
        controller.log("timer.failed", mirror=name, what=repr(defect)[:300])
    for defect in defects.values():
        raise defect  # the host logs it with its stack, when all other mirrors have had their turn


def _slice(controller: Controller, names: Sequence[str]) -> list[str]:
    """The mirrors whose turn it is: all of them once in SWEEP_S, however long passes take, and at least SWEEP_MIN a pass."""
    if not names:
        return []
    now = asyncio.get_running_loop().time()
    elapsed = min(SWEEP_S, max(30.0, now - controller.swept_at)) if controller.swept_at >= 0 else 30.0
    controller.swept_at = now
    count = min(len(names), max(SWEEP_MIN, math.ceil(len(names) * elapsed / SWEEP_S)))
    first = controller.sweep_next % len(names)
    controller.sweep_next = first + count
    return [names[(first + index) % len(names)] for index in range(count)]


async def _attend(
    controller: Controller, mirror: Mirror, head: Head, item: WorkItem | None, correlation_id: str, *, check_drift: bool
) -> None:
    ORDER.set((BACKGROUND, head.began.timestamp()))
    try:
        async with asyncio.timeout(ATTEND_S):
            busy = await _work(controller, mirror, head, correlation_id, check_drift=check_drift)
        if item is not None and not busy and _outlived(controller, item):
            await controller.ledger.drop_work_item(item)
    except Refusal as refusal:
        controller.log("timer.refused", mirror=mirror.name, code=refusal.code, detail=refusal.detail[:300])
    except HeadChanged:
        controller.log("timer.overtaken", mirror=mirror.name)
    except TimeoutError:
        controller.log("timer.skipped", mirror=mirror.name, why=f"its reads had no turn within {ATTEND_S:g} s")
    except Unreachable as exc:
        controller.log("timer.skipped", mirror=mirror.name, why=str(exc)[:200])


def _outlived(controller: Controller, item: WorkItem) -> bool:
    """Whether no request that wrote this hint can be under way any more. Another pass may have read the hints anew since."""
    return asyncio.get_running_loop().time() - controller.worklist_seen.get(item, math.inf) >= HINT_S_MIN


async def _work(controller: Controller, mirror: Mirror, head: Head, correlation_id: str, *, check_drift: bool) -> bool:
    """Do what this head asks for. Returns whether the mirror stays on the worklist. Raises Refusal, Unreachable."""
    now = controller.clock.now()
    if head.frozen and head.frozen.until is not None and head.frozen.until <= now:
        head = await unfrozen(controller, head, actor=ACTOR, reason="its time is over", correlation_id=correlation_id)
    if head.lease_live(now, margin_s=LEASE_MARGIN_S):
        return True
    if head.desired is not None and mirror.member(head.desired) is None:
        # Nothing leads to a member that the document no longer has; a recorded claim of another may.
        controller.log("desired.unknown", mirror=mirror.name, member=head.desired)
    elif head.swap is not None or head.lease is not None:
        await _unfinished(controller, mirror, head, now, correlation_id)
        return True
    return await _at_rest(controller, mirror, head, now, correlation_id, check_drift=check_drift)


async def _unfinished(controller: Controller, mirror: Mirror, head: Head, now: Instant, correlation_id: str) -> None:
    """Nobody drives a swap that is not finished. A newer claim that is recorded comes first: the swap may be one that nothing
    can finish. Raises Refusal, Unreachable.
    """
    if head.recorded_claim is not None and head.recorded_claim.member != head.desired and not rules.frozen(head, now):
        head = await _judged_again(controller, mirror, head, head.recorded_claim, now, correlation_id)
        if head.recorded_claim is None or head.swap is None or head.lease_live(now, margin_s=LEASE_MARGIN_S):
            return
    if head.swap is None or now >= head.swap.retry_at:
        await take_over(controller, _ask(mirror, head.desired or "", head.began, correlation_id), head)


async def _at_rest(
    controller: Controller, mirror: Mirror, head: Head, now: Instant, correlation_id: str, *, check_drift: bool
) -> bool:
    """No swap is under way. Returns whether the mirror stays on the worklist. Raises Refusal, Unreachable."""
    watched = now < head.watch_until
    frozen = rules.frozen(head, now) is not None
    if head.recorded_claim is not None and not frozen:
        head = await _judged_again(controller, mirror, head, head.recorded_claim, now, correlation_id)
        if head.recorded_claim is None or head.swap is not None or head.lease_live(now, margin_s=LEASE_MARGIN_S):
            return True
    if head.desired is not None and (check_drift or watched):
        await _drift(controller, mirror, head, correlation_id, watched=watched, frozen=frozen)
    if not frozen and mirror.follow_primary and mirror.has_pages and head.desired is not None:
        await _follow_pages(controller, mirror, head, correlation_id)
    thaws = head.frozen is not None and head.frozen.until is not None
    return watched or head.recorded_claim is not None or thaws


def _ask(mirror: Mirror, member: str, began: Instant, correlation_id: str, claim: Claim | None = None) -> Request:
    return Request(
        mirror=mirror,
        member=member,
        began=began,
        actor=ACTOR,
        correlation_id=correlation_id,
        claim=claim,
        by_timer=True,
        deadline_s=PASS_S,
    )


async def _judged_again(
    controller: Controller, mirror: Mirror, head: Head, recorded_claim: RecordedClaim, now: Instant, correlation_id: str
) -> Head:
    """The newest head after the recorded claim was judged again. One that still cannot be carried out keeps nothing waiting."""
    try:
        await _pending(controller, mirror, head, recorded_claim, now, correlation_id)
    except Refusal as refusal:
        controller.log("timer.refused", mirror=mirror.name, code=refusal.code, detail=refusal.detail[:300])
    return await controller.load_head(mirror.name)


async def _pending(
    controller: Controller, mirror: Mirror, head: Head, recorded_claim: RecordedClaim, now: Instant, correlation_id: str
) -> None:
    """Judge the recorded claim again; one that is superseded or an hour old is dropped, and its row says so."""
    claim = Claim(
        mirror=mirror.name,
        member=recorded_claim.member,
        claim_id=recorded_claim.claim_id,
        key_id=recorded_claim.key_id,
        issued_at=recorded_claim.recorded_at,
        began=recorded_claim.began,
        event=recorded_claim.event,
    )
    request = _ask(mirror, recorded_claim.member, recorded_claim.began, correlation_id, claim)
    why = None
    if mirror.member(recorded_claim.member) is None:
        why = "its member is no longer in the mirrors document"
    elif now - recorded_claim.recorded_at > instants.seconds(rules.RECORDED_S_MAX):
        why = f"it is more than {rules.RECORDED_S_MAX:g} s old"
    else:
        try:
            await carry_out(controller, request)
            return
        except Refusal as refusal:
            if refusal.code != "claim-superseded":
                raise
            why = refusal.detail

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.recorded_claim is None or newest.recorded_claim.claim_id != recorded_claim.claim_id:
            return newest, []
        row = request.draft("claim.refused", outcome=recorded_claim.code, detail=f"The recorded claim is dropped: {why}")
        return replace(newest, recorded_claim=None), [row]

    await controller.store.commit(head, change)


async def _drift(controller: Controller, mirror: Mirror, head: Head, correlation_id: str, *, watched: bool, frozen: bool) -> None:
    """Compare the placement with desired, and act as the module says."""
    desired = head.desired or ""
    if mirror.member(desired) is None:
        return
    observed = await controller.read_all(mirror)
    seen = plan.placement(mirror, observed)
    if seen.state is Seen.UNKNOWN:
        return
    found = plan.plan(mirror, observed, desired)
    if seen.holder == desired and isinstance(found, plan.Plan) and not found.detaches:
        if head.drift is not None:
            await _note_drift(controller, head, None, correlation_id)
        return
    request = _ask(mirror, desired, head.began, correlation_id)
    explained = set(seen.members) <= {desired, *head.watched}
    if watched and explained and seen.state is not Seen.FOREIGN:
        await drive_anew(controller, request, head, observed, event="swap.resumed", detail=_late(seen), closes=None)
        return
    sentence = _sentence(seen, desired)
    # Of several VIPs some may be on no NIC and the others where they should be: that is no other member's doing.
    lost = seen.state is Seen.UNPLACED or (seen.members == (desired,) and isinstance(found, plan.Plan) and not found.detaches)
    repair = not frozen and seen.state is not Seen.FOREIGN and (lost or await _pages_agree(controller, mirror, desired))
    if not repair:
        await _note_drift(controller, head, sentence, correlation_id)
        return
    await drive_anew(controller, request, head, observed, event="drift.found", detail=sentence, closes="drift.repaired")


def _late(seen: Placement) -> str:
    return f"The placement is {seen.state.value} after a driver died; a late write of its explains that, so the swap is finished."


def _sentence(seen: Placement, desired: str) -> str:
    match seen.state:
        case Seen.UNPLACED:
            return f"The VIP is on no NIC; clients cannot connect until it is attached to {desired}."
        case Seen.FOREIGN:
            return "A VIP's address is held by something that is not ours by name."
        case _ if seen.members == (desired,):
            return f"Not every VIP is on the NIC of {desired}, as it should be; what is on no NIC is attached to it."
        case _:
            return f"The VIP is on {' and '.join(seen.members)} without a claim, desired is {desired}; somebody moved it by hand."


async def _pages_agree(controller: Controller, mirror: Mirror, desired: str) -> bool:
    """Whether the pages say that desired is primary, and no other member's does."""
    if not mirror.has_pages:
        return False
    pages = await controller.pages(mirror)
    return pages.get(desired) is Page.PRIMARY and list(pages.values()).count(Page.PRIMARY) == 1


async def _note_drift(controller: Controller, head: Head, sentence: str | None, correlation_id: str) -> None:
    """Report a drift once, or that it is over."""
    if head.drift == sentence:
        return
    controller.log("drift.found" if sentence else "drift.over", mirror=head.mirror, detail=sentence or "")

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.etag != head.etag:
            return newest, []
        event = "drift.found" if sentence else "drift.repaired"
        detail = sentence or "The VIP is where it should be again, without our doing."
        row = Entry(event=event, actor=ACTOR, member=head.desired, correlation_id=correlation_id, detail=detail)
        return replace(newest, drift=sentence), [row]

    await controller.store.commit(head, change)


async def _follow_pages(controller: Controller, mirror: Mirror, head: Head, correlation_id: str) -> None:
    """A member whose page turned primary after the last decision, several looks long, without a claim: act as if it had claimed.

    Time and head are taken before the pages are asked, so that a decision made meanwhile is a later one.
    Only a page that was seen to say *not primary* since that decision can turn: an isolated old primary that goes on believing
    in itself never does. Which pages were seen so is in the head, since the process may change between looks.
    """
    now = controller.clock.now()
    head = await controller.load_head(mirror.name)
    pages = await controller.pages(mirror)
    backups = set(head.backup_seen.get("backup", ()))
    new = {name for name, page in pages.items() if page is Page.NOT_PRIMARY} - backups
    if new:

        def change(newest: Head) -> tuple[Head, list[Entry]]:
            if newest.epoch != head.epoch or newest.began != head.began:
                return newest, []
            detail = f"Status pages seen to say not primary since the last decision: {', '.join(sorted(new))}."
            row = Entry(event="readiness.changed", actor=ACTOR, correlation_id=correlation_id, detail=detail)
            return replace(newest, backup_seen={"backup": sorted(backups | new)}), [row]

        head = await controller.store.commit(head, change)
    primary = [name for name, page in pages.items() if page is Page.PRIMARY]
    candidate = primary[0] if len(primary) == 1 and primary[0] in backups and primary[0] != head.desired else None
    member, times = controller.followed.pop(mirror.name, ("", 0))
    if candidate is None:
        return
    times = times + 1 if member == candidate else 1
    if times < LOOKS_TO_FOLLOW:
        controller.followed[mirror.name] = (candidate, times)
        return
    claim = Claim(
        mirror=mirror.name,
        member=candidate,
        claim_id=controller.clock.new_id(),
        key_id="",
        issued_at=now,
        began=now,
        event="NotifyBecomePrimary",
    )
    await carry_out(controller, _ask(mirror, candidate, now, correlation_id, claim))
