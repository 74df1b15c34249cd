"""The Table service goes away in the middle of swaps and comes back: refused meanwhile, nothing lost, ends right."""

import asyncio
import contextlib
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.served.processes import harness, judge
from tests.served.processes.agents import Agent, Claimant
from tests.served.processes.harness import App, Harness

MIRRORS = 6
AWAY_S = 3.0
CLAIM_WITHIN_S = 200.0


@dataclass(slots=True)
class Result:
    """What was seen: the violations, what was answered while the table was away, and a line of figures."""

    faults: list[str] = field(default_factory=list)
    claimed: list[tuple[int, str]] = field(default_factory=list)
    operated: list[tuple[int, str]] = field(default_factory=list)
    slowest_s: float = 0.0
    figures: str = ""


def run(folder: Path) -> Result:
    """Run it on a harness of its own."""
    result, chance = Result(), harness.seed()
    with contextlib.ExitStack() as stack:
        scale = harness.Scale(mirrors=MIRRORS, seed=chance, switches={"latency": "fixed:1.5", "put_call_s": (0.1, 0.6)})
        stand = stack.enter_context(harness.standing(folder, scale))
        app = stack.enter_context(harness.served(stand))
        began = time.monotonic()
        codes = asyncio.run(_claims_over_an_outage(stand, app, random.Random(chance), result))
        found = judge.look(stand)
        result.faults += judge.judge(stand, found, last={mirror.name: "B" for mirror in stand.mirrors})
        result.faults += [f"an agent ended with {code}" for code in codes if code != 0]
    result.figures = (
        f"seed {chance}: {len(codes)} claims over an outage of {AWAY_S:g} s, answers meanwhile {result.claimed} and "
        f"{result.operated}, the slowest after {result.slowest_s:.1f} s; {found.count('swap.completed')} swaps, "
        f"{found.count('swap.resumed')} resumed, all placed after {time.monotonic() - began:.0f} s"
    )
    print(result.figures)
    return result


async def _claims_over_an_outage(stand: Harness, app: App, rng: random.Random, result: Result) -> list[int]:
    agents = [await Agent.start(stand.agent(mirror, "B", app.url)) for mirror in stand.mirrors]
    ending = [asyncio.create_task(agent.end(CLAIM_WITHIN_S)) for agent in agents]
    while len(await asyncio.to_thread(stand.nic_writes)) < MIRRORS // 2:
        await asyncio.sleep(0.05)
    await asyncio.sleep(rng.uniform(0.0, 1.5))
    await asyncio.to_thread(stand.stop_table)
    back_at = time.monotonic() + AWAY_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < back_at:
            began = time.monotonic()
            status, said, _ = await Claimant(stand, stand.mirrors[0], "A").attempt(session, app.url)
            result.claimed.append((status, str(said.get("code"))))
            result.operated.append(await asyncio.to_thread(_operator, f"{app.url}/mirrors/{stand.mirrors[1].name}"))
            result.slowest_s = max(result.slowest_s, time.monotonic() - began)
    await asyncio.to_thread(stand.start_table)
    return [(await task).code for task in ending]


def _operator(url: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"x-functions-key": harness.FUNCTIONS_KEY})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, str(json.load(answer).get("head"))
    except urllib.error.HTTPError as error:
        return error.code, str(json.load(error).get("code"))


def test_table_away_in_the_middle_of_swaps(background: Callable[[str], Result]) -> None:
    """While the table is away claims are storage-unavailable, and a status says so; then every claim ends well. (I1, I3, I8)"""
    result = background("outage")

    assert result.faults == [], result.figures
    assert set(result.claimed) == {(503, "storage-unavailable")}, result.figures
    assert set(result.operated) == {(200, "unavailable")}, result.figures
    assert result.slowest_s < 30, result.figures
