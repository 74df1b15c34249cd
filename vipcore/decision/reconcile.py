"""What the timer does with one mirror: see what its head asks for, and act.

A recorded claim is judged before anything else is done, once a pass, since the swap under way may be one that nothing can finish.
"""

from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from vipcore import instants
from vipcore.decision import readiness, rules
from vipcore.decision.controller import Controller
from vipcore.decision.decide import carry_out
from vipcore.decision.document import follow, read_known
from vipcore.decision.drift import check_drift
from vipcore.decision.request import LOOK_S, timer_request
from vipcore.decision.takeover import take_over
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Failure, Head, RecordedClaim
from vipcore.model import Claim, Mirror, Page

RECORDED_S_MAX: Final = 3600.0
"""A recorded claim is judged again for an hour; a freeze stops that clock."""

ABANDONED_S: Final = 86_400.0
"""A swap of a mirror that was taken out of the document is not gone on with after so long: what is in place then is in use."""

LOOKS_NEEDED: Final = 3
"""So many looks in a row must say primary before a page is followed."""


class Act(Enum):
    """What the timer does."""

    LEAVE = "leave"
    JUDGE = "judge"
    FINISH = "finish"
    CHECK = "check"


class Done(NamedTuple):
    """What was done. `stays`: whether the mirror stays on the worklist; `driven`: whether its VIPs were brought to desired."""

    stays: bool
    driven: bool = False


class Situation(NamedTuple):
    """What a head says of the work that is left. `waiting`: a recorded claim may be judged, and is not for the swap's member."""

    driven: bool
    waiting: bool
    unfinished: bool


TABLE: Final[tuple[tuple[Situation, Act, str], ...]] = (
    # The first row whose marks all hold decides.
    (Situation(driven=True, waiting=False, unfinished=False), Act.LEAVE, "Somebody drives; the lease says until when."),
    (Situation(driven=False, waiting=True, unfinished=False), Act.JUDGE, "What stopped the recorded claim may be over."),
    (Situation(driven=False, waiting=False, unfinished=True), Act.FINISH, "The driver is gone. A freeze lets a swap finish too."),
    (Situation(driven=False, waiting=False, unfinished=False), Act.CHECK, "Is the VIP where it should be?"),
)


def act_for(mirror: Mirror, head: Head, now: Instant, *, judged: bool = False) -> Act:
    """The table's answer. `judged`: this head's recorded claim has been judged in this pass."""
    # A swap to a member that the document no longer has can be finished by nobody.
    unfinished = head.swap is not None and mirror.member(head.desired or "") is not None
    recorded = None if judged or rules.frozen(head, now) else head.recorded_claim  # a freeze keeps a recorded claim
    waiting = recorded is not None and not (unfinished and recorded.member == head.desired)
    found = Situation(driven=head.lease_live(now), waiting=waiting, unfinished=unfinished)
    return next(act for marks, act, _ in TABLE if all(has for has, asked in zip(found, marks, strict=True) if asked))


async def reconcile(controller: Controller, mirror: Mirror, head: Head, caller: Caller, *, look: bool) -> Done:
    """Do what this head asks for. Raises Refusal, HeadChanged, Unreachable, and TimeoutError where no read had its turn.

    `look`: whether it is this mirror's turn to have its placement compared with desired.
    """
    try:
        return await _act(controller, mirror, head, caller, look=look)
    except Refusal:
        # What could not be done, or was done by half, shows in the head now and not one pass later.
        await readiness.keep(controller, await controller.ledger.load_head(mirror.name), caller)
        raise


async def _act(controller: Controller, mirror: Mirror, head: Head, caller: Caller, *, look: bool) -> Done:
    if look or head.etag is None:
        head = await controller.store.caught_up(head)
    now = controller.clock.now()
    if head.frozen and not rules.frozen(head, now):
        head = await lift_freeze(controller, head, caller, "the freeze has expired")
    head = await follow(controller, mirror, head, caller)
    act = act_for(mirror, head, now)
    if head.desired is not None and mirror.member(head.desired) is None and act is not Act.LEAVE:
        # Nothing leads to a member that the document no longer has; a recorded claim of another may.
        said = f"{head.desired} should hold the VIP and is no member of the mirrors document any more; move the VIP to a member."
        controller.log("desired.unknown", mirror=mirror.name, member=head.desired, correlation=caller.correlation_id, detail=said)
    if act is Act.JUDGE and head.recorded_claim is not None:
        unfinished = act_for(mirror, head, now, judged=True) is Act.FINISH
        await _judge_again(controller, mirror, head, head.recorded_claim, caller, now)
        head = await controller.load_head(mirror.name)
        if head.recorded_claim is None or (head.swap is not None) != unfinished:
            return Done(stays=True)  # another situation than the one that was looked at
        act = act_for(mirror, head, now, judged=True)
    match act:
        case Act.LEAVE | Act.JUDGE:
            return Done(stays=True)
        case Act.FINISH:
            if head.swap is not None and _abandoned(head, now):
                await _give_up(controller, head, caller)
                return Done(stays=True)
            if head.swap is None or now < head.swap.retry_at:
                await readiness.keep(controller, head, caller)
                return Done(stays=True)
            # Before the drive's own time begins.
            observed = await read_known(partial(controller.read_all, within_s=LOOK_S), mirror, head)
            try:
                await take_over(controller, timer_request(mirror, head.desired or "", head.began, caller), head, observed)
            except Refusal as refusal:
                await _say_why(controller, head, refusal, caller)
                raise
            return Done(stays=True, driven=True)
        case Act.CHECK:
            return await _check(controller, mirror, head, caller, now, look=look)


def _abandoned(head: Head, now: Instant) -> bool:
    """Whether nobody has touched an unfinished swap for a day: the mirror was not in the mirrors document."""
    touched = [head.wrote_at]
    touched += [head.swap.started_at, head.swap.retry_at] if head.swap else []
    touched += [head.lease.until] if head.lease else []
    return now - max(touched) > instants.seconds(ABANDONED_S)


async def _give_up(controller: Controller, head: Head, caller: Caller) -> None:
    """End the swap. The next look attaches a VIP that is on no NIC, and leaves one where somebody has put it meanwhile."""

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.etag != head.etag or newest.swap is None:
            return newest, []
        detail = f"Nobody went on with the swap to {newest.desired} for a day; it is given up, and what is in place stays."
        entry = caller.entry(
            "swap.failed", member=newest.desired, operation_id=newest.swap.operation_id, outcome="abandoned", detail=detail
        )
        return replace(newest, swap=None, lease=None), [entry]

    await controller.ledger.put_work_item(head.mirror)
    await controller.store.commit(head, change)


async def _say_why(controller: Controller, head: Head, refusal: Refusal, caller: Caller) -> None:
    """Why an unfinished swap could not be gone on with, once per reason; a driver that failed has said so itself."""
    swap = head.swap

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        now = newest.swap
        if swap is None or now is None or (now.operation_id, now.failures) != (swap.operation_id, swap.failures):
            return newest, []
        if newest.failure and newest.failure[:2] == (swap.operation_id, refusal.code):
            return newest, []
        failure = Failure.of(swap, refusal)
        row = caller.entry(
            "swap.failed", member=newest.desired, operation_id=swap.operation_id, outcome=refusal.code, detail=failure.detail
        )
        return replace(newest, failure=failure), [row]

    await controller.store.commit(head, change)


async def _check(controller: Controller, mirror: Mirror, head: Head, caller: Caller, now: Instant, *, look: bool) -> Done:
    """No swap is under way."""
    driven, late = False, now < head.late_writes.until
    frozen = rules.frozen(head, now) is not None
    observed = None
    if look or late:
        observed = await read_known(partial(controller.read_all, within_s=LOOK_S), mirror, head)
    if observed is not None and head.desired is not None and mirror.member(head.desired) is not None:
        driven = await check_drift(controller, observed, head, caller, late=late, frozen=frozen)
    if not driven:
        await readiness.keep(controller, head, caller, observed)
    if not frozen and mirror.follow_primary and mirror.has_pages and head.desired is not None:
        driven = await follow_primary(controller, mirror, caller) or driven
    ends = head.frozen is not None and head.frozen.until is not None
    return Done(stays=late or head.recorded_claim is not None or ends, driven=driven)


async def lift_freeze(controller: Controller, head: Head, caller: Caller, reason: str) -> Head:
    """The head without its freeze. The hour of a recorded claim goes on from where the freeze stopped it."""
    now = controller.clock.now()
    frozen = head.frozen

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.frozen is None or newest.frozen != frozen:
            return newest, []
        recorded = newest.recorded_claim
        if recorded is not None:
            stood_still = max(now - max(recorded.recorded_at, newest.frozen.at), instants.seconds(0))
            recorded = recorded._replace(recorded_at=recorded.recorded_at + stood_still)
        entry = caller.entry("unfrozen", detail=f"Unfrozen. Reason: {reason}")
        return replace(newest, frozen=None, recorded_claim=recorded), [entry]

    return await controller.store.commit(head, change)


async def follow_primary(controller: Controller, mirror: Mirror, caller: Caller) -> bool:
    """Treat a member whose status page turned primary after the last decision as if it had claimed. Raises Refusal, Unreachable.

    Only a page that was seen to say *not primary* since that decision can turn: an isolated old primary that goes on believing in
    itself never does. Which pages were seen so is in the head, since the process may change between looks. Time and head are
    taken before the pages are asked, so that a decision made meanwhile is a later one. Returns whether it was carried out.
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
            entry = caller.entry("readiness.changed", detail=detail)
            return replace(newest, backup_seen={"backup": sorted(backups | new)}), [entry]

        head = await controller.store.commit(head, change)
    primary = [name for name, page in pages.items() if page is Page.PRIMARY]
    candidate = primary[0] if len(primary) == 1 and primary[0] in backups and primary[0] != head.desired else None
    member, looks = controller.primary_seen.pop(mirror.name, ("", 0))
    if candidate is None:
        return False
    looks = looks + 1 if member == candidate else 1
    if looks < LOOKS_NEEDED:
        controller.primary_seen[mirror.name] = (candidate, looks)
        return False
    claim = Claim(
        mirror=mirror.name,
        member=candidate,
        claim_id=controller.clock.new_id(),
        key_id="",
        issued_at=now,
        began=now,
        event="NotifyBecomePrimary",
    )
    await carry_out(controller, timer_request(mirror, claim.member, claim.began, caller, claim))
    return True


async def _judge_again(
    controller: Controller, mirror: Mirror, head: Head, recorded: RecordedClaim, caller: Caller, now: Instant
) -> None:
    """Judge the recorded claim. One that is superseded or an hour old is dropped, and its row says so; any other is kept."""
    claim = Claim(
        mirror=mirror.name,
        member=recorded.member,
        claim_id=recorded.claim_id,
        key_id=recorded.key_id,
        issued_at=recorded.recorded_at,
        began=recorded.began,
        event=recorded.event,
    )
    request = timer_request(mirror, recorded.member, recorded.began, caller, claim)
    if mirror.member(recorded.member) is None:
        why = "its member is no longer in the mirrors document"
    elif now - recorded.recorded_at > instants.seconds(RECORDED_S_MAX):
        why = f"it is more than {RECORDED_S_MAX:g} s old"
    else:
        try:
            await carry_out(controller, request)
            return
        except Refusal as refusal:
            if refusal.code != "claim-superseded":
                # A claim that still cannot be carried out keeps nothing else waiting.
                told = {"to": recorded.member, "claim": recorded.claim_id, "correlation": caller.correlation_id}
                controller.log("timer.refused", mirror=mirror.name, **told, code=refusal.code, detail=refusal.detail)
                return
            why = refusal.detail

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.recorded_claim is None or newest.recorded_claim.claim_id != recorded.claim_id:
            return newest, []
        entry = request.entry("claim.refused", outcome=recorded.code, detail=f"The recorded claim is dropped: {why}")
        return replace(newest, recorded_claim=None), [entry]

    await controller.store.commit(head, change)
