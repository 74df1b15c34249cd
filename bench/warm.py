"""A confirmed claim, warm, over one table read and one transaction made with bare azure-data-tables; and claims per second."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from bench import client, harness, others
from bench.numbers import Goal, Section, p50, p99
from bench.swaps import Say
from serve import azurite

AT_ONCE: Final = 50
COLUMNS: Final = 24
"""About as many as a head has."""


async def measure(folder: Path, *, runs: int, each: int, seed: int, say: Say) -> Section:
    """`runs` claims and bare pairs, turn by turn; then `each` claims of 50 mirrors at once."""
    say("confirmed claims, warm, over Azurite")
    section = Section(name="confirmed")
    mirrors = AT_ONCE + 1
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(azurite.running())
        azure = stack.enter_context(harness.azure(folder, harness.fleet(mirrors), seed=seed, switches={}, name="azure-warm"))
        app = stack.enter_context(harness.app(folder, azure, table, harness.document(range(mirrors), mirrors), name="warm"))
        names = [others.mirror(number, azure).name for number in range(mirrors)]
        async with client.session() as session, bare_table(table) as bare:
            ours, reads, transactions = await _turn_by_turn(session, app, names[-1], bare, runs)
            per_s = await _at_once(session, app, names[:AT_ONCE], each)
    ratio = p50(ours) / (p50(reads) + p50(transactions))
    rows = [
        (what, str(len(values)), f"{p50(values) * 1000:.1f}", f"{p99(values) * 1000:.1f}")
        for what, values in (
            ("confirmed claim, request to answer", ours),
            ("bare table read", reads),
            ("bare transaction", transactions),
        )
    ]
    section.tables.append(("Milliseconds, turn by turn in one run", ("what", "runs", "p50", "p99"), rows))
    section.raw |= {"claim_s": ours, "read_s": reads, "transaction_s": transactions, "per_s": per_s}
    section.goals += [
        Goal(what="confirmed claim, warm, over (one table read + one transaction), p50", limit=1.5, measured=ratio),
        Goal(
            what=f"confirmed claims per second, one process, {AT_ONCE} mirrors at once", limit=100, measured=per_s, at_least=True
        ),
    ]
    return section


async def _turn_by_turn(
    session: aiohttp.ClientSession, app: harness.App, name: str, bare: "Bare", runs: int
) -> tuple[list[float], list[float], list[float]]:
    ours, reads, transactions = [], [], []
    for _ in range(5):
        await _confirmed(session, app, name)
    for _ in range(runs):
        reads.append(await timed(bare.read))
        transactions.append(await timed(bare.transact))
        ours.append((await _confirmed(session, app, name)).took_s)
        await asyncio.sleep(1.0 if len(ours) >= 20 else 0.02)  # a key has a burst of 30 requests, then one a second
    return ours, reads, transactions


async def _at_once(session: aiohttp.ClientSession, app: harness.App, names: list[str], each: int) -> float:
    """Claims per second with so many mirrors at once, each with `each` claims one after the other."""
    for name in names:
        await _confirmed(session, app, name)

    async def one(name: str) -> None:
        for _ in range(each):
            await _confirmed(session, app, name)

    took = await timed(lambda: asyncio.gather(*(one(name) for name in names)))
    return len(names) * each / took


async def _confirmed(session: aiohttp.ClientSession, app: harness.App, name: str) -> client.Answer:
    answer = await client.claim(session, app.url, name, f"{name}-A")
    if answer.status != 200 or answer.body["outcome"] != "confirmed":
        raise RuntimeError(f"{name}: {answer.status} {answer.body}")
    return answer


async def timed(do: Callable[[], Awaitable[Any]]) -> float:
    """Seconds."""
    began = time.perf_counter()
    await do()
    return time.perf_counter() - began


class Bare:
    """One entity of the size of a head, read and replaced with azure-data-tables as its documentation shows."""

    def __init__(self, table: TableClient) -> None:
        self.table = table
        self.etag = ""

    def _entity(self) -> dict[str, Any]:
        columns = {f"Column{number:02}": "2026-01-01T00:00:00.000000Z" for number in range(COLUMNS)}
        return {"PartitionKey": "BARE", "RowKey": "head", **columns}

    async def create(self) -> None:
        """The table and its entity."""
        await self.table.create_table()
        await self.table.create_entity(self._entity())
        await self.read()

    async def read(self) -> None:
        """One table read."""
        self.etag = str((await self.table.get_entity("BARE", "head")).metadata["etag"])

    async def transact(self) -> None:
        """One transaction: replace the entity if it still has its etag."""
        options = {"mode": UpdateMode.REPLACE, "etag": self.etag, "match_condition": MatchConditions.IfNotModified}
        operation: Any = ("update", self._entity(), options)
        self.etag = str((await self.table.submit_transaction([operation]))[0]["etag"])


@contextlib.asynccontextmanager
async def bare_table(table: azurite.Azurite) -> Any:
    """A bare client on a table of its own."""
    async with TableClient.from_connection_string(table.connection_string.rstrip(";"), "BenchBare") as found:
        bare = Bare(found)
        await bare.create()
        yield bare
