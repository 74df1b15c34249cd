"""Whether a claim or a move may go through, from head and status pages. Pure; the order is that of docs/api.md section 6.

Freshness of a signature is not decided here but in `entry/signatures.py`, before anything is read.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from vipcore import instants
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.head import Head, RecordedClaim, replay_mark
from vipcore.model import Claim, Epoch, Mirror, Move, Page

BINDING_EVENTS: Final = ("CheckBecomePrimaryOK", "NotifyBecomePrimary")
"""The events that IRIS itself raises when it decided; only for them does a hold come to an end."""

HOLDING_CODES: Final = ("peer-still-primary", "claimant-not-primary")
"""What status pages say against a claim; with its first such refusal a hold begins."""

HOLD_STALE_S: Final = 300.0
"""A hold whose claim was not repeated for so long after its end is stale; the next claim starts a new one."""

CHANGES_KEPT: Final = 256


Pages = Mapping[str, Page]
"""Member -> what its status page says; members without a page are left out."""


def replayed(head: Head, claim: Claim) -> Refusal | None:
    """An `issued_at` at or before that key's mark was accepted before, or is older than one that was (I6)."""
    if instants.to_text(claim.issued_at) > replay_mark(head, claim.key_id):
        return None
    return Refusal("claim-replayed", "A claim of this key with this or a later issued_at has been accepted; sign a fresh one.")


def superseded(head: Head, member: str, began: Instant) -> str | None:
    """Why a later decision for another member rules this one out, or None."""
    if head.desired is not None and head.desired != member and began < head.began:
        return f"A later decision (epoch {head.epoch}) made {head.desired} the one that holds the VIP."
    recorded = head.recorded_claim
    if recorded is not None and recorded.member != member and began < recorded.began:
        return f"A later claim of {recorded.member} is recorded and waits to be carried out ({recorded.code})."
    return None


def frozen(head: Head, now: Instant) -> str | None:
    """The operator's stop sign as a sentence, or None; one whose `until` has passed no longer stops anything."""
    if head.frozen is None or (head.frozen.until is not None and head.frozen.until <= now):
        return None
    until = f" until {instants.to_text(head.frozen.until)}" if head.frozen.until else ""
    return f"Mirror {head.mirror} is frozen{until} by {head.frozen.operator}: {head.frozen.reason}"


def contradiction(mirror: Mirror, member: str, event: str, pages: Pages) -> Refusal | None:
    """What the status pages say against it. Pages that cannot be read say nothing, except to a `watch` claim."""
    own = pages.get(member, Page.UNKNOWN)
    peer = next((m.name for m in mirror.members if m.name != member and pages.get(m.name) is Page.PRIMARY), None)
    if peer is not None:
        return Refusal("peer-still-primary", f"The status page of {peer} says that it is primary.")
    if event == "watch" and own is not Page.PRIMARY:
        return Refusal(
            "claimant-not-primary", f"A watch claim needs the status page of {member} (its status_url) to say primary."
        )
    if own is Page.NOT_PRIMARY and event != "CheckBecomePrimaryOK":
        return Refusal("claimant-not-primary", f"The status page of {member} says that it is not primary.")
    return None


def forcible(against: Refusal) -> Refusal:
    """The pages' word against an operator's move, and what the operator can do."""
    return Refusal(against.code, f'{against.detail} Let IRIS switch first, or send "force": true.')


def paged(head: Head, mirror: Mirror, claim: Claim, pages: Pages, now: Instant) -> Refusal | str | None:
    """What the pages say against a claim; a text says why it goes through all the same.

    After `hold_s` since the first such answer IRIS's own events do.
    """
    against = contradiction(mirror, claim.member, claim.event, pages)
    if against is None or claim.event not in BINDING_EVENTS:
        return against
    since = hold_began(head, mirror, claim.member, now)
    if since is not None and now - since >= instants.seconds(mirror.hold_s):
        over = f"The hold of {mirror.hold_s:g} s is over."
    elif since is None and mirror.hold_s == 0:
        over = "hold_s is 0."
    else:
        return against
    return f"accepted although {against.detail[0].lower()}{against.detail[1:]} {over}"


def hold_began(head: Head, mirror: Mirror, member: str, now: Instant) -> Instant | None:
    """When the running hold of this member began; a stale one is over, and a new one begins."""
    since = head.holds.get(member)
    stale = since is not None and now - since > instants.seconds(mirror.hold_s + HOLD_STALE_S)
    return None if stale else since


def recent_changes(head: Head, now: Instant, changes_s: float) -> tuple[Instant, ...]:
    """When claims changed the holder within the last `changes_s` seconds."""
    return tuple(at for at in head.changes if now - at < instants.seconds(changes_s))


def flapping(head: Head, member: str, now: Instant, *, changes: int, changes_s: float) -> Refusal | None:
    """More than `changes` changes of holder in `changes_s` seconds: an operator must move or freeze."""
    if member == head.desired:
        return None
    recent = recent_changes(head, now, changes_s)
    if len(recent) < changes:
        return None
    detail = f"{len(recent)} changes of holder within {changes_s:g} s; an operator must move the VIP or freeze the mirror."
    frees = min(recent) + instants.seconds(changes_s) - now
    return Refusal("flapping", detail, retry_after_s=max(1, min(60, int(frees.total_seconds()) + 1)))


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
    recent = recent_changes(head, now, changes_s)
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
    before = head.recorded_claim
    if before is not None and before.began > claim.began:
        return head
    since = before.recorded_at if before is not None and before.claim_id == claim.claim_id else now
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


def move_frozen(head: Head, move: Move, now: Instant) -> Refusal | None:
    """A freeze stops moves too, unless forced."""
    if move.force or not (reason := frozen(head, now)):
        return None
    return Refusal("mirror-frozen", f'{reason}. Lift the freeze, or send "force": true.')
