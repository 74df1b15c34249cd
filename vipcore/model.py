"""The values that every room uses: what is configured, what is asked for, what is observed, what is answered. Immutable, no I/O.

Names of mirrors and members are compared exactly; names of VIPs and Azure's full resource ids without regard to case.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, NewType

from vipcore.instants import Instant

Epoch = NewType("Epoch", int)
"""Per mirror; rises by one whenever `desired` changes, never falls, is never reused."""

Json = dict[str, Any]
"""A JSON object. A NIC's document stays the one that Azure sent, so that properties that we do not know survive."""

_ID: Final = re.compile(r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/[^/\s]+/")

PHASES: Final = {
    "accepted": "nobody has taken it up yet", "detach": "the first write is on its way", "attach": "the last write is on its way",
    "verify": "all is written, and is being looked at", "waiting": "it waits for its next try", "takeover": "its next try is due",
}  # fmt: skip
"""What each phase of a swap that is under way means, for people."""

BUT_FAILED: Final = ", but its NIC is FAILED in Azure: clients may not reach it"
"""Of a member that has the VIP."""


def brief(text: str) -> str:
    """The text with Azure's resource ids by their last parts, for people."""
    return _ID.sub("", text)


def said_once(reason: str, told: str) -> str:
    """A reason whose end has been told already, without that end. `told`: that text, or nothing."""
    return f"{reason.removesuffix(told).rstrip(' :')}, as said above." if told and reason.endswith(told) else reason


class Member(NamedTuple):
    """A mirror member: its IRIS system name, its NIC (full resource id), its status page if it has one."""

    name: str
    nic_id: str
    status_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Vip:
    """One floating address: the name of its ip configuration, the address in canonical form, the public IP's id or None."""

    name: str
    private_ip: str
    public_ip_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Mirror:
    """One mirror as the mirrors document defines it (docs/settings.md): at least one member and one VIP."""

    name: str
    members: tuple[Member, ...]
    vips: tuple[Vip, ...]
    path_probe: str | None = None
    """A `tcp://` or `http://` URL that is asked after a swap."""
    hold_s: float = 30.0
    """Seconds for which status pages that contradict a claim can hold it up."""
    follow_primary: bool = False
    strategy: str = "auto"
    """`auto`, `put` or `atomic` (docs/api.md section 10)."""

    def member(self, name: str) -> Member | None:
        """The member of exactly that name, or None."""
        return next((member for member in self.members if member.name == name), None)

    def nic_id(self, name: str) -> str:
        """The resource id of that member's NIC. Raises StopIteration where the mirror has no such member."""
        return next(member.nic_id for member in self.members if member.name == name)

    def member_of(self, resource_id: str | None) -> str | None:
        """The member on whose NIC the ip configuration of this resource id is, or None."""
        nic_id = (resource_id or "").lower().split("/ipconfigurations/")[0]
        return next((member.name for member in self.members if member.nic_id.lower() == nic_id), None)

    @property
    def subscription(self) -> str:
        """The id, in lower case, of the subscription that all NICs of the mirror are in."""
        return self.members[0].nic_id.split("/")[2].lower()

    @property
    def has_pages(self) -> bool:
        """Whether any member has a status page."""
        return any(member.status_url for member in self.members)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Key:
    """A member's signing key, of at least 32 bytes. It has no `repr` of its own, so that none shows the secret."""

    key_id: str
    mirror: str
    member: str
    secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Claim:
    """A verified claim. `issued_at`: by the member's clock; `began`: by ours (arrival less `age_ms`); `event`: what IRIS said."""

    mirror: str
    member: str
    claim_id: str
    key_id: str
    issued_at: Instant
    began: Instant
    event: str
    evidence: str | None = None
    """What the agent sent as evidence, as the JSON text that its row keeps."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Move:
    """An operator's request to move the VIPs `to` a member. `began`: its arrival; `force`: overrides pages and a freeze."""

    mirror: str
    to: str
    reason: str
    operator: str
    began: Instant
    dry_run: bool = False
    force: bool = False


class Page(Enum):
    """What a member's status page says. Unreachable, hanging or odd pages say nothing."""

    PRIMARY = "primary"
    NOT_PRIMARY = "not-primary"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Nic:
    """A NIC as a GET (or the body of a PUT's answer) showed it. `id`: as configured; `state`: its provisioning state."""

    id: str
    document: Json
    etag: str
    state: str
    read_at: float
    """Seconds of the steady clock when the request that showed it was sent."""


class Unreadable(NamedTuple):
    """A NIC that could not be read. What it carries is unknown, never nothing (I9)."""

    id: str
    error: Exception


class Missing(NamedTuple):
    """A NIC that Azure says does not exist (404): it carries nothing, and nothing can be attached to it."""

    id: str
    read_at: float
    """As of a NIC."""


Observation = Nic | Unreadable | Missing


class Seen(Enum):
    """Where the VIPs of a mirror are, as a read of all its NICs shows it: `placement.state` of `GET /mirrors/{mirror}`."""

    PLACED = "placed"
    UNPLACED = "unplaced"
    SPLIT = "split"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class Placement(NamedTuple):
    """`members`: the names of the members that carry at least one VIP, in the order of the mirrors document."""

    state: Seen
    members: tuple[str, ...] = ()

    @property
    def first(self) -> str | None:
        """The first member that carries a VIP, or None."""
        return self.members[0] if self.members else None

    @property
    def holder(self) -> str | None:
        """The member that carries every VIP, or None."""
        return self.members[0] if self.state is Seen.PLACED else None


class Phase(NamedTuple):
    """One part of a swap and how long it took, in whole milliseconds."""

    name: str
    ms: int


class Outcome(NamedTuple):
    """What a claim or a move answers with 200. `outcome`: `moved` or `confirmed`; `from_member`: None where it left nobody."""

    outcome: str
    mirror: str
    holder: str
    epoch: Epoch
    operation_id: str
    from_member: str | None
    phases: tuple[Phase, ...] = ()
    total_ms: int = 0

    def view(self) -> Json:
        """The outcome as the answer shows it."""
        shown = {"from" if name == "from_member" else name: value for name, value in self._asdict().items()}
        return {**shown, "phases": [phase._asdict() for phase in self.phases]}
