"""From what is seen and what is desired to the next NIC writes. Pure and level-triggered.

Invariant: whatever state is found, and whoever left it, the same rules lead to every VIP on desired's NIC and on no other.
Nothing here knows what an earlier process was doing. Rules, in order:

1. A VIP that was not found while some NIC could not be read is *unknown*: nothing is detached or attached on a guess (I9).
   A VIP that is seen somewhere is known to be nowhere else, since Azure keeps an address on one NIC.
2. Every member but desired that has an ip configuration of a VIP (of its name, or at its address: the document may have renamed
   it) is detached from it; all VIPs of a NIC in one write.
3. Desired gets what it lacks in one write. Its NIC in `Failed` is first put back as it is, before anything is detached, since it
   might not take the VIP (I10); where nothing is to be detached, the attach itself repairs it (docs/facts/azure.md section 7).
4. Nothing left to write and desired's NIC `Succeeded`: done.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from vipcore.arm import nic
from vipcore.arm.errors import ArmError
from vipcore.errors import AzureRefusal, InvariantBroken, NoToken
from vipcore.ledger.head import keepable
from vipcore.model import Json, Mirror, Missing, Nic, Observation, Placement, Seen, Unreadable, Vip

Observations = Mapping[str, Observation]
"""Member name -> what the last read of its NIC showed."""

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"


class Kind(Enum):
    """What one NIC write does."""

    DETACH = "detach"
    ATTACH = "attach"
    REPAIR = "repair"
    OVERWRITE = "overwrite"
    TAG = "tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One NIC write. `vips`: the names of the VIPs it detaches or attaches."""

    kind: Kind
    member: str
    vips: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.kind.value} {', '.join(self.vips) or 'nothing'} {'from' if self.kind is Kind.DETACH else 'on'} {self.member}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why no step may be taken. `unread`: the members whose NICs could not be read, empty where the reason is another."""

    reason: str
    unread: tuple[str, ...] = ()
    taken_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The repair, then the detaches (side by side), then the attach. Nothing of these and `waits_for` empty: all is in place."""

    repair: Step | None = None
    detaches: tuple[Step, ...] = ()
    attach: Step | None = None
    waits_for: tuple[str, ...] = ()
    """Members whose NIC has everything it needs but is still `Updating`."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All writes, in order."""
        first, last = (self.repair,) if self.repair else (), (self.attach,) if self.attach else ()
        return (*first, *self.detaches, *last)

    @property
    def done(self) -> bool:
        """Whether a fresh read showed the end state."""
        return not self.steps and not self.waits_for


def nics(observed: Observations) -> Iterator[tuple[str, Nic]]:
    """The members whose NICs could be read, with their NICs."""
    return ((name, seen) for name, seen in observed.items() if isinstance(seen, Nic))


def placement(mirror: Mirror, observed: Observations) -> Placement:
    """Where the VIPs are (docs/api.md section 6). A VIP without its public IP, or with another, is there, but not placed."""
    carrying = {name for name, seen in nics(observed) if any(nic.has_address(seen.document, vip) for vip in mirror.vips)}
    members = tuple(member.name for member in mirror.members if member.name in carrying)
    if len(members) == 1 and all(len(_carriers(observed, vip)) == 1 for vip in mirror.vips):
        return Placement(state=Seen.PLACED, members=members)
    if any(isinstance(observation, Unreadable) for observation in observed.values()):
        return Placement(state=Seen.UNKNOWN, members=members)
    if intruder(mirror, observed):
        return Placement(state=Seen.FOREIGN, members=members)
    return Placement(state=Seen.SPLIT if members else Seen.UNPLACED, members=members)


def _carriers(observed: Observations, vip: Vip) -> list[str]:
    return [name for name, seen in nics(observed) if nic.carries(seen.document, vip)]


def intruder(mirror: Mirror, observed: Observations) -> str | None:
    """`NIC/ipConfigurations/NAME` of what is no VIP, on a member's own NIC, and holds a VIP's address or public IP, or None."""
    for _, seen in nics(observed):
        if found := nic.intruder(seen.document, mirror.vips):
            return f"{seen.id}/ipConfigurations/{found}"
    return None


def plan(mirror: Mirror, observed: Observations, desired: str) -> Plan | Blocked:
    """The writes that lead from what is seen to every VIP on `desired`, or why none may be made."""
    if blocked := _blocked(mirror, observed, desired):
        return blocked
    seen, detaches = dict(nics(observed)), []
    for member in mirror.members:
        if member.name == desired or member.name not in seen:
            continue
        if names := tuple(vip.name for vip in mirror.vips if nic.ours(seen[member.name].document, [vip])):
            detaches.append(Step(kind=Kind.DETACH, member=member.name, vips=names))
    target = seen[desired]
    missing = tuple(vip.name for vip in mirror.vips if not nic.carries(target.document, vip))
    attach = Step(kind=Kind.ATTACH, member=desired, vips=missing) if missing else None
    broken = target.state == FAILED and (detaches or not missing)
    repair = Step(kind=Kind.REPAIR, member=desired) if broken else None
    waits = (desired,) if not missing and target.state not in (SUCCEEDED, FAILED) else ()
    return Plan(repair=repair, detaches=tuple(detaches), attach=attach, waits_for=waits)


def _blocked(mirror: Mirror, observed: Observations, desired: str) -> Blocked | None:
    target = observed[desired]
    unread = tuple(name for name, observation in observed.items() if isinstance(observation, Unreadable))
    if isinstance(target, Unreadable):
        others = tuple(name for name in unread if name != desired)
        return Blocked(reason=f"the NIC of {desired} could not be read", unread=(desired, *others))
    if isinstance(target, Missing):
        # Azure says so; it may pass, so a drive looks again before it gives up.
        return Blocked(reason=f"the NIC of {desired} does not exist: {target.id}", unread=(desired,))
    lost = [vip.name for vip in mirror.vips if not _carriers(observed, vip)]
    if lost and unread:
        names = ", ".join(unread)
        return Blocked(
            reason=f"VIP {lost[0]} is on no NIC that could be read, and the NIC of {names} could not be read", unread=unread
        )
    if taken_by := intruder(mirror, observed):
        return Blocked(reason=f"what a VIP needs is held by {taken_by}, which is no VIP of this mirror", taken_by=taken_by)
    for name, seen in nics(observed):
        for vip in mirror.vips:
            if nic.is_primary(seen.document, vip.name):
                return Blocked(
                    reason=f"ip configuration {vip.name} is the primary one of {name}'s NIC; Azure does not allow detaching it"
                )
    return None


class Observed(Mapping[str, Observation]):
    """Member name -> its NIC as the last read, or the answer to our own write, showed it."""

    __slots__ = ("_plans", "_shown", "carried", "mirror")

    def __init__(self, mirror: Mirror, shown: Mapping[str, Observation]) -> None:
        self.mirror = mirror
        self._shown = dict(shown)
        self._plans: dict[str, Plan | Blocked] = {}
        self.carried: dict[str, Json] = {}
        """VIP address -> the settings that its ip configuration had where it was last seen; none where it had none."""
        for member in shown:
            self._carry(member)

    def __getitem__(self, member: str) -> Observation:
        return self._shown[member]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown)

    def __len__(self) -> int:
        return len(self._shown)

    def saw(self, member: str, observation: Observation) -> None:
        """A newer observation of this member's NIC."""
        self._shown[member] = observation
        self._plans.clear()
        self._carry(member)

    def _carry(self, member: str) -> None:
        if isinstance(shown := self._shown[member], Nic):
            self.carried |= nic.settings(shown.document, self.mirror.vips)

    def recall(self, carried: Mapping[str, Json]) -> None:
        """What the head remembers of VIPs that are on no NIC now."""
        named = {one["name"].lower(): one["settings"] for one in carried.values()}
        for vip in self.mirror.vips:
            known = carried[vip.private_ip]["settings"] if vip.private_ip in carried else named.get(vip.name.lower(), {})
            self.carried.setdefault(vip.private_ip, known)

    @property
    def kept(self) -> Mapping[str, Json]:
        """What the head is to remember of what the VIPs carry."""
        carried = {vip: self.carried.get(vip.private_ip, {}) for vip in self.mirror.vips}
        return keepable({vip.private_ip: {"name": vip.name, "settings": one} for vip, one in carried.items() if one})

    def other_definitions(self) -> list[str]:
        """A sentence for each VIP that was found in another form than the document's."""
        return [one for _, seen in nics(self._shown) for one in nic.other_definitions(seen.document, self.mirror.vips)]

    def plan(self, desired: str) -> Plan | Blocked:
        """What leads from here to every VIP on `desired`, made once per observation."""
        if desired not in self._plans:
            self._plans[desired] = plan(self.mirror, self._shown, desired)
        return self._plans[desired]

    def placement(self) -> Placement:
        """Where the VIPs are."""
        return placement(self.mirror, self._shown)

    def to_write(self, desired: str | None) -> set[str]:
        """The members whose NICs that plan writes."""
        found = self.plan(desired) if desired is not None else None
        return {step.member for step in found.steps} if isinstance(found, Plan) else set()


def refusal(observed: Observations, found: Blocked, *, before: str = "") -> AzureRefusal:
    """What a request answers where no step may be taken, with Azure's own words about the NICs that could not be read.

    A missing right has a name there, and a throttle a time. `before`: how the sentence begins.
    """
    errors = [observation.error for name in found.unread if isinstance(observation := observed[name], Unreadable)]
    said = next((error.refusal() for error in errors if isinstance(error, ArmError)), None)
    if said is not None:
        return AzureRefusal(said.code, f"{before}{found.reason}. {said.detail}", retry_after_s=said.retry_after_s)
    why = f" ({errors[0]})" if errors else ""
    if any(isinstance(error, NoToken) for error in errors):
        return AzureRefusal("identity-unavailable", f"{before}{found.reason}{why}.")
    return AzureRefusal("address-taken" if found.taken_by else "azure-failed", f"{before}{found.reason}{why}.")


def check_invariants(mirror: Mirror, found: Plan, desired: str) -> None:
    """What no plan may ever say. Raises InvariantBroken: a defect of ours."""
    names = {vip.name for vip in mirror.vips}
    for step in found.steps:
        if not set(step.vips) <= names:
            raise InvariantBroken(f"{step} touches what is not ours")
        if (step.kind is Kind.DETACH) != (step.member != desired):
            raise InvariantBroken(f"{step} is on the wrong side of {desired}")
    moving = [step.member for step in found.steps if step is not found.repair]
    if len(set(moving)) != len(moving):
        raise InvariantBroken("a NIC is written twice")
