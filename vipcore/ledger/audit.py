"""The audit trail: one row, its canonical form, its place in the hash chain, and the check of a chain. Pure.

The row is one type: what is written and what `verify` reads go through the same `to_entity`/`from_entity` pair. Hash is
lower-case hex of SHA-256, or HMAC-SHA-256 when a key is set, over the RFC 8785 form of every column but Hash (contract section
8; https://www.rfc-editor.org/rfc/rfc8785). PrevHash of row 1 is 64 zeros.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import rfc8785

GENESIS: Final = "0" * 64
PLAIN: Final = "sha256"
KEYED: Final = "hmac-sha256:"
_TOP: Final = 9999999999999999999

EVENTS: Final = (
    "claim.accepted", "claim.confirmed", "claim.recorded", "claim.refused", "move.accepted", "move.confirmed", "move.refused",
    "nic.write", "swap.completed", "swap.failed", "swap.resumed", "drift.found", "drift.repaired", "readiness.changed",
    "frozen", "unfrozen",
)  # fmt: skip


def row_key(seq: int) -> str:
    """The RowKey of a seq: `audit-` and 19 digits that fall as seq rises, so that every viewer shows the newest first."""
    return f"audit-{_TOP - seq:019d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row before it has a place: what happened, in the columns of contract section 8. None means the column is left out."""

    event: str
    actor: str
    member: str | None = None
    from_member: str | None = None
    claim_id: str | None = None
    operation_id: str | None = None
    correlation_id: str | None = None
    arm_request_ids: str | None = None
    duration_ms: int | None = None
    outcome: str | None = None
    detail: str | None = None
    evidence: str | None = None
    epoch: int | None = None
    """The epoch it is about, where that is not the head's any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An audit row. `columns` holds every column but PartitionKey, RowKey and Hash, under the table's names."""

    mirror: str
    seq: int
    columns: Mapping[str, Any] = field(repr=False)
    hash: str
    stored_as: str | None = None
    """The RowKey under which it was found, where that is not its Seq's: such a row is forged, and must not hash as if it were."""

    @property
    def row_key(self) -> str:
        """The RowKey it is stored under."""
        return row_key(self.seq) if self.stored_as is None else self.stored_as

    def to_entity(self) -> dict[str, Any]:
        """The table entity, ints as ints (the adapter makes them Edm.Int64)."""
        return {"PartitionKey": self.mirror, "RowKey": self.row_key, **self.columns, "Hash": self.hash}

    @classmethod
    def from_entity(cls, entity: Mapping[str, Any]) -> "Row":
        """Any stored entity, also a forged or damaged one: nothing is judged here. A missing Seq reads as -1."""
        columns = {k: v for k, v in entity.items() if k not in ("PartitionKey", "RowKey", "Hash", "Timestamp")}
        found, key = columns.get("Seq"), str(entity.get("RowKey", ""))
        seq = found if isinstance(found, int) and 0 <= found <= _TOP else -1
        return cls(
            mirror=str(entity.get("PartitionKey", "")),
            seq=seq,
            columns=columns,
            hash=str(entity.get("Hash", "")),
            stored_as=key if seq < 0 or key != row_key(seq) else None,
        )

    def view(self) -> dict[str, Any]:
        """The row as `GET audit` shows it: the columns in snake_case."""
        return {_snake(name): _shown(value) for name, value in {**self.columns, "Hash": self.hash}.items()}


def _shown(value: Any) -> Any:
    """A forged row may hold what JSON has no form for; it is shown as text."""
    return value if isinstance(value, str | int) else str(value)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


_COLUMN: Final = {
    name: "".join(part.title() for part in name.split("_")) for name in Entry.__dataclass_fields__ if name != "epoch"
}


@dataclass(frozen=True, slots=True)
class Seal:
    """How rows are hashed: plain, or keyed. Keys stay out of `repr`."""

    key: bytes | None = field(default=None, repr=False)
    previous: bytes | None = field(default=None, repr=False)

    @property
    def alg(self) -> str:
        """The Alg column of rows sealed now."""
        return PLAIN if self.key is None else KEYED + fingerprint(self.key)

    def key_for(self, alg: str) -> bytes | None:
        """The key that an Alg column names. Raises KeyError when it names one we do not have, or an unknown algorithm."""
        if alg == PLAIN:
            return None
        for key in (self.key, self.previous):
            if key is not None and alg == KEYED + fingerprint(key):
                return key
        raise KeyError(alg)


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


def append(mirror: str, seq: int, prev_hash: str, drafts: Sequence[Entry], *, at: str, epoch: int, seal: Seal) -> tuple[Row, ...]:
    """The drafts as rows seq + 1, seq + 2, ... of the mirror's chain."""
    rows: list[Row] = []
    for number, draft in enumerate(drafts, seq + 1):
        columns: dict[str, Any] = {
            "Seq": number,
            "At": at,
            "Epoch": epoch if draft.epoch is None else draft.epoch,
            "Alg": seal.alg,
            "PrevHash": prev_hash,
        }
        for name, column in _COLUMN.items():
            value = getattr(draft, name)
            if value is not None:
                columns[column] = value
        row = Row(mirror=mirror, seq=number, columns=columns, hash="")
        row = replace(row, hash=digest(row.to_entity(), seal.key))
        rows.append(row)
        prev_hash = row.hash
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a check of the chain stands: the last seq it accepted, that row's hash, and the first keyed seq so far."""

    seq: int = 0
    hash: str = GENESIS
    keyed_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first row that does not fit, and why, as a sentence."""

    seq: int
    detail: str


def verify(mirror: str, rows: Sequence[Row], link: Link, seal: Seal) -> Link | Broken:
    """Go along the rows (ascending from link.seq + 1) and return where the chain stands after them, or the first break."""
    for row in rows:
        seq = link.seq + 1
        wrong = _wrong(mirror, row, link, seal)
        if wrong:
            return Broken(seq=seq, detail=wrong)
        keyed = link.keyed_from is None and str(row.columns["Alg"]).startswith(KEYED)
        link = Link(seq=seq, hash=row.hash, keyed_from=seq if keyed else link.keyed_from)
    return link


def _wrong(mirror: str, row: Row, link: Link, seal: Seal) -> str | None:
    """Why a row is not the next one of the chain, as a sentence, or None."""
    seq, alg = link.seq + 1, str(row.columns.get("Alg", ""))
    if row.seq != seq or row.mirror != mirror:
        return f"row {seq} is missing; the next row found says Seq {row.seq}"
    if row.columns.get("PrevHash") != link.hash:
        return f"PrevHash of row {seq} is not the hash of row {seq - 1}"
    if link.keyed_from is not None and not alg.startswith(KEYED):
        return f"row {seq} is plain although rows from {link.keyed_from} on are keyed"
    try:
        expected = digest(row.to_entity(), seal.key_for(alg))
    except KeyError:
        return f"row {seq} says Alg {alg[:64]!r}; no audit key with that fingerprint is set"
    except ValueError as exc:
        return f"row {seq} cannot be hashed: {exc}"
    intact = hmac.compare_digest(expected.encode(), row.hash.encode("utf-8", "surrogatepass"))
    return None if intact else f"the columns of row {seq} do not hash to its Hash: it was changed"
