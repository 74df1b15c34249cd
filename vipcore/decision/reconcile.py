"""What the timer does with one mirror: look its situation up in a table, and act.

The table is complete: `tests/vipcore/decision/test_reconcile.py` tries every combination. A recorded claim is judged before
anything else is done, once a pass, since the swap under way may be one that nothing can finish.
"""

from dataclasses import replace
from enum import Enum
from typing import Final, NamedTuple

from vipcore.decision import rules
from vipcore.decision.controller import Controller
from vipcore.decision.decide import carry_out
from vipcore.decision.drift import check_drift
from vipcore.decision.follow_primary import follow_primary
from vipcore.decision.freeze import lift_freeze
from vipcore.decision.request import LOOK_S, timer_request
from vipcore.decision.takeover import take_over
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Head, RecordedClaim
from vipcore.model import Claim, Mirror


class Recorded(Enum):
    """Which member a recorded claim that has not been judged in this pass is for."""

    NONE = "none"
    DESIRED = "desired"
    OTHER = "other"


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
    """What the head says."""

    driven: bool
    unfinished: bool
    recorded: Recorded
    frozen: bool


Row = tuple[bool | None, bool | None, Recorded | None, bool | None]
"""A situation in which None means: either way."""

TABLE: Final[tuple[tuple[Row, Act, str], ...]] = (
    # driven, unfinished, recorded, frozen
    ((True, None, None, None), Act.LEAVE, "Somebody drives; the lease says until when."),
    ((False, True, Recorded.NONE, None), Act.FINISH, "The swap's driver is gone; a freeze lets it finish too."),
    ((False, True, Recorded.DESIRED, None), Act.FINISH, "The recorded claim is for the swap's own member."),
    ((False, True, Recorded.OTHER, True), Act.FINISH, "A freeze keeps the recorded claim, and lets the swap finish."),
    ((False, True, Recorded.OTHER, False), Act.JUDGE, "A claim for another member waits behind the swap."),
    ((False, False, Recorded.NONE, None), Act.CHECK, "Nothing is under way: is the VIP where it should be?"),
    ((False, False, Recorded.DESIRED, True), Act.CHECK, "A freeze keeps the recorded claim."),
    ((False, False, Recorded.OTHER, True), Act.CHECK, "A freeze keeps the recorded claim."),
    ((False, False, Recorded.DESIRED, False), Act.JUDGE, "What stopped the recorded claim may be over."),
    ((False, False, Recorded.OTHER, False), Act.JUDGE, "What stopped the recorded claim may be over."),
)


def act_for(situation: Situation) -> Act:
    """The table's answer. Raises StopIteration where the table is not complete: our defect."""
    return next(act for row, act, _ in TABLE if fits(row, situation))


def fits(row: Row, situation: Situation) -> bool:
    """Whether this row of the table is about this situation."""
    return all(wanted is None or wanted == given for wanted, given in zip(row, situation, strict=True))


def situation_of(mirror: Mirror, head: Head, now: Instant, *, judged: bool = False) -> Situation:
    """What this head says. A swap to a member that the document no longer has can be finished by nobody."""
    recorded = Recorded.NONE
    if head.recorded_claim is not None and not judged:
        recorded = Recorded.DESIRED if head.recorded_claim.member == head.desired else Recorded.OTHER
    lost = head.desired is not None and mirror.member(head.desired) is None
    return Situation(
        driven=head.lease_live(now),
        unfinished=head.swap is not None and not lost,
        recorded=recorded,
        frozen=rules.frozen(head, now) is not None,
    )


async def reconcile(controller: Controller, mirror: Mirror, head: Head, caller: Caller, *, look: bool) -> Done:
    """Do what this head asks for. Raises Refusal, HeadChanged, Unreachable, and TimeoutError where no read had its turn.

    `look`: whether it is this mirror's turn to have its placement compared with desired.
    """
    now = controller.clock.now()
    if head.frozen and head.frozen.until is not None and head.frozen.until <= now:
        head = await lift_freeze(controller, head, caller, "the freeze has expired")
    situation = situation_of(mirror, head, now)
    if head.desired is not None and mirror.member(head.desired) is None and not situation.driven:
        # Nothing leads to a member that the document no longer has; a recorded claim of another may.
        controller.log("desired.unknown", mirror=mirror.name, member=head.desired)
    act = act_for(situation)
    if act is Act.JUDGE and head.recorded_claim is not None:
        await _judge_again(controller, mirror, head, head.recorded_claim, caller, now)
        head = await controller.load_head(mirror.name)
        driven = head.lease_live(now)
        if head.recorded_claim is None or driven or (head.swap is not None) != situation.unfinished:
            return Done(stays=True)  # another situation than the one that was looked up
        act = act_for(situation_of(mirror, head, now, judged=True))
    match act:
        case Act.LEAVE | Act.JUDGE:
            return Done(stays=True)
        case Act.FINISH:
            if head.swap is None or now < head.swap.retry_at:
                return Done(stays=True)
            observed = await controller.read_all(mirror, within_s=LOOK_S)  # before the drive's own time begins
            await take_over(controller, timer_request(mirror, head.desired or "", head.began, caller), head, observed)
            return Done(stays=True, driven=True)
        case Act.CHECK:
            return await _check(controller, mirror, head, caller, now, look=look)


async def _check(controller: Controller, mirror: Mirror, head: Head, caller: Caller, now: Instant, *, look: bool) -> Done:
    """No swap is under way."""
    driven, late = False, now < head.late_writes.until
    frozen = rules.frozen(head, now) is not None
    if head.desired is not None and mirror.member(head.desired) is not None and (look or late):
        driven = await check_drift(controller, mirror, head, caller, late=late, frozen=frozen)
    if not frozen and mirror.follow_primary and mirror.has_pages and head.desired is not None:
        candidate = await follow_primary(controller, mirror, caller)
        if candidate is not None:
            await carry_out(controller, timer_request(mirror, candidate.member, candidate.began, caller, candidate))
            driven = True
    ends = head.frozen is not None and head.frozen.until is not None
    return Done(stays=late or head.recorded_claim is not None or ends, driven=driven)


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
    elif rules.expired(recorded, now):
        why = f"it is more than {rules.RECORDED_S_MAX:g} s old"
    else:
        try:
            await carry_out(controller, request)
            return
        except Refusal as refusal:
            if refusal.code != "claim-superseded":
                # A claim that still cannot be carried out keeps nothing else waiting.
                controller.log("timer.refused", mirror=mirror.name, code=refusal.code, detail=refusal.detail[:300])
                return
            why = refusal.detail

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.recorded_claim is None or newest.recorded_claim.claim_id != recorded.claim_id:
            return newest, []
        entry = request.entry("claim.refused", outcome=recorded.code, detail=f"The recorded claim is dropped: {why}")
        return replace(newest, recorded_claim=None), [entry]

    await controller.store.commit(head, change)
