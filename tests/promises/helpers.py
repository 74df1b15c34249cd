"""Helpers for tests on the harness: virtual time, an agent that retries, the timer, and a check of the promises at rest."""

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, ParamSpec

from simulator.core.faults import Ends, Match
from simulator.core.history import Exchange
from simulator.core.model import Nic
from simulator.core.wire import Request
from simulator.front.front import handle
from simulator.network.documents import shown_nic
from tests.promises.harness import DOCUMENT, Harness, Node
from tests.promises.loop import run
from vipcore.errors import Refusal
from vipcore.ledger.audit import Link, check_chain
from vipcore.model import Outcome

_P = ParamSpec("_P")

NIC_A, NIC_B = "mirrora290_z1", "mirrorb280_z2"
DETACH = Match(method="PUT", kind="nic", name=NIC_A)
"""The detach of a claim of MIRRORB on the default world."""

ATTACH = Match(method="PUT", kind="nic", name=NIC_B)
POLL = Match(method="GET", kind="poll")
ALWAYS = 10**9
TIMER_S = 30.0


def virtual(story: Callable[_P, Awaitable[None]]) -> Callable[_P, None]:
    """A test whose coroutine runs on the virtual clock."""

    @functools.wraps(story)
    def told(*args: _P.args, **kwargs: _P.kwargs) -> None:
        async def main() -> None:
            await story(*args, **kwargs)

        run(main())

    return told


def document(**mirror: Any) -> dict[str, Any]:
    """The default mirrors document with other members for PROD."""
    found: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    found["mirrors"]["PROD"].update(mirror)
    return found


def fleet_document(count: int) -> dict[str, Any]:
    """So many mirrors, PROD and M0001 and so on, whose NICs are not there."""
    found = document()
    for number in range(1, count):
        found["mirrors"][f"M{number:04d}"] = {
            "members": {"A": {"nic": f"a{number}"}, "B": {"nic": f"b{number}"}},
            "vips": [{"name": "vip", "private_ip": f"10.1.{number // 250}.{number % 250 + 1}"}],
        }
    return found


def paged_document(**mirror: Any) -> dict[str, Any]:
    """The same, with a status page for each member."""
    found = document(**mirror)
    for name, member in found["mirrors"]["PROD"]["members"].items():
        member["status_url"] = f"http://10.0.0.4:52773/{name}"
    return found


def cured(harness: Harness) -> None:
    """Remove every scripted fault."""
    harness.cloud.scripts.clear()


def switch(harness: Harness, **changes: Any) -> None:
    """Change switches of the simulated Azure in the middle of a test."""
    harness.cloud.switches = replace(harness.cloud.switches, **changes)


async def refused(asked: Awaitable[Outcome]) -> Refusal:
    """The refusal that a claim or move ends with."""
    try:
        outcome = await asked
    except Refusal as refusal:
        return refusal
    raise AssertionError(f"it went through: {outcome}")


async def agent(node: Node, member: str, *, within_s: float = 1200.0, **claim: Any) -> tuple[Outcome, list[Refusal]]:
    """What the member's agent does: the same claim again after Retry-After, until 200. Returns its refusals on the way too."""
    loop, refusals = asyncio.get_running_loop(), list[Refusal]()
    began = loop.time()
    while True:
        try:
            return await node.claim(member, age_s=loop.time() - began, **claim), refusals
        except Refusal as refusal:
            refusals.append(refusal)
        wait = refusals[-1].retry_after_s
        assert wait is not None, refusals[-1]
        assert loop.time() - began < within_s, [str(one) for one in refusals[-3:]]
        await asyncio.sleep(wait)


async def timer(node: Node, for_s: float) -> None:
    """Run the timer alone, for that many seconds. Passes do not overlap."""
    loop = asyncio.get_running_loop()
    until = loop.time() + for_s
    while loop.time() < until:
        began = loop.time()
        await node.tick()
        await asyncio.sleep(max(0.0, began + TIMER_S - loop.time()))


def stranger_puts(harness: Harness, name: str, *, seconds: float = 3.0, drop: str = "", **members: Any) -> None:
    """Another client of Azure reads that NIC and writes it back, less the configuration `drop` and with other members."""
    nic = harness.cloud.nic_named(name)
    harness.cloud.script(Match(method="PUT", name=name, principal="stranger"), fault=Ends(after_s=seconds))
    found = shown_nic(nic, "2026-03-01")
    kept = [c for c in found["properties"]["ipConfigurations"] if c["name"] != drop]
    body = {**found, **members, "properties": {**found["properties"], "ipConfigurations": kept}}
    headers = {"authorization": harness.cloud.bearer("stranger"), "host": "x", "content-type": "application/json"}
    answer = handle(harness.cloud, Request("PUT", f"{nic.id}?api-version=2026-03-01", headers, json.dumps(body).encode()))
    assert answer.status == 200, answer.body


def puts(harness: Harness) -> list[Exchange]:
    """The NIC writes so far, accepted or not."""
    return [seen for seen in harness.cloud.history if seen.method == "PUT" and seen.kind == "nic" and seen.who != "stranger"]


async def events(harness: Harness, mirror: str = "PROD") -> list[str]:
    """The trail's events, oldest first."""
    return [str(row.columns["Event"]) for row in await harness.trail(mirror)]


async def details(harness: Harness, event: str) -> list[str]:
    """The sentences of the rows of that event, oldest first."""
    return [str(row.columns.get("Detail", "")) for row in await harness.trail() if row.columns["Event"] == event]


def other_content(harness: Harness, *, address: str = "10.0.0.254") -> dict[str, Any]:
    """All that the NICs are besides the VIP's configuration, as Azure has it."""

    def shown(nic: Nic) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(shown_nic(nic, "2026-03-01")))
        properties = found["properties"]
        kept = [c for c in properties["ipConfigurations"] if c["properties"].get("privateIPAddress") != address]
        for item in (found, *kept):
            item.pop("etag")
            item["properties"].pop("provisioningState")
        properties["ipConfigurations"] = kept
        return found

    return {nic.name: shown(nic) for nic in harness.cloud.nics.values()}


async def assert_kept(harness: Harness, *, on: str | None, address: str = "10.0.0.254", rows_of_writes: bool = True) -> None:
    """The promises that can be seen at rest: one holder, `Succeeded`, a gapless intact chain, rising epochs, a row per write.

    `rows_of_writes` False: some writes were by hand, or their answer met a driver that was dead.
    """
    head, rows = await harness.head(), await harness.trail()
    if on is not None:
        holder = next(nic for nic in harness.cloud.nics.values() if nic.name == on)
        assert harness.holders(address) == [on]
        assert holder.state == "Succeeded"
        assert head.swap is None
    assert [row.seq for row in rows] == list(range(1, head.seq + 1))
    assert harness.config is not None
    link = check_chain("PROD", rows, Link(), harness.config.seal)
    assert isinstance(link, Link), link
    assert link.hash == head.head_hash
    # A row about a write of an older decision may follow the newer decision; decisions themselves only rise.
    epochs = [int(row.columns["Epoch"]) for row in rows if row.columns["Event"].endswith((".accepted", ".confirmed"))]
    assert epochs == sorted(epochs)
    assert max(epochs, default=0) == head.epoch
    known = " ".join(str(row.columns.get("ArmRequestIds", "")) for row in rows)
    for sent in puts(harness) if rows_of_writes else ():
        if sent.status in (200, 201) and not sent.lost and sent.delay_s < 20.0:
            assert sent.request_id in known, f"no row has the id of the write of {sent.resource}"
