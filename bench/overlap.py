"""Where Azure lets more overlap than is known of it today, and where it answers at once: ours over serial time, az, the script.

Released at acceptance (`strategy: put`), the one-call move (`strategy: atomic`), and NICs on no running VM, whose writes are done
when they are answered: there the whole swap is our own time.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

from bench import client, harness, others
from bench.numbers import Goal, Section, p50, p99
from bench.swaps import Say
from serve import azurite

OPERATION_S: Final = (3, 8)
_WITH_GOALS: Final = ("released at acceptance, strategy put", "moveIpConfigurations, strategy atomic")
_CASES: Final[dict[str, tuple[str, bool, dict[str, Any]]]] = {
    "released at acceptance, strategy put": ("put", True, {"released_at": "acceptance"}),
    "released at acceptance, strategy auto": ("auto", True, {"released_at": "acceptance"}),
    "released at completion, strategy put": ("put", True, {"released_at": "operation-end"}),
    "moveIpConfigurations, strategy atomic": ("atomic", False, {"move_ip_configurations": "private"}),
}


async def measure(folder: Path, *, full: bool, seed: int, say: Say) -> Section:
    """Both halves."""
    section = Section(name="overlap")
    runs, az_runs = (6, 6) if full else (2, 2)
    with azurite.running() as table:
        rows = []
        for place, (case, (strategy, public_ip, switches)) in enumerate(_CASES.items()):
            if not full and case not in _WITH_GOALS:
                continue
            say(f"overlap: {case}")
            for each in OPERATION_S:
                where = folder / f"overlap-{place}-{each}"
                where.mkdir()
                ratios = await _overlap(where, table, strategy, each, switches, public_ip=public_ip, runs=runs, seed=seed)
                section.raw.setdefault("overlap", {}).setdefault(case, {})[each] = ratios
                rows.append((case, f"{each} s", str(len(ratios)), f"{p50(ratios):.3f}", f"{p99(ratios):.3f}"))
        section.tables.append(("Over Azure's serial time", ("case", "operation", "runs", "ratio p50", "ratio p99"), rows))
        for case in _WITH_GOALS:
            for each in OPERATION_S:
                ratios = section.raw["overlap"][case][each]
                section.goals.append(Goal(what=f"{case}, operations of {each} s (p50)", limit=0.55, measured=p50(ratios)))
        await _at_once(section, folder, table, runs=runs, az_runs=az_runs, seed=seed, say=say)
    return section


async def _overlap(
    folder: Path,
    table: azurite.Azurite,
    strategy: str,
    operation_s: int,
    switches: dict[str, Any],
    *,
    public_ip: bool,
    runs: int,
    seed: int,
) -> list[float]:
    """Ratios of swaps there and back on four mirrors; the first two of each teach `auto` what works and are left out."""
    mirrors = 4
    world = harness.fleet(mirrors, public_ip=public_ip)
    with (
        harness.azure(folder, world, seed=seed, switches={"latency": f"fixed:{operation_s}", **switches}) as azure,
        harness.app(
            folder,
            azure,
            table,
            harness.document(range(mirrors), mirrors, strategy=strategy, public_ip=public_ip),
            name=folder.name,
        ) as app,
    ):
        async with client.session() as session:
            return await _there_and_back(session, app, azure, operation_s, warm=2 if strategy == "auto" else 0, runs=runs)


async def _there_and_back(
    session: Any, app: harness.App, azure: harness.Azure, operation_s: int, *, warm: int, runs: int
) -> list[float]:
    first = others.mirror(0, azure).name
    await client.claim(session, app.url, first, f"{first}-A")

    async def one(number: int) -> list[float]:
        name = others.mirror(number, azure).name
        await asyncio.sleep(number * 0.3)
        took = []
        for permit in range(warm + runs):
            answer = await client.claim(session, app.url, name, f"{name}-{'BA'[permit % 2]}")
            if answer.status != 200 or answer.body["outcome"] != "moved":
                raise RuntimeError(f"{name}: {answer.status} {answer.body}")
            took.append(answer.took_s)
        return [seconds / (2 * operation_s) for seconds in took[warm:]]

    return [ratio for found in await asyncio.gather(*(one(number) for number in range(azure.mirrors))) for ratio in found]


async def _at_once(
    section: Section, folder: Path, table: azurite.Azurite, *, runs: int, az_runs: int, seed: int, say: Say
) -> None:
    """Azure answers at once: seconds of az, of the SDK script cold and warm, and of ours."""
    say("Azure answers at once: az, the SDK script, ours")
    mirrors = 2 + az_runs
    with contextlib.ExitStack() as stack:
        where = folder / "at-once"
        where.mkdir()
        azure = stack.enter_context(harness.azure(where, harness.fleet(mirrors, at_once=True), seed=seed, switches={}))
        app = stack.enter_context(harness.app(where, azure, table, harness.document([0], mirrors), name="atonce"))
        async with client.session() as session:
            name = others.mirror(0, azure).name
            mine = []
            for permit in range(4 + 6 * runs):
                answer = await client.claim(session, app.url, name, f"{name}-{'BA'[permit % 2]}")
                if answer.status != 200:
                    raise RuntimeError(f"{name}: {answer.status} {answer.body}")
                mine.append(answer.took_s)
                await asyncio.sleep(0.05)
        mine = mine[4:]
        script = await others.sdk(azure, others.mirror(1, azure), again=True)
        cli = await asyncio.to_thread(others.log_in, where / "az", azure)
        az = [(await others.az(cli, others.mirror(2 + number, azure))).took_s for number in range(az_runs)]
    warm = script.parts["warm_s"]
    rows = [
        ("az, two commands", str(len(az)), f"{p50(az):.3f}", f"{p99(az):.3f}"),
        ("SDK script, its own process", "1", f"{script.took_s:.3f}", ""),
        ("SDK script, warm process", str(len(warm)), f"{p50(warm):.4f}", f"{p99(warm):.4f}"),
        ("ours, request to answer", str(len(mine)), f"{p50(mine):.4f}", f"{p99(mine):.4f}"),
    ]
    section.tables.append(("Azure answers at once, seconds", ("way", "runs", "p50", "p99"), rows))
    section.raw["at_once"] = {"az": az, "sdk_process_s": script.took_s, "sdk_warm_s": warm, "ours": mine}
    why = "ours includes three durable transactions and a hint in the Table service, which the script does not write"
    section.goals += [
        Goal(what="Azure answers at once: our swap over az's (p50)", limit=0.1, measured=p50(mine) / p50(az)),
        Goal(what="the same over the SDK script, warm (p50)", limit=1.5, measured=p50(mine) / p50(warm), why=why),
        Goal(what="the same over az's 3.06 s as measured before", limit=0.1, measured=p50(mine) / 3.06),
    ]
