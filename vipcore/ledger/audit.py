"""The audit trail: its rows, how each is hashed and chained to the one before, and the check of such a chain. Pure.

The row is one type: what is written and what `check_chain` reads go through the same `to_entity`/`from_entity` pair. PrevHash
of row 1 is 64 zeros. A hash is SHA-256, or HMAC-SHA-256 with an audit key, over the RFC 8785 canonical form of the columns
(https://www.rfc-editor.org/rfc/rfc8785); `docs/api.md` section 8 says which columns count.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import rfc8785

PLAIN: Final = "sha256"
KEYED: Final = "hmac-sha256:"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seal:
    """How rows are hashed: plain, or keyed. It has no `repr` of its own, so that none shows a key."""

    key: bytes | None = None
    previous: bytes | None = None

    @property
    def alg(self) -> str:
        """The Alg column of rows sealed now."""
        return PLAIN if self.key is None else KEYED + fingerprint(self.key)

    def key_for(self, alg: str) -> bytes | None:
        """The key that an Alg column names. Raises KeyError when it names one we do not have, or an unknown algorithm."""
        ours = {KEYED + fingerprint(key): key for key in (self.key, self.previous) if key is not None}
        return None if alg == PLAIN else ours[alg]

    def why_not_after(self, alg: str) -> str | None:
        """Why this seal would break the chain after a row of that Alg, and what to do, or None.

        After a plain row any seal will do. After a keyed one a plain row is a break, and a row of another key is one to whoever
        holds only the first.
        """
        held = {fingerprint(key) for key in (self.key, self.previous) if key is not None}
        if not alg.startswith(KEYED) or (self.key is not None and alg.removeprefix(KEYED) in held):
            return None
        return (
            f"the newest audit row is sealed with the audit key {alg.removeprefix(KEYED)[:16]}, which this instance lacks. "
            "Set VIP_AUDIT_KEY to that key, or to a new one and VIP_AUDIT_KEY_PREVIOUS to that key"
        )


def fingerprint(key: bytes) -> str:
    """16 hex digits that name an audit key without telling it (the keys are random, at least 256 bits)."""
    return hashlib.sha256(key).hexdigest()[:16]


def digest(entity: Mapping[str, Any], key: bytes | None) -> str:
    """The hash of an entity's columns but Hash and the service's Timestamp. Raises ValueError where no canonical form exists."""
    columns = {k: v for k, v in entity.items() if k not in ("Hash", "Timestamp")}
    try:
        data = rfc8785.dumps(columns)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as exc:
        raise ValueError(f"no canonical form: {exc}") from exc
    return hashlib.sha256(data).hexdigest() if key is None else hmac.new(key, data, hashlib.sha256).hexdigest()


GENESIS: Final = "0" * 64
_TOP: Final = 9999999999999999999

EVENTS: Final = (
    "claim.accepted", "claim.confirmed", "claim.recorded", "claim.refused", "move.accepted", "move.confirmed", "move.refused",
    "nic.write", "swap.completed", "swap.failed", "swap.resumed", "drift.found", "drift.repaired", "readiness.changed",
    "frozen", "unfrozen", "head.rebuilt",
)  # fmt: skip


def row_key(seq: int) -> str:
    """The RowKey of a seq: `audit-` and 19 digits that fall as seq rises, so that every viewer shows the newest first."""
    return f"audit-{_TOP - seq:019d}"


def seq_of(key: str) -> int:
    """The seq of a RowKey; -1 where it is none of ours. What a row's columns say may be forged."""
    digits = key.removeprefix("audit-")
    seq = _TOP - int(digits) if re.fullmatch("[0-9]{19}", digits) else -1
    return seq if 0 < seq < 2**62 else -1


COLUMN: Final = {name: name.title().replace("_", "") for name in (
    "actor", "member", "from_member", "claim_id", "operation_id", "correlation_id", "arm_request_ids", "duration_ms",
    "outcome", "detail", "evidence", "issued_at",
)}  # fmt: skip
"""Keyword of `Entry` -> column of the table (docs/api.md section 8)."""


class Entry:
    """A row before it has a place: what happened, and its columns, those that are None or empty left out.

    `epoch`: the one it is about, where that is not the head's any more. Raises KeyError for a keyword that names no column.
    """

    def __init__(self, event: str, *, epoch: int | None = None, **columns: str | int | None) -> None:
        self.event, self.epoch = event, epoch
        self.columns = {COLUMN[name]: value for name, value in columns.items() if value not in (None, "")}


RECONCILER: Final = "reconciler"
"""The actor of what nobody asked for: the timer, and what a look found."""


class Caller(NamedTuple):
    """Who acts, and in which request: the columns Actor and CorrelationId of every row that this leads to."""

    actor: str
    correlation_id: str

    def entry(self, event: str, *, epoch: int | None = None, **columns: str | int | None) -> Entry:
        """A row of this caller; keywords as those of Entry."""
        return Entry(event, epoch=epoch, actor=self.actor, correlation_id=self.correlation_id, **columns)


class Row(NamedTuple):
    """An audit row. `columns` holds every column but PartitionKey, RowKey and Hash, under the table's names."""

    mirror: str
    row_key: str
    """As it is stored, not as its Seq would have it: a row under another key is forged and must not hash as if it were not."""
    seq: int
    columns: Mapping[str, Any]
    hash: str

    @property
    def keyed(self) -> bool:
        """Whether it says that it was hashed with an audit key."""
        return str(self.columns.get("Alg", "")).startswith(KEYED)

    def to_entity(self) -> dict[str, Any]:
        """The table entity, ints as ints (the adapter gives them their type)."""
        return {"PartitionKey": self.mirror, "RowKey": self.row_key, **self.columns, "Hash": self.hash}

    @classmethod
    def from_entity(cls, entity: Mapping[str, Any]) -> "Row":
        """Any stored entity, also a forged or damaged one: nothing is judged here. A missing Seq reads as -1."""
        columns = {k: v for k, v in entity.items() if k not in ("PartitionKey", "RowKey", "Hash", "Timestamp")}
        found = columns.get("Seq")
        seq = found if isinstance(found, int) and 0 <= found <= _TOP else -1
        mirror, key, hash_ = (str(entity.get(name, "")) for name in ("PartitionKey", "RowKey", "Hash"))
        return cls(mirror=mirror, row_key=key, seq=seq, columns=columns, hash=hash_)

    def view(self) -> dict[str, Any]:
        """The row as `GET audit` shows it: the columns in snake_case. What a forged one may hold beside JSON is shown as text."""
        return {
            re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value if isinstance(value, str | int) else str(value)
            for name, value in {**self.columns, "Hash": self.hash}.items()
        }


def append(
    mirror: str, seq: int, prev_hash: str, entries: Sequence[Entry], *, at: str, epoch: int, seal: Seal
) -> tuple[Row, ...]:
    """The entries as rows seq + 1, seq + 2, ... of the mirror's chain."""
    rows: list[Row] = []
    for number, entry in enumerate(entries, seq + 1):
        about = epoch if entry.epoch is None else entry.epoch
        place = {"Seq": number, "Event": entry.event, "At": at, "Epoch": about, "Alg": seal.alg, "PrevHash": prev_hash}
        row = Row(mirror=mirror, row_key=row_key(number), seq=number, columns={**place, **entry.columns}, hash="")
        prev_hash = digest(row.to_entity(), seal.key)
        rows.append(row._replace(hash=prev_hash))
    return tuple(rows)


class Link(NamedTuple):
    """Where a check of the chain stands: the last seq it accepted, that row's hash, and the first keyed seq so far."""

    seq: int = 0
    hash: str = GENESIS
    keyed_from: int | None = None


class Broken(NamedTuple):
    """The first row that does not fit, and why, as a sentence."""

    seq: int
    detail: str


def check_chain(mirror: str, rows: Sequence[Row], link: Link, seal: Seal) -> Link | Broken:
    """Go along the rows (ascending from link.seq + 1) and return where the chain stands after them, or the first break."""
    for row in rows:
        if wrong := _wrong(mirror, row, link, seal):
            return Broken(seq=link.seq + 1, detail=wrong)
        link = Link(row.seq, row.hash, row.seq if link.keyed_from is None and row.keyed else link.keyed_from)
    return link


def _wrong(mirror: str, row: Row, link: Link, seal: Seal) -> str | None:
    """Why a row is not the next one of the chain, as a sentence, or None."""
    seq, alg = link.seq + 1, str(row.columns.get("Alg", ""))
    if row.seq != seq or row.mirror != mirror:
        return f"row {seq} is missing; the next row found says Seq {row.seq}"
    if row.columns.get("PrevHash") != link.hash:
        return f"PrevHash of row {seq} is not the hash of row {seq - 1}"
    if link.keyed_from is not None and not row.keyed:
        return f"row {seq} is plain although rows from {link.keyed_from} on are keyed"
    try:
        expected = digest(row.to_entity(), seal.key_for(alg))
    except KeyError:
        return f"row {seq} says Alg {alg[:64]!r}; no audit key with that fingerprint is set"
    except ValueError as exc:
        return f"row {seq} cannot be hashed: {exc}"
    intact = hmac.compare_digest(expected.encode(), row.hash.encode("utf-8", "surrogatepass"))
    return None if intact else f"the columns of row {seq} do not hash to its Hash: it was changed"
