"""What fits an instance with 512 MB and a quarter of a core: the app's memory for ten mirrors, its cold start, a fleet's swaps.

Only the app is held to its share, not the simulated Azure and Azurite. The same is measured with a whole core in the same run,
and the ratio is what counts: it is comparable between machines, seconds are not.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

from bench import client, cold, harness, load, others, share
from bench.numbers import Goal, Section, p50
from bench.swaps import Say
from serve import azurite

QUARTER: Final = 0.25
TEN: Final = 10
OPERATION_S: Final = 8
LIMIT_S: Final = 1800.0
MEMORY_MB: Final = 160
GROWTH_MB: Final = 8
EVENTS: Final = ("swap.resumed", "swap.failed", "lease.kept")
"""Lines of the log that would tell of leases that ran out, and of swaps that did not end in their time."""


async def measure(folder: Path, *, starts: int, swaps: int, mirrors: int, seed: int, say: Say) -> Section:
    """`swaps` swaps of ten mirrors for the memory, `starts` cold starts, `mirrors` swaps at once."""
    section = Section(name="small")
    await _memory(section, folder, swaps=swaps, seed=seed, say=say)
    await _cold(section, folder, starts=starts, seed=seed, say=say)
    # Not in a thread: an interrupt must end the child, too.
    _at_once(section, folder, mirrors=mirrors, seed=seed, say=say)
    return section


async def _memory(section: Section, folder: Path, *, swaps: int, seed: int, say: Say) -> None:
    say(f"memory of a process with ten mirrors, over {swaps:,} swaps")
    seen: dict[str, dict[str, float]] = {}
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(azurite.running())
        switches = {"latency": "fixed:0.1"}
        azure = stack.enter_context(harness.azure(folder, harness.fleet(TEN), seed=seed, switches=switches, name="azure-memory"))
        document = harness.document(range(TEN), TEN)
        extra = {"VIP_MAX_CHANGES": "90/1"}
        app = stack.enter_context(harness.app(folder, azure, table, document, name="memory", extra=extra))
        seen["after the start"] = _memory_mb(app.pid)
        names = [others.mirror(number, azure).name for number in range(TEN)]
        async with client.session() as session:
            rounds = swaps // TEN
            for done in range(1, rounds + 1):
                member = "BA"[done % 2 == 0]
                answers = await asyncio.gather(*(client.claim(session, app.url, name, f"{name}-{member}") for name in names))
                if wrong := [answer.body for answer in answers if answer.body.get("outcome") != "moved"]:
                    raise RuntimeError(f"no swap: {wrong[0]}")
                if done in {1, rounds // 2, rounds}:
                    seen[f"after {done * TEN:,} swaps"] = _memory_mb(app.pid)
    rows = [(when, f"{found['Rss']:.0f}", f"{found['Pss']:.0f}", f"{found['Anonymous']:.0f}") for when, found in seen.items()]
    section.tables.append(("Memory of `python -m serve` with ten mirrors, MB", ("when", "RSS", "PSS", "its own pages"), rows))
    section.raw["memory_mb"] = seen
    *_, middle, last = (found["Rss"] for found in seen.values())
    section.goals += [
        Goal(what=f"memory for ten mirrors, after {swaps:,} swaps", limit=MEMORY_MB, measured=last, unit="MB"),
        Goal(what="its growth over the second half of them", limit=GROWTH_MB, measured=last - middle, unit="MB"),
    ]


def _memory_mb(pid: int) -> dict[str, float]:
    """What the kernel says of a process, in MB (1,000,000 bytes). PSS counts shared pages in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) * 1024 / 1e6 for name in ("Rss", "Pss", "Anonymous")}


async def _cold(section: Section, folder: Path, *, starts: int, seed: int, say: Say) -> None:
    rows, how = [], ""
    async with cold.standing(folder, "small", seed=seed) as (environment, name):
        for compiled, words in ((True, "with bytecode"), (False, "without bytecode")):
            say(f"cold start {words}, on a quarter of a core and on a whole one: {starts} starts of each")
            found: dict[float, list[cold.Start]] = {QUARTER: [], 1.0: []}
            for _ in range(starts):
                for part, seen in found.items():
                    with share.of_core(part) as held:
                        start = await asyncio.to_thread(cold.start_once, environment, "ours", name, compiled=compiled, held=held)
                    seen.append(start)
                    how = held.how
            section.raw[f"cold, {words}"] = {
                str(part): [{"answer_s": start.answer_s, "cpu_s": start.cpu_s} for start in seen] for part, seen in found.items()
            }
            quarter, whole = (p50([start.answer_s for start in seen]) for seen in found.values())
            rows.append((f"cold start to the first answer, {words}", f"{quarter:.2f}", f"{whole:.2f}", f"{quarter / whole:.1f}"))
    header = ("seconds (p50)", "a quarter of a core", "a whole one", "ratio")
    section.tables.append((f"Cold start, {starts} starts of each; held by {how}", header, rows))


def _at_once(section: Section, folder: Path, *, mirrors: int, seed: int, say: Say) -> None:
    found: dict[float, dict[str, Any]] = {}
    for part, name in ((QUARTER, "quarter"), (1.0, "whole")):
        say(f"{mirrors:,} swaps at once on a {name} core, operations of {OPERATION_S} s")
        with share.of_core(part) as held:
            found[part] = load.run(
                folder, f"small-{name}", mirrors=mirrors, operation_s=OPERATION_S, seed=seed, limit_s=LIMIT_S, held=held
            )
        delays = found[part].pop("delays_s")
        found[part]["delay_max_s"] = max(delays)
    quarter, whole = found[QUARTER], found[1.0]
    section.raw["at_once"] = {"quarter": quarter, "whole": whole}
    rows: list[tuple[str, ...]] = [
        (what, f"{quarter[key]:.1f}", f"{whole[key]:.1f}", f"{quarter[key] / whole[key]:.1f}")
        for what, key in (
            ("the last claim is accepted", "accepted_s"),
            ("the last VIP is placed", "placed_s"),
            ("the last agent has its answer", "took_s"),
            ("CPU", "cpu_s"),
            ("longest delay of the event loop", "delay_max_s"),
        )
    ]
    counts = {
        "swaps, all moved": [str(one["moved"]) for one in (quarter, whole)],
        "answers that asked to come again": [str(sum(one["refusals"].values())) for one in (quarter, whole)],
        **{f"`{event}`": [str(one["events"].get(event, 0)) for one in (quarter, whole)] for event in EVENTS},
    }
    rows += [(what, *both, "") for what, both in counts.items()]
    title = f"{mirrors:,} swaps at once, seconds; claims at {load.PER_S:g} a second, operations of {OPERATION_S} s"
    section.tables.append((title, ("what", "a quarter of a core", "a whole one", "ratio"), rows))
    section.goals.append(
        Goal(
            what=f"{mirrors:,} swaps at once on a quarter of a core: VIPs that did not move",
            limit=0,
            measured=mirrors - quarter["moved"],
        )
    )
