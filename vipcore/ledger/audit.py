"""The audit trail: one row and its place in the hash chain. Pure.

The row is one type: what is written and what `chain.verify` reads go through the same `to_entity`/`from_entity` pair. PrevHash
of row 1 is 64 zeros.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vipcore.ledger.seal import Seal, digest

GENESIS: Final = "0" * 64
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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and in which request: the columns Actor and CorrelationId of every row that this leads to."""

    actor: str
    correlation_id: str

    def entry(self, event: str, **columns: Any) -> Entry:
        """A row of this caller. `columns`: fields of Entry."""
        return Entry(event=event, actor=self.actor, correlation_id=self.correlation_id, **columns)


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
