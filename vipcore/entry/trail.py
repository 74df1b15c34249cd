"""`GET /mirrors/{mirror}/audit` and `.../audit/verify`: the audit trail in pages, and whether its chain of hashes is intact."""

import re
from collections.abc import Mapping
from typing import Final

from vipcore.decision.controller import Controller, storage_needed
from vipcore.errors import Refusal
from vipcore.ledger import verify as verification
from vipcore.ledger.audit import Broken
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
    ledger = controller.ledger
    with storage_needed():
        head = await ledger.load_head(name)
        if first > head.seq + 1:
            raise Refusal("body-invalid", f"?from={first} lies behind the end of the trail, row {head.seq}.")
        start = await verification.before(ledger, name, first)
        if isinstance(start, Broken):
            return _broken(0, start)
        found = await verification.page(ledger, controller.config.seal, head, start, limit)
    if found.broken is not None:
        return _broken(found.records, found.broken)
    reached = found.reached
    answer: Json = {"intact": True, "records": found.records, "head_hash": reached.hash, "keyed_from": reached.keyed_from}
    return answer | ({"next": reached.seq + 1} if found.more else {})


def _broken(records: int, broken: Broken) -> Json:
    return {"intact": False, "records": records, "broken_seq": broken.seq, "detail": broken.detail}
