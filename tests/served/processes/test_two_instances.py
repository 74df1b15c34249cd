"""Two served instances on one table: one swap at a time for a mirror, whichever instance is asked."""

import asyncio
import random

import aiohttp

from simulator.worlds import FleetMirror
from tests.served.processes import harness, judge
from tests.served.processes.agents import Claimant
from tests.served.processes.harness import App, Harness

ROUNDS = 2


async def test_claims_of_both_members_on_both_instances(stand: Harness, apps: tuple[App, App]) -> None:
    """Claims for one member join one swap, a newer one for the other member wins, no write cuts off another. (I2)"""
    mirrors = stand.mirrors[0:4]
    rng = random.Random(stand.scale.seed)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(_alternate(stand, session, apps, mirror, random.Random(rng.random())) for mirror in mirrors))
    found = judge.look(stand)
    nics = {harness.nic(mirror, side) for mirror in mirrors for side in "AB"}
    canceled = [one for one in stand.ask("GET", "operations")["value"] if one["status"] == "Canceled"]

    assert judge.judge(stand, found, last={mirror.name: "A" for mirror in mirrors}, mirrors=mirrors) == []
    assert [one for one in canceled if any(name in str(one).lower() for name in nics)] == []


async def _alternate(
    stand: Harness, session: aiohttp.ClientSession, apps: tuple[App, App], mirror: FleetMirror, rng: random.Random
) -> None:
    for turn in range(ROUNDS):
        side, one, other = "BA"[turn % 2], apps[turn % 2].url, apps[1 - turn % 2].url
        first = asyncio.create_task(Claimant(stand, mirror, side).claim(session, lambda: one, rng))  # noqa: B023
        await asyncio.sleep(rng.uniform(0.1, 0.8))
        second = await Claimant(stand, mirror, side).claim(session, lambda: other, rng)  # noqa: B023

        joined = await first
        assert joined["outcome"] == second["outcome"] == "moved"
        assert joined["holder"] == second["holder"] == harness.member(mirror, side)
        assert joined["operation_id"] == second["operation_id"]
        assert joined["epoch"] == second["epoch"] == turn + 1
    older = asyncio.create_task(Claimant(stand, mirror, "A").claim(session, lambda: apps[0].url, rng))
    await asyncio.sleep(rng.uniform(0.0, 0.3))
    between = asyncio.create_task(Claimant(stand, mirror, "B").claim(session, lambda: apps[1].url, rng))
    await asyncio.sleep(rng.uniform(0.2, 0.8))
    newest = await Claimant(stand, mirror, "A").claim(session, lambda: apps[0].url, rng)

    assert newest["holder"] == harness.member(mirror, "A")
    assert (await between).get("code", "moved") in ("claim-superseded", "moved")
    assert (await older).get("code", "moved") in ("claim-superseded", "moved")
