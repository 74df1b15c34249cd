"""The alert rules: each is well formed, Microsoft's parser accepts it, and on the app's own log it fires exactly where it should.

The logs are those of the real code on the harness: a good day, and days on which one thing goes wrong.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from serve import azurite
from simulator.core.faults import Answer
from simulator.core.switches import Denial
from tests.infra import kql
from tests.promises.harness import START, Harness, Node
from tests.promises.helpers import ALWAYS, ATTACH, NIC_A, NIC_B, agent, refused, switch, timer
from tests.promises.loop import run
from tests.vipcore.manual_changes import by_hand, drop
from vipcore.adapters.log import EVENTS, level_of, line
from vipcore.arm.port import ArmReply, ArmRequest
from vipcore.ledger.audit import row_key
from vipcore.settings.document import Fault

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final[dict[str, dict[str, Any]]] = {
    rule["name"]: rule for rule in json.loads((ROOT / "infra" / "alerts.json").read_text())
}
OURS: Final = "00000000-0000-0000-0000-00000000001d"
"""The object id of the app's identity."""

TILES: Final[dict[str, str]] = {
    item["content"]["title"]: item["content"]["query"]
    for item in json.loads((ROOT / "infra" / "workbook.json").read_text())["items"]
    if "query" in item["content"]
}
"""The queries of the page in the portal."""

Story = Callable[[Harness, Node], Awaitable[None]]


async def good_day(harness: Harness, node: Node) -> None:
    """Failovers, a move, a confirmed claim, a swap that another decision ends, a few claims without a key, a slow Azure."""
    await timer(node, 900)
    await agent(node, "MIRRORB")
    await timer(node, 900)
    await node.move("MIRRORA")
    await node.claim("MIRRORA", claim_id="again")
    for _ in range(3):
        await node.controller.admission.count("signature-invalid")
    await timer(node, 300)
    switch(harness, latency="fixed:40")
    first = asyncio.ensure_future(refused(node.claim("MIRRORB", claim_id="b")))
    await asyncio.sleep(1)
    await agent(node, "MIRRORA", claim_id="a")
    await first
    await timer(node, 3600)


async def failed_swap(harness: Harness, node: Node) -> None:
    """Azure refuses every attach."""
    await timer(node, 900)
    harness.cloud.script(ATTACH, fault=Answer(name="NetworkInterfaceIPConfigurationLimitExceeded"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    await timer(node, 900)


async def slow_swap(harness: Harness, node: Node) -> None:
    """An operation of Azure that does not end: no try fails for good, and no try succeeds."""
    await timer(node, 900)
    switch(harness, latency="fixed:3600")
    await refused(node.claim("MIRRORB"))
    await timer(node, 1500)


async def denied_right(harness: Harness, node: Node) -> None:
    """The identity may not write a NIC any more. That is told long before the failover; then its member claims."""
    await timer(node, 900)
    denial = Denial(action="Microsoft.Network/networkInterfaces/write", scope=harness.cloud.nic_named(NIC_B).id)
    switch(harness, denied=(denial,))
    await timer(node, 1800)
    for _ in range(3):
        await refused(node.claim("MIRRORB"))
        await asyncio.sleep(30)
    await timer(node, 900)


async def forgotten_freeze(harness: Harness, node: Node) -> None:
    """An operator freezes the mirror and goes home."""
    await agent(node, "MIRRORB")
    await timer(node, 900)
    await node.freeze()
    await timer(node, 1800)


async def dead_table(harness: Harness, node: Node) -> None:
    """The table does not answer for a quarter of an hour."""
    await timer(node, 900)
    harness.table_away_until = asyncio.get_running_loop().time() + 900
    await timer(node, 1800)


async def short_outage(harness: Harness, node: Node) -> None:
    """The table misses a single pass: nobody needs to be called, but somebody should look at it some time."""
    await timer(node, 900)
    harness.table_away_until = asyncio.get_running_loop().time() + 20
    await timer(node, 1800)


async def no_identity(harness: Harness, node: Node) -> None:
    """The managed identity gives no token while a member claims."""
    await timer(node, 900)
    harness.no_token_until = asyncio.get_running_loop().time() + 600
    for _ in range(4):
        await refused(node.claim("MIRRORB"))
        await asyncio.sleep(30)
    await timer(node, 900)


async def stopped_timer(harness: Harness, node: Node) -> None:
    """The timer stands still, as one of the platform may; claims still work."""
    await timer(node, 900)
    await asyncio.sleep(900)
    await agent(node, "MIRRORB")
    await asyncio.sleep(900)


async def moved_by_hand(harness: Harness, node: Node) -> None:
    """Somebody moves the VIP with a script of their own."""
    await agent(node, "MIRRORB")
    await timer(node, 900)
    await by_hand(harness, NIC_A)
    await timer(node, 900)


async def lost_vip(harness: Harness, node: Node) -> None:
    """Somebody takes the VIP off its NIC; the timer puts it back."""
    await agent(node, "MIRRORB")
    await timer(node, 900)
    drop(harness, NIC_B)
    await timer(node, 900)


async def faulty_setting(harness: Harness, node: Node) -> None:
    """A mirror of the document is at fault; the other one is served."""
    node.controller.config = replace(node.controller.config, faults=(Fault("/mirrors/OTHER/vips", "is missing"),))
    await timer(node, 900)


async def forged_claims(harness: Harness, node: Node) -> None:
    """Somebody without a key claims, again and again."""
    await timer(node, 900)
    for _ in range(30):
        await node.controller.admission.count("signature-invalid")
        await asyncio.sleep(10)
    await timer(node, 900)


async def lost_head(harness: Harness, node: Node) -> None:
    """Somebody deletes the head's row."""
    await agent(node, "MIRRORB")
    await timer(node, 900)
    harness.damage()
    await timer(node, 900)


async def forged_row(harness: Harness, node: Node) -> None:
    """Somebody changes a row of the trail; the next process to start finds it."""
    await agent(node, "MIRRORB")
    await timer(node, 900)
    harness.ledger.rows["PROD"][row_key(2)]["Detail"] = "nothing happened"
    harness.journal.damaged["PROD"] = [harness.loop.time()]
    await timer(harness.node("n2"), 900)


async def defect(harness: Harness, node: Node) -> None:
    """Something that nobody expected ends every look at a mirror."""
    await agent(node, "MIRRORB")
    await timer(node, 900)

    class Broken:
        async def send(self, _: ArmRequest) -> ArmReply:
            raise ZeroDivisionError

    node.controller.arm.transport = Broken()
    for _ in range(30):
        with pytest.raises(ZeroDivisionError):
            await node.tick()
        await asyncio.sleep(30)


FIRES: Final[dict[Story, set[str]]] = {
    good_day: set(),
    failed_swap: {"not-ready", "swap-failed", "decision-stuck", "attention"},
    slow_swap: {"decision-stuck"},
    denied_right: {"not-ready", "rights-missing", "decision-stuck", "attention"},
    forgotten_freeze: {"not-ready", "attention"},
    dead_table: {"storage-away", "attention"},
    short_outage: {"attention"},
    no_identity: {"not-ready", "identity-away", "decision-stuck", "attention"},
    stopped_timer: {"timer-silent"},
    moved_by_hand: {"drift", "attention"},
    lost_vip: {"drift", "attention"},
    faulty_setting: {"configuration", "attention"},
    forged_claims: {"forgeries"},
    lost_head: {"table-touched", "attention"},
    forged_row: {"trail-broken", "table-touched", "attention"},
    defect: {"defect", "server-errors", "attention"},
}
"""Day -> the alerts that it raises, no more and no fewer."""


async def told(story: Story) -> tuple[dict[str, list[dict[str, Any]]], float]:
    """What Azure Monitor would have of that day: the app's traces, runs of its timer, and who wrote to the table."""
    harness = Harness()
    await story(harness, harness.node("n1"))
    traces = [
        {
            "TimeGenerated": at,
            "Message": line(event, fields),
            "SeverityLevel": level_of(event, fields) // 10 - 1,
            "AppRoleInstance": "n1",
        }
        for at, event, fields in harness.lines
    ]
    requests = [
        {"TimeGenerated": START + timedelta(seconds=trace.asked), "Name": "reconcile_timer", "ResultCode": "0",
         "Success": not isinstance(trace.answer, BaseException)}
        for trace in harness.journal.traces if trace.kind == "tick"
    ]  # fmt: skip
    by_us = [commit.at for commit in harness.journal.commits]
    by_others = [at for damaged in harness.journal.damaged.values() for at in damaged]
    writes = [
        {"TimeGenerated": START + timedelta(seconds=at), "OperationName": "EntityGroupTransaction", "RequesterObjectId": who,
         "CallerIpAddress": "10.0.0.9", "Uri": "https://account.table.core.windows.net/$batch"}
        for who, times in ((OURS, by_us), ("11111111-1111-1111-1111-111111111111", by_others)) for at in times
    ]  # fmt: skip
    return {"AppTraces": traces, "AppRequests": requests, "StorageTableLogs": writes}, harness.loop.time()


@pytest.mark.parametrize("story", FIRES, ids=lambda story: story.__name__)
def test_each_alert_fires_exactly_where_it_should(story: Story) -> None:
    """On the log of each day, as the app wrote it, the alerts of that day fire and no other does."""
    found: list[tuple[dict[str, list[dict[str, Any]]], float]] = []

    async def main() -> None:
        found.append(await told(story))

    run(main())
    tables, seconds = found[0]
    ours = {name: {**rule, "query": rule["query"].replace("{principalId}", OURS)} for name, rule in RULES.items()}

    assert {name for name, rule in ours.items() if kql.fired(rule, tables, START, START + timedelta(seconds=seconds))} == FIRES[
        story
    ]


def test_every_alert_fires_on_some_day() -> None:
    """No rule is there that no replay has seen fire."""
    assert set().union(*FIRES.values()) == set(RULES)


def test_microsofts_parser_accepts_the_queries() -> None:
    """Every name is one of a table's columns, and every operand has a type that its operator takes."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    queries = {f"page {index}": text for index, text in enumerate(re.findall(r"```kusto\n(.+?)```", page, re.DOTALL))}
    queries |= {name: rule["query"] for name, rule in RULES.items()} | TILES
    wrong = {
        "column misspelt": RULES["timer-silent"]["query"].replace("Name ==", "Nmae =="),
        "table misspelt": RULES["drift"]["query"].replace("AppTraces", "AppTrace"),
        "function misspelt": TILES["Seconds of a swap"].replace("percentile(", "percentil("),
        "mistyped": "AppTraces | where Message >= 2",
    }
    assert not set(wrong.values()) & set(queries.values())
    asked = json.dumps({"columns": kql.COLUMNS, "queries": {**queries, **wrong}})
    ran = subprocess.run(
        [str(azurite.node()[0]), "tests/infra/kql.cjs"], cwd=ROOT, input=asked, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)

    assert {name: faults for name, faults in said.items() if faults} == {name: said[name] for name in wrong}
    assert all(said[name] for name in wrong)


def test_page_in_the_portal_finds_what_the_app_writes() -> None:
    """Each line that a tile of the workbook looks for is written on some day, with every field that it takes out."""
    found: list[str] = []

    async def frozen(_: Harness, node: Node) -> None:
        await node.freeze()
        await refused(node.claim("MIRRORB"))

    async def main() -> None:
        for story in (good_day, moved_by_hand, frozen):
            tables, _ = await told(story)
            found.extend(row["Message"] for row in tables["AppTraces"])

    run(main())
    for title, query in TILES.items():
        begins = re.findall(r'startswith "([^"]+)"', query)
        holds = re.findall(r'has_cs "([^"]+)"', query)
        fields = re.findall(r'extract\("([^"]+)"', query)
        assert all(begin.strip() in EVENTS for begin in begins), title
        lines = [line for line in found if line.startswith(tuple(begins)) and all(one in line for one in holds)]
        for field in fields:
            assert any(re.search(field, line) for line in lines), (title, field)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule["name"])
def test_each_rule_says_what_to_do(rule: dict[str, Any]) -> None:
    """A rule has what Azure Monitor needs, and leads to a section of the runbooks that is there."""
    page, _, anchor = rule["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)

    assert set(rule) == {"name", "title", "what", "severity", "every", "window", "query", "operator", "threshold", "runbook"}
    assert rule["severity"] in range(5)
    assert kql.minutes(rule["every"]) <= kql.minutes(rule["window"])
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
