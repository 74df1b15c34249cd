"""The public face of the simulator: a simulated cloud that holds a world.

cloud = Cloud(worlds.default(), seed=1, now=lambda: clock.t)
cloud.switches = replace(cloud.switches, latency="fixed:3")
cloud.script(Match(method="PUT", kind="nic"), fault=Ends(how="failed-kept"))
answer = handle(cloud, Request("GET", f"{NIC_ID}?api-version=2024-05-01", {"authorization": cloud.bearer()}))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.access import identity
from simulator.core.principals import SYSTEM_ASSIGNED
from simulator.network import nics
from simulator.populate import populate
from simulator.state.state import State

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from simulator.core.faults import Script
    from simulator.core.history import Exchange, NicState
    from simulator.core.model import Nic, Vm
    from simulator.core.principals import Token
    from simulator.core.switches import Switches
    from simulator.state.world import World


class Cloud(State):
    """The state of one simulated cloud, filled with a world, with methods for tests, checkers and servers.

    now: seconds since 1970; tokens and Date headers show it too. switches: may be replaced at any time.
    """

    def __init__(self, world: World, *, seed: int = 0, now: Callable[[], float], switches: Switches | None = None) -> None:
        super().__init__(world, seed=seed, now=now, switches=switches)
        self._bearer: tuple[str, float] = ("", 0.0)
        populate(self)

    def settle(self) -> float:
        """Run all events that are due, in order; returns the current time."""
        return self.clock.settle()

    def next_event_at(self) -> float | None:
        """When the next operation ends, so that a virtual clock can jump there; None if nothing is running."""
        return self.clock.next_event_at()

    def bearer(self, principal: str = SYSTEM_ASSIGNED) -> str:
        """The value of an Authorization header for this principal, valid for a day."""
        if principal != SYSTEM_ASSIGNED:
            return "Bearer " + identity.issue(self, principal, "https://management.azure.com/", 86399)[0]
        if self._bearer[1] <= self.clock.now():
            text, claims = identity.issue(self, principal, "https://management.azure.com/", 86399)
            self._bearer = f"Bearer {text}", claims["exp"] - 3600.0
        return self._bearer[0]

    def stranger(self, nic: Nic, what: str, *, address: str = "", who: str = "stranger") -> None:
        """Let another client write to the NIC. what: see switches.STRANGERS."""
        nics.stranger_writes(self, nic, what, address=address, who=who)

    @property
    def identity_header(self) -> str:
        """The secret that the managed identity endpoint expects (IDENTITY_HEADER)."""
        return self.credentials.identity_header

    @property
    def tokens(self) -> dict[str, Token]:
        """The tokens that ARM has verified so far, by their text."""
        return self.credentials.known

    @property
    def nics(self) -> dict[str, Nic]:
        """The NICs by lower-case id."""
        return self.resources.nics

    @property
    def vms(self) -> dict[str, Vm]:
        """The virtual machines by lower-case id."""
        return self.resources.vms

    @property
    def members(self) -> dict[str, str]:
        """The mode of each member's status page, by member; see pages.MODES."""
        return self.resources.members

    @property
    def scripts(self) -> list[Script]:
        """The planned faults."""
        return self.faults.scripts

    @property
    def history(self) -> deque[Exchange]:
        """The last requests with their answers."""
        return self.records.history

    @property
    def states(self) -> list[NicState]:
        """Every state of every NIC, in order of time."""
        return self.records.states
