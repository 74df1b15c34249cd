"""The head: the one row per mirror that holds its state, and its form in the table. Pure.

What is stored is the decision (`desired`, `epoch`, when it began), who may drive (`lease`), and whether it is carried out
(`swap`), never the steps and never a NIC's body: whoever goes on looks afresh. Head and audit rows change in one transaction.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeVar

from vipcore import instants
from vipcore.instants import Instant
from vipcore.ledger.audit import GENESIS
from vipcore.model import Epoch

ROW_KEY: Final = "head"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to drive until an instant. A lease that ran out (rather than being released) may leave a write behind."""

    owner: str
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A decision that is not carried out yet. `from_member`: who carried the VIP when it was accepted, None for nobody."""

    operation_id: str
    from_member: str | None
    started_at: Instant
    actor: str
    open: tuple[str, ...] = ()
    """The members whose NICs may have a write of the lease's owner in flight, or will be written next."""
    failures: int = 0
    retry_at: Instant = instants.NEVER
    begun: bool = False
    """Whether a driver has taken it up; `from_member` is then what that one saw, and until then what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSwap:
    """The last swap that was completed, as status shows it. `phases`: name to milliseconds, in order."""

    operation_id: str
    from_member: str | None
    to: str
    at: Instant
    total_ms: int
    phases: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedClaim:
    """A recorded claim that the timer judges again. `code`: why it could not be carried out."""

    member: str
    key_id: str
    claim_id: str
    event: str
    began: Instant
    recorded_at: Instant
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """An operator's stop sign; `until` None means until lifted."""

    reason: str
    operator: str
    at: Instant
    until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """The last refusal or confirmation of a key, so that one like it within a minute is counted and not written."""

    what: str
    at: Instant
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """All that is known of a mirror without looking at Azure. `etag` None: not stored yet."""

    mirror: str
    desired: str | None = None
    epoch: Epoch = Epoch(0)  # noqa: RUF009  # a NewType's call is the number itself
    began: Instant = instants.NEVER
    """When the decision in force began: a claim's beginning, a move's arrival."""
    claim_id: str | None = None
    seq: int = 0
    head_hash: str = GENESIS
    replay_marks: Mapping[str, str] = field(default_factory=dict)
    """Per key id the `issued_at` of its latest accepted claim: nothing signed at or before it is accepted again."""
    lease: Lease | None = None
    swap: Swap | None = None
    last_swap: LastSwap | None = None
    wrote_at: Instant = instants.NEVER
    """When a NIC was last written on behalf of this mirror."""
    watch_until: Instant = instants.NEVER
    """Until when a placement may still be the work of a driver that died."""
    watched: tuple[str, ...] = ()
    """The members whose NICs such a driver may still write."""
    recorded_claim: RecordedClaim | None = None
    frozen: Frozen | None = None
    holds: Mapping[str, Instant] = field(default_factory=dict)
    changes: tuple[Instant, ...] = ()
    repeats: Mapping[str, Repeat] = field(default_factory=dict)
    overlap_memory: Mapping[str, Any] = field(default_factory=dict)
    drift: str | None = None
    """The drift last reported, so that it is reported once."""
    backup_seen: Mapping[str, Any] = field(default_factory=dict)
    etag: str | None = field(default=None, compare=False)

    def lease_live(self, now: Instant, *, margin_s: float = 0.0) -> bool:
        """Whether somebody may still be driving; `margin_s` allows for another instance's clock."""
        return self.lease is not None and now < self.lease.until + instants.seconds(margin_s)

    @property
    def working(self) -> bool:
        """Whether anything is left for the timer to do or to watch, freezes without an end left out."""
        timed = self.frozen is not None and self.frozen.until is not None
        return self.swap is not None or self.recorded_claim is not None or self.lease is not None or timed

    def to_entity(self) -> dict[str, Any]:
        """The table entity: plain columns for what people look at, JSON text for maps. None is left out."""
        entity: dict[str, Any] = {
            "PartitionKey": self.mirror,
            "RowKey": ROW_KEY,
            "Seq": self.seq,
            "HeadHash": self.head_hash,
        }
        for name, column in _COLUMNS.items():
            value = _plain(getattr(self, name))
            if value is None or value == {} or value == []:
                continue
            entity[column] = value if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)
        for prefix, record in (("Lease", self.lease), ("Frozen", self.frozen)):
            for key, value in _plain(record).items() if record is not None else ():
                if value is not None:
                    entity[prefix + key.title()] = json.dumps(value, ensure_ascii=False) if key in _WORDS else value
        return entity

    @classmethod
    def from_entity(cls, entity: Mapping[str, Any], etag: str) -> "Head":
        """The head of an entity that `to_entity` made. Raises ValueError where it is damaged."""
        try:
            return _from_entity(entity, etag)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise ValueError(f"the head row of mirror {entity.get('PartitionKey')!r} is damaged: {exc!r}") from exc


_COLUMNS: Final = {
    "desired": "Desired", "epoch": "Epoch", "began": "Began", "claim_id": "ClaimId", "replay_marks": "Marks",
    "swap": "Swap", "last_swap": "LastSwap", "wrote_at": "WroteAt", "watch_until": "WatchUntil", "watched": "Watched",
    "recorded_claim": "Pending", "holds": "Holds", "changes": "Changes", "repeats": "Repeats",
    "overlap_memory": "Learned", "drift": "Drift", "backup_seen": "Follow",
}  # fmt: skip


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
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value


_AT: Final = frozenset({"started_at", "retry_at", "at", "began", "recorded_at", "until"})


def _record(cls: type[_T], data: Mapping[str, Any]) -> _T:
    """A record from its plain form: instants by field name, lists as tuples."""
    return cls(**{k: instants.from_text(v) if k in _AT and v is not None else _tuples(v) for k, v in data.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


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
        watch_until=at("WatchUntil"),
        watched=_tuples(loaded("Watched") or []),
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


def watching(head: Head, members: Iterable[str], now: Instant, until: Instant) -> Head:
    """The head with these members' NICs under the timer's eye, beside those that still are."""
    before = head.watched if now < head.watch_until else ()
    return replace(head, watched=tuple(sorted({*before, *members})), watch_until=max(until, head.watch_until))


def without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The mapping less one key."""
    return {k: v for k, v in mapping.items() if k != key}


REPLAY_MARKS_MAX: Final = 200
"""Keys come and go over the years, and a column of the table takes 32,768 characters. The marks of the keys that were used
last are kept: an older one guards nothing any more, since a signature is fresh for minutes."""


def use_issued_at(head: Head, key_id: str, issued_at: Instant) -> Head:
    """The head with the key's mark moved to `issued_at` (never back)."""
    text = instants.to_text(issued_at)
    replay_marks = {**head.replay_marks, key_id: max(text, head.replay_marks.get(key_id, ""))}
    kept = sorted(replay_marks, key=lambda name: (name == key_id, replay_marks[name]))[-REPLAY_MARKS_MAX:]
    return replace(head, replay_marks={name: mark for name, mark in replay_marks.items() if name in kept})


REPEATS_MAX: Final = 64


def repeated(head: Head, actor: str, repeat: Repeat) -> Head:
    """The head with the actor's last refusal or confirmation, of as many actors as spoke last."""
    repeats = {**head.repeats, actor: repeat}
    kept = sorted(repeats, key=lambda name: (name == actor, repeats[name].at))[-REPEATS_MAX:]
    return replace(head, repeats={name: last for name, last in repeats.items() if name in kept})
