"""How the head changes: judge the newest head, seal the rows, commit both in one transaction, and judge again after a race."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from vipcore import instants
from vipcore.errors import CommitUnknown, Stale, Unreachable
from vipcore.instants import Instant
from vipcore.ledger import audit
from vipcore.ledger.audit import Entry, Row, Seal
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger
from vipcore.ports import Clock, Log

Change = Callable[[Head], tuple[Head, Sequence[Entry]]]
"""The newest head -> the head to store, and the rows that say why. May raise to give up. Runs again after a race."""

Sending = Callable[[Sequence[Row]], None]
"""Receives the rows of each transaction right before it is sent: a caller cut off then does not know whether they landed."""

OUTDATED: Final = "outdated"
"""The etag of a head that was stored and is no longer the newest; never sent to the table."""

TIME_S_MAX: Final = 2.0
"""How long a process's first request may wait to hear what time it is."""

_TRIES: Final = 12


class CommitInDoubt(Unreachable):
    """A transaction got no answer, and the table went away before a read could tell: its rows may be in the trail."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Store:
    """The ledger, and what sealing a row takes."""

    ledger: Ledger
    clock: Clock
    seal: Seal
    log: Log
    _time_asked: asyncio.Future[None] | None = field(default=None, init=False)

    async def arrival(self) -> Instant:
        """When the request that begins with this call arrived. A process's first one asks the table what time it is."""
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        if self._time_asked is None:
            self._time_asked = asyncio.ensure_future(self._ask_time())
        await asyncio.shield(self._time_asked)
        return self.clock.now() - instants.seconds(loop.time() - arrived)

    async def _ask_time(self) -> None:
        with suppress(Unreachable, TimeoutError):  # any answer tells the time; without one, nothing is decided anyway
            async with asyncio.timeout(TIME_S_MAX):
                await self.ledger.load_head("time")

    async def commit(self, head: Head, change: Change, sending: Sending = lambda _: None) -> Head:
        """Apply a change to the mirror's head; returns the head as stored.

        Raises Unreachable (CommitInDoubt where the change may have landed), and whatever `change` raises. A read settles a lost
        answer: the row at our seq is ours or it is not. If it is ours and others have gone on from there, the result is our own
        head with the etag `OUTDATED`: it is what we decided, and a caller that acts on it reads the newest head first.
        """
        if head.etag == OUTDATED:
            head = await self.ledger.load_head(head.mirror)
        unknown: list[tuple[Head, Sequence[Row]]] = []
        """Transactions without an answer. One may land even after a read that did not find it: then the next one conflicts."""
        for attempt in range(_TRIES):
            new, entries = change(head)
            if new is head and not entries:
                return head
            at = instants.to_text(self.clock.now())
            rows = audit.append(head.mirror, head.seq, head.head_hash, entries, at=at, epoch=new.epoch, seal=self.seal)
            seq, head_hash = (rows[-1].seq, rows[-1].hash) if rows else (new.seq, new.head_hash)
            new = replace(new, seq=seq, head_hash=head_hash, etag=head.etag)
            sending(rows)
            try:
                stored: Head | None = await self.ledger.commit(new, rows)
            except (Stale, CommitUnknown) as exc:
                if isinstance(exc, CommitUnknown):
                    unknown.append((new, rows))
                try:
                    head = await self.ledger.load_head(new.mirror)
                    stored = await self._landed(head, unknown)
                except Unreachable as away:
                    if unknown:
                        raise CommitInDoubt(str(away)) from away
                    raise
            if stored is not None:
                if rows:
                    # The second place of trust: a head hash that only the log has shows that a tail of the table was cut off.
                    self.log("audit.head", mirror=stored.mirror, seq=stored.seq, hash=stored.head_hash)
                return stored
            await asyncio.sleep(0.02 * attempt * self.clock.jitter())
        raise Unreachable(f"the head of mirror {head.mirror} changed {_TRIES} times while this was committed")

    async def _landed(self, head: Head, unknown: Sequence[tuple[Head, Sequence[Row]]]) -> Head | None:
        """What was stored by one of the transactions whose answers were lost; None: none of them has taken effect.

        Without a row nobody can tell whose transaction it was, so it is made again: another delivery of the same request may
        have left the head as we wanted it (I6).
        """
        for new, rows in unknown:
            if rows and head.seq >= rows[-1].seq:
                stored = await self.ledger.load_row(rows[-1].mirror, rows[-1].seq)
                if stored is not None and stored.hash == rows[-1].hash:
                    return head if head == new else replace(new, etag=OUTDATED)
        return None
