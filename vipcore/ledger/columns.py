"""The head as a row of the table, and back. Pure. `from_entity(to_entity(head)) == head`.

The columns' names are the table's, older than some field names here; what is stored never changes its name.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from vipcore import instants
from vipcore.instants import Instant
from vipcore.ledger.head import Frozen, Head, LastSwap, LateWrites, Lease, RecordedClaim, Repeat, Swap
from vipcore.model import Epoch

ROW_KEY: Final = "head"
_T = TypeVar("_T")

_COLUMNS: Final = {
    "desired": "Desired", "epoch": "Epoch", "began": "Began", "claim_id": "ClaimId", "replay_marks": "Marks",
    "swap": "Swap", "last_swap": "LastSwap", "wrote_at": "WroteAt",
    "recorded_claim": "Pending", "holds": "Holds", "changes": "Changes", "repeats": "Repeats",
    "overlap_memory": "Learned", "drift": "Drift", "backup_seen": "Follow",
}  # fmt: skip


_STORED_AS: Final = {"maybe_in_flight": "open"}
"""Fields of records that are stored under another name."""

_FIELDS: Final = {stored: name for name, stored in _STORED_AS.items()}

_WORDS: Final = ("reason", "operator")
"""What people type is stored as JSON text: a column that began with `=` would be a formula in a spreadsheet."""


def _plain(value: Any) -> Any:
    """Dataclasses, instants and tuples as what JSON and the table take."""
    if isinstance(value, Instant):
        return instants.to_text(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {_STORED_AS.get(f.name, f.name): _plain(getattr(value, f.name)) for f in fields(value)}
    return value


_AT: Final = frozenset({"started_at", "retry_at", "at", "began", "recorded_at", "until"})


def _record(cls: type[_T], data: Mapping[str, Any]) -> _T:
    """A record from its plain form: instants by field name, lists as tuples."""
    plain = {_FIELDS.get(k, k): v for k, v in data.items()}
    return cls(**{k: instants.from_text(v) if k in _AT and v is not None else _tuples(v) for k, v in plain.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def to_entity(head: Head) -> dict[str, Any]:
    """The table entity: plain columns for what people look at, JSON text for maps. None is left out."""
    entity: dict[str, Any] = {
        "PartitionKey": head.mirror,
        "RowKey": ROW_KEY,
        "Seq": head.seq,
        "HeadHash": head.head_hash,
    }
    for name, column in _COLUMNS.items():
        value = _plain(getattr(head, name))
        if value is None or value == {} or value == []:
            continue
        entity[column] = value if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)
    entity["WatchUntil"] = instants.to_text(head.late_writes.until)
    if head.late_writes.members:
        entity["Watched"] = json.dumps(head.late_writes.members, ensure_ascii=False)
    for prefix, record in (("Lease", head.lease), ("Frozen", head.frozen)):
        for key, value in _plain(record).items() if record is not None else ():
            if value is not None:
                entity[prefix + key.title()] = json.dumps(value, ensure_ascii=False) if key in _WORDS else value
    return entity


def from_entity(entity: Mapping[str, Any], etag: str) -> Head:
    """The head of an entity that `to_entity` made. Raises ValueError where it is damaged."""
    try:
        return _from_entity(entity, etag)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ValueError(f"the head row of mirror {entity.get('PartitionKey')!r} is damaged: {exc!r}") from exc


def _from_entity(entity: Mapping[str, Any], etag: str) -> Head:
    def loaded(column: str) -> Any:
        return json.loads(entity[column]) if column in entity else None

    def at(column: str) -> Instant:
        return instants.from_text(entity[column]) if column in entity else instants.NEVER

    def prefixed(prefix: str) -> dict[str, Any]:
        found = {k[len(prefix) :].lower(): v for k, v in entity.items() if k.startswith(prefix)}
        return {k: json.loads(v) if k in _WORDS else v for k, v in found.items()}

    swap, last, recorded_claim = loaded("Swap"), loaded("LastSwap"), loaded("Pending")
    return Head(
        mirror=entity["PartitionKey"],
        desired=entity.get("Desired"),
        epoch=Epoch(int(entity.get("Epoch", 0))),
        began=at("Began"),
        claim_id=entity.get("ClaimId"),
        seq=int(entity["Seq"]),
        head_hash=entity["HeadHash"],
        replay_marks=loaded("Marks") or {},
        lease=_record(Lease, prefixed("Lease")) if "LeaseOwner" in entity else None,
        swap=_record(Swap, swap) if swap else None,
        last_swap=_record(LastSwap, last) if last else None,
        wrote_at=at("WroteAt"),
        late_writes=LateWrites(until=at("WatchUntil"), members=_tuples(loaded("Watched") or [])),
        recorded_claim=_record(RecordedClaim, recorded_claim) if recorded_claim else None,
        frozen=_record(Frozen, prefixed("Frozen")) if "FrozenReason" in entity else None,
        holds={k: instants.from_text(v) for k, v in (loaded("Holds") or {}).items()},
        changes=tuple(instants.from_text(v) for v in loaded("Changes") or ()),
        repeats={k: _record(Repeat, v) for k, v in (loaded("Repeats") or {}).items()},
        overlap_memory=loaded("Learned") or {},
        drift=entity.get("Drift"),
        backup_seen=loaded("Follow") or {},
        etag=etag,
    )
