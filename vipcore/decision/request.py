"""What is asked for: a claim, a move, or what the timer takes up; and the rows that all of them share.

A refusal or confirmation like the last one of that key writes at most one row a minute; the next row counts those left out.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vipcore import instants
from vipcore.arm.rate_limit import Permits
from vipcore.decision import rules
from vipcore.errors import Refusal, VipError
from vipcore.instants import Instant, to_text
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Head, Repeat, repeated, use_issued_at
from vipcore.limits import USE_CASE_S_MAX
from vipcore.model import Claim, Mirror, Move

DRIVE_S: Final = 60.0
"""How long the timer may drive one mirror; what is not done then is gone on with by the next pass."""

REPEAT_S: Final = 60.0


SPENDING: Final = ("claim.accepted", "claim.confirmed", "claim.recorded")
"""Rows with which a claim's `issued_at` is used up; they tell it, so that a lost head's marks can be known again (I6)."""

LOOK_S: Final = 60.0
"""How long the timer waits for its turn to read one mirror's NICs; a later pass looks again, under a newer head."""


class HeadChanged(VipError):
    """The head is no longer the one that was judged. `head`: the newest, to be judged now."""

    def __init__(self, head: Head) -> None:
        super().__init__("the head changed; judge again")
        self.head = head


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """What is asked for, by whom. `claim` or `move` is set; `by_timer`: a recorded claim that is judged again."""

    mirror: Mirror
    member: str
    began: Instant
    caller: Caller
    claim: Claim | None = None
    move: Move | None = None
    by_timer: bool = False
    issued_at_used: bool = False
    """Whether this claim's `issued_at` is already in the head, so that judging it again is no replay."""
    asked_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    deadline_s: float = USE_CASE_S_MAX
    permits: Permits | None = None
    """Writes for which Azure's rate limit has room already."""

    @property
    def kind(self) -> str:
        """`claim` or `move`, as events and codes begin."""
        return "move" if self.move else "claim"

    @property
    def deadline(self) -> float:
        """Loop seconds at which the answer must be given."""
        return self.asked_at + self.deadline_s

    def now(self) -> float:
        """The event loop's steady time, in seconds."""
        return asyncio.get_running_loop().time()

    def ms_so_far(self) -> int:
        """Milliseconds since the request came."""
        return round((self.now() - self.asked_at) * 1000)

    @property
    def claim_id(self) -> str | None:
        """The claim's id, None for a move and for a claim whose body could not be read."""
        return (self.claim.claim_id or None) if self.claim else None

    def entry(self, event: str, **columns: Any) -> Entry:
        """A row about this request."""
        claim = self.claim
        if claim and not self.by_timer and event in SPENDING:
            columns["issued_at"] = to_text(claim.issued_at)
        evidence = claim.evidence if claim else None
        return self.caller.entry(event, member=self.member, claim_id=self.claim_id, evidence=evidence, **columns)

    def replayed(self, head: Head) -> Refusal | None:
        """Whether the same signed request, or one signed later with its key, was accepted already (I6)."""
        if self.claim is None or self.by_timer or self.issued_at_used:
            return None
        return rules.replayed(head, self.claim)

    def use_issued_at(self, head: Head) -> Head:
        """The head with this claim's `issued_at` used: nothing signed at or before it is accepted again (I6)."""
        if self.claim is None or self.by_timer:
            return head
        return use_issued_at(head, self.claim.key_id, self.claim.issued_at)

    def repeat(self, head: Head, what: str, now: Instant) -> Repeat | None:
        """What this claim's key was told less than a minute ago, if it was the same. Moves are never left out."""
        last = head.repeats.get(self.caller.actor)
        return last if self.claim and last and last.what == what and now - last.at < instants.seconds(REPEAT_S) else None

    def told(self, head: Head, what: str, now: Instant) -> Head:
        """The head after a row of this key that a like one may follow within a minute."""
        return repeated(head, self.caller.actor, Repeat(what=what, at=now)) if self.claim else head

    def left_out(self, head: Head, count: int) -> Head:
        """The head with so many rows of this key left out since the last one; 0 after a row that tells how many there were."""
        actor = self.caller.actor
        last = head.repeats.get(actor)
        return replace(head, repeats={**head.repeats, actor: last._replace(left_out=count)}) if last else head

    def counted(self, detail: str, head: Head) -> str:
        """The detail of a row, with how many rows of this key were left out before it."""
        last = head.repeats.get(self.caller.actor)
        if last is None or not last.left_out:
            return detail
        return f"{detail} {last.left_out} earlier ones like this were counted and not written."


def timer_request(mirror: Mirror, member: str, began: Instant, caller: Caller, claim: Claim | None = None) -> Request:
    """What the timer takes up, as a request."""
    return Request(mirror=mirror, member=member, began=began, caller=caller, claim=claim, by_timer=True, deadline_s=DRIVE_S)
