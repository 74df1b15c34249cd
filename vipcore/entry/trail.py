"""`GET /mirrors/{mirror}/audit` and `.../audit/verify`: the audit trail in pages, and whether its chain of hashes is intact."""

import re
from collections.abc import Mapping
from typing import Final

from vipcore.decision.controller import Controller, storage_needed
from vipcore.errors import Refusal
from vipcore.ledger.audit import Broken, Link, check_chain
from vipcore.model import Json

AUDIT_LIMIT: Final = 50
AUDIT_LIMIT_MAX: Final = 1000
VERIFY_LIMIT: Final = 5000
VERIFY_LIMIT_MAX: Final = 20000


def _number(query: Mapping[str, str], name: str, default: int, most: int = 10**18) -> int:
    """A whole number of the query, from 1 on. Raises Refusal `body-invalid`."""
    text = query.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise Refusal("body-invalid", f"?{name}= must be a whole number from 1 on.")
    return min(int(text), most)


async def audit(controller: Controller, name: str, query: Mapping[str, str]) -> Json:
    """`GET /mirrors/{mirror}/audit?limit=&before=`: newest first; `next` is the value to pass as `before`. Raises Refusal."""
    controller.mirror(name)
    limit = _number(query, "limit", AUDIT_LIMIT, AUDIT_LIMIT_MAX)
    before = _number(query, "before", 1) if query.get("before") else None
    with storage_needed():
        rows = await controller.ledger.newest_rows(name, before=before, limit=limit)
    more = len(rows) == limit and rows[-1].seq > 1
    return {"records": [row.view() for row in rows], "next": rows[-1].seq if more else None}


async def verify(controller: Controller, name: str, query: Mapping[str, str]) -> Json:
    """`GET /mirrors/{mirror}/audit/verify?from=&limit=`: recompute the chain, in pages. Raises Refusal.

    `records`: how many rows of this page were read. `next`: the value to pass as `from`, where the trail goes on. `keyed_from`:
    the first row under an audit key, as far as this page and the row before it show.
    """
    controller.mirror(name)
    first, limit = _number(query, "from", 1), _number(query, "limit", VERIFY_LIMIT, VERIFY_LIMIT_MAX)
    ledger, seal = controller.ledger, controller.config.seal
    with storage_needed():
        head = await ledger.load_head(name)
        start = Link()
        if first > head.seq + 1:
            raise Refusal("body-invalid", f"?from={first} lies behind the end of the trail, row {head.seq}.")
        if first > 1:
            before = await ledger.load_row(name, first - 1)
            if before is None:
                return _broken(0, first - 1, f"row {first - 1} is missing")
            start = Link(first - 1, before.hash, first - 1 if before.keyed else None)
        # One more than is checked, so that rows behind the end that the head tells are seen.
        rows = await ledger.rows_from(name, first, limit=limit + 1)
        wanted = min(limit, head.seq - start.seq)
        behind = rows[wanted:] if start.seq + wanted == head.seq else []
        # Rows committed since the head was read are the next look's; the head read after them must know of them.
        newest = (await ledger.load_head(name)).seq if behind else head.seq
    reached, read = check_chain(name, rows[:wanted], start, seal), len(rows[:wanted])
    if isinstance(reached, Broken):
        return _broken(read, reached.seq, reached.detail)
    if read < wanted:
        detail = f"the head says {head.seq} rows; row {reached.seq + 1} is missing, and so are those after it in this page"
        return _broken(read, reached.seq + 1, detail)
    if reached.seq == head.seq and reached.hash != head.head_hash:
        return _broken(read, reached.seq, "the last row's hash is not the head's: the tail was replaced")
    if any(not head.seq < row.seq <= newest for row in behind):
        detail = f"the head says {head.seq} rows, and there are rows behind it: it was set back or removed, or they are forged"
        return _broken(len(rows), head.seq + 1, detail)
    answer: Json = {"intact": True, "records": read, "head_hash": reached.hash, "keyed_from": reached.keyed_from}
    return answer | ({"next": reached.seq + 1} if reached.seq < head.seq else {})


def _broken(records: int, seq: int, detail: str) -> Json:
    return {"intact": False, "records": records, "broken_seq": seq, "detail": detail}
