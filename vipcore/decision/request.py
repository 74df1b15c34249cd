"""What is asked for: a claim, a move, or what the timer takes up; and the rows and reads that all of them share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vipcore import instants
from vipcore.decision.controller import ANSWER_S_MAX, Controller
from vipcore.errors import VipError
from vipcore.instants import Instant
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, use_issued_at
from vipcore.model import Claim, Mirror, Move, Observation, Page
from vipcore.swap.driver import LEASE_MARGIN_S


class HeadChanged(VipError):
    """The head is no longer the one that was judged."""

    def __init__(self, head: Head) -> None:
        super().__init__("judge again")
        self.head = head


@dataclass(slots=True, kw_only=True)
class Request:
    """What is asked for, by whom. `claim` or `move` is set; `by_timer`: a recorded claim that is judged again."""

    mirror: Mirror
    member: str
    began: Instant
    actor: str
    correlation_id: str
    claim: Claim | None = None
    move: Move | None = None
    by_timer: bool = False
    issued_at_used: bool = False
    """Whether this claim's `issued_at` is already in the head, so that judging it again is no replay."""
    asked_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    deadline_s: float = ANSWER_S_MAX
    permits: int = 0
    """Writes for which Azure's budget has room already (pace.py)."""

    @property
    def kind(self) -> str:
        """`claim` or `move`, as events and codes begin."""
        return "move" if self.move else "claim"

    @property
    def deadline(self) -> float:
        """Loop seconds at which the answer must be given."""
        return self.asked_at + self.deadline_s

    def draft(self, event: str, **columns: Any) -> Entry:
        """A row about this ask."""
        return Entry(
            event=event,
            actor=self.actor,
            member=self.member,
            claim_id=(self.claim.claim_id or None) if self.claim else None,
            correlation_id=self.correlation_id,
            evidence=self.claim.evidence if self.claim else None,
            **columns,
        )

    def use_issued_at(self, head: Head) -> Head:
        """The head with this claim's `issued_at` spent."""
        if self.claim is None or self.by_timer:
            return head
        return use_issued_at(head, self.claim.key_id, self.claim.issued_at)


@dataclass(slots=True)
class Reads:
    """The reads that go out side by side with the head's: NICs and status pages.

    In a crowd the NICs' are held back until the ask has the turns of its writes: `nics` is None, and `shown` sends them out.
    `at`: when the NICs' were sent out, by our clock.
    """

    controller: Controller
    mirror: Mirror
    at: Instant
    nics: "asyncio.Task[dict[str, Observation]] | None"
    pages: "asyncio.Task[dict[str, Page]] | None"
    known: str | None = None
    """The etag of the head that was known when the NICs' reads were sent out; None: it was not known then."""

    @classmethod
    def begin(cls, controller: Controller, mirror: Mirror) -> "Reads":
        """Send the reads out, all at once."""
        pages = asyncio.create_task(controller.pages(mirror)) if mirror.has_pages else None
        subscription = controller.arm.subscription(mirror.members[0].nic_id)
        held = subscription.writes_contended(asyncio.get_running_loop().time())
        nics = None if held else asyncio.create_task(controller.read_all(mirror))
        return cls(controller, mirror, controller.clock.now(), nics, pages)

    async def shown(self, head: Head) -> dict[str, Observation]:
        """The NICs as read after the last write that this head knows of: an older read could show a placement of before."""
        # Reads that were sent out when this very head was known show all that it tells of. For any other head only the times
        # say which was first, and they are of two clocks.
        stale = head.etag != self.known and head.wrote_at + instants.seconds(LEASE_MARGIN_S) >= self.at
        if self.nics is None or stale:
            if self.nics is not None:
                await asyncio.wait([self.nics])
            self.at, self.known = self.controller.clock.now(), head.etag
            self.nics = asyncio.create_task(self.controller.read_all(self.mirror))
        return dict(await self.nics)

    async def said(self) -> Mapping[str, Page]:
        """What the status pages say, by member; empty where the mirror has none."""
        return await self.pages if self.pages else {}

    def forget(self) -> None:
        """Nobody will act on these reads of NICs: who waits for somebody else's swap reads them anew when it goes on with it."""
        if self.nics:
            self.nics.cancel()
            self.nics = None

    def drop(self) -> None:
        """Nobody waits for the reads any more."""
        for task in (self.nics, self.pages):
            if task:
                task.cancel()
