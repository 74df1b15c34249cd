"""The reads that go out side by side with the head's: NICs and status pages."""

import asyncio
from collections.abc import Mapping
from typing import Final

from vipcore import instants
from vipcore.decision import document
from vipcore.decision.controller import Controller
from vipcore.ledger.head import LEASE_MARGIN_S, Head
from vipcore.model import Mirror, Page, Unreadable
from vipcore.swap.plan import Observed

READ_S_MAX: Final = 20.0
"""How old a read may be when a decision is judged by it: the process may have stood still since."""


class Reads:
    """Sends the reads out when it is made.

    While writes are contended the NICs' reads are held back until the request has its permits: `nics` is None then, and
    `observed` sends them out.
    """

    __slots__ = ("_at", "_controller", "_known", "_mirror", "_pages", "nics")

    def __init__(self, controller: Controller, mirror: Mirror) -> None:
        self._controller, self._mirror = controller, mirror
        self._pages = asyncio.create_task(controller.pages(mirror)) if mirror.has_pages else None
        held = controller.arm.limits_of(mirror).writes_contended()
        self.nics: asyncio.Task[Observed] | None = None if held else asyncio.create_task(controller.read_all(mirror))
        self._at = controller.clock.now()
        """When the NICs' reads were sent out, by our clock."""
        self._known: str | None = None
        """The etag of the head that was known when the NICs' reads were sent out; None: it was not known then."""

    async def observed(self, head: Head) -> Observed:
        """The NICs as read after the last write that this head knows of: an older read could show a placement of before."""
        if document.has_left(self._mirror, head):
            return await document.read_known(self._controller.read_all, self._mirror, head)
        # Reads that were sent out when this very head was known show all that it tells of. For any other head only the times
        # say which was first, and they are of two clocks.
        stale = head.etag != self._known and head.wrote_at + instants.seconds(LEASE_MARGIN_S) >= self._at
        if self.nics is None or stale:
            if self.nics is not None:
                await asyncio.wait([self.nics])
            return Observed(self._mirror, await self._anew(head))
        observed, oldest = await self.nics, asyncio.get_running_loop().time() - READ_S_MAX
        if any(seen.read_at < oldest for seen in observed.values() if not isinstance(seen, Unreadable)):
            observed = await self._anew(head)
        return Observed(self._mirror, observed)

    def _anew(self, head: Head) -> asyncio.Task[Observed]:
        self._at, self._known = self._controller.clock.now(), head.etag
        self.nics = asyncio.create_task(self._controller.read_all(self._mirror))
        return self.nics

    async def pages(self) -> Mapping[str, Page]:
        """What the status pages say, by member; empty where the mirror has none."""
        return await self._pages if self._pages else {}

    def forget_nics(self) -> None:
        """Nobody will act on these reads of NICs: who waits for another swap reads them anew when it goes on with it."""
        if self.nics:
            self.nics.cancel()
            self.nics = None

    def drop(self) -> None:
        """Nobody waits for the reads any more."""
        for task in (self.nics, self._pages):
            if task:
                task.cancel()
