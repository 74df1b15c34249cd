"""How the head changes: judge the newest, seal the rows, commit both in one transaction, and judge anew if another was first."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from vipcore import instants
from vipcore.errors import CommitUnknown, Stale, Unreachable
from vipcore.ledger import audit
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.ports import Ports

Change = Callable[[Head], tuple[Head, Sequence[Entry]]]
"""The newest head -> the head that shall be, and the rows that say why. May raise to give up. Called again after a race."""

OUTDATED: Final = "outdated"
"""The etag of a head that was stored and is no longer the newest; never sent to the table."""

_TRIES: Final = 12


Sending = Callable[[Sequence[audit.Row]], None]
"""Is told the rows of each transaction right before it goes out: whoever is cut off then does not know whether they landed."""


class Unsettled(Unreachable):
    """A transaction whose answer is lost, and the table went away before a read could tell: its rows may be in the trail."""


async def commit(ports: Ports, head: Head, change: Change, sending: Sending = lambda _: None) -> Head:
    """Apply a change to the mirror's head; returns the head as stored.

    Raises Unreachable (Unsettled where the change may have landed), and whatever `change` raises. A lost answer is settled by
    reading: the row at our seq is ours or not. If it is and others have gone on from there, our own head is returned, marked
    `OUTDATED`: what was decided on is what we wrote, and whoever acts on it reads the newest one first.
    """
    if head.etag == OUTDATED:
        head = await ports.ledger.load_head(head.mirror)
    for attempt in range(_TRIES):
        new, drafts = change(head)
        if new is head and not drafts:
            return head
        at = instants.to_text(ports.clock.now())
        rows = audit.append(head.mirror, head.seq, head.head_hash, drafts, at=at, epoch=new.epoch, seal=ports.config.seal)
        if rows:
            new = replace(new, seq=rows[-1].seq, head_hash=rows[-1].hash)
        new = replace(new, etag=head.etag)
        sending(rows)
        try:
            stored = await ports.ledger.commit(new, rows)
        except (Stale, CommitUnknown) as exc:
            try:
                head = await ports.ledger.load_head(new.mirror)
                landed = isinstance(exc, CommitUnknown) and await _landed(ports, head, new, rows)
            except Unreachable as away:
                if isinstance(exc, CommitUnknown):
                    raise Unsettled(str(away)) from away
                raise
            if landed:
                _log_head(ports, new, rows)
                return head if head == new else replace(new, etag=OUTDATED)
            await asyncio.sleep(0.02 * attempt * ports.clock.jitter())
            continue
        _log_head(ports, stored, rows)
        return stored
    raise Unreachable(f"the head of mirror {head.mirror} changed {_TRIES} times under our hands")


def _log_head(ports: Ports, stored: Head, rows: Sequence[audit.Row]) -> None:
    """The second place of trust: a head hash that the log has and the table has not shows that a tail was cut off."""
    if rows:
        ports.log("audit.head", mirror=stored.mirror, seq=stored.seq, hash=stored.head_hash)


async def _landed(ports: Ports, head: Head, new: Head, rows: Sequence[audit.Row]) -> bool:
    """Whether the transaction whose answer was lost took effect. Without a row nobody can tell whose it was, so it is made again:
    the head may be as we wanted it by another delivery of the same request (promise 6).
    """
    if not rows or head.seq < rows[-1].seq:
        return False
    stored = await ports.ledger.load_row(new.mirror, rows[-1].seq)
    return stored is not None and stored.hash == rows[-1].hash
