"""The audit trail: one row and its place in the hash chain. Pure.

The row is one type: what is written and what `chain.verify` reads go through the same `to_entity`/`from_entity` pair. PrevHash
of row 1 is 64 zeros.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vipcore.ledger.seal import Seal, digest

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


_COLUMN: Final = {name: name.title().replace("_", "") for name in (
    "actor", "member", "from_member", "claim_id", "operation_id", "correlation_id", "arm_request_ids", "duration_ms",
    "outcome", "detail", "evidence", "issued_at",
)}  # fmt: skip
"""Keyword of `Entry` -> column of the table (docs/api.md section 8)."""


class Entry:
    """A row before it has a place: what happened, and its columns, those that are None left out.

    `epoch`: the one it is about, where that is not the head's any more. Raises KeyError for a keyword that names no column.
    """

    def __init__(self, event: str, *, epoch: int | None = None, **columns: str | int | None) -> None:
        self.event, self.epoch = event, epoch
        self.columns = {_COLUMN[name]: value for name, value in columns.items() if value is not None}


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

    def to_entity(self) -> dict[str, Any]:
        """The table entity, ints as ints (the adapter makes them Edm.Int64)."""
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
