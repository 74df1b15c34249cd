"""The crash sweep: stop a driver at every effect, at each point of it, go on in each way, and judge the end.

Points of an effect: before it is sent; after it took effect, before the reply; after the reply; and for NIC writes "late": the
request is on its way when the driver dies and lands after its successor has begun.
Ways to go on: the agent's retry on another instance, another member's claim or an operator's move, the timer alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from simulator.core.faults import Lands, Match
from simulator.core.switches import Switches
from simulator.state.world import World
from tests.promises import worlds
from tests.promises.checker import check
from tests.promises.harness import START, Fate, Harness, Node
from tests.promises.loop import run
from vipcore.errors import Refusal

POINTS = ("before", "between", "after", "late")
WAYS = ("retry", "other", "timer")
ASKED_S, TIMER_ALONE_S = 15.0, 45.0
"""Within how many seconds of a driver's death somebody else drives: where anybody asks, and by the timer alone (I1)."""

TIMER_S = 30.0
SUPERSEDED = ("claim-superseded", "move-superseded")
LATE_S = 15.0
"""After the lease of the dead driver has run out and its successor is at work."""

Act = Callable[[Harness, Node], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`prepare` runs undisturbed; `act` is what the victim does; `other` is whom the second claim is for."""

    name: str
    act: Act
    world: World = field(default_factory=worlds.world)
    document: dict[str, Any] = field(default_factory=worlds.document)
    switches: Switches = field(default_factory=lambda: Switches(latency="fixed:1.5"))
    prepare: Act | None = None
    member: str = "MIRRORB"
    other: str = "MIRRORA"
    again: Act | None = None
    """What an operator repeats when the answer did not come."""
    retries: bool = True
    """Whether there is an agent that tries again; a timer's own work has none."""


class KillAt(Fate):
    """Kills the victim at its effect number `at`."""

    def __init__(self, at: int, point: str) -> None:
        self.at, self.point = at, point
        self.armed = False
        self.count = -1
        self.labels: list[str] = []

    async def before(self, node: Node, label: str) -> None:
        if not self.armed or node.name != "victim":
            return
        self.count += 1
        self.labels.append(label)
        if self.count != self.at:
            return
        if self.point == "before":
            node.kill()
        elif self.point == "late":
            node.harness.cloud.script(Match(method=label.split()[1]), fault=Lands(after_s=LATE_S))
            node.harness.loop.call_later(0.025, node.kill)

    async def between(self, node: Node, label: str) -> None:
        if self.armed and self.point == "between" and node.name == "victim" and self.count == self.at:
            node.kill()

    async def after(self, node: Node, label: str) -> None:
        if self.armed and self.point == "after" and node.name == "victim" and self.count == self.at:
            node.kill()


async def claim_until(
    node: Node, member: str, *, began_ago: float = 0.0, claim_id: str = "c", event: str = "NotifyBecomePrimary"
) -> str:
    """What the agent does: claim until the VIP is there or the claim is superseded. Returns the outcome or the last code."""
    loop = node.harness.loop
    began = loop.time() - began_ago
    wait = 0.5
    while True:
        try:
            outcome = await node.claim(member, claim_id=claim_id, age_s=loop.time() - began, event=event)
            return outcome.outcome
        except Refusal as refusal:
            if refusal.code in SUPERSEDED:
                return refusal.code
        wait = min(wait * 2, 8.0)
        await asyncio.sleep(wait)


async def move_until(node: Node, to: str) -> str:
    """An operator who repeats a move that failed."""
    code = ""
    for _ in range(60):
        try:
            return (await node.move(to)).outcome
        except Refusal as refusal:
            code = refusal.code
            if code in SUPERSEDED:
                break
        await asyncio.sleep(5.0)
    return code


async def quiet(harness: Harness, node: Node, *, within_s: float = 5000.0) -> None:
    """The timer alone, every 30 s while there is work, until nothing is left to do, to watch or to judge again for an hour."""
    end = harness.loop.time() + within_s
    while harness.loop.time() < end:
        await node.tick()
        harness.cloud.settle()
        if not harness.ledger.worklist and harness.cloud.next_event_at() is None:
            return
        heads = [await harness.ledger.load_head(mirror) for mirror in harness.ledger.worklist]
        now = START + timedelta(seconds=harness.loop.time())
        watched = max((head.late_writes.until for head in heads), default=now)
        if harness.cloud.next_event_at() is not None or any(head.swap or head.lease or head.frozen for head in heads):
            await asyncio.sleep(30.0)
        elif any(head.recorded_claim for head in heads):
            await asyncio.sleep(300.0)
        else:
            await asyncio.sleep(max(120.0, (watched - now).total_seconds() + 6.0))  # only hints grow old


async def _go_on(harness: Harness, scenario: Scenario, way: str, began: float) -> None:
    if scenario.again:
        await scenario.again(harness, harness.node("again"))
    if way == "retry" and scenario.retries:
        await asyncio.sleep(1.0)
        ago = harness.loop.time() - began
        await claim_until(harness.node("retry"), scenario.member, began_ago=ago)
    elif way == "other":
        await asyncio.sleep(0.3)
        await move_until(harness.node("other"), scenario.other)
    elif way == "timer":
        await asyncio.sleep(TIMER_S * (harness.loop.time() % 1.0))  # its next pass comes at any time
    await quiet(harness, harness.node("timer"))


async def _schedule(scenario: Scenario, at: int, point: str, way: str) -> tuple[list[str], list[str], Harness]:
    """One schedule. Returns (labels of the victim's effects, violations, harness)."""
    fate = KillAt(at, point)
    harness = Harness(world=scenario.world, document=scenario.document, switches=scenario.switches, fate=fate)
    if scenario.prepare:
        await scenario.prepare(harness, harness.node("prepare"))
    victim = harness.node("victim")
    began, fate.armed = harness.loop.time(), True
    acting = asyncio.create_task(_acted(scenario, harness, victim))
    dying = asyncio.create_task(victim.died.wait())
    await asyncio.wait([acting, dying], return_when=asyncio.FIRST_COMPLETED)
    dying.cancel()
    try:
        await asyncio.wait_for(_go_on(harness, scenario, way, began), 8000.0)
    except TimeoutError:
        return fate.labels, ["I1 nobody came to an end within 8000 s", *check(harness)], harness
    asked = way == "other" or (way == "retry" and scenario.retries)
    return fate.labels, [*_slow_takeovers(harness, victim, ASKED_S if asked else TIMER_ALONE_S), *check(harness)], harness


def _slow_takeovers(harness: Harness, victim: Node, within_s: float) -> Iterator[str]:
    """I1: who took over the lease that the victim left was at work in time."""
    for commit in harness.journal.commits:
        before, after = commit.before.lease, commit.after.lease
        if victim.dead and before and after and before.owner.startswith("victim/") and after.owner != before.owner:
            took_s = commit.at - victim.died_at
            if took_s > within_s:
                yield f"I1 {after.owner} took over {took_s:.1f} s after the driver's death"


async def _acted(scenario: Scenario, harness: Harness, victim: Node) -> None:
    try:
        await scenario.act(harness, victim)
    except Refusal:
        return


def schedule(scenario: Scenario, at: int, point: str, way: str) -> tuple[list[str], list[str], Harness]:
    """Run one schedule on a loop of its own."""
    return run(_schedule(scenario, at, point, way))


def sweep(scenario: Scenario, *, every: int = 1, ways: tuple[str, ...] = WAYS) -> Iterator[tuple[str, list[str]]]:
    """Every schedule (or one in `every`, another one for each scenario): its name and what it violated.

    Polls of one operation that follow each other differ in nothing but time; the first of each row is taken.
    """
    labels, violations, _ = schedule(scenario, -1, "none", "timer")
    yield f"{scenario.name} undisturbed", violations
    number = sum(map(ord, scenario.name))
    for at, label in enumerate(labels):
        if every > 1 and at and label == labels[at - 1] == "arm GET operations":
            continue
        for point in POINTS:
            if point == "late" and not label.startswith(("arm PUT", "arm POST")):
                continue
            for way in ways:
                number += 1
                if number % every == 0:
                    _, violations, _ = schedule(scenario, at, point, way)
                    yield f"{scenario.name} @{at} {label} {point} -> {way}", violations


# -- scenarios -------------------------------------------------------------------------------------------------------------


async def _claims(harness: Harness, node: Node) -> None:
    await node.claim("MIRRORB")


async def _moves(harness: Harness, node: Node) -> None:
    await node.move("MIRRORB")


async def _ticks(harness: Harness, node: Node) -> None:
    await quiet(harness, node)


async def _first_died(harness: Harness, node: Node) -> None:
    """A driver before the victim died while Azure worked on its detach."""
    first = harness.node("first")
    task = asyncio.create_task(first.claim("MIRRORB"))
    while not harness.journal.puts or harness.journal.puts[0].landed is None:
        await asyncio.sleep(0.05)
    first.kill()
    task.cancel()


async def _first_died_late(harness: Harness, node: Node) -> None:
    """The same, and its detach has not arrived in Azure yet."""
    harness.cloud.script(Match(method="PUT", kind="nic"), fault=Lands(after_s=57.0))
    first = harness.node("first")
    task = asyncio.create_task(first.claim("MIRRORB"))
    while not harness.journal.puts:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.025)
    first.kill()
    task.cancel()


async def _recorded_in_freeze(harness: Harness, node: Node) -> None:
    await node.freeze()
    try:
        await node.claim("MIRRORB")
    except Refusal:
        return


async def _thaws(harness: Harness, node: Node) -> None:
    await node.unfreeze()
    await node.tick()


async def _lifted(harness: Harness, node: Node) -> None:
    await node.unfreeze()


async def _second_claimant(harness: Harness, node: Node) -> None:
    """Both claim; the second comes to another instance while the first is under way."""
    second = harness.node("second")

    async def later() -> None:
        await asyncio.sleep(0.6)
        await claim_until(second, "MIRRORC", claim_id="second")

    task = asyncio.create_task(later())
    await _acted_quietly(node.claim("MIRRORB"))
    await task


async def _acted_quietly(work: Awaitable[Any]) -> None:
    try:
        await work
    except Refusal:
        return


async def _stranger_dropped(harness: Harness, node: Node) -> None:
    """The VIP was placed, and somebody removed it by hand."""
    await node.claim("MIRRORB")
    await quiet(harness, node)
    harness.cloud.stranger(harness.cloud.nic_named("nic-b"), "drops-config")


def _moves_as(how: str) -> Switches:
    return Switches(latency="fixed:1.5", move_ip_configurations=how)


def _three(**extra: Any) -> dict[str, Any]:
    return worlds.document(3, **extra)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("plain swap", _claims),
    Scenario("public IP", _claims, worlds.world(public=True), worlds.document(public=True)),
    Scenario("several VIPs", _claims, worlds.world(3, 3, public=True, split=True), _three(vips=3, public=True)),
    Scenario("VIP on nobody", _claims, worlds.world(holder=None)),
    Scenario("takeover", _claims, prepare=_first_died),
    Scenario("takeover with a late write", _claims, prepare=_first_died_late),
    Scenario("operator's move", _moves, retries=False),
    Scenario("unfreeze with a recorded claim", _thaws, prepare=_recorded_in_freeze, again=_lifted),
    Scenario("two claimants", _second_claimant, worlds.world(3), _three()),
    Scenario("drift repair", _ticks, prepare=_stranger_dropped, retries=False),
    Scenario("overlap, kept to the end", _claims, document=worlds.document(strategy="put")),
    Scenario(
        "overlap, freed at acceptance",
        _claims,
        document=worlds.document(strategy="put"),
        switches=Switches(latency="fixed:1.5", released_at="acceptance"),
    ),
    Scenario("one call", _claims, document=worlds.document(strategy="atomic"), switches=_moves_as("private")),
    Scenario("one call that ends half-way", _claims, document=worlds.document(strategy="atomic"), switches=_moves_as("half-way")),
    Scenario(
        "write refused while locked", _claims, switches=Switches(latency="fixed:1.5", second_put="locked"), prepare=_first_died
    ),
)
