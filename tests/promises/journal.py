"""What happened in a simulation, written down as plain values while it runs, so that a checker can judge it afterwards.

A `Trace` is one request (a claim, a move, a timer pass, a freeze) on one instance. Whatever the production code does for it
carries the trace in a context variable. The production code knows nothing of this module.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Row
from vipcore.ledger.head import Head
from vipcore.model import Outcome, Page

CURRENT: ContextVar["Trace | None"] = ContextVar("trace", default=None)
"""Whose effects are happening: set by the instance's use cases, inherited by every task they start."""

WORKING_ON: ContextVar[str] = ContextVar("mirror", default="")
"""Which mirror's head this task, or the one that started it, touched last: a timer pass is at many mirrors side by side."""


@dataclass(slots=True)
class Put:
    """One NIC write, or one move of ip configurations in a single call (`nic` is '' then). Times are loop seconds.

    `sent`: when the production code asked for it; `landed`: when the cloud accepted it.
    """

    number: int
    trace: "Trace"
    nic: str
    if_match: str
    sent: float
    clock: Instant
    mirror: str
    head: Head | None
    head_known_at: float
    """When the newest head of the mirror that this trace knew had arrived."""
    heard_since_last: bool
    """Whether a head arrived since this trace's last write for this mirror was sent."""
    unread: tuple[str, ...]
    """The mirror's NICs whose last look failed, as this trace knew it."""
    located: frozenset[str]
    """Names of ip configurations that the last looks showed anywhere, lower case."""
    before: Any = None
    after: Any = None
    landed: float | None = None
    status: int | None = None
    """What the sender heard; None: nothing."""
    heard: float | None = None
    request_id: str = ""


@dataclass(slots=True)
class Get:
    """A look at a NIC that was answered: what the cloud showed at `at`, and when it was heard."""

    at: float
    heard: float
    trace: "Trace"
    nic: str
    etag: str
    state: str
    doc: Any


@dataclass(slots=True)
class Commit:
    """One transaction that took effect. `before`: the head that it replaced."""

    at: float
    trace: "Trace"
    before: Head
    after: Head
    rows: Sequence[Row]
    hinted: bool
    """Whether this trace had written the mirror's hint before."""
    unread: frozenset[str] = frozenset()
    """The NICs that this trace could not read, or that were gone, when it was committed: a pass may read them again later."""


@dataclass(slots=True)
class Drop:
    """A hint that an instance deleted, under the etag that it had read. `head`: the newest head that it knew then."""

    at: float
    trace: "Trace"
    mirror: str
    etag: str
    head: Head | None
    clock: Instant


@dataclass(slots=True)
class Change:
    """One change of a NIC in the cloud."""

    at: float
    nic: str
    cause: str
    who: str
    before: Any
    after: Any
    operation_id: str
    put: Put | None
    """The write of ours that did it, where that one was being answered; a late one is found by its operation."""


@dataclass(slots=True)
class Trace:
    """One request on one instance, and what it knew."""

    number: int
    node: Any
    kind: str
    asked: float
    mirror: str = ""
    member: str = ""
    forced: bool = False
    hinted: set[str] = field(default_factory=set)
    event: str = ""
    """The event of a claim."""
    worklist: dict[str, float] = field(default_factory=dict)
    """Etag of a hint -> when this trace first read it."""
    asked_heads: dict[str, float] = field(default_factory=dict)
    """Mirror -> when the last read or commit of its head was begun."""
    pages: dict[str, Page] = field(default_factory=dict)
    """Member -> what its status page last said."""
    signed: tuple[str, str] | None = None
    """(key id, issued_at) of a claim's signature."""
    correlation_id: str = ""
    heads: dict[str, Head] = field(default_factory=dict)
    known_at: dict[str, float] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)
    looks: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """NIC -> names of its ip configurations as last known, None: the last look failed."""
    unheard_at: dict[str, float] = field(default_factory=dict)
    """NIC -> when a read of it last failed."""
    gone: set[str] = field(default_factory=set)
    """NICs of which Azure last said that they do not exist."""
    puts: list[Put] = field(default_factory=list)
    gets: list[Get] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    denied_reads: int = 0
    """Reads of permissions that were not answered with 200."""
    answer: Outcome | Refusal | BaseException | None = None
    answered: float | None = None

    def knows(self, head: Head, now: float) -> None:
        """A head arrived."""
        known = self.heads.get(head.mirror)
        if known is None or known.seq <= head.seq:
            self.heads[head.mirror] = head
        self.known_at[head.mirror] = now


@dataclass(slots=True)
class Journal:
    """Everything of one simulation, in order."""

    traces: list[Trace] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    gets: list[Get] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    docs: dict[str, Any] = field(default_factory=dict)
    traps: dict[str, float] = field(default_factory=dict)
    """Member -> until when no attach to its NIC is allowed."""
    by_hand: dict[str, float] = field(default_factory=dict)
    """Mirror -> when somebody last wrote a NIC to move its VIP by hand."""
    damaged: dict[str, list[float]] = field(default_factory=dict)
    """Mirror -> when its head was removed, or an older copy took its place."""
    listed: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    """Of each list of all mirrors: when it was asked for, and the epochs that it showed."""
    sending: Put | None = None
    """The write that the cloud is judging right now."""

    def begin(self, node: Any, kind: str, at: float, **known: Any) -> Trace:
        """Begin a request; from here on the current task acts for it."""
        trace = Trace(number=len(self.traces), node=node, kind=kind, asked=at, **known)
        self.traces.append(trace)
        CURRENT.set(trace)
        return trace
