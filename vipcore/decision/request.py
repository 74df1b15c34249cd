"""What is asked for: a claim, a move, or what the timer takes up; and the rows that all of them share."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from vipcore.arm.rate_limit import Permits
from vipcore.decision import rules
from vipcore.errors import VipError
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Head, use_issued_at
from vipcore.limits import USE_CASE_S_MAX
from vipcore.model import Claim, Mirror, Move

DRIVE_S: Final = 60.0
"""How long the timer may drive one mirror; what is not done then is gone on with by the next pass."""


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
        evidence = self.claim.evidence if self.claim else None
        return self.caller.entry(event, member=self.member, claim_id=self.claim_id, evidence=evidence, **columns)

    def replayed(self, head: Head) -> rules.Deny | None:
        """Whether the same signed request, or one signed later with its key, was accepted already (I6)."""
        if self.claim is None or self.by_timer or self.issued_at_used:
            return None
        return rules.replayed(head, self.claim)

    def use_issued_at(self, head: Head) -> Head:
        """The head with this claim's `issued_at` used: nothing signed at or before it is accepted again (I6)."""
        if self.claim is None or self.by_timer:
            return head
        return use_issued_at(head, self.claim.key_id, self.claim.issued_at)


def timer_request(mirror: Mirror, member: str, began: Instant, caller: Caller, claim: Claim | None = None) -> Request:
    """What the timer takes up, as a request."""
    return Request(mirror=mirror, member=member, began=began, caller=caller, claim=claim, by_timer=True, deadline_s=DRIVE_S)
