"""Which NIC writes may still land although nobody heard their answer: what promise I2 rests on. Pure.

Invariant: a member is in `late` from the moment a write of its NIC is sent until its answer arrives, a fresh read shows another
etag, or the NIC is gone; and for a dead driver's write, from the takeover until the NIC has another etag. `stamp` puts that into
the head, with the settings that the VIPs carry, so that a successor knows it: it overwrites these NICs first, and a late write
then fails on If-Match. A write that may have changed nothing does not count for that: Azure may keep the etag
(docs/facts/azure.md section 3), so only a read tells. A NIC that cannot be read, or that Azure does not show for the moment,
cannot be overwritten: nothing waits for it, and the head names it to whoever comes next (`left_to_others`).

Our own writes of one NIC go through the states of `TRANSITIONS`. A second write may go out while an earlier one has no answer;
a refusal of the second says nothing about the first, an accepted write or another etag settles both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Final, NamedTuple

from vipcore import instants
from vipcore.errors import InvariantBroken
from vipcore.instants import Instant
from vipcore.ledger.head import Head, expecting_late_writes
from vipcore.model import Json, Nic
from vipcore.swap.plan import Observed, Step

LATE_WRITES_S: Final = 900.0
"""How long a placement may still be the work of a write whose answer never came (I2)."""


class Write(Enum):
    """What is known of our writes of one NIC."""

    NONE = auto()  # no write of ours may land
    ANNOUNCED = auto()  # the check before a write runs: the head has to name this NIC first
    SENT = auto()  # a write is on its way
    UNANSWERED = auto()  # a write got no answer and may land at any time
    ANNOUNCED_AGAIN = auto()  # as ANNOUNCED, with an earlier write unanswered
    SENT_AGAIN = auto()  # as SENT, with an earlier write unanswered


class Event(Enum):
    """What happens to a write."""

    ANNOUNCE = auto()
    WITHDRAW = auto()  # the check did not let it start
    SEND = auto()
    ACCEPT = auto()  # with a new etag: what was sent before fails
    ANSWER = auto()  # accepted, and perhaps without any change
    REFUSE = auto()  # Azure's answer, or the failure to send, says that it had no effect
    LOSE = auto()  # no answer came
    SETTLE = auto()  # a fresh read shows that what was unanswered landed, or can no longer pass If-Match


TRANSITIONS: Final[Mapping[Write, Mapping[Event, Write]]] = {
    Write.NONE: {Event.ANNOUNCE: Write.ANNOUNCED, Event.SETTLE: Write.NONE},
    Write.ANNOUNCED: {Event.WITHDRAW: Write.NONE, Event.SEND: Write.SENT},
    Write.SENT: {
        Event.ACCEPT: Write.NONE,
        Event.ANSWER: Write.NONE,
        Event.REFUSE: Write.NONE,
        Event.LOSE: Write.UNANSWERED,
    },
    Write.UNANSWERED: {Event.ANNOUNCE: Write.ANNOUNCED_AGAIN, Event.SETTLE: Write.NONE},
    Write.ANNOUNCED_AGAIN: {Event.WITHDRAW: Write.UNANSWERED, Event.SEND: Write.SENT_AGAIN, Event.SETTLE: Write.ANNOUNCED},
    Write.SENT_AGAIN: {
        Event.ACCEPT: Write.NONE,
        Event.ANSWER: Write.UNANSWERED,
        Event.REFUSE: Write.UNANSWERED,
        Event.LOSE: Write.UNANSWERED,
        Event.SETTLE: Write.SENT,
    },
}
"""Any other pair is a defect of ours."""

_ANNOUNCED: Final = frozenset({Write.ANNOUNCED, Write.ANNOUNCED_AGAIN})
_MAY_LAND: Final = frozenset({Write.SENT, Write.UNANSWERED, Write.ANNOUNCED_AGAIN, Write.SENT_AGAIN})


class Lost(NamedTuple):
    """A write without an answer that tells what came of it. `before`: the NIC as the write found it; `sent_at`: loop seconds.

    `request_id`: ARM's, where a server error came for an answer.
    """

    step: Step
    before: Nic
    sent_at: float
    request_id: str = ""


class InFlight:
    """One drive's knowledge of writes that may land, by member."""

    __slots__ = ("before", "observed", "to_overwrite", "unreported", "watched", "writes", "wrote_at")

    def __init__(self, observed: Observed, to_overwrite: Iterable[str] = ()) -> None:
        self.observed = observed
        self.to_overwrite = set(to_overwrite)
        """Members whose NICs a driver that died may still write: rewritten before anything else."""
        self.watched: set[str] = set()
        """Members whose NICs could not be read, or were gone: nothing waits for them, and the head names them while there is a
        swap."""
        self.writes: dict[str, Write] = {}
        self.unreported: dict[str, Lost] = {}
        """Member -> a write without an answer of which no row has told yet."""
        self.before: dict[str, Json] = {}
        """Member -> its NIC's document before our first write, for the comparison afterwards."""
        self.wrote_at = -1.0
        """Loop seconds at which the last answer to a write of ours came, -1: none yet."""

    @property
    def announced(self) -> set[str]:
        """Members whose NICs are about to be written."""
        return {member for member, write in self.writes.items() if write in _ANNOUNCED}

    @property
    def unanswered(self) -> set[str]:
        """Members whose NICs a write of ours may still change."""
        return {member for member, write in self.writes.items() if write in _MAY_LAND}

    @property
    def late(self) -> set[str]:
        """Members whose NICs a write of ours, or of a driver that died, may still change."""
        return self.unanswered | self.to_overwrite

    def left_to_others(self) -> tuple[str, ...]:
        """Members whose NICs a successor has to rewrite: those of `late`, and those that this drive could not read."""
        return tuple(sorted(self.late | self.watched))

    def announce(self, *members: str) -> None:
        """The check before a write of these members' NICs begins."""
        self._on(Event.ANNOUNCE, *members)

    def withdraw(self, *members: str) -> None:
        """The check did not let the write start."""
        self._on(Event.WITHDRAW, *members)

    def sent(self, member: str, before: Json) -> None:
        """A write goes out. `before`: the NIC's document as the write found it."""
        self._on(Event.SEND, member)
        self.before.setdefault(member, before)

    def accepted(self, member: str, now: float) -> None:
        """Azure accepted the write: whatever was sent before meets another etag."""
        self._on(Event.ACCEPT, member)
        self.to_overwrite.discard(member)
        self.wrote_at = now

    def answered(self, member: str, now: float) -> None:
        """Azure accepted a write that may have changed nothing: an earlier one without an answer may still land."""
        self._on(Event.ANSWER, member)
        self.wrote_at = now

    def overwritten(self, member: str, now: float) -> None:
        """A read after our rewrite shows another etag than the one we wrote under: whatever was sent before fails."""
        self.settled(member, now)
        self.to_overwrite.discard(member)

    def refused(self, member: str) -> None:
        """The write certainly had no effect. That says nothing about an earlier one without an answer."""
        self._on(Event.REFUSE, member)

    def lost(self, member: str) -> None:
        """No answer came: the write may have landed, or may land later."""
        self._on(Event.LOSE, member)

    def settled(self, member: str, now: float) -> None:
        """A fresh read shows another etag. One PUT lands once: it took effect, or it can no longer pass If-Match."""
        self._on(Event.SETTLE, member)
        self.wrote_at = now

    def gone(self, member: str) -> None:
        """Azure says that the NIC does not exist, so nothing can be rewritten. That may pass: it is watched for."""
        self._on(Event.SETTLE, member)
        self.leave_to_watch(member)

    def overwrite(self, member: str) -> None:
        """Rewrite this member's NIC before anything else."""
        self.to_overwrite.add(member)

    def leave_to_watch(self, member: str) -> None:
        """A write is not overwritten but watched for: the NIC cannot be read."""
        self.to_overwrite.discard(member)
        self.watched.add(member)

    def shown(self, member: str) -> None:
        """A read shows the NIC: one that was left to the watch can be rewritten after all."""
        if member in self.watched:
            self.watched.discard(member)
            self.to_overwrite.add(member)

    def report_later(self, lost: Lost) -> None:
        """No row has told of this unanswered write yet: the next read of the NIC will, or the end of the drive."""
        self.unreported[lost.step.member] = lost

    def take_unreported(self, *members: str) -> list[Lost]:
        """The unanswered writes of these members' NICs of which rows are about to tell."""
        return [self.unreported.pop(member) for member in members if member in self.unreported]

    def stamp(self, head: Head, now: Instant) -> Head:
        """The head with what only this drive knows: where a write may be in flight or goes next, and when we last wrote."""
        late = self.late
        if head.swap is not None:
            maybe = tuple(sorted(self.watched | late | self.announced | self.observed.to_write(head.desired)))
            head = replace(head, swap=head.swap._replace(maybe_in_flight=maybe))
        wrote_at = max(now, head.wrote_at) if self.wrote_at >= 0 else head.wrote_at
        head = replace(head, wrote_at=wrote_at, carried=self.observed.kept)
        return expecting_late_writes(head, late, now, now + instants.seconds(LATE_WRITES_S)) if late else head

    def _on(self, event: Event, *members: str) -> None:
        for member in members:
            state = self.writes.get(member, Write.NONE)
            if event not in TRANSITIONS[state]:
                raise InvariantBroken(f"{event.name} of a write of the NIC of {member} in state {state.name}")
            self.writes[member] = TRANSITIONS[state][event]
