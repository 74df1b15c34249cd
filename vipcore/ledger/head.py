"""The head: the one row per mirror that holds its state, and its pure changes (`columns.py` is its form in the table).

What is stored is the decision (`desired`, `epoch`, when it began), who may drive (`lease`), and whether it is carried out
(`swap`), never the steps and never a NIC's body: whoever goes on looks afresh. Head and audit rows change in one transaction.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from vipcore import instants
from vipcore.instants import Instant
from vipcore.ledger.audit import GENESIS
from vipcore.model import Epoch, Json

LEASE_MARGIN_S: Final = 2.0
"""How far apart two instances may take the time to be: the table service tells it in whole seconds (adapters/clock.py)."""

_T = TypeVar("_T")


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
    """The mirror's part of the mirrors document that is in force, and since when. `NEVER`: nobody knows of an earlier one."""

    digest: str
    since: Instant = instants.NEVER


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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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
    late_writes: LateWrites = LateWrites()  # noqa: RUF009  # a tuple
    recorded_claim: RecordedClaim | None = None
    frozen: Frozen | None = None
    holds: Mapping[str, Instant] = field(default_factory=dict)
    changes: tuple[Instant, ...] = ()
    repeats: Mapping[str, Repeat] = field(default_factory=dict)
    overlap_memory: Mapping[str, Any] = field(default_factory=dict)
    drift: str | None = None
    """The drift last reported, so that it is reported once."""
    backup_seen: Mapping[str, Any] = field(default_factory=dict)
    carried: Mapping[str, Json] = field(default_factory=dict)
    """VIP address -> its name, and the settings of its ip configuration that travel with it (docs/adr/0017)."""
    nics: Mapping[str, str] = field(default_factory=dict)
    """Member -> its NIC as the document had it, of those that `desired` and writes in flight are about: names may change."""
    document: Document | None = None
    etag: str | None = field(default=None, compare=False)

    def lease_live(self, now: Instant) -> bool:
        """Whether somebody may still be driving, by a clock that may differ from the lease owner's."""
        return self.lease is not None and now < self.lease.until + instants.seconds(LEASE_MARGIN_S)


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
