"""Whether a claim or a move may go through, from head and status pages. Pure; the order is that of docs/api.md section 6.

Freshness of a signature is not decided here but in `entry/signatures.py`, before anything is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from vipcore import instants
from vipcore.instants import Instant
from vipcore.ledger.head import Head, RecordedClaim, replay_mark
from vipcore.model import Claim, Epoch, Mirror, Move, Page

RECORDED_S_MAX: Final = 3600.0
"""A recorded claim is judged again for an hour; a freeze stops that clock."""

BINDING_EVENTS: Final = ("CheckBecomePrimaryOK", "NotifyBecomePrimary")
"""The events that IRIS itself raises when it decided; only for them does a hold come to an end."""

HOLD_STALE_S: Final = 300.0
"""A hold whose claim was not repeated for so long after its end is stale; the next claim starts a new one."""

CHANGES_KEPT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """Refused: the code and the sentence; whether the claim is recorded for the timer, or a hold begins with it."""

    code: str
    detail: str
    recorded: bool = False
    holds: bool = False
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """May go through. `remark`: what an auditor should know of why, such as a hold that ran out."""

    remark: str | None = None


Verdict = Allow | Deny
Pages = Mapping[str, Page]
"""Member -> what its status page says; members without a page are left out."""


def replayed(head: Head, claim: Claim) -> Deny | None:
    """An `issued_at` at or before that key's mark was accepted before, or is older than one that was (I6)."""
    if instants.to_text(claim.issued_at) <= replay_mark(head, claim.key_id):
        return Deny(
            code="claim-replayed",
            detail="A claim of this key with this or a later issued_at has been accepted; sign a fresh one.",
        )
    return None


def superseded(head: Head, member: str, began: Instant) -> str | None:
    """Why a later decision for another member rules this one out, or None."""
    if head.desired is not None and head.desired != member and began < head.began:
        return f"A later decision (epoch {head.epoch}) made {head.desired} the one that holds the VIP."
    recorded = head.recorded_claim
    if recorded is not None and recorded.member != member and began < recorded.began:
        return f"A later claim of {recorded.member} is recorded and waits to be carried out ({recorded.code})."
    return None


def expired(recorded: RecordedClaim, now: Instant) -> bool:
    """Whether a recorded claim is too old to be judged again."""
    return now - recorded.recorded_at > instants.seconds(RECORDED_S_MAX)


def frozen(head: Head, now: Instant) -> str | None:
    """The operator's stop sign as a sentence, or None; one whose `until` has passed no longer stops anything."""
    if head.frozen is None or (head.frozen.until is not None and head.frozen.until <= now):
        return None
    until = f" until {instants.to_text(head.frozen.until)}" if head.frozen.until else ""
    return f"Mirror {head.mirror} is frozen{until} by {head.frozen.operator}: {head.frozen.reason}"


def contradiction(mirror: Mirror, member: str, event: str, pages: Pages) -> Deny | None:
    """What the status pages say against it. Pages that cannot be read say nothing, except to a `watch` claim."""
    own = pages.get(member, Page.UNKNOWN)
    peer = next((m.name for m in mirror.members if m.name != member and pages.get(m.name) is Page.PRIMARY), None)
    if peer is not None:
        return Deny(code="peer-still-primary", detail=f"The status page of {peer} says that it is primary.", holds=True)
    if event == "watch" and own is not Page.PRIMARY:
        return Deny(
            code="claimant-not-primary",
            detail=f"A watch claim needs the status page of {member} to say primary.",
            holds=True,
        )
    if own is Page.NOT_PRIMARY and event != "CheckBecomePrimaryOK":
        return Deny(code="claimant-not-primary", detail=f"The status page of {member} says that it is not primary.", holds=True)
    return None


def forcible(deny: Deny) -> Deny:
    """The pages' word against an operator's move, and what the operator can do."""
    return replace(deny, detail=f'{deny.detail} Let IRIS switch first, or send "force": true.')


def paged(head: Head, mirror: Mirror, claim: Claim, pages: Pages, now: Instant) -> Verdict:
    """The pages' word, with the hold's end: after `hold_s` since the first such answer IRIS's own events go through."""
    deny = contradiction(mirror, claim.member, claim.event, pages)
    if deny is None:
        return Allow()
    since = hold_began(head, mirror, claim.member, now)
    if claim.event in BINDING_EVENTS and since is not None and now - since >= instants.seconds(mirror.hold_s):
        return Allow(
            remark=f"accepted although {deny.detail[0].lower()}{deny.detail[1:]} The hold of {mirror.hold_s:g} s is over."
        )
    if claim.event in BINDING_EVENTS and since is None and mirror.hold_s == 0:
        return Allow(remark=f"accepted although {deny.detail[0].lower()}{deny.detail[1:]} hold_s is 0.")
    return deny


def hold_began(head: Head, mirror: Mirror, member: str, now: Instant) -> Instant | None:
    """When the running hold of this member began; a stale one is over, and a new one begins."""
    since = head.holds.get(member)
    stale = since is not None and now - since > instants.seconds(mirror.hold_s + HOLD_STALE_S)
    return None if stale else since


def flapping(head: Head, member: str, now: Instant, *, changes: int, changes_s: float) -> Deny | None:
    """More than `changes` changes of holder in `changes_s` seconds: an operator must move or freeze."""
    if member == head.desired:
        return None
    recent = [at for at in head.changes if now - at < instants.seconds(changes_s)]
    if len(recent) < changes:
        return None
    detail = f"{len(recent)} changes of holder within {changes_s:g} s; an operator must move the VIP or freeze the mirror."
    frees = min(recent) + instants.seconds(changes_s) - now
    return Deny(code="flapping", detail=detail, recorded=True, retry_after_s=max(1, min(60, int(frees.total_seconds()) + 1)))


def joins(head: Head, member: str) -> bool:
    """Whether a swap to this member is under way, so that a claim or move for it waits for that one and decides nothing."""
    return head.swap is not None and head.desired == member


def decided(
    head: Head,
    member: str,
    began: Instant,
    *,
    now: Instant,
    claim_id: str | None,
    changes_s: float,
    holder: str | None = None,
) -> Head:
    """The head with `member` desired: the epoch rises if that is a change, holds and recorded claims of older times end.

    `holder`: who carries the VIP where nobody was desired before, so that the first change of holder counts as one too.
    `claim_id`: None for an operator's move, which does not count as a change of holder.
    """
    changed = head.desired != member
    counts = claim_id is not None and changed and (head.desired or holder) not in (None, member)
    recent = tuple(at for at in head.changes if now - at < instants.seconds(changes_s))
    recorded = head.recorded_claim
    if recorded is not None and (recorded.member == member or recorded.began <= began):
        recorded = None
    return replace(
        head,
        desired=member,
        epoch=Epoch(head.epoch + 1) if changed else head.epoch,
        began=max(began, head.began) if not changed else began,
        claim_id=claim_id,
        changes=(*recent, now)[-CHANGES_KEPT:] if counts else recent,
        recorded_claim=recorded,
        holds={} if changed else {name: at for name, at in head.holds.items() if name != member},
        drift=None,
        backup_seen={} if changed else head.backup_seen,
    )


def recorded(head: Head, claim: Claim, code: str, now: Instant) -> Head:
    """The head with this claim pending, if none that began later is."""
    if head.recorded_claim is not None and head.recorded_claim.began > claim.began:
        return head
    since = (
        head.recorded_claim.recorded_at
        if head.recorded_claim is not None and head.recorded_claim.claim_id == claim.claim_id
        else now
    )
    recorded = RecordedClaim(
        member=claim.member,
        key_id=claim.key_id,
        claim_id=claim.claim_id,
        event=claim.event,
        began=claim.began,
        recorded_at=since,
        code=code,
    )
    return replace(head, recorded_claim=recorded)


def move_frozen(head: Head, move: Move, now: Instant) -> Deny | None:
    """A freeze stops moves too, unless forced."""
    reason = frozen(head, now)
    return (
        Deny(code="mirror-frozen", detail=f'{reason}. Lift the freeze, or send "force": true.')
        if reason and not move.force
        else None
    )
