"""What is seen of a mirror's NICs, and the plan that follows from it. Pure."""

from collections.abc import Iterator, Mapping

from vipcore.model import Mirror, Observation, Placement
from vipcore.swap import plan
from vipcore.swap.plan import Blocked, Plan


class Observed(Mapping[str, Observation]):
    """Member name -> its NIC as the last read, or the answer to our own write, showed it."""

    __slots__ = ("_plans", "_shown", "mirror")

    def __init__(self, mirror: Mirror, shown: Mapping[str, Observation]) -> None:
        self.mirror = mirror
        self._shown = dict(shown)
        self._plans: dict[str, Plan | Blocked] = {}

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

    def plan(self, desired: str) -> Plan | Blocked:
        """What leads from here to every VIP on `desired`, made once per observation."""
        if desired not in self._plans:
            self._plans[desired] = plan.plan(self.mirror, self._shown, desired)
        return self._plans[desired]

    def placement(self) -> Placement:
        """Where the VIPs are."""
        return plan.placement(self.mirror, self._shown)

    def to_write(self, desired: str | None) -> set[str]:
        """The members whose NICs that plan writes."""
        found = self.plan(desired) if desired is not None else None
        return {step.member for step in found.steps} if isinstance(found, Plan) else set()
