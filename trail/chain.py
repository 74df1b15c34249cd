"""The rule of the chain, from docs/api.md section 8, and nothing of the app's code. Pure; the standard library alone.

Hash = SHA-256 (with VIP_AUDIT_KEY: HMAC-SHA-256) over the canonical JSON (RFC 8785) of all columns but Hash and the service's
Timestamp; PrevHash is the Hash of the row before, and of row 1 64 zeros. For what a trail holds (text and whole numbers under
names in ASCII) Python's own JSON, with sorted names and no spaces, is that canonical form.

Rows come newest first, as the table has them, and only the one before is kept: a trail of any length takes the same memory.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

FIRST_PREVIOUS: Final = "0" * 64
PLAIN: Final = "sha256"
KEYED: Final = "hmac-sha256:"
TOP: Final = 9999999999999999999

Row = Mapping[str, Any]


class Verdict(NamedTuple):
    """What a check found. `fault`: the first thing that is wrong, as a sentence, empty if nothing is.

    `first`, `last`: the places of the oldest and the newest row, 0 without rows; `hash`: the newest row's Hash; `keyed_from`: the
    oldest row under an audit key; `unknown_key`: what stands in the way is that a row's audit key is not known here.
    """

    rows: int = 0
    first: int = 0
    last: int = 0
    hash: str = FIRST_PREVIOUS
    keyed_from: int | None = None
    fault: str = ""
    unknown_key: bool = False


def keys(*secrets: bytes) -> dict[str, bytes | None]:
    """Alg column -> the key that it names."""
    named: dict[str, bytes | None] = {KEYED + hashlib.sha256(secret).hexdigest()[:16]: secret for secret in secrets}
    return {PLAIN: None, **named}


def digest(row: Row, key: bytes | None = None) -> str:
    """A row's hash, recomputed. Raises ValueError where the columns have no canonical form."""
    columns = {name: value for name, value in row.items() if name not in ("Hash", "Timestamp")}
    canonical = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return hashlib.sha256(canonical).hexdigest() if key is None else hmac.new(key, canonical, hashlib.sha256).hexdigest()


def place(row: Row) -> int:
    """The place of a row in its trail, by its RowKey; 0 where that is none of ours."""
    digits = re.fullmatch(r"audit-([0-9]{19})", str(row.get("RowKey")))
    return max(0, TOP - int(digits[1])) if digits else 0


def check(rows: Iterable[Row], known: Mapping[str, bytes | None] | None = None, *, whole: bool = True) -> Verdict:
    """Go through the rows, newest first. `whole`: whether they must begin with row 1; else they are part of a trail."""
    known = keys() if known is None else known
    found, newer = Verdict(), None
    for row in rows:
        at = place(row)
        link = _link_fault(row, at, newer, found.first) if newer and at else ""
        own = _own_fault(row, at, known)
        found = found._replace(
            rows=found.rows + 1,
            first=at or found.first,
            last=found.last or at,
            hash=found.hash if newer else str(row.get("Hash")),
            keyed_from=at if str(row.get("Alg")).startswith(KEYED) else found.keyed_from,
            fault=own or link or found.fault,
            unknown_key=str(row.get("Alg")) not in known if own else found.unknown_key and not link,
        )
        newer = row if at else newer
    if newer is None or not whole:
        return found
    if found.first > 1:
        return found._replace(fault=f"row {found.first - 1} is missing, and so are those before it", unknown_key=False)
    if newer.get("PrevHash") != FIRST_PREVIOUS and not found.fault:
        return found._replace(fault="row 1 does not say that it is the first", unknown_key=False)
    return found


def _own_fault(row: Row, at: int, known: Mapping[str, bytes | None]) -> str:
    """What is wrong with the row by itself."""
    alg = str(row.get("Alg"))
    if not at or row.get("Seq") != at:
        return f"there is a row under the key {row.get('RowKey')} that says Seq {row.get('Seq')}"
    if alg not in known:
        return f"row {at} is sealed with {alg[:40]}, and that key is not known here: set VIP_AUDIT_KEY"
    try:
        intact = hmac.compare_digest(digest(row, known[alg]), str(row.get("Hash")))
    except (ValueError, TypeError):
        intact = False
    return "" if intact else f"row {at} is not what was written: its hash differs"


def _link_fault(row: Row, at: int, newer: Row, above: int) -> str:
    """What is wrong between the row and the newer one, at `above`."""
    if at != above - 1:
        return f"row {above - 1} is missing: before row {above} comes row {at}"
    if newer.get("PrevHash") != row.get("Hash"):
        return f"row {above} does not follow row {at}: its PrevHash is not that row's Hash"
    if str(row.get("Alg")).startswith(KEYED) and newer.get("Alg") == PLAIN:
        return f"row {above} is plain although row {at} before it is sealed with an audit key"
    return ""
