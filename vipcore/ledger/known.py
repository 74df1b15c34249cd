"""The heads of all mirrors for those who only look, without reading each of them every time.

Whoever changes what a status tells has put the mirror's hint on the worklist before: a decision, a freeze, a takeover, and each
row that the timer writes by itself. A hint stays for longer than its request can commit (`entry/timer.py`). So a head that was
read while no hint was there, and neither is now, is the newest, if no hint can have come and gone in between: if the worklist was
looked at in the meantime, and at most `GAP_S` ago. Heads with a hint now, or at the last look, are read anew; after a longer gap
all of them are.

What changes without a hint is only when a mirror was last looked at. So after each answer the oldest heads are read again, and
nobody waits for that. No decision uses what is known here.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from vipcore.errors import Unreachable
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger

GAP_S: Final = 200.0
"""Less than a hint stays."""

OLD_S: Final = 60.0
AGAIN_MAX: Final = 64
"""Heads that are read again after an answer: of 1,000 mirrors, asked for every 15 s, each within five minutes."""


class KnownHeads:
    """What this process knows. May be lost without harm."""

    __slots__ = ("_again", "_heads", "_hinted", "_ledger", "_lock", "_looked_at")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._lock = ledger, asyncio.Lock()
        self._heads: dict[str, tuple[float, Head]] = {}
        """Mirror -> when it was asked for (loop seconds), and its head."""
        self._hinted: set[str] = set()
        self._looked_at = float("-inf")
        self._again: asyncio.Task[None] | None = None

    async def all(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        """The heads of these mirrors, but those whose row is damaged. Raises Unreachable."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            hinted = {item.mirror for item in await self._ledger.load_worklist()}
            gap, unsure = now - self._looked_at > GAP_S, hinted | self._hinted
            await self._read([name for name in mirrors if gap or name in unsure or name not in self._heads])
            self._hinted, self._looked_at = hinted, now
        if self._again is None or self._again.done():
            self._again = asyncio.create_task(self._read_again(mirrors))
        return {name: self._heads[name][1] for name in mirrors if name in self._heads}

    async def _read(self, mirrors: Sequence[str]) -> None:
        """Read these heads; one that was read later than this began is left alone."""
        asked_at = asyncio.get_running_loop().time()
        found = await self._ledger.load_heads(mirrors) if mirrors else {}
        for name in mirrors:
            if name not in self._heads or self._heads[name][0] <= asked_at:
                self._heads.pop(name, None)
                self._heads |= {name: (asked_at, found[name])} if name in found else {}

    async def _read_again(self, mirrors: Sequence[str]) -> None:
        before = asyncio.get_running_loop().time() - OLD_S
        old = sorted((self._heads[name][0], name) for name in mirrors if name in self._heads and self._heads[name][0] < before)
        with suppress(Unreachable):
            await self._read([name for _, name in old[:AGAIN_MAX]])
