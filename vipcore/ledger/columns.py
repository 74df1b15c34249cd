"""The head as a row of the table, and back. Pure. `from_entity(to_entity(head)) == head`.

The columns' names are the table's, older than some field names here; what is stored never changes its name.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from vipcore import instants
from vipcore.instants import Instant
from vipcore.ledger.head import Document, Frozen, Head, LastSwap, LateWrites, Lease, RecordedClaim, Repeat, Swap

ROW_KEY: Final = "head"
_Read = Callable[[Any], Any]

_STORED_AS: Final = {"maybe_in_flight": "open"}
"""Fields of records that are stored under another name."""

_FIELDS: Final = {stored: name for name, stored in _STORED_AS.items()}
_AT: Final = frozenset({"started_at", "retry_at", "at", "began", "recorded_at", "until", "since"})

_WORDS: Final = ("reason", "operator")
"""What people type is stored as JSON text: a column that began with `=` would be a formula in a spreadsheet."""


def _plain(value: Any) -> Any:
    """Records, instants and tuples as what JSON and the table take."""
    if isinstance(value, Instant):
        return instants.to_text(value)
    if hasattr(value, "_asdict"):
        value = {_STORED_AS.get(name, name): item for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _record(cls: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    """A record from its plain form: instants by field name, lists as tuples."""
    plain = {_FIELDS.get(k, k): v for k, v in data.items()}
    return cls(**{k: instants.from_text(v) if k in _AT and v is not None else _tuples(v) for k, v in plain.items()})


def _json(read: _Read) -> _Read:
    """Reads a column of JSON text."""
    return lambda text: read(json.loads(text))


def _each(read: _Read) -> _Read:
    return _json(lambda data: {name: read(item) for name, item in data.items()})


_COLUMNS: Final[Mapping[str, tuple[str, _Read]]] = {
    "desired": ("Desired", str),
    "epoch": ("Epoch", int),
    "began": ("Began", instants.from_text),
    "claim_id": ("ClaimId", str),
    "replay_marks": ("Marks", _json(dict)),
    "swap": ("Swap", _json(partial(_record, Swap))),
    "last_swap": ("LastSwap", _json(partial(_record, LastSwap))),
    "wrote_at": ("WroteAt", instants.from_text),
    "recorded_claim": ("Pending", _json(partial(_record, RecordedClaim))),
    "holds": ("Holds", _each(instants.from_text)),
    "changes": ("Changes", _json(lambda data: tuple(map(instants.from_text, data)))),
    "repeats": ("Repeats", _each(partial(_record, Repeat))),
    "overlap_memory": ("Learned", _json(dict)),
    "drift": ("Drift", str),
    "backup_seen": ("Follow", _json(dict)),
    "carried": ("Carried", _json(dict)),
    "nics": ("Nics", _json(dict)),
    "document": ("Document", _json(partial(_record, Document))),
}
"""Field of `Head` -> its column, and how that is read. A column that is not there is the field's default."""


def to_entity(head: Head) -> dict[str, Any]:
    """The table entity: plain columns for what people look at, JSON text for maps. None is left out."""
    entity: dict[str, Any] = {"PartitionKey": head.mirror, "RowKey": ROW_KEY, "Seq": head.seq, "HeadHash": head.head_hash}
    for name, (column, _) in _COLUMNS.items():
        value = _plain(getattr(head, name))
        if value not in (None, {}, []):
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

    def prefixed(prefix: str, cls: Callable[..., Any]) -> Any:
        found = {k[len(prefix) :].lower(): v for k, v in entity.items() if k.startswith(prefix)}
        return _record(cls, {k: json.loads(v) if k in _WORDS else v for k, v in found.items()})

    try:
        until = instants.from_text(entity["WatchUntil"]) if "WatchUntil" in entity else instants.NEVER
        return Head(
            mirror=entity["PartitionKey"],
            seq=int(entity["Seq"]),
            head_hash=entity["HeadHash"],
            late_writes=LateWrites(until, tuple(json.loads(entity.get("Watched", "[]")))),
            lease=prefixed("Lease", Lease) if "LeaseOwner" in entity else None,
            frozen=prefixed("Frozen", Frozen) if "FrozenReason" in entity else None,
            etag=etag,
            **{name: read(entity[column]) for name, (column, read) in _COLUMNS.items() if column in entity},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ValueError(f"the head row of mirror {entity.get('PartitionKey')!r} is damaged: {exc!r}") from exc
