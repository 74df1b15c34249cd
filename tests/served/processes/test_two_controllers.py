"""A second controller, as another region has one: two apps with an identity each, one table, and agents with two `url`s.

One story on a harness of its own. It waits for the lease of a killed driver, so it runs beside the other tests (conftest.py).
"""

import asyncio
import base64
import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from simulator import worlds
from simulator.worlds import FleetMirror
from tests.served.processes import harness, judge
from tests.served.processes.agents import SUPERSEDED, Agent, Ended
from tests.served.processes.harness import App, Harness

AUDIT_KEY: Final = base64.b64encode(bytes(range(32))).decode()
IDENTITIES: Final = {
    "first": "11111111-1111-4111-8111-111111111111",
    "second": "22222222-2222-4222-8222-222222222222",
}
LATENCY_S: Final = 1.0
CUT_OFF: Final = 2
SLOW_S: Final = 5.0
"""The operation that the first controller is killed in: however busy the machine is, its second write is not sent before."""
WITHIN_S: Final = 60.0
SECONDS: Final = 10.0
"""Of a swap without takeover: two operations of a second each, and room for a busy machine."""
TAKEOVER_S: Final = 20.0
"""At most 13 s (docs/adr/0013), and room for a busy machine."""


@dataclass(slots=True)
class Result:
    """What was seen: of each agent, by mirror and side, how it ended; what both apps said at the end; what is left."""

    faults: list[str] = field(default_factory=list)
    ended: dict[tuple[str, str], Ended] = field(default_factory=dict)
    verified: dict[str, list[Any]] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)
    found: judge.Found = field(default_factory=judge.Found)
    killed: float = 0.0
    mirrors: list[FleetMirror] = field(default_factory=list)

    def who_wrote(self, mirror: FleetMirror) -> list[str]:
        """Which controller's identity wrote the mirror's NICs, oldest first."""
        names = {client_id: name for name, client_id in IDENTITIES.items()}
        nics = {harness.nic(mirror, side) for side in "AB"}
        writes = [one for one in self.found.writes if one["resource"].rsplit("/", 1)[-1].lower() in nics]
        return [names.get(one["who"], one["who"]) for one in writes]


def run(folder: Path) -> Result:
    """Play it, and look at the end."""
    result = Result()
    settings = {"VIP_AUDIT_KEY": AUDIT_KEY}
    slow = {worlds.fleet_mirror(CUT_OFF).nic_a: f"fixed:{SLOW_S}"}
    switches = {"latency": f"fixed:{LATENCY_S}", "latency_of": slow}
    scale = harness.Scale(mirrors=4, seed=harness.seed(), switches=switches, settings=settings)
    with contextlib.ExitStack() as stack:
        stand = stack.enter_context(harness.standing(folder, scale))
        apps = [stand.app(f"app-{name}", AZURE_CLIENT_ID=client_id) for name, client_id in IDENTITIES.items()]
        for app in apps:
            stack.callback(app.close)
        asyncio.run(_play(stand, apps[0], apps[1], result))
        result.mirrors, result.found = stand.mirrors, judge.look(stand)
        for mirror in stand.mirrors:
            result.verified[mirror.name] = [_ask(app, f"mirrors/{mirror.name}/audit/verify") for app in apps]
            result.told[mirror.name] = [_ask(app, f"mirrors/{mirror.name}")["desired"] for app in apps]
        last = {name: str(told[0])[-1] for name, told in result.told.items()}
        result.faults += judge.judge(stand, result.found, last=last, kills=[result.killed])
    return result


async def _play(stand: Harness, first: App, second: App, result: Result) -> None:
    at_once, overtaken, cut_off, dead = stand.mirrors
    forth, back = f"{first.url} {second.url}", f"{second.url} {first.url}"

    async def claim(mirror: FleetMirror, side: str, urls: str) -> None:
        agent = await Agent.start(stand.agent(mirror, side, urls))
        result.ended[mirror.name, side] = await agent.end(WITHIN_S)

    async def overtake() -> None:
        claiming = asyncio.create_task(claim(overtaken, "B", forth))
        await _written(stand, overtaken, claiming)
        await claim(overtaken, "A", back)
        await claiming

    async def cut() -> None:
        claiming = asyncio.create_task(claim(cut_off, "B", forth))
        await _written(stand, cut_off, claiming)
        await asyncio.to_thread(first.kill)
        result.killed = first.kills[-1]
        await _all(claiming, claim(dead, "B", forth))

    await _all(asyncio.to_thread(first.start), asyncio.to_thread(second.start))
    await _all(claim(at_once, "B", forth), claim(at_once, "A", back), overtake())
    await cut()
    await asyncio.to_thread(first.start)


async def _all(*work: Coroutine[Any, Any, None] | asyncio.Task[None]) -> None:
    await asyncio.gather(*work)


async def _written(stand: Harness, mirror: FleetMirror, claiming: asyncio.Task[None]) -> None:
    """Return in the middle of the mirror's first swap: Azure has accepted one write, and is at work on it."""
    nics, until = {harness.nic(mirror, side) for side in "AB"}, time.monotonic() + WITHIN_S
    while time.monotonic() < until and not claiming.done():
        writes = await asyncio.to_thread(stand.nic_writes)
        if any(one["resource"].rsplit("/", 1)[-1].lower() in nics for one in writes):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{mirror.name}: the claim ended, or nothing was written")


def _ask(app: App, path: str) -> Any:
    request = urllib.request.Request(f"{app.url}/{path}", headers={"x-functions-key": harness.FUNCTIONS_KEY})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_both_controllers_tell_one_story(background: Callable[[str], Result]) -> None:
    """At the end both say the same of each mirror, and find its trail intact; no promise is broken. (I1, I2, I3, I8)"""
    result = background("two_controllers")

    assert result.faults == []
    for mirror in result.mirrors:
        first, second = result.verified[mirror.name]
        assert first["intact"] is True
        assert first == second
        assert first["keyed_from"] == 1
        assert len(set(result.told[mirror.name])) == 1


def test_members_claim_at_both_controllers_at_once(background: Callable[[str], Result]) -> None:
    """Each member asks another controller at the same time: one order of decisions, and the last one has the VIP. (I2)"""
    result = background("two_controllers")
    mirror = result.mirrors[0]
    holder = result.told[mirror.name][0]
    other = {harness.member(mirror, "A"): "B", harness.member(mirror, "B"): "A"}[holder]
    decided = [row for row in result.found.events(mirror.name, "claim.accepted") if row["Outcome"] == "decided"]

    assert [row["Epoch"] for row in decided] == list(range(1, len(decided) + 1))
    assert decided[-1]["Member"] == holder
    assert result.ended[mirror.name, holder[-1]].code == 0
    assert result.ended[mirror.name, other].code in (0, SUPERSEDED)


def test_second_controller_overtakes_the_first_one_s_swap(background: Callable[[str], Result]) -> None:
    """While the first drives a swap to B, A claims at the second: the newer claim wins, and B is superseded. (I2)"""
    result = background("two_controllers")
    mirror = result.mirrors[1]

    assert result.told[mirror.name][0] == harness.member(mirror, "A")
    assert result.ended[mirror.name, "A"].code == 0
    assert result.ended[mirror.name, "B"].code == SUPERSEDED
    assert result.who_wrote(mirror)[0] == "first"
    assert [row["Epoch"] for row in result.found.events(mirror.name, "claim.accepted")] == [1, 2]


def test_second_controller_finishes_what_the_first_one_began(background: Callable[[str], Result]) -> None:
    """The first is killed in the middle of a swap: the second goes on when the lease has run out; the agent ends with 0. (I4)"""
    result = background("two_controllers")
    mirror = result.mirrors[CUT_OFF]
    resumed = result.found.events(mirror.name, "swap.resumed")

    assert result.ended[mirror.name, "B"].code == 0
    assert "ran out" in resumed[0]["Detail"]
    assert datetime.fromisoformat(str(resumed[0]["At"])).timestamp() - result.killed < TAKEOVER_S
    assert (result.who_wrote(mirror)[0], result.who_wrote(mirror)[-1]) == ("first", "second")
    assert len(result.found.events(mirror.name, "swap.completed")) == 1


def test_claim_goes_to_the_second_controller_where_the_first_is_dead(background: Callable[[str], Result]) -> None:
    """An agent with two `url`s loses no time at the dead one: one attempt there, one at the other, and the VIP is moved. (I1)"""
    result = background("two_controllers")
    mirror = result.mirrors[3]
    ended = result.ended[mirror.name, "B"]

    assert (ended.code, ended.result["attempts"]) == (0, 2)
    assert ended.result["elapsed_ms"] / 1000 < SECONDS
    assert set(result.who_wrote(mirror)) == {"second"}
