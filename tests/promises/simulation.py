"""Seeded simulation: everything at once on one virtual clock, then a quiet period, then the checker.

One seed draws a world, its weather and its actors: instances with skewed and stepping clocks that die, restart and pause; agents
of several members; operators; strangers at the NICs; throttling, lost, late and doubled requests, writes that land minutes after
their driver died, operations that hang or fail, a table that is away. The same seed does the same again.

    python -m tests.promises.simulation --seeds 1000 [--from 1]
"""

import argparse
import asyncio
import copy
import gc
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from simulator.core.faults import Answer, Ends, Fault, Hangs, Lands, Lost, Match, Status, Twice
from simulator.core.switches import Denial, Switches
from tests.promises import worlds
from tests.promises.checker import check
from tests.promises.crashes import SUPERSEDED, quiet
from tests.promises.harness import Fate, Harness, LandsLate, Node, nic_name, parsed
from tests.promises.loop import run
from vipcore.errors import CommitUnknown, Refusal, Unreachable
from vipcore.model import Outcome, Page

SKEW_S = 2.4
"""How far wall clocks that are called right are off. Others are off by hours: the table's time decides."""

WRONG_S = 9000.0
QUIET_S = 1500.0
PLATFORM = 0.03
"""How often the platform answers an agent in place of the app: a cold host, an access restriction."""

EVENTS = ("watch", "startup", "manual")
BLIND = ("Microsoft.Authorization/permissions/read", "Microsoft.Network/virtualNetworks/subnets/read")
INCOMPLETE = (
    b'{"etag": "e", "properties": {"ipConfigurations": [], "provisioningState": "Succeeded"}}',
    b'{"etag": "e", "properties": {"ipConfigurations": [{"name": "ipconfig1", "properties": {"primary": true}}]}}',
)
TAKEN_BY_NOBODY = Status(
    status=400, body=b'{"error": {"code": "PrivateIPAddressInUse", "message": "The address is in use.", "details": []}}'
)
EDITS = ("bumps-etag", "changes-tag", "adds-config", "drops-config")


@dataclass(slots=True)
class Weather:
    """Chances per effect, drawn per seed: most seeds have a few kinds of trouble, few have all."""

    kill: float
    pause: float
    lose: float
    away: float

    @classmethod
    def draw(cls, rng: random.Random) -> "Weather":
        def chance(most: float) -> float:
            return rng.random() * most if rng.random() < 0.5 else 0.0

        return cls(kill=chance(0.02), pause=chance(0.015), lose=chance(0.04), away=chance(0.008))


class Chaos(Fate):
    """Lets each effect meet the weather, until the calm."""

    def __init__(self, weather: Weather, rng: random.Random, losing: random.Random) -> None:
        self.weather, self.rng, self.losing, self.calm = weather, rng, losing, False

    async def _strike(self, node: Node) -> None:
        roll, weather = self.rng.random(), self.weather
        if roll < weather.kill:
            node.kill()
        elif roll < weather.kill + weather.pause:
            node.pause(self.rng.choice((2.0, 10.0, 30.0, 60.0, 120.0)) * self.rng.random())

    async def before(self, node: Node, label: str) -> None:
        if self.calm:
            return
        await self._strike(node)
        if label.startswith("table") and self.rng.random() < self.weather.away:
            node.harness.table_away_until = node.harness.loop.time() + self.rng.uniform(1.0, 30.0)
        if label == "table commit" and self.losing.random() < self.weather.lose:
            raise (
                CommitUnknown("lost on its way there")
                if self.losing.random() < 0.5
                else LandsLate(3.0 * self.losing.random() ** 4)
            )

    async def between(self, node: Node, label: str) -> None:
        if self.calm:
            return
        await self._strike(node)
        if label.startswith("table") and self.rng.random() < self.weather.lose:
            raise CommitUnknown("lost") if label == "table commit" else Unreachable("lost")

    async def after(self, node: Node, label: str) -> None:
        if not self.calm:
            await self._strike(node)


class Site:
    """One active mirror of a seed: who its members are and which of them IRIS made primary last."""

    def __init__(self, mirror: str, members: Sequence[str], primary: str, *, paged: bool) -> None:
        self.mirror, self.members, self.primary, self.paged = mirror, members, primary, paged


class Simulation:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        rng = self.rng
        self.members = 3 if rng.random() < 0.3 else 2
        vips = 2 if rng.random() < 0.2 else 1
        public, paged = rng.random() < 0.25, rng.random() < 0.25
        holder = rng.randrange(self.members) if rng.random() < 0.85 else None
        self.extra = random.Random(f"{seed}/extra")
        self.side = "" if self.extra.random() < 0.55 else self.extra.choice(("shared", "own"))
        names = worlds.MEMBERS[: self.members]
        self.sites = [Site("PROD", names, names[holder or 0], paged=paged)]
        if self.side:
            self.sites.append(Site(worlds.SIDE, ("SIDEA", "SIDEB"), "SIDEB", paged=False))
        self.calm = Switches(
            latency=rng.choice(("fixed:0.6", "fixed:1.2", "fixed:2.5", "fixed:5", "2022")),
            released_at="acceptance" if rng.random() < 0.3 else "operation-end",
            second_put=rng.choice(("supersede", "supersede", "locked", "conflict")),
            if_match="ignored" if rng.random() < 0.05 else "honoured",
            move_ip_configurations=rng.choice(("feature-missing", "feature-missing", "private", "all", "slow", "half-way")),
            denied=(Denial(action=self.extra.choice(BLIND)),) if self.extra.random() < 0.1 else (),
            unchanged_put="rewritten" if seed % 3 == 0 else "kept",
        )
        crowd = self.crowd = 200 if rng.random() < 0.05 else 0  # it takes eight times as long as a seed without
        document = worlds.document(
            self.members,
            vips,
            crowd=crowd,
            side=self.side,
            public=public,
            pages=paged,
            strategy=rng.choice(("auto", "auto", "put", "atomic")),
            hold_s=rng.choice((0, 5, 30)),
            follow_primary=paged and self.extra.random() < 0.4,
        )
        self.hidden = random.Random(f"{seed}/hidden")
        self.own_pips = self.hidden.random() < 0.08
        split = vips == 2 and rng.random() < 0.2
        world = worlds.world(
            self.members, vips, public=public, holder=holder, split=split, side=self.side, own_pips=self.own_pips
        )
        self.chaos = Chaos(Weather.draw(rng), random.Random(seed * 7 + 1), random.Random(seed * 7 + 2))
        config = replace(_parsed_of(document), max_changes=rng.choice((3, 6, 100, 100)))
        self.harness = Harness(world=world, document=document, seed=seed, switches=self._rough(), fate=self.chaos, config=config)
        self.changed = self._changed(document) if seed % 4 == 1 else None
        if seed % 3 == 1 and holder is not None:
            self.harness.carry(nic_name(self.nic_of(names[holder])), futureSetting={"kept": [seed]})
        self.trap = self._trap(holder) if rng.random() < 0.08 or self.own_pips else None
        self.last_until = 40.0 + 80.0 * rng.random()
        self.made = 0
        self.keyed = False
        self.nodes: list[Node] = []
        self.agents: list[asyncio.Task[Any]] = []
        self.doubles: list[asyncio.Task[None]] = []

    def _changed(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document of the next deployment: PROD's first VIP has another name, address or public IP."""
        changed = copy.deepcopy(document)
        vip = changed["mirrors"]["PROD"]["vips"][0]
        match self.extra.randrange(3):
            case 0:
                vip["name"] = "renamed"
            case 1:
                vip["private_ip"] = "10.0.0.251"
            case _ if vip.pop("public_ip", None) is None:
                vip["name"] = "renamed"
        return changed

    # -- weather ---------------------------------------------------------------------------------------------------------

    def _rough(self) -> Switches:
        rng = self.rng

        def rate(most: float) -> float:
            return rng.random() * most if rng.random() < 0.3 else 0.0

        return replace(
            self.calm,
            lost_before_rate=rate(0.05),
            lost_after_rate=rate(0.05),
            error_500_rate=rate(0.05),
            late_rate=rate(0.04),
            late_s=rng.choice((3.0, 12.0, 30.0)),
            operation_end=rng.choice(("succeeded", "failed-kept", "failed-rolled-back", "canceled")),
            operation_end_rate=rate(0.3),
            put_call_s=(0.0, 6.0) if rng.random() < 0.15 else (0.0, 0.0),
            busy_after_completion_s=rng.choice((0.0, 0.0, 0.0, 3.0)),
        )

    def nic_of(self, member: str) -> str:
        """The name of a member's NIC."""
        assert self.harness.config is not None
        members = (m for mirror in self.harness.config.mirrors.values() for m in mirror.members)
        return next(nic_name(m.nic_id) for m in members if m.name == member)

    def _trap(self, holder: int | None) -> str | None:
        """A member whose NIC we may not write until the quiet period: whoever looks first knows that the VIP cannot go there.

        Where NICs have public IPs of their own, it is that one which we may not refer to.
        """
        names = self.sites[0].members
        name = self.rng.choice([name for index, name in enumerate(names) if index != holder])
        network, action = f"/subscriptions/{worlds.SUB}/resourceGroups/rg/providers/Microsoft.Network", "networkInterfaces/write"
        scope = f"{network}/networkInterfaces/{self.nic_of(name)}"
        if self.own_pips:
            action, scope = "publicIPAddresses/join/action", f"{network}/publicIPAddresses/own{names.index(name)}"
        denial = Denial(action=f"Microsoft.Network/{action}", scope=scope)
        self.harness.cloud.switches = replace(self.harness.cloud.switches, denied=(denial, *self.calm.denied))
        for site in self.sites:  # a NIC that is shared is another member's too
            twins = (member for member in site.members if self.nic_of(member) == self.nic_of(name))
            self.harness.journal.traps.update(dict.fromkeys(twins, float("inf")))
        return name

    def _fault(self) -> Fault:
        rng = self.rng
        return rng.choice(
            (
                Lands(after_s=rng.uniform(1.0, 300.0)),
                Lands(after_s=rng.uniform(40.0, 120.0)),
                Lost(when="after"),
                Lost(when="before", after_s=30.0),
                Status(status=500, when="after"),
                Twice(after_s=rng.uniform(0.5, 90.0)),
                Ends(how="failed-kept"),
                Ends(how="failed-rolled-back"),
                Ends(how="canceled"),
                Ends(how="gone"),
                Hangs(for_s=rng.uniform(5.0, 100.0)),
                Answer(name="SubscriptionRequestsThrottled", retry_after=rng.randrange(1, 20)),
                Answer(name="RetryableError.RetryableErrorDueToAnotherOperation"),
                Answer(name="AnotherOperationInProgress"),
            )
        )

    # -- actors ----------------------------------------------------------------------------------------------------------

    def new_node(self) -> Node:
        self.made += 1
        node = self.harness.node(f"n{self.made}", skew_s=self.skew())
        if self.keyed:
            self.harness.introduce_key(node)
        self.nodes.append(node)
        return node

    async def asked(self, node: Node, work: Callable[[], Awaitable[Any]], within_s: float) -> Any:
        """What a client sees of a request: an outcome, a refusal, or None where the connection broke or the time was up."""
        task = asyncio.ensure_future(_quietly(work()))
        dying = asyncio.ensure_future(node.died.wait())
        await asyncio.wait([task, dying], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        return task.result() if task.done() else None

    async def agent(self, site: Site, member: str, event: str, claim_id: str, *, stubborn: bool) -> None:
        """A member's agent: claims until the VIP is there, superseded, or (unless stubborn) no longer primary."""
        rng = random.Random(f"{self.seed}/{claim_id}")
        loop, began, wait = self.harness.loop, self.harness.loop.time(), 0.5
        while stubborn or site.primary == member:
            node = rng.choice(self.nodes)
            if not node.dead and rng.random() > PLATFORM:
                age = loop.time() - began
                issued_at = self.harness.now()

                def claim(node: Node = node, age: float = age, issued_at: Any = issued_at) -> Awaitable[Outcome]:
                    return node.claim(member, mirror=site.mirror, claim_id=claim_id, age_s=age, event=event, issued_at=issued_at)

                if rng.random() < 0.05:
                    self.doubled(partial(claim, rng.choice(self.nodes)))
                answer = await self.asked(node, claim, rng.choice((230.0, 230.0, 20.0)))
                if isinstance(answer, Outcome) or (isinstance(answer, Refusal) and answer.code in SUPERSEDED):
                    return
            wait = min(wait * 2, 8.0)
            await asyncio.sleep(wait * (0.5 + rng.random()))

    def doubled(self, claim: Callable[[], Awaitable[Outcome]]) -> None:
        """The network delivers the same signed request a second time, to any instance."""

        async def again() -> None:
            await asyncio.sleep(2.0 * self.rng.random() ** 4)  # often at the very same time
            await _quietly(claim())

        self.doubles.append(asyncio.ensure_future(again()))

    def show_primary(self, site: Site) -> None:
        """The status pages say who is primary."""
        if site.paged:
            shown = {name: Page.PRIMARY if name == site.primary else Page.NOT_PRIMARY for name in site.members}
            self.harness.pages.update(shown)

    async def failover(self, at: float, site: Site, member: str, number: int) -> None:
        await asyncio.sleep(at)
        site.primary = member
        self.show_primary(site)
        if site.paged and self.rng.random() < 0.3:
            self.harness.pages[self.rng.choice(site.members)] = Page.UNKNOWN
        event = "NotifyBecomePrimary" if self.rng.random() < 0.7 else "CheckBecomePrimaryOK"
        stubborn = self.rng.random() < 0.4
        if (
            site.paged and self.extra.random() < 0.3
        ):  # no hold of these ends: an agent whose node is not primary would wait for ever
            event, stubborn = self.extra.choice(EVENTS), False
        self.agents.append(asyncio.ensure_future(self.agent(site, member, event, f"claim-{number}", stubborn=stubborn)))

    async def operator(self, at: float) -> None:
        await asyncio.sleep(at)
        site = self.rng.choice(self.sites)
        to, force = self.rng.choice(site.members), self.rng.random() < 0.3
        for _ in range(self.rng.randrange(1, 4)):
            node = self.rng.choice(self.nodes)
            if not node.dead:
                answer = await self.asked(node, partial(node.move, to, mirror=site.mirror, force=force), 230.0)
                if isinstance(answer, Outcome):
                    return
            await asyncio.sleep(5.0)

    async def freezer(self, at: float) -> None:
        await asyncio.sleep(at)
        node, mirror = self.rng.choice(self.nodes), self.rng.choice(self.sites).mirror
        for_s = self.rng.uniform(5.0, 60.0) if self.rng.random() < 0.5 else None
        await self.asked(node, lambda: node.freeze(mirror, for_s=for_s), 60.0)
        await asyncio.sleep(self.rng.uniform(1.0, 50.0))
        node = self.rng.choice(self.nodes)
        if self.rng.random() < 0.7:
            await self.asked(node, partial(node.unfreeze, mirror), 60.0)

    def any_nic(self) -> str:
        """The name of some member's NIC."""
        return self.nic_of(self.rng.choice(self.rng.choice(self.sites).members))

    async def stranger(self, at: float) -> None:
        await asyncio.sleep(at)
        nic = self.harness.cloud.nic_named(self.any_nic())
        self.harness.cloud.stranger(nic, self.rng.choice(EDITS))

    def skew(self) -> float:
        """How far a wall clock is off: in half of the seeds by hours now and then."""
        wrong = self.seed % 2 == 0 and self.rng.random() < 0.4
        return self.rng.uniform(-WRONG_S, WRONG_S) if wrong else self.rng.uniform(-SKEW_S, SKEW_S)

    async def hand(self, at: float) -> None:
        """Somebody moves a VIP with a script of their own."""
        await asyncio.sleep(at)
        site = self.rng.choice(self.sites)
        await self.harness.by_hand(site.mirror, self.rng.choice(site.members))

    async def damage(self, at: float, rng: random.Random) -> None:
        """A head is removed, or an older copy of it restored."""
        await asyncio.sleep(at)
        mirror = rng.choice(self.sites).mirror
        copy = self.harness.copy(mirror) if rng.random() < 0.5 else None
        await asyncio.sleep(60.0 * rng.random() ** 2)
        self.harness.damage(mirror, copy)

    async def audit_key(self, at: float, rng: random.Random) -> None:
        """VIP_AUDIT_KEY is set: one instance starts with it, the others run on without it until they are replaced."""
        await asyncio.sleep(at)
        self.keyed = True
        self.harness.introduce_key(rng.choice(self.nodes))

    async def no_identity(self, at: float) -> None:
        """The managed identity gives no token for a while."""
        await asyncio.sleep(at)
        self.harness.no_token_until = self.harness.loop.time() + self.rng.uniform(1.0, 40.0)

    async def monitor(self, at: float) -> None:
        """A monitor that asks for the status of every mirror again and again."""
        await asyncio.sleep(at)
        while True:
            for site in self.sites:
                node = self.rng.choice(self.nodes)
                await self.asked(node, partial(node.look, site.mirror), 30.0)
            await asyncio.sleep(5.0)

    async def clocks(self) -> None:
        """Wall clocks step."""
        while True:
            await asyncio.sleep(self.rng.uniform(3.0, 40.0))
            self.rng.choice(self.nodes).skew_s = self.skew()

    async def deployment(self, at: float) -> None:
        """A new document: instances that start serve it, and the old ones go on with theirs for a while."""
        await asyncio.sleep(at)
        if self.changed is not None:
            self.harness.deploy(self.changed)
            for _ in range(self.extra.randrange(3)):
                self.new_node()
            await asyncio.sleep(self.extra.uniform(1.0, 120.0))
            self.end_deployment()

    def end_deployment(self) -> None:
        """Old instances end, and new ones take their place."""
        for node in self.nodes:
            if node.controller.config is not self.harness.config:
                node.kill()

    async def restarts(self) -> None:
        """The platform replaces what died."""
        while True:
            await asyncio.sleep(self.rng.uniform(1.0, 10.0))
            for node in self.nodes:
                if node.dead:
                    self.nodes.remove(node)
                    self.new_node()
                    break

    async def timer(self) -> None:
        """Every 30 s on some instance, never two passes at once."""
        while True:
            await asyncio.sleep(30.0)
            node = self.rng.choice(self.nodes)
            if not node.dead:
                await self.asked(node, node.tick, 300.0)

    async def unreadable(self, at: float) -> None:
        """A NIC that cannot be read for a while."""
        await asyncio.sleep(at)
        faults = (Status(status=500), Answer(name="AuthorizationFailed"), Lost(when="before"))
        match = Match(method="GET", kind="nic", name=self.any_nic())
        self.harness.cloud.script(match, fault=self.rng.choice(faults), times=self.rng.randrange(3, 40))

    async def hides(self, at: float) -> None:
        """A NIC that Azure does not show as it is for a while, or an address that is taken, it says, by nobody."""
        await asyncio.sleep(at)
        rng = self.hidden
        nic = self.nic_of(rng.choice(rng.choice(self.sites).members))
        if rng.random() < 0.3:
            self.harness.cloud.script(Match(method="PUT", kind="nic", name=nic), fault=TAKEN_BY_NOBODY, times=rng.randrange(1, 6))
            return
        faults: list[Fault] = [Answer(name="ResourceNotFound"), *(Status(status=200, body=body) for body in INCOMPLETE)]
        self.harness.cloud.script(Match(method="GET", kind="nic", name=nic), fault=rng.choice(faults), times=rng.randrange(1, 40))

    async def trouble(self, at: float) -> None:
        """A planned fault for some of the next writes."""
        await asyncio.sleep(at)
        method = "POST" if self.rng.random() < 0.1 else "PUT"
        fault = self._fault()
        while method == "POST" and isinstance(fault, Twice):
            # A move in one call has no etag: one that the network delivers again after a later move back is a move by hand to us.
            fault = self._fault()
        self.harness.cloud.script(Match(method=method), fault=fault, skip=self.rng.randrange(2))

    async def lifts(self) -> None:
        """After the troubles an operator lifts every freeze, also one that a paused instance sets when it wakes."""
        keeper = self.new_node()
        while True:
            for site in self.sites:
                await self.asked(keeper, partial(keeper.unfreeze, site.mirror), 60.0)
            await asyncio.sleep(20.0)

    # -- the play ----------------------------------------------------------------------------------------------------------

    async def play(self) -> list[str]:
        """Run the seed to its end. Returns what was violated."""
        rng, until = self.rng, self.last_until
        for _ in range(rng.randrange(1, 4)):
            self.new_node()
        actors = [
            asyncio.ensure_future(self.clocks()),
            asyncio.ensure_future(self.restarts()),
            asyncio.ensure_future(self.timer()),
        ]
        if self.changed is not None:
            actors.append(asyncio.ensure_future(self.deployment(self.extra.uniform(5.0, until))))
        burst = rng.random() * until
        for number in range(rng.randrange(1, 5) * len(self.sites)):
            at = burst + rng.random() * 6.0 if rng.random() < 0.4 else rng.random() * until
            site = rng.choice(self.sites)
            actors.append(asyncio.ensure_future(self.failover(at, site, rng.choice(site.members), number)))
        for actor, most in (
            (self.operator, 3),
            (self.freezer, 2),
            (self.stranger, 3),
            (self.trouble, 5),
            (self.unreadable, 3),
            (self.hand, 2),
            (self.no_identity, 2),
            (self.monitor, 2),
        ):
            actors += [
                asyncio.ensure_future(actor(rng.random() * until))
                for _ in range(rng.randrange(most) if rng.random() < 0.6 else 0)
            ]
        if self.hidden.random() < 0.3:
            actors += [
                asyncio.ensure_future(self.hides(self.hidden.random() * until)) for _ in range(self.hidden.randrange(1, 4))
            ]
        state = random.Random(f"{self.seed}/state")
        for event, share in ((self.damage, 0.15), (self.damage, 0.15), (self.audit_key, 0.1)):
            if state.random() < share:
                actors.append(asyncio.ensure_future(event(state.random() * until, state)))
        await asyncio.sleep(until)
        for task in actors:
            task.cancel()
        return await self.settle()

    async def settle(self) -> list[str]:
        """The quiet period: everything works again, agents go on, the timer ticks."""
        self.chaos.calm = True
        if self.keyed:
            self.harness.introduce_key(*self.harness.nodes)
        self.harness.cloud.switches = self.calm
        self.harness.journal.traps = {name: self.harness.loop.time() for name in self.harness.journal.traps}
        self.harness.cloud.scripts.clear()
        self.harness.table_away_until = self.harness.no_token_until = 0.0
        for site in self.sites:
            self.show_primary(site)
        self.end_deployment()
        for node in [node for node in self.nodes if node.dead]:
            self.nodes.remove(node)
            self.new_node()
        keeping = [asyncio.ensure_future(self.timer()), asyncio.ensure_future(self.lifts())]
        found: list[str] = []
        if self.agents:
            _, waiting = await asyncio.wait(self.agents, timeout=QUIET_S)
            if waiting:
                found.append(f"I1 {len(waiting)} agents still wait {QUIET_S:g} s after all troubles ended")
        await asyncio.sleep(max(60.0, *(node.paused_until - self.harness.loop.time() + 40.0 for node in self.nodes)))
        for task in keeping:
            task.cancel()
        sweeper = self.new_node()
        for _ in range(20 if self.crowd else 0):  # the sweep comes by within ten minutes, however short instances live
            sweeper = self.new_node()
            await sweeper.tick()
            await asyncio.sleep(30.0)
        await quiet(self.harness, sweeper)
        return found + check(self.harness, etags=self.calm.if_match == "honoured")


async def _quietly(work: Awaitable[Any]) -> Any:
    """What a request answers: an outcome or a refusal; the journal has anything else."""
    try:
        return await work
    except Refusal as refusal:
        return refusal
    except Exception as exc:  # the checker reports it from the journal
        return exc


def _parsed_of(document: dict[str, Any]) -> Any:
    import json

    return parsed(json.dumps(document))


async def _seed(seed: int) -> tuple[list[str], Simulation]:
    simulation = Simulation(seed)
    return await simulation.play(), simulation


def run_seed(seed: int) -> tuple[list[str], Simulation]:
    """Run one seed. Returns what it violated and the simulation, for a look."""
    return run(_seed(seed))


def main(arguments: list[str]) -> int:
    """Run seeds and print how many a minute; the exit code says whether a promise was broken."""
    parser = argparse.ArgumentParser(description="Run seeded simulations of the controller.")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--go-on", action="store_true", help="go on after a violation")
    chosen = parser.parse_args(arguments)
    started = reported = time.monotonic()
    failed = 0
    gc.disable()  # a seed's garbage is all cycles; one collection for many seeds costs less
    for number, seed in enumerate(range(chosen.first, chosen.first + chosen.seeds), 1):
        if number % 50 == 0:
            gc.collect()
        violations, _ = run_seed(seed)
        if violations:
            failed += 1
            print(f"seed {seed}: {len(violations)} violations", *violations[:4], sep="\n    ", flush=True)
            if not chosen.go_on:
                return 1
        now = time.monotonic()
        if now - reported >= 30 or number == chosen.seeds:
            reported = now
            print(f"{number} seeds, {failed} violated, {number / (now - started) * 60:.0f} seeds/minute", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
