"""Reads of NICs that somebody only looks at: status and dry runs. Never for a decision (docs/adr/0015-reads-for-people.md).

All who ask for a mirror while its NICs are read, or within `KEPT_S` after, get the same observations, if they know the same head.
So a look that began before a swap's last step shows nobody who knows of that step, on whichever instance, what was before it.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from vipcore.arm.client import Arm
from vipcore.arm.rate_limit import ORDER, PEOPLE
from vipcore.instants import Instant
from vipcore.ledger.head import Head
from vipcore.ledger.known import KnownHeads
from vipcore.model import Member, Mirror, Page
from vipcore.swap.plan import Observed

GLANCE_S_MAX: Final = 10.0
"""How long people wait for what Azure's rate limit may not leave room for."""

KEPT_S: Final = 3.0


Said = tuple[Mapping[str, Page], Instant]
"""What status pages said, and when they were asked."""


class Glances:
    """The looks of the last seconds, per process; and the heads, for who asks for all of them."""

    __slots__ = ("_arm", "_looks", "heads", "said")

    def __init__(self, arm: Arm, heads: KnownHeads) -> None:
        self._arm, self.heads = arm, heads
        self._looks: dict[tuple[str, tuple[Member, ...], str | None], asyncio.Task[Observed]] = {}
        """(mirror, whose NICs, etag of the head that was known) -> what its NICs showed, or will."""
        self.said: dict[str, Said] = {}
        """Mirror -> what its status pages said when anybody last asked them, and when that was."""

    async def of(self, head: Head, mirror: Mirror) -> Observed:
        """The NICs; what could not be read in time is unreadable, and says so."""
        key = mirror.name, mirror.members, head.etag
        if key not in self._looks:
            loop = asyncio.get_running_loop()
            self._looks[key] = loop.create_task(self._look(mirror))
            self._looks[key].add_done_callback(lambda _: loop.call_later(KEPT_S, self._looks.pop, key, None))
        return await asyncio.shield(self._looks[key])

    async def _look(self, mirror: Mirror) -> Observed:
        ORDER.set((PEOPLE, 0.0))
        names = [member.name for member in mirror.members]
        return Observed(mirror, await self._arm.read_nics(mirror, names, {}, within_s=GLANCE_S_MAX))
