"""How the head changes: judge the newest head, seal the rows, commit both in one transaction, and judge again after a race.

Two faults of others are met here. A head that is behind its trail (removed, or restored from an older copy) is rebuilt before
anything is decided on it (`rebuild.py`): no row can take the place of one that is there, so the transaction fails, and the head
read again is still the one that we sent, or older than one that was stored. A chain that our seal would break is left alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vipcore import instants
from vipcore.errors import CommitUnknown, Stale, Unreachable
from vipcore.instants import Instant
from vipcore.ledger import audit, rebuild, story
from vipcore.ledger.audit import Entry, Row, Seal
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger
from vipcore.ledger.verify import Verified
from vipcore.ports import Clock, Log

Change = Callable[[Head], tuple[Head, Sequence[Entry]]]
"""The newest head -> the head to store, and the rows that say why. May raise to give up. Runs again after a race."""

Sending = Callable[[Sequence[Row]], None]
"""Receives the rows of each transaction right before it is sent: a caller cut off then does not know whether they landed."""

OUTDATED: Final = "outdated"
"""The etag of a head that was stored and is no longer the newest; never sent to the table."""

TIME_S_MAX: Final = 2.0
"""How long a process's first request may wait to hear what time it is."""

_TOLD: Final = {"event": "Event", "member": "Member", "from": "FromMember", "claim": "ClaimId", "ms": "DurationMs"}
"""What a line of the log tells of a row: field -> column."""

_TRIES: Final = 12
_PAGE: Final = 1000


class CommitInDoubt(Unreachable):
    """A transaction got no answer, and the table went away before a read could tell: its rows may be in the trail."""


class WrongSeal(Unreachable):
    """The newest row is sealed with an audit key that this instance does not hold: a row of ours would break the chain."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Store:
    """The ledger, the time as it tells it, and what sealing a row takes."""

    ledger: Ledger
    clock: Clock
    seal: Seal
    log: Log
    started_at: float = field(default_factory=lambda: asyncio.get_running_loop().time(), init=False)
    """When this process began, in loop seconds."""
    verified: dict[str, Verified] = field(default_factory=dict, init=False)
    """Mirror -> the last look at its trail that this process made by itself (the timer's, ledger/verify.py)."""
    _time_asked: asyncio.Future[None] | None = field(default=None, init=False)

    async def arrival(self) -> Instant:
        """When the request that begins with this call arrived. A process's first ones ask the table what time it is.

        Raises Unreachable where it does not tell: what a wall clock says that nobody has checked decides nothing.
        """
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        if not self.clock.is_known:
            if self._time_asked is None or self._time_asked.done():
                self._time_asked = asyncio.ensure_future(self._ask_time())
            await asyncio.shield(self._time_asked)
        return self.clock.now() - instants.seconds(loop.time() - arrived)

    async def _ask_time(self) -> None:
        try:
            async with asyncio.timeout(TIME_S_MAX):
                await self.ledger.load_head("time")
        except (Unreachable, TimeoutError):
            if not self.clock.is_known:  # a refusal tells the time, too
                raise Unreachable("it did not tell the time") from None

    async def commit(self, head: Head, change: Change, sending: Sending = lambda _: None) -> Head:
        """Apply a change to the mirror's head; returns the head as stored.

        Raises Unreachable (CommitInDoubt where the change may have landed; WrongSeal), and whatever `change` raises. A read
        settles a lost answer: the row at our seq is ours or it is not. If it is ours and others have gone on from there, the
        result is our own head with the etag `OUTDATED`: it is what we decided; a caller that acts on it reads the newest first.
        """
        if head.etag == OUTDATED:
            head = await self._caught_up(head, await self.ledger.load_head(head.mirror))
        unknown: list[tuple[Head, Sequence[Row]]] = []
        """Transactions without an answer. One may land even after a read that did not find it: then the next one conflicts."""
        for attempt in range(_TRIES):
            new, entries = change(head)
            if new is head and not entries:
                return head
            new, rows = await self._sealed(head, new, entries)
            sending(rows)
            try:
                stored: Head | None = await self.ledger.commit(new, rows)
            except (Stale, CommitUnknown) as exc:
                if isinstance(exc, CommitUnknown):
                    unknown.append((new, rows))
                try:
                    known, head = head, await self.ledger.load_head(new.mirror)
                    stored, rows = await self._landed(head, unknown)
                    if stored is None and isinstance(exc, Stale):
                        head = await self._caught_up(known, head)
                except Unreachable as away:
                    if unknown:
                        raise CommitInDoubt(str(away)) from away
                    raise
            if stored is not None:
                self._trust(rows)
                return stored
            await asyncio.sleep(0.02 * attempt * self.clock.jitter())
        raise Unreachable(f"the head of mirror {head.mirror} changed {_TRIES} times while this was committed")

    async def caught_up(self, head: Head) -> Head:
        """The head; the newest, rebuilt, where the trail has gone on without it. Costs one row where all is well."""
        newest = await self.ledger.newest_rows(head.mirror, before=None, limit=1)
        if not newest or audit.seq_of(newest[0].row_key) <= head.seq:
            return head
        head = await self.ledger.load_head(head.mirror)  # after the row: a head that knows less than this one is behind
        return head if audit.seq_of(newest[0].row_key) <= head.seq else await self._rebuilt(head)

    async def _caught_up(self, known: Head, head: Head) -> Head:
        """The head as it was read after a conflict over the one that we knew; rebuilt where it is behind its trail."""
        return await self._rebuilt(head) if head.etag == known.etag or head.seq < known.seq else head

    async def _rebuilt(self, head: Head) -> Head:
        """The head after a rebuild, ours or another's; as it is where no rows follow it."""
        rows: list[Row] = []
        while not rebuild.is_enough(head, rows):
            page = await self.ledger.newest_rows(head.mirror, before=rows[-1].seq if rows else None, limit=_PAGE)
            ours = [row._replace(seq=seq) for row in page if (seq := audit.seq_of(row.row_key)) > 0]
            rows += ours
            if len(page) < _PAGE or not ours:
                break
        rows = [row for row in rows if row.seq > head.seq]
        if not rows:
            return head
        after, entry = rebuild.rebuilt(head, rows, self.clock.now())
        after, sealed = await self._sealed(after, after, [entry])
        await self.ledger.put_work_item(head.mirror)
        try:
            stored = await self.ledger.commit(after, sealed)
        except (Stale, CommitUnknown):
            return await self.ledger.load_head(head.mirror)
        self._trust(sealed)
        return stored

    async def _sealed(self, head: Head, new: Head, entries: Sequence[Entry]) -> tuple[Head, Sequence[Row]]:
        """The new head over this one, and the entries as rows. Raises WrongSeal, Unreachable."""
        alg = head.alg
        if alg is None and head.seq:
            # Written before heads told it.
            newest = await self.ledger.load_row(head.mirror, head.seq)
            alg = str(newest.columns.get("Alg")) if newest else None
        if why := self.seal.why_not_after(alg or ""):
            self.log("audit.key", mirror=head.mirror, detail=f"Nothing is written to this mirror's trail: {why}.")
            raise WrongSeal(why)
        at = instants.to_text(self.clock.now())
        rows = audit.append(head.mirror, head.seq, head.head_hash, entries, at=at, epoch=new.epoch, seal=self.seal)
        if rows:
            return replace(new, seq=rows[-1].seq, head_hash=rows[-1].hash, alg=self.seal.alg, etag=head.etag), rows
        return replace(new, alg=alg, etag=head.etag), rows

    def _trust(self, rows: Sequence[Row]) -> None:
        """The row's own line, and the second place of trust: a hash that only the log has shows that a tail was cut off."""
        for row in rows:
            self.log(str(row.columns["Event"]), **story.fields(row))
            told = {field: row.columns.get(column) for field, column in _TOLD.items()}
            self.log("audit.head", mirror=row.mirror, seq=row.seq, **told, hash=row.hash)

    async def _landed(self, head: Head, unknown: Sequence[tuple[Head, Sequence[Row]]]) -> tuple[Head | None, Sequence[Row]]:
        """What was stored by one of the transactions whose answers were lost; None: none of them has taken effect.

        The row tells; a head may have been set back since.

        Without a row nobody can tell whose transaction it was, so it is made again: another delivery of the same request may
        have left the head as we wanted it (I6).
        """
        for new, rows in unknown:
            stored = await self.ledger.load_row(rows[-1].mirror, rows[-1].seq) if rows else None
            if stored is not None and stored.hash == rows[-1].hash:
                return (head if head == new else replace(new, etag=OUTDATED)), rows
        return None, ()
