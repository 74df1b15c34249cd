"""Whether a mirror's trail is intact: rows are read in pages, and their chain is recomputed. Nothing here writes anything.

`newest` is the look that the timer makes by itself. Invariant: a process has looked at the newest `NEWEST` rows of each mirror
soon after its start, and at every row since, so each row that is written while it runs is verified within a day (or where more
than `NEWEST` were written, page by page). It reads `NEWEST` rows at most, however long the trail is. Where the last look ended is
kept in memory, with that row's hash: a second place of trust, so that a tail which was rewritten or cut off shows although table
and head agree. If we die, the next process begins with the newest rows.
"""

import asyncio
from typing import Final, NamedTuple

from vipcore.instants import Instant
from vipcore.ledger.audit import Broken, Link, Seal, check_chain
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger

NEWEST: Final = 200
EVERY_S: Final = 86_400.0
AT_ONCE: Final = 50
"""Rows hashed before others get the event loop: a few milliseconds."""


class Checked(NamedTuple):
    """What one page showed. `records`: rows read; `reached`: the last row that fits; `broken`: the first that does not.

    `more`: whether the trail goes on.
    """

    records: int
    reached: Link
    broken: Broken | None = None
    more: bool = False


class Verified(NamedTuple):
    """A look at the newest rows of a mirror. `first`: from which row on; `reached`: up to which row the chain is intact.

    `broken`: the first row that is not; `more`: whether rows after `reached` have still to be looked at.
    """

    at: Instant
    first: int
    reached: Link
    broken: Broken | None = None
    more: bool = False


async def before(ledger: Ledger, mirror: str, first: int) -> Link | Broken:
    """Where a check that begins with this row stands: at the row before, which is taken as it says."""
    if first == 1:
        return Link()
    row = await ledger.load_row(mirror, first - 1)
    if row is None:
        return Broken(first - 1, f"row {first - 1} is missing")
    return Link(first - 1, row.hash, first - 1 if row.keyed else None)


async def page(ledger: Ledger, seal: Seal, head: Head, start: Link, limit: int) -> Checked:
    """Check the rows after `start`, at most `limit`, against each other and the head. Raises Unreachable."""
    name = head.mirror
    # One more than is checked, so that rows behind the end that the head tells are seen.
    rows = await ledger.rows_from(name, start.seq + 1, limit=limit + 1)
    wanted = min(limit, head.seq - start.seq)
    behind = rows[wanted:] if start.seq + wanted == head.seq else []
    # Rows committed since the head was read are the next look's; the head read after them must know of them.
    newest = (await ledger.load_head(name)).seq if behind else head.seq
    reached, read = start, len(rows[:wanted])
    for index in range(0, read, AT_ONCE):
        found = check_chain(name, rows[index : min(index + AT_ONCE, wanted)], reached, seal)
        if isinstance(found, Broken):
            return Checked(read, reached, found)
        reached = found
        await asyncio.sleep(0)
    broken: Broken | None = None
    if read < wanted:
        detail = f"the head says {head.seq} rows; row {reached.seq + 1} is missing, and so are those after it in this page"
        broken = Broken(reached.seq + 1, detail)
    elif reached.seq == head.seq and reached.hash != head.head_hash:
        broken = Broken(reached.seq, "the last row's hash is not the head's: the tail was replaced")
    elif any(not head.seq < row.seq <= newest for row in behind):
        read = len(rows)
        detail = f"the head says {head.seq} rows, and there are rows behind it: it was set back or removed, or they are forged"
        broken = Broken(head.seq + 1, detail)
    return Checked(read, reached, broken, more=reached.seq < head.seq)


def is_due(known: Verified | None, now: Instant) -> bool:
    """Whether it is time for a look by itself."""
    return known is None or known.more or (now - known.at).total_seconds() >= EVERY_S


async def newest(ledger: Ledger, seal: Seal, head: Head, known: Verified | None, now: Instant) -> Verified:
    """Look at the rows since the last look that `known` tells of, or at the newest ones. Raises Unreachable."""
    start = known.reached if known else await before(ledger, head.mirror, max(1, head.seq - NEWEST + 1))
    if isinstance(start, Broken):
        return Verified(now, start.seq, Link(), start)
    if head.seq < start.seq:
        head = await ledger.load_head(head.mirror)  # one that had been set back may be rebuilt by now
    if head.seq < start.seq:
        detail = f"the trail reached row {start.seq} when it was last verified, and the head says {head.seq} rows now"
        return Verified(now, start.seq, start, Broken(head.seq + 1, f"{detail}: its tail was cut off"))
    found = await page(ledger, seal, head, start, NEWEST)
    return Verified(now, start.seq + 1, found.reached, found.broken, found.more and found.broken is None)
