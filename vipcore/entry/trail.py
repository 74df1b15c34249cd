"""`GET /mirrors/{mirror}/audit` and `.../audit/verify`: the audit trail in pages, and whether its chain of hashes is intact.

As CSV the trail comes in pages too, of up to CSV_LIMIT rows made up from small reads, and not as a stream: the host hands an
answer on when it is whole. Streaming would take azurefunctions-extensions-http-fastapi for all routes, which sends each request
through a second server: 250 to 350 ms more of a cold start, 24 MB more, and 60 % fewer requests a second (measured with the
runtime of requirements.txt). An auditor's question once a month is not worth that to a claim.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

from vipcore import instants
from vipcore.decision.controller import Controller, storage_needed
from vipcore.entry import events, terminal
from vipcore.entry.bodies import Text
from vipcore.errors import Refusal
from vipcore.ledger import verify as verification
from vipcore.ledger.audit import COLUMN, Broken, Row, seq_of
from vipcore.ledger.port import Ledger
from vipcore.model import Json

AUDIT_LIMIT: Final = 50
AUDIT_LIMIT_MAX: Final = 1000
CSV_LIMIT: Final = 10_000
VERIFY_LIMIT: Final = 5000
VERIFY_LIMIT_MAX: Final = 20000

CSV_COLUMNS: Final = ("mirror", "seq", "at", "event", "epoch", *COLUMN, "alg", "prev_hash", "hash")
"""The order of the CSV's columns; nothing is ever put between them."""

CALCULATED: Final = (*"=+-@|", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20", "'")
"""What a cell may not begin with: a spreadsheet would take it for a formula (the four are full-width = + - @)."""

OUT_OF_ORDER_S: Final = 10.0
"""How far the At of a row may lie before that of an earlier row: instances tell the table's time to a second or two."""


def _number(query: Mapping[str, str], name: str, default: int, most: int = 10**18) -> int:
    """A whole number of the query, from 1 on. Raises Refusal `body-invalid`."""
    text = query.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise Refusal("body-invalid", f"?{name}= must be a whole number from 1 on.")
    return min(int(text), most)


class Period(NamedTuple):
    """The rows with `since` <= At < `until`; None: no bound. As texts they compare as instants do."""

    since: str | None
    until: str | None

    def has(self, row: Row) -> bool:
        """Whether the row is of this period."""
        at = _at(row)
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


def _at(row: Row) -> str:
    found = row.columns.get("At")
    return found if isinstance(found, str) else ""


def _period(query: Mapping[str, str]) -> Period:
    """?from= and ?to=. Raises Refusal `body-invalid`."""
    bounds: list[str | None] = []
    for name in ("from", "to"):
        try:
            bounds.append(instants.to_text(instants.from_rfc3339(query[name])) if query.get(name) else None)
        except ValueError as exc:
            raise Refusal("body-invalid", f"?{name}= is no time: {exc}. In a URL a + is written %2B.") from exc
    return Period(*bounds)


async def answer(controller: Controller, name: str, query: Mapping[str, str]) -> Json | Text:
    """`GET /mirrors/{mirror}/audit?from=&to=&limit=&before=&format=`, newest first. Raises Refusal."""
    form = query.get("format") or "json"
    if form not in _FORMS:
        raise Refusal("body-invalid", f"?format= must be one of {', '.join(_FORMS)}.")
    return await _FORMS[form](controller, name, query)


async def audit(controller: Controller, name: str, query: Mapping[str, str]) -> Json:
    """The trail as JSON. `next`: the value to pass as `before`, where there may be more. Raises Refusal."""
    controller.mirror(name)
    limit, period = _number(query, "limit", AUDIT_LIMIT, AUDIT_LIMIT_MAX), _period(query)
    with storage_needed():
        before = await _start(controller.ledger, name, period, query)
        rows, after = await _page(controller.ledger, name, period, before, limit)
    return {"records": [row.view() for row in rows], "next": after}


async def audit_csv(controller: Controller, name: str, query: Mapping[str, str]) -> Text:
    """The trail as CSV. The `Link` header leads to the next page, where there may be one. Raises Refusal."""
    controller.mirror(name)
    left, period, lines = _number(query, "limit", CSV_LIMIT, CSV_LIMIT), _period(query), [",".join(CSV_COLUMNS)]
    with storage_needed():
        after = await _start(controller.ledger, name, period, query)
        while left:
            rows, after = await _page(controller.ledger, name, period, after, min(left, AUDIT_LIMIT_MAX))
            lines += map(_line, rows)
            left -= len(rows)
            if after is None:
                break
    headers = {"Content-Disposition": f'attachment; filename="{name}-audit.csv"'}
    if after is not None:
        headers |= _leads_to(_next(query, after))
    return Text("\r\n".join([*lines, ""]), "text/csv", headers)


async def audit_text(controller: Controller, name: str, query: Mapping[str, str]) -> Text:
    """A page of the trail as a table for a terminal; its last line, and the `Link` header, lead to the next. Raises Refusal."""
    page = await audit(controller, name, query)
    link = _next(query, page["next"]) if page["next"] is not None else None
    shown = terminal.answer(events.table(name, page["records"], link))
    return shown._replace(headers=_leads_to(link)) if link else shown


_FORMS: Final[Mapping[str, Callable[[Controller, str, Mapping[str, str]], Awaitable[Json | Text]]]] = {
    "json": audit,
    "csv": audit_csv,
    "text": audit_text,
}


def _next(query: Mapping[str, str], before: int) -> str:
    """The query of the page after this one; it holds no key, however that was spelled."""
    rest = {name: query[name] for name in ("from", "to", "limit", "format") if name in query}
    return "?" + urlencode({**rest, "before": before})


def _leads_to(link: str) -> dict[str, str]:
    return {"Link": f'<{link}>; rel="next"'}


async def _start(ledger: Ledger, name: str, period: Period, query: Mapping[str, str]) -> int | None:
    """Below which seq the answer begins; None: with the newest row. Raises Refusal, Unreachable.

    The first row that is too new is found by halves, since At rises with Seq: no row is read that is far from the period.
    """
    before = _number(query, "before", 1) if query.get("before") else None
    newest = await ledger.newest_rows(name, before=before, limit=1) if period.until else []
    bound = _moved(period.until, OUT_OF_ORDER_S) if period.until else ""
    if not newest or _at(newest[0]) < bound:
        return before
    low, high = 0, seq_of(newest[0].row_key)
    while high - low > 1:
        middle = (low + high) // 2
        rows = await ledger.newest_rows(name, before=middle + 1, limit=1)
        low, high = (middle, high) if not rows or _at(rows[0]) < bound else (low, middle)
    return high


async def _page(ledger: Ledger, name: str, period: Period, before: int | None, limit: int) -> tuple[list[Row], int | None]:
    """At most `limit` rows of the period below `before`, newest first, and the `before` of what follows; None: nothing does."""
    rows = await ledger.newest_rows(name, before=before, limit=limit)
    last = next((seq for row in reversed(rows) if (seq := seq_of(row.row_key)) > 0), 0)
    older = period.since is not None and bool(rows) and _at(rows[-1]) < _moved(period.since, -OUT_OF_ORDER_S)
    return [row for row in rows if period.has(row)], None if len(rows) < limit or last <= 1 or older else last


def _moved(text: str, seconds: float) -> str:
    try:
        return instants.to_text(instants.from_text(text) + instants.seconds(seconds))
    except OverflowError:
        return text


def _line(row: Row) -> str:
    """A row as RFC 4180 has it. Texts are quoted; one that a spreadsheet would take for a formula begins with an apostrophe.

    So does one that begins with an apostrophe: who takes the first one away has the text as it was.
    """
    shown = {"mirror": row.mirror, **row.view()}
    cells = (shown.get(name, "") for name in CSV_COLUMNS)
    return ",".join(str(cell) if isinstance(cell, int) else _quoted(cell) for cell in cells)


def _quoted(text: str) -> str:
    mark = "'" if text.startswith(CALCULATED) else ""
    return '"' + mark + text.replace('"', '""') + '"' if text else ""


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
