"""Crowds: many members that claim at once, and claims at a steady rate for a long time."""

import asyncio
import collections
import itertools
import random
import resource
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from simulator.worlds import FleetMirror
from tests.served.processes import harness, judge
from tests.served.processes.agents import Claimant
from tests.served.processes.harness import App, Harness

SAMPLE_S = 1.0
FILES = 16_384
MOVES_SHARE = 0.01
"""One claim in a hundred comes from the other member: a failover among confirmations."""


@dataclass(slots=True)
class Result:
    """What was seen: the violations, a line of figures, and memory (seconds since the start, MiB)."""

    faults: list[str] = field(default_factory=list)
    figures: str = ""
    memory: list[tuple[float, float]] = field(default_factory=list)


def at_once(stand: Harness, apps: Sequence[App], mirrors: Sequence[FleetMirror]) -> Result:
    """Every member B of these mirrors claims in the same moment, through all the instances."""
    result, began = Result(), time.time()
    took_s, answers = asyncio.run(_claim_at_once(stand, apps, mirrors))
    found = judge.look(stand)
    result.faults = judge.judge(stand, found, last={mirror.name: "B" for mirror in mirrors}, mirrors=mirrors)
    rows = [row for mirror in mirrors for row in found.rows.get(mirror.name, [])]
    accepted = {row["ClaimId"] for row in rows if row["Event"] == "claim.accepted"}
    result.faults += [f"{len(mirrors) - len(accepted)} claims have no row"] * (len(accepted) != len(mirrors))
    asked = stand.ask("GET", f"history?since={began}")["value"]
    took, events = sorted(took_s), Counter(row["Event"] for row in rows)
    result.figures = (
        f"seed {stand.scale.seed}: {len(mirrors)} mirrors at once, {len(apps)} instances: all answered after {took[-1]:.0f} s, "
        f"half after {statistics.median(took):.0f} s; answers {dict(answers)}; {len(asked)} requests to Azure, "
        f"{sum(one['status'] == 429 for one in asked)} of them 429; {events['swap.completed']} swaps, "
        f"{events['swap.failed']} tries that failed; memory {' and '.join(f'{app.memory_mib():.0f}' for app in apps)} MiB"
    )
    print(result.figures)
    return result


async def _claim_at_once(stand: Harness, apps: Sequence[App], mirrors: Sequence[FleetMirror]) -> tuple[list[float], Counter[str]]:
    """How long each claim took, and what its attempts led to. Each attempt goes to any instance, as behind a load balancer."""
    rng = random.Random(stand.scale.seed)
    claimants = [Claimant(stand, mirror, "B") for mirror in mirrors]

    async def one(claimant: Claimant) -> float:
        said = await claimant.claim(session, lambda: rng.choice(apps).url, rng)
        assert said.get("holder") == harness.member(claimant.mirror, "B"), said
        return time.monotonic() - claimant.began

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        took_s = await asyncio.gather(*(one(claimant) for claimant in claimants))
    return took_s, Counter(answer for claimant in claimants for answer in claimant.answers)


def steady(stand: Harness, app: App, mirrors: Sequence[FleetMirror], *, per_s: float, seconds: float) -> Result:
    """Claims at a steady rate, nearly all of them confirmations, and the app's memory meanwhile."""
    result = Result()
    run = _Steady(stand, app, mirrors)
    asyncio.run(run.go(per_s, seconds))
    found = judge.look(stand)
    if len(found.writes) < 2 * found.count("swap.completed"):
        found.writes = []  # the simulator was told to remember the last requests only
    result.faults = judge.judge(stand, found, last=run.last, mirrors=mirrors)
    result.memory = run.memory
    result.faults += [f"{code} was answered" for code in run.answers if code != "200"]
    took = sorted(run.took_s)
    result.figures = (
        f"seed {stand.scale.seed}: {run.answers['200']} claims in {seconds:.0f} s, {run.answers['200'] / seconds:.0f} a second "
        f"({per_s:g} were wanted), over {len(mirrors)} mirrors, answers "
        f"{dict(run.answers)}, {run.moves} of them moves; confirmed in {statistics.median(took) * 1000:.0f} ms (median), "
        f"{took[int(len(took) * 0.99)] * 1000:.0f} ms (99 %); memory {run.memory[0][1]:.0f} MiB at the start, "
        f"{halfway(run.memory)[0][1]:.0f} MiB halfway, {run.memory[-1][1]:.0f} MiB at the end, "
        f"{per_minute(run.memory):+.2f} MiB a minute in the second half"
    )
    print(result.figures)
    return result


class _Steady:
    def __init__(self, stand: Harness, app: App, mirrors: Sequence[FleetMirror]) -> None:
        self.stand, self.app, self.mirrors = stand, app, mirrors
        self.rng = random.Random(stand.scale.seed)
        self.last = {mirror.name: "A" for mirror in mirrors}
        self.moves = 0
        self.answers: Counter[str] = Counter()
        self.took_s: list[float] = []
        self.memory: list[tuple[float, float]] = []

    async def go(self, per_s: float, seconds: float) -> None:
        """First a claim of everybody, so that all are known; then one every so often, whether or not those before have ended."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            for some in _tens(self.mirrors):
                await asyncio.gather(*(self._claim(session, mirror) for mirror in some))
            self.took_s.clear()
            began = time.monotonic()
            sampling = asyncio.create_task(self._sample(began))
            idle = collections.deque(self.mirrors)
            async with asyncio.TaskGroup() as claims:
                for number in itertools.count():
                    await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
                    if time.monotonic() - began >= seconds:
                        break
                    if idle:  # the agents of one node take turns: a member has one claim under way at most
                        mirror = idle.popleft()
                        claims.create_task(self._take_turn(session, mirror, idle))
            sampling.cancel()

    async def _take_turn(self, session: aiohttp.ClientSession, mirror: FleetMirror, idle: collections.deque[FleetMirror]) -> None:
        await self._claim(session, mirror, moves=self.rng.random() < MOVES_SHARE)
        idle.append(mirror)

    async def _claim(self, session: aiohttp.ClientSession, mirror: FleetMirror, *, moves: bool = False) -> None:
        if moves:
            self.moves += 1
            self.last[mirror.name] = "A" if self.last[mirror.name] == "B" else "B"
        claimant = Claimant(self.stand, mirror, self.last[mirror.name])
        said = await claimant.claim(session, lambda: self.app.url, self.rng)
        self.answers.update(claimant.answers)
        assert said["holder"] == harness.member(claimant.mirror, claimant.side), said
        if not moves:
            self.took_s.append(time.monotonic() - claimant.began)

    async def _sample(self, began: float) -> None:
        while True:
            self.memory.append((time.monotonic() - began, self.app.memory_mib()))
            await asyncio.sleep(SAMPLE_S)


def _tens(mirrors: Sequence[FleetMirror]) -> list[Sequence[FleetMirror]]:
    return [mirrors[first : first + 10] for first in range(0, len(mirrors), 10)]


def halfway(memory: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """The second half: the first one fills caches and pools."""
    return memory[len(memory) // 2 :]


def per_minute(memory: Sequence[tuple[float, float]]) -> float:
    """How fast memory grows in the second half, MiB a minute, by least squares."""
    later = halfway(memory)
    slope, _ = statistics.linear_regression([at for at, _ in later], [mib for _, mib in later])
    return slope * 60.0


def many_files() -> None:
    """Room for a thousand connections, here and in the processes that are started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
