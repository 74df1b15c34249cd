"""`GET /mirrors/{mirror}/audit` and `.../audit/verify`: the audit trail in pages, and whether its chain of hashes is intact."""

import re
from collections.abc import Mapping
from typing import Final

from vipcore.decision.controller import Controller, storage_unavailable
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger import chain
from vipcore.ledger.audit import Row
from vipcore.ledger.head import Head
from vipcore.ledger.seal import KEYED, Seal
from vipcore.model import Json

AUDIT_LIMIT: Final = 50
AUDIT_LIMIT_MAX: Final = 1000
VERIFY_LIMIT: Final = 5000
VERIFY_LIMIT_MAX: Final = 20000


def _number(name: str, text: str | None, default: int | None, most: int) -> int | None:
    """A whole number of the query, from 1 on. Raises Refusal `body-invalid`."""
    if text is None or text == "":
        return default
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise Refusal("body-invalid", f"?{name}= must be a whole number from 1 on.")
    return min(int(text), most)


async def audit(controller: Controller, name: str, query: Mapping[str, str]) -> Json:
    """`GET /mirrors/{mirror}/audit?limit=&before=`: newest first; `next` is the value to pass as `before`. Raises Refusal."""
    controller.mirror(name)
    limit = _number("limit", query.get("limit"), AUDIT_LIMIT, AUDIT_LIMIT_MAX) or AUDIT_LIMIT
    before = _number("before", query.get("before"), None, 10**18)
    try:
        rows = await controller.ledger.newest_rows(name, before=before, limit=limit)
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc
    more = len(rows) == limit and rows[-1].seq > 1
    return {"records": [row.view() for row in rows], "next": rows[-1].seq if more else None}


async def verify(controller: Controller, name: str, query: Mapping[str, str]) -> Json:
    """`GET /mirrors/{mirror}/audit/verify?from=&limit=`: recompute the chain, in pages. Raises Refusal.

    `records`: how many rows of this page were read. `next`: the value to pass as `from`, where the trail goes on. `keyed_from`:
    the first row under an audit key, as far as this page and the row before it show.
    """
    controller.mirror(name)
    first = _number("from", query.get("from"), 1, 10**18) or 1
    limit = _number("limit", query.get("limit"), VERIFY_LIMIT, VERIFY_LIMIT_MAX) or VERIFY_LIMIT
    ledger, seal = controller.ledger, controller.config.seal
    try:
        head = await ledger.load_head(name)
        start = chain.Link()
        if first > head.seq + 1:
            raise Refusal("body-invalid", f"?from={first} lies behind the end of the trail, row {head.seq}.")
        if first > 1:
            before = await ledger.load_row(name, first - 1)
            if before is None:
                return {"intact": False, "records": 0, "broken_seq": first - 1, "detail": f"row {first - 1} is missing"}
            keyed = first - 1 if str(before.columns.get("Alg", "")).startswith(KEYED) else None
            start = chain.Link(seq=first - 1, hash=before.hash, keyed_from=keyed)
        # One more than is checked, so that rows behind the end that the head tells are seen.
        rows = await ledger.rows_from(name, first, limit=limit + 1)
        wanted = min(limit, head.seq - start.seq)
        behind = rows[wanted:] if start.seq + wanted == head.seq else []
        # Rows committed since the head was read are the next look's; the head read after them must know of them.
        newest = (await ledger.load_head(name)).seq if behind else head.seq
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc
    answer = _verdict(name, head, rows[:wanted], start, seal, wanted)
    if answer["intact"] and any(not head.seq < row.seq <= newest for row in behind):
        detail = f"the head says {head.seq} rows, and there are rows behind it: it was set back or removed, or they are forged"
        return {"intact": False, "records": len(rows), "broken_seq": head.seq + 1, "detail": detail}
    return answer


def _verdict(name: str, head: Head, rows: list[Row], start: chain.Link, seal: Seal, wanted: int) -> Json:
    """What the check of these rows says, of which there should be so many."""
    reached, read = chain.verify(name, rows, start, seal), len(rows)
    if isinstance(reached, chain.Broken):
        return {"intact": False, "records": read, "broken_seq": reached.seq, "detail": reached.detail}
    if read < wanted:
        detail = f"the head says {head.seq} rows; row {reached.seq + 1} is missing, and so are those after it in this page"
        return {"intact": False, "records": read, "broken_seq": reached.seq + 1, "detail": detail}
    if reached.seq == head.seq and reached.hash != head.head_hash:
        detail = "the last row's hash is not the head's: the tail was replaced"
        return {"intact": False, "records": read, "broken_seq": reached.seq, "detail": detail}
    answer: Json = {"intact": True, "records": read, "head_hash": reached.hash, "keyed_from": reached.keyed_from}
    if reached.seq < head.seq:
        answer["next"] = reached.seq + 1
    return answer
