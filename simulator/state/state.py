"""All data of one simulated cloud. Every layer below the public face (`simulator.cloud`) works on a State."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from simulator.core.faults import Match, Script
from simulator.core.history import Exchange, NicState
from simulator.core.ids import Ids
from simulator.core.principals import Token, principal_named
from simulator.core.switches import Switches
from simulator.state.event_clock import EventClock
from simulator.state.ledger import Ledger
from simulator.state.paths import Paths
from simulator.state.resources import Resources
from simulator.state.throttle import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.core.faults import Fault
    from simulator.core.model import Nic
    from simulator.state.world import World


class Faults:
    """The planned faults, and the random source for faults by chance. strangers_seen: writes made for switch `stranger`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.scripts: list[Script] = []
        self.strangers_seen = 0


class Credentials:
    """The signing key of issued tokens, the secret of the identity endpoint, and the tokens verified so far."""

    def __init__(self, seed: int) -> None:
        self.key = f"simulator {seed}".encode()
        self.identity_header = principal_named(f"identity header {seed}").object_id
        self.known: dict[str, Token] = {}


class Records:
    """What tests and checkers can ask for afterwards: the last requests, and every state of every NIC."""

    def __init__(self, history_max: int) -> None:
        self.history: deque[Exchange] = deque(maxlen=history_max)
        self.states: list[NicState] = []


class State:
    """All data of one simulated cloud, in memory. The same seed and the same requests give the same answers.

    now: seconds since 1970; tokens and Date headers show it too. switches: may be replaced at any time.
    """

    def __init__(self, world: World, *, seed: int = 0, now: Callable[[], float], switches: Switches | None = None) -> None:
        self.world = world
        self.switches = switches or Switches()
        self.clock = EventClock(now)
        self.ids = Ids(seed)
        self.latency_rng = random.Random(seed * 3 + 2)
        self.faults = Faults(random.Random(seed * 3 + 3))
        self.credentials = Credentials(seed)
        self.resources = Resources(world.subscriptions)
        self.limits = Limits()
        self.ledger = Ledger(lambda: self.clock.at, self._address_changed)
        self.paths = Paths()
        self.records = Records(self.switches.history_max)

    def script(self, match: Match | None = None, *, fault: Fault, times: int = 1, skip: int = 0) -> Script:
        """Plan a fault for the next `times` requests that match, after letting `skip` of them pass."""
        planned = Script(match or Match(), fault, times, skip)
        self.faults.scripts.append(planned)
        return planned

    # Queries for tests and checkers. They cost no request and are not in the history.

    def nic_named(self, name: str) -> Nic:
        """The NIC of this name (the first, if several groups have one). Raises KeyError."""
        self.clock.settle()
        for nic in self.resources.nics.values():
            if nic.name.lower() == name.lower():
                return nic
        raise KeyError(name)

    def shown_on(self, address: str) -> list[str]:
        """Names of the NICs whose documents show the private address now."""
        self.clock.settle()
        return [n.name for n in self.resources.nics.values() if any(f.address == address for f in n.doc.facts)]

    def carrier(self, address: str, at: float | None = None) -> str:
        """The NIC that traffic to the private address reached at that time (default now), or ''. See switch data_path."""
        now = self.clock.settle()
        return self.paths.carrier(address, now if at is None else at)

    def record(self, nic: Nic, cause: str, who: str = "", operation_id: str = "") -> None:
        """Record the NIC's state after a change, and drop its rendered bodies."""
        nic.bodies.clear()
        state = NicState(self.clock.at, nic.name, nic.etag, nic.state, cause, who, operation_id, nic.doc.facts)
        self.records.states.append(state)

    def _address_changed(self, key: str) -> None:
        """A virtual network's etag changes when a NIC takes or leaves an address in it (recorded, dotnet-fluent-2019)."""
        vnet = self.resources.vnets.get(key.partition("|")[0])
        if vnet is not None:
            vnet.etag = self.ids.etag()
            if self.switches.subnet_etag == "of-vnet":
                for subnet in vnet.subnets.values():
                    subnet.etag = vnet.etag
