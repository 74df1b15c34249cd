"""The state of the simulated cloud, and its clock: what has ended is worked out from `now()`, never by timers.

cloud = Cloud(worlds.default(), seed=1, now=lambda: clock.t)
cloud.switches = replace(cloud.switches, latency="fixed:3")
cloud.script(Match(method="PUT", kind="nic"), fault=Ends(how="failed-kept"))
answer = handle(cloud, Request("GET", f"{NIC_ID}?api-version=2024-05-01", {"authorization": cloud.bearer()}))
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from typing import TYPE_CHECKING

from simulator import populate
from simulator.access import identity
from simulator.core.faults import Fault, Match, Script
from simulator.core.history import Exchange, NicState
from simulator.core.ids import Ids
from simulator.core.switches import Switches
from simulator.network import nics
from simulator.state.ledger import Ledger
from simulator.state.paths import Paths
from simulator.state.throttle import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.core.model import Nic, Operation, Plain, PublicIp, Vm, Vnet
    from simulator.core.wire import Json
    from simulator.state.world import World


class Group:
    """A resource group."""

    __slots__ = ("location", "name", "subscription", "tags")

    def __init__(self, subscription: str, name: str, location: str) -> None:
        self.subscription, self.name, self.location = subscription, name, location
        self.tags: Json = {}


class Cloud:
    """All state of one simulated cloud, in memory; the same seed and the same requests give the same answers.

    now: seconds, also the time that tokens and Date headers show. switches: may be replaced at any time.
    at: the time of the event being worked on (a request's arrival, or the end of an operation).
    """

    def __init__(self, world: World, *, seed: int = 0, now: Callable[[], float], switches: Switches | None = None) -> None:
        self.world, self.seed, self.now = world, seed, now
        self.switches = switches or Switches()
        self.at = now()
        self.ids = Ids(seed)
        self.latency_rng = random.Random(seed * 3 + 2)
        self.fault_rng = random.Random(seed * 3 + 3)
        self.token_key = f"simulator {seed}".encode()
        self.identity_header = identity.principal_named(f"identity header {seed}").object_id
        self.tokens: dict[str, identity.Token] = {}
        self.subscriptions = frozenset(s.lower() for s in world.subscriptions)
        self.subnet_configs: dict[str, tuple[int, list[Json]]] = {}
        self.groups: dict[tuple[str, str], Group] = {}
        self.nics: dict[str, Nic] = {}
        self.pips: dict[str, PublicIp] = {}
        self.vnets: dict[str, Vnet] = {}
        self.vms: dict[str, Vm] = {}
        self.plain: dict[str, Plain] = {}
        self.operations: dict[str, Operation] = {}
        self.members: dict[str, str] = {m.name: m.mode for m in world.members}
        self.limits = Limits()
        self.ledger = Ledger(lambda: self.at, self._address_changed)
        self.paths = Paths()
        self.scripts: list[Script] = []
        self.strangers_seen = 0
        self.public_numbers = itertools.count(1)
        self.history: deque[Exchange] = deque(maxlen=self.switches.history_max)
        self.states: list[NicState] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._bearer: tuple[str, float] = ("", 0.0)
        populate.populate(self)

    # The clock

    def later(self, at: float, event: Callable[[], None]) -> None:
        """Let the event happen when the clock has passed `at`; the next request or look notices."""
        heapq.heappush(self._events, (at, next(self._order), event))

    def settle(self) -> float:
        """Let everything happen that is due, in order; returns the time now."""
        now = self.now()
        while self._events and self._events[0][0] <= now:
            at, _, event = heapq.heappop(self._events)
            self.at = max(at, self.at)
            event()
        self.at = max(now, self.at)
        return self.at

    def next_event_at(self) -> float | None:
        """When the next thing ends by itself, for a virtual clock that wants to jump; None if nothing is under way."""
        return self._events[0][0] if self._events else None

    # Faults

    def script(self, match: Match | None = None, *, fault: Fault, times: int = 1, skip: int = 0) -> Script:
        """Plan a fault for the next `times` requests that fit, after letting `skip` of them pass."""
        planned = Script(match or Match(), fault, times, skip)
        self.scripts.append(planned)
        return planned

    # Looking in from outside, for tests and checkers: costs no request and is not in the history

    def bearer(self, principal: str = identity.SYSTEM_ASSIGNED) -> str:
        """The value of an Authorization header for this principal, good for a day."""
        if principal != identity.SYSTEM_ASSIGNED:
            return "Bearer " + identity.issue(self, principal, "https://management.azure.com/", 86399)[0]
        if self._bearer[1] <= self.now():
            text, claims = identity.issue(self, principal, "https://management.azure.com/", 86399)
            self._bearer = f"Bearer {text}", claims["exp"] - 3600.0
        return self._bearer[0]

    def nic_named(self, name: str) -> Nic:
        """The NIC of this name (the first, if several groups have one). Raises KeyError."""
        self.settle()
        for nic in self.nics.values():
            if nic.name.lower() == name.lower():
                return nic
        raise KeyError(name)

    def shown_on(self, address: str) -> list[str]:
        """Names of the NICs whose documents show the private address now."""
        self.settle()
        return [n.name for n in self.nics.values() if any(f.address == address for f in n.doc.facts)]

    def carrier(self, address: str, at: float | None = None) -> str:
        """The NIC that traffic to the private address reached at that time (default now), or ''. See switch data_path."""
        now = self.settle()
        return self.paths.carrier(address, now if at is None else at)

    def stranger(self, nic: Nic, what: str, *, address: str = "", who: str = "stranger") -> None:
        """Let somebody else write to the NIC behind the caller's back; see switches.STRANGERS."""
        self.settle()
        nics.stranger_writes(self, nic, what, address=address, who=who)

    def _address_changed(self, key: str) -> None:
        """A virtual network's etag changes when a NIC takes or leaves an address in it (recorded, dotnet-fluent-2019)."""
        vnet = self.vnets.get(key.partition("|")[0])
        if vnet is not None:
            vnet.etag = self.ids.etag()
            for subnet in vnet.subnets.values():
                subnet.etag = vnet.etag

    def record(self, nic: Nic, cause: str, who: str = "", operation_id: str = "") -> None:
        """Remember the NIC's state after a change, and forget its rendered bodies."""
        nic.bodies.clear()
        self.states.append(NicState(self.at, nic.name, nic.etag, nic.state, cause, who, operation_id, nic.doc.facts))
