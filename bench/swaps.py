"""Swaps side by side: `az`, the SDK script, ours; operations of 3, 8 and 20 s; three ways of saying Retry-After.

For each Retry-After a simulator of its own, on which NICs differ in how long their operations take. Each mirror has a
subscription of its own: what is measured is a lone swap, not a crowd (`bench/fleet.py` does that).
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench import client, harness, others
from bench.numbers import Goal, Section, p50, p99
from serve import azurite
from tests.interop.azurecli import Cli

OPERATION_S: Final = (3, 8, 20)
RETRY_AFTER: Final = {"none": "none", "flat-10": "flat 10", "base-4": "4, 8, 8, 16"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One swap. `azure_s`: Azure's own time, the sum of its two operations; `requests`: to ARM, by the simulator's history."""

    way: str
    operation_s: int
    retry_after: str
    took_s: float
    azure_s: float
    requests: int

    @property
    def ratio(self) -> float:
        """Seconds over Azure's own."""
        return self.took_s / self.azure_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many: mirrors of ours per case, and swaps of each by operation time; agents per case."""

    mirrors: int
    swaps: Mapping[int, int]
    agents: int
    others_apart_s: float


QUICK: Final = Size(mirrors=4, swaps={3: 6, 8: 2, 20: 1}, agents=1, others_apart_s=3.5)
FULL: Final = Size(mirrors=4, swaps={3: 48, 8: 18, 20: 7}, agents=4, others_apart_s=20.0)


@dataclass
class Lane:
    """One Retry-After: its simulator and its app, and which mirror is for what."""

    retry_after: str
    azure: harness.Azure
    app: harness.App
    cli: Cli
    size: Size
    folder: Path
    runs: list[Run] = field(default_factory=list)

    def numbers(self, way: str, operation_s: int) -> range:
        """The mirrors for a way and an operation time; `world_latencies` gives their NICs that time."""
        return numbers(self.size, way, operation_s)

    async def others(self, way: str, operation_s: int) -> None:
        """One move by `az` or by the SDK script."""
        number = self.numbers(way, operation_s)[0]
        mirror = others.mirror(number, self.azure)
        since = self.azure.now()
        moved = await (others.az(self.cli, mirror) if way == "az" else others.sdk(self.azure, mirror))
        self._count(way, operation_s, number, since, moved.took_s)

    async def ours(self, session: aiohttp.ClientSession, operation_s: int, number: int, delay_s: float) -> None:
        """Swaps there and back, one after the other."""
        name = others.mirror(number, self.azure).name
        await asyncio.sleep(delay_s)
        for permit in range(self.size.swaps[operation_s]):
            since = self.azure_now()
            answer = await client.claim(session, self.app.url, name, f"{name}-{'BA'[permit % 2]}")
            if answer.status != 200 or answer.body["outcome"] != "moved":
                raise RuntimeError(f"{name}: {answer.status} {answer.body}")
            self._count("ours", operation_s, number, since, answer.took_s)

    async def agents(self, operation_s: int, number: int, delay_s: float) -> None:
        """The real agent, from its start to its exit."""
        name = others.mirror(number, self.azure).name
        member = f"{name}-B"
        config = harness.agent_config(self.folder, self.app.url, name, member)
        await asyncio.sleep(delay_s)
        since = self.azure_now()
        _, took_s = await client.agent(config, python=sys.executable)
        self._count("ours, agent", operation_s, number, since, took_s)

    def azure_now(self) -> float:
        """The cloud's clock is this machine's."""
        return self.azure.now()

    def _count(self, way: str, operation_s: int, number: int, since: float, took_s: float) -> None:
        subscription = others.mirror(number, self.azure).subscription
        spans = [end - start for start, end in self.azure.operations()[subscription] if start >= since]
        asked = [one for one in self.azure.requests(since).get(subscription, []) if one["kind"] != "subscriptions"]
        self.runs.append(
            Run(
                way=way,
                operation_s=operation_s,
                retry_after=self.retry_after,
                took_s=took_s,
                azure_s=sum(spans),
                requests=len(asked),
            )
        )


_WAYS: Final = ("az", "sdk", "ours", "ours, agent")


def numbers(size: Size, way: str, operation_s: int) -> range:
    """Which mirrors of a lane are for this way and operation time."""
    counts = {"az": 1, "sdk": 1, "ours": size.mirrors, "ours, agent": size.agents}
    first = 0
    for each in OPERATION_S:
        for name in _WAYS:
            if (name, each) == (way, operation_s):
                return range(first, first + counts[name])
            first += counts[name]
    raise ValueError(way)


def mirrors_of(size: Size) -> int:
    """How many mirrors a lane has."""
    return len(OPERATION_S) * (2 + size.mirrors + size.agents)


def latencies(size: Size) -> dict[str, str]:
    """NIC name -> how long its operations take."""
    found = {}
    for each in OPERATION_S:
        for way in _WAYS:
            for number in numbers(size, way, each):
                for side in "ab":
                    found[f"m{number:05d}-{side}"] = f"fixed:{each}"
    return found


@contextlib.asynccontextmanager
async def lane(folder: Path, table: azurite.Azurite, retry_after: str, size: Size, seed: int) -> Any:
    """Start a lane."""
    count = mirrors_of(size)
    switches = {"retry_after": retry_after, "latency_of": latencies(size)}
    own = [n for each in OPERATION_S for way in ("ours", "ours, agent") for n in numbers(size, way, each)]
    name = retry_after.replace("-", "")
    with (
        harness.azure(folder, harness.fleet(count), seed=seed, switches=switches, name=f"azure-{name}") as azure,
        harness.app(folder, azure, table, harness.document(own, count), name=name) as app,
    ):
        cli = await asyncio.to_thread(others.log_in, folder / f"az-{name}", azure)
        agents = folder / f"agents-{name}"
        agents.mkdir()
        yield Lane(retry_after=retry_after, azure=azure, app=app, cli=cli, size=size, folder=agents)


async def measure(folder: Path, *, size: Size, seed: int, say: Say) -> Section:
    """All of it: first the others, mostly waiting, beside each other; then ours, lane after lane."""
    async with contextlib.AsyncExitStack() as stack:
        table = stack.enter_context(azurite.running())
        lanes = [await stack.enter_async_context(lane(folder, table, name, size, seed)) for name in RETRY_AFTER]
        cases = [(one, way, each) for each in reversed(OPERATION_S) for one in lanes for way in ("az", "sdk")]
        say(f"az and the SDK script: {len(cases)} moves, started {size.others_apart_s:g} s apart")

        async def later(place: int, one: Lane, way: str, each: int) -> None:
            await asyncio.sleep(place * size.others_apart_s)
            await one.others(way, each)
            say(f"  {way:4} operations of {each:2} s, Retry-After {RETRY_AFTER[one.retry_after]}: {one.runs[-1].took_s:.1f} s")

        await asyncio.gather(*(later(place, *case) for place, case in enumerate(cases)))
        say(f"ours: {len(lanes) * len(OPERATION_S) * (size.mirrors + size.agents)} mirrors beside each other")
        await asyncio.gather(*(_ours(one, random.Random(f"{seed}/{one.retry_after}")) for one in lanes))
        runs = [run for one in lanes for run in one.runs]
    return report(runs)


async def _ours(one: Lane, rng: random.Random) -> None:
    async with client.session() as session:
        # A first claim that changes nothing, so that the process is warm: cold starts are measured apart.
        name = others.mirror(one.numbers("ours", OPERATION_S[0])[0], one.azure).name
        await client.claim(session, one.app.url, name, f"{name}-A")
        waits = []
        for each in OPERATION_S:
            waits += [one.ours(session, each, number, rng.random() * 3.0) for number in one.numbers("ours", each)]
            waits += [one.agents(each, number, 3.5 + rng.random() * 4.0) for number in one.numbers("ours, agent", each)]
        await asyncio.gather(*waits)


def report(runs: list[Run]) -> Section:
    """The table, the goals, and every run."""
    section = Section(name="swaps")
    rows = []
    for each in OPERATION_S:
        for retry_after, words in RETRY_AFTER.items():
            for way in _WAYS:
                some = [r for r in runs if (r.way, r.operation_s, r.retry_after) == (way, each, retry_after)]
                seconds, ratios = [r.took_s for r in some], [r.ratio for r in some]
                rows.append(
                    (
                        f"{each} s",
                        words,
                        way,
                        str(len(some)),
                        f"{p50(seconds):.2f}",
                        f"{p50(ratios):.3f}",
                        f"{p99(ratios):.3f}" if len(some) > 1 else "",
                        f"{p50([float(r.requests) for r in some]):.0f}",
                    )
                )
    header = ("operation", "Retry-After", "way", "runs", "seconds p50", "ratio p50", "ratio p99", "ARM requests")
    section.tables.append(("Swap, over Azure's own serial time", header, rows))
    section.raw["runs"] = [{"ratio": r.ratio, **{f: getattr(r, f) for f in Run.__dataclass_fields__}} for r in runs]
    for each, middle, high in ((8, 1.05, 1.15), (3, 1.12, 1.25)):
        ratios = [r.ratio for r in runs if r.way == "ours" and r.operation_s == each]
        what = f"swap over Azure's serial time, operations of {each} s, any Retry-After"
        section.goals.append(Goal(what=f"{what}: p50", limit=middle, measured=p50(ratios)))
        section.goals.append(Goal(what=f"{what}: p99 of {len(ratios)}", limit=high, measured=p99(ratios)))
    more = [
        p50([r.took_s - r.azure_s for r in runs if r.way == "ours, agent" and r.operation_s == each])
        - p50([r.took_s - r.azure_s for r in runs if r.way == "ours" and r.operation_s == each])
        for each in OPERATION_S
    ]
    section.goals.append(Goal(what="the agent's start to its exit, beyond that (p50)", limit=0.25, measured=p50(more), unit="s"))
    return section
