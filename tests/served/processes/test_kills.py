"""The served app is killed again and again while members claim; nothing is lost and nothing happens twice."""

import asyncio
import contextlib
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.served.processes import harness, judge
from tests.served.processes.churn import Churn

# About a second or two for each of Azure's operations, so that a swap takes as long as a few kills are apart.
LATENCIES_S = (0.6, 1.0, 1.4, 1.8)
# Azure takes its time to answer a write that it has carried out already: kills fall into that, too.
PUT_CALL_S = (0.1, 0.6)
AFTER_WRITE_S = 1.0
WRITE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many mirrors claim how often, and how long (seconds, from-to) a process lives before it is killed."""

    mirrors: int
    rounds: int
    kills: int
    lives_s: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was seen: the violations, and a line of figures."""

    faults: list[str]
    figures: str


def run(folder: Path, plan: Plan) -> Result:
    """Run it on a harness of its own."""
    chance = harness.seed()
    rng = random.Random(chance)
    with contextlib.ExitStack() as stack:
        scale = harness.Scale(mirrors=plan.mirrors, seed=chance, switches={"put_call_s": PUT_CALL_S})
        stand = stack.enter_context(harness.standing(folder, scale))
        of_nic = {harness.nic(m, side): f"fixed:{rng.choice(LATENCIES_S)}" for m in stand.mirrors for side in "AB"}
        stand.ask("PUT", "switches", {"latency_of": of_nic})
        app = stack.enter_context(harness.served(stand))
        churn = Churn(harness=stand, url=app.url, rng=rng, rounds=plan.rounds)
        began = time.monotonic()
        asyncio.run(_kill_while_they_claim(churn, app, plan, rng))
        took_s = time.monotonic() - began
        found = judge.look(stand)
        faults = churn.faults + judge.judge(stand, found, last=churn.last, kills=app.kills)
    took = judge.takeovers_s(found, app.kills)
    takeover = f"takeover {statistics.median(took):.0f} s in the median, {took[-1]:.0f} s at most" if took else "no takeover"
    figures = (
        f"seed {chance}: {len(app.kills)} kills, {churn.claims} claims of {plan.mirrors} mirrors {dict(churn.ends)}, "
        f"{found.count('swap.completed')} swaps, {found.count('swap.resumed')} resumed, {len(found.writes)} NIC writes, "
        f"{judge.unrowed(found)} of them cut off from their row by a kill, {takeover}, {took_s:.0f} s"
    )
    print(figures)
    return Result(faults=faults, figures=figures)


async def _kill_while_they_claim(churn: Churn, app: harness.App, plan: Plan, rng: random.Random) -> None:
    claiming = asyncio.create_task(churn.run())
    for _ in range(plan.kills):
        await asyncio.wait([claiming], timeout=rng.uniform(*plan.lives_s))
        if rng.random() < 0.5:
            await _until_a_nic_is_written(churn, claiming)
            await asyncio.wait([claiming], timeout=rng.uniform(0.0, AFTER_WRITE_S))
        if claiming.done():
            break
        await asyncio.to_thread(app.kill)
        await asyncio.to_thread(app.start)
    if plan.rounds >= 1000:
        churn.until.set()
    await claiming


async def _until_a_nic_is_written(churn: Churn, claiming: asyncio.Task[None]) -> None:
    """On a busy machine a process may do nothing for most of its life: this finds it at work."""
    began = time.time()
    while not claiming.done() and time.time() - began < WRITE_WITHIN_S:
        if await asyncio.to_thread(churn.harness.nic_writes, began):
            return
        await asyncio.sleep(0.02)


def test_app_killed_at_random_loses_no_claim(background: Callable[[str], Result]) -> None:
    """Whenever the app is killed, the member that claimed last gets its VIP, and the trail is whole. (I1, I2, I3, I8)"""
    result = background("kills")

    assert result.faults == [], result.figures


@pytest.mark.soak
def test_two_hundred_swaps_under_kills(tmp_path: Path) -> None:
    """The same for 200 swaps, with a process that lives for 2 to 10 s. (I1, I2, I3, I8)"""
    mirrors = 40
    rounds = round(harness.number("PROCESSES_SWAPS", 200) / mirrors)
    result = run(tmp_path, Plan(mirrors=mirrors, rounds=rounds, kills=100_000, lives_s=(2.0, 10.0)))

    assert result.faults == [], result.figures
