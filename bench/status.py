"""What monitors ask for: the status of 1,000 mirrors at once, over Azurite, as JSON, as text and as health.

Beside it, in turns: the time that Azurite itself takes to give all heads to a bare client, as a status without memory would ask.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Final

import aiohttp
from azure.data.tables.aio import TableClient

from bench import client, harness, others
from bench.numbers import Goal, Section, p50, p99
from bench.swaps import Say
from serve import azurite

MIRRORS: Final = 1_000
GOAL_MS: Final = 200.0
BARE: Final = "all heads, by bare azure-data-tables"
ASKED: Final = {"JSON": "/mirrors", "text": "/mirrors?format=text", "health": "/health/mirrors"}
HINTS_S: Final = 300.0
"""After so long the hints of the claims that make the heads are gone, and nothing is under way."""

SCHEDULE: Final = "*/10 * * * * *"


async def measure(folder: Path, *, runs: int, seed: int, say: Say) -> Section:
    """Each form `runs` times, in turns, of a process that was asked before, while nothing is under way."""
    say(f"status of {MIRRORS:,} mirrors: their heads are made, then {HINTS_S:g} s until the timer has seen them at rest")
    section = Section(name="status")
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(azurite.running())
        azure = stack.enter_context(harness.azure(folder, harness.fleet(MIRRORS), seed=seed, switches={}, name="azure-status"))
        document = harness.document(range(MIRRORS), MIRRORS)
        extra = {"VIP_RECONCILE_SCHEDULE": SCHEDULE}
        app = stack.enter_context(harness.app(folder, azure, table, document, name="status", extra=extra))
        heads = TableClient.from_connection_string(table.connection_string.rstrip(";"), "Benchstatus")
        async with client.session() as session, heads:
            for first in range(0, MIRRORS, 50):
                names = [others.mirror(number, azure).name for number in range(first, first + 50)]
                await asyncio.gather(*(client.claim(session, app.url, name, f"{name}-A") for name in names))
            await asyncio.sleep(HINTS_S)
            first_ms = await _ask(session, app, ASKED["JSON"])
            took: dict[str, list[float]] = {form: [] for form in (*ASKED, BARE)}
            for _ in range(runs):
                for form, path in ASKED.items():
                    took[form].append(await _ask(session, app, path))
                    await asyncio.sleep(1.0)  # what is read again after an answer is over
                took[BARE].append(await _read(heads))
    rows = [(form, str(len(values)), f"{p50(values):.0f}", f"{p99(values):.0f}") for form, values in took.items()]
    rows.append(("JSON, a process's first", "1", f"{first_ms:.0f}", ""))
    section.tables.append((f"Milliseconds for {MIRRORS:,} mirrors", ("form", "runs", "p50", "p99"), rows))
    section.raw |= {**took, "first": [first_ms]}
    what = f"status of {MIRRORS:,} mirrors, request to answer, p50"
    section.goals.append(Goal(what=what, limit=GOAL_MS, measured=p50(took["JSON"]), unit="ms"))
    ratios = ", ".join(f"{form} {p50(took[form]) / p50(took[BARE]):.2f}" for form in ASKED)
    section.remarks.append(f"Over the time of a bare read of all heads, p50: {ratios}.")
    return section


async def _read(heads: TableClient) -> float:
    """Milliseconds until all heads were read, by one query."""
    began = time.perf_counter()
    found = [entity async for entity in heads.query_entities("RowKey eq 'head' and Desired ge ''")]
    if len(found) != MIRRORS:
        raise RuntimeError(f"{len(found)} heads were found")
    return (time.perf_counter() - began) * 1000


async def _ask(session: aiohttp.ClientSession, app: harness.App, path: str) -> float:
    """Milliseconds until the answer was there."""
    began = time.perf_counter()
    async with session.get(app.url + path, headers={"x-functions-key": "local"}) as answer:
        await answer.read()
        if answer.status not in (200, 503):
            raise RuntimeError(f"{path} answered {answer.status}")
    return (time.perf_counter() - began) * 1000
