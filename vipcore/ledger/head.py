"""The head: the one row per mirror that holds its state, its pure changes, and its form in the table.

What is stored is the decision (`desired`, `epoch`, when it began), who may drive (`lease`), and whether it is carried out
(`swap`), never the steps and never a NIC's body: whoever goes on looks afresh. Head and audit rows change in one transaction.

Each field names its column in the table. Some columns have older names than their fields: what is stored never changes its name.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from vipcore import instants
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import GENESIS
from vipcore.ledger.readiness import Readiness, from_plain
from vipcore.model import Epoch, Json

ROW_KEY: Final = "head"
LEASE_MARGIN_S: Final = 2.0
"""How far apart two instances may take the time to be: the table service tells it in whole seconds (adapters/clock.py)."""

_T = TypeVar("_T")

OF_LOST_HEAD: Final = "unknown"
"""The owner of a rebuilt head's lease (ledger/rebuild.py): a write may be in flight to any member's NIC."""


class Lease(NamedTuple):
    """The right to drive until an instant. A lease that ran out (rather than being released) may leave a write behind."""

    owner: str
    until: Instant


class Swap(NamedTuple):
    """A decision that is not carried out yet. `from_member`: who carried the VIP when it was accepted, None for nobody."""

    operation_id: str
    from_member: str | None
    started_at: Instant
    actor: str
    maybe_in_flight: tuple[str, ...] = ()
    """The members whose NICs may have a write of the lease's owner in flight, or will be written next."""
    failures: int = 0
    retry_at: Instant = instants.NEVER
    begun: bool = False
    """Whether a driver has taken it up; `from_member` is then what that one saw, and until then what was expected."""


class Failure(NamedTuple):
    """What last ended a try of the swap with this operation id. `to`, `at`: whose NIC it tried to write in vain, and when."""

    operation_id: str
    code: str
    detail: str
    to: str = ""
    at: Instant = instants.NEVER

    @classmethod
    def of(cls, swap: Swap, refusal: Refusal) -> "Failure":
        """What the refusal says of the swap."""
        return cls(swap.operation_id, refusal.code, refusal.detail[:1000])


class LastSwap(NamedTuple):
    """The last swap that was completed, as status shows it. `phases`: name to milliseconds, in order."""

    operation_id: str
    from_member: str | None
    to: str
    at: Instant
    total_ms: int
    phases: tuple[tuple[str, int], ...] = ()


class LateWrites(NamedTuple):
    """Which members' NICs a driver that died may still write, and until when a placement may be the work of such a write."""

    until: Instant = instants.NEVER
    members: tuple[str, ...] = ()


class RecordedClaim(NamedTuple):
    """A recorded claim that the timer judges again. `code`: why it could not be carried out."""

    member: str
    key_id: str
    claim_id: str
    event: str
    began: Instant
    recorded_at: Instant
    code: str


class Document(NamedTuple):
    """The mirror's part of the mirrors document that is in force, and when the process was started that put it in force."""

    digest: str
    since: Instant


class Frozen(NamedTuple):
    """An operator's stop sign; `until` None means until lifted."""

    reason: str
    operator: str
    at: Instant
    until: Instant | None = None


class Repeat(NamedTuple):
    """The last refusal or confirmation of a key, so that one like it within a minute is counted and not written."""

    what: str
    at: Instant
    left_out: int = 0


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


def _one(cls: Callable[..., Any]) -> _Read:
    return _json(partial(_record, cls))


def _in(column: str, read: _Read) -> dict[str, Any]:
    """The column of the table that keeps a field, and how it is read. A column that is not there is the field's default."""
    return {"column": column, "read": read}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Head:
    """All that is known of a mirror without looking at Azure. `etag` None: not stored yet."""

    mirror: str
    desired: str | None = field(default=None, metadata=_in("Desired", str))
    epoch: Epoch = field(default=Epoch(0), metadata=_in("Epoch", int))
    began: Instant = field(default=instants.NEVER, metadata=_in("Began", instants.from_text))
    """When the decision in force began: a claim's beginning, a move's arrival."""
    claim_id: str | None = field(default=None, metadata=_in("ClaimId", str))
    seq: int = 0
    head_hash: str = GENESIS
    alg: str | None = field(default=None, metadata=_in("Alg", str))
    """How the newest row is sealed (`Seal.alg`); None where it was written before this was kept."""
    replay_marks: Mapping[str, str] = field(default_factory=dict, metadata=_in("Marks", _json(dict)))
    """Per key id the `issued_at` of its latest accepted claim: nothing signed at or before it is accepted again."""
    lease: Lease | None = None
    swap: Swap | None = field(default=None, metadata=_in("Swap", _one(Swap)))
    last_swap: LastSwap | None = field(default=None, metadata=_in("LastSwap", _one(LastSwap)))
    wrote_at: Instant = field(default=instants.NEVER, metadata=_in("WroteAt", instants.from_text))
    """When a NIC was last written on behalf of this mirror."""
    late_writes: LateWrites = LateWrites()  # noqa: RUF009  # a tuple
    recorded_claim: RecordedClaim | None = field(default=None, metadata=_in("Pending", _one(RecordedClaim)))
    frozen: Frozen | None = None
    holds: Mapping[str, Instant] = field(default_factory=dict, metadata=_in("Holds", _each(instants.from_text)))
    changes: tuple[Instant, ...] = field(
        default=(), metadata=_in("Changes", _json(lambda data: tuple(map(instants.from_text, data))))
    )
    repeats: Mapping[str, Repeat] = field(default_factory=dict, metadata=_in("Repeats", _each(partial(_record, Repeat))))
    overlap_memory: Mapping[str, Any] = field(default_factory=dict, metadata=_in("Learned", _json(dict)))
    drift: str | None = field(default=None, metadata=_in("Drift", str))
    """The drift last reported, so that it is reported once."""
    backup_seen: Mapping[str, Any] = field(default_factory=dict, metadata=_in("Follow", _json(dict)))
    carried: Mapping[str, Json] = field(default_factory=dict, metadata=_in("Carried", _json(dict)))
    """VIP address -> its name, and the settings of its ip configuration that travel with it (docs/adr/0016)."""
    nics: Mapping[str, str] = field(default_factory=dict, metadata=_in("Nics", _json(dict)))
    """Member -> its NIC as the document had it, of those that `desired` and writes in flight are about: names may change."""
    document: Document | None = field(default=None, metadata=_in("Document", _one(Document)))
    failure: Failure | None = field(default=None, metadata=_in("Failure", _one(Failure)))
    readiness: Readiness | None = field(default=None, metadata=_in("Readiness", _json(from_plain)))
    """What the last look at the NICs showed."""
    etag: str | None = field(default=None, compare=False)

    def lease_live(self, now: Instant) -> bool:
        """Whether somebody may still be driving, by a clock that may differ from the lease owner's."""
        return self.lease is not None and now < self.lease.until + instants.seconds(LEASE_MARGIN_S)

    def to_entity(self) -> dict[str, Any]:
        """The table entity: plain columns for what people look at, JSON text for maps. None is left out."""
        entity: dict[str, Any] = {"PartitionKey": self.mirror, "RowKey": ROW_KEY, "Seq": self.seq, "HeadHash": self.head_hash}
        for name, column, _ in _COLUMNS:
            value = _plain(getattr(self, name))
            if value not in (None, {}, []):
                entity[column] = value if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)
        entity["WatchUntil"] = instants.to_text(self.late_writes.until)
        if self.late_writes.members:
            entity["Watched"] = json.dumps(self.late_writes.members, ensure_ascii=False)
        for prefix, record in (("Lease", self.lease), ("Frozen", self.frozen)):
            for key, value in _plain(record).items() if record is not None else ():
                if value is not None:
                    entity[prefix + key.title()] = json.dumps(value, ensure_ascii=False) if key in _WORDS else value
        return entity

    @classmethod
    def from_entity(cls, entity: Mapping[str, Any], etag: str) -> "Head":
        """The head of an entity that `to_entity` made. Raises ValueError where it is damaged."""

        def prefixed(prefix: str, record: Callable[..., Any]) -> Any:
            found = {k[len(prefix) :].lower(): v for k, v in entity.items() if k.startswith(prefix)}
            return _record(record, {k: json.loads(v) if k in _WORDS else v for k, v in found.items()})

        try:
            until = instants.from_text(entity["WatchUntil"]) if "WatchUntil" in entity else instants.NEVER
            return cls(
                mirror=entity["PartitionKey"],
                seq=int(entity["Seq"]),
                head_hash=entity["HeadHash"],
                late_writes=LateWrites(until, tuple(json.loads(entity.get("Watched", "[]")))),
                lease=prefixed("Lease", Lease) if "LeaseOwner" in entity else None,
                frozen=prefixed("Frozen", Frozen) if "FrozenReason" in entity else None,
                etag=etag,
                **{name: read(entity[column]) for name, column, read in _COLUMNS if column in entity},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise ValueError(
                f"the head row of mirror {entity.get('PartitionKey')!r} is damaged ({exc!r}); delete it, and it is rebuilt"
            ) from exc


_COLUMNS: Final = [(one.name, one.metadata["column"], one.metadata["read"]) for one in fields(Head) if one.metadata]


def of_no_other_nics(head: Head) -> Head:
    """The head once every VIP is on desired's NIC: of no other must it know but of those that a late write may reach."""
    about = {head.desired, *head.late_writes.members}
    return replace(head, nics={name: nic_id for name, nic_id in head.nics.items() if name in about})


def expecting_late_writes(head: Head, members: Iterable[str], now: Instant, until: Instant) -> Head:
    """The head with late writes of these members' NICs expected, beside those that still are."""
    before = head.late_writes
    still = before.members if now < before.until else ()
    expected = LateWrites(until=max(until, before.until), members=tuple(sorted({*still, *members})))
    return replace(head, late_writes=expected)


OTHER_KEYS: Final = ""
"""The key id whose mark holds for every key without one of its own, after a head was rebuilt."""

REPLAY_MARKS_MAX: Final = 200
"""Keys come and go over the years, and a column of the table takes 32,768 characters. The marks of the keys that were used
last are kept: an older one guards nothing any more, since a signature is fresh for minutes."""

REPEATS_MAX: Final = 64
CARRIED_CHARS_MAX: Final = 30_000
"""A column takes 32,768 characters."""


def keepable(carried: Mapping[str, Json]) -> Mapping[str, Json]:
    """What the head keeps of the VIPs' settings; nothing where it is too much for a column.

    The move goes on all the same, since the address matters more: only a crash between its two writes loses them then, and the
    row says so.
    """
    return carried if not carried or len(json.dumps(carried, ensure_ascii=False)) <= CARRIED_CHARS_MAX else {}


def replay_mark(head: Head, key_id: str) -> str:
    """Nothing that this key signed at or before this instant is accepted; empty where it has signed nothing yet."""
    return head.replay_marks.get(key_id, head.replay_marks.get(OTHER_KEYS, ""))


def use_issued_at(head: Head, key_id: str, issued_at: Instant) -> Head:
    """The head with the key's mark moved to `issued_at` (never back)."""
    mark = max(instants.to_text(issued_at), head.replay_marks.get(key_id, ""))
    return replace(head, replay_marks=_latest(head.replay_marks, key_id, mark, str, REPLAY_MARKS_MAX))


def repeated(head: Head, actor: str, repeat: Repeat) -> Head:
    """The head with the actor's last refusal or confirmation, of as many actors as spoke last."""
    return replace(head, repeats=_latest(head.repeats, actor, repeat, lambda last: last.at, REPEATS_MAX))


def _latest(known: Mapping[str, _T], name: str, value: _T, age: Callable[[_T], Any], most: int) -> dict[str, _T]:
    """What is known with one more value, less the oldest where there are too many."""
    known = {**known, name: value}
    kept = sorted(known, key=lambda each: (each == name, age(known[each])))[-most:]
    return {each: known[each] for each in known if each in kept}
