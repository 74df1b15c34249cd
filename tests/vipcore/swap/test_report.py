"""Rows of a swap: each answered write has exactly one."""

import asyncio
from dataclasses import replace

import pytest

from simulator import worlds
from simulator.core.faults import Answer, Lost
from simulator.core.switches import Switches
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import ATTACH, assert_kept, details, puts, virtual
from tests.vipcore.effects import watched
from vipcore.arm.polling import PollCount
from vipcore.errors import CommitUnknown
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.swap.in_flight import InFlight
from vipcore.swap.lease import HeldLease, take_lease
from vipcore.swap.plan import Observed
from vipcore.swap.report import Report


@virtual
async def test_every_write_has_its_row() -> None:
    """Each NIC write whose answer came has one row with ARM's request id, which is the operation's id too. (I3)"""
    harness, node, _ = watched()
    await node.claim("MIRRORB")

    rows = [row.columns for row in await harness.trail() if row.columns["Event"] == "nic.write"]
    assert [row["ArmRequestIds"] for row in rows] == [sent.request_id for sent in puts(harness)]
    assert [row["Member"] for row in rows] == ["MIRRORA", "MIRRORB"]
    assert len({row["OperationId"] for row in rows}) == 1


@pytest.mark.parametrize("running", [False, True], ids=["at once", "in a while"])
def test_a_row_says_what_is_known_of_its_write(running: bool) -> None:
    """`accepted` while Azure is at work, `completed` where its answer said so; DurationMs is until then. (I3)"""

    @virtual
    async def story() -> None:
        world = worlds.default()
        if not running:  # nothing but the NIC's document is to be changed then
            world = replace(world, nics=tuple(replace(nic, vm="") for nic in world.nics))
        harness = Harness(world=world, switches=Switches(latency="fixed:8"))
        await harness.node("n1").claim("MIRRORB")

        rows = [row.columns for row in await harness.trail() if row.columns["Event"] == "nic.write"]
        outcome = "accepted" if running else "completed"
        assert [row["Outcome"] for row in rows] == [outcome] * 2
        assert all(str(row["Detail"]).startswith(f"Azure {outcome} the ") for row in rows)
        assert all(0 < row["DurationMs"] < 1000 for row in rows)

    story()


@virtual
async def test_each_refused_write_has_its_row() -> None:
    """A write that Azure refused has a row of its own, with ARM's request id and words, and the time until then. (I3)"""
    harness = Harness()
    harness.cloud.script(ATTACH, fault=Answer(name="SubscriptionRequestsThrottled", retry_after=4), times=2)
    await harness.node("n1").claim("MIRRORB")

    rows = [row.columns for row in await harness.trail() if row.columns["Event"] == "nic.write"]
    refused = [row for row in rows if row["Outcome"] == "refused"]
    assert [row["ArmRequestIds"] for row in refused] == [sent.request_id for sent in puts(harness) if sent.status == 429]
    assert all("SubscriptionRequestsThrottled" in str(row["Detail"]) and row["DurationMs"] >= 0 for row in refused)
    assert len(rows) == len(puts(harness))


@virtual
async def test_a_write_without_an_answer_says_how_long_nothing_was_known() -> None:
    """`unknown`: DurationMs is from the sending until a read told. (I3)"""
    harness = Harness()
    harness.cloud.script(ATTACH, fault=Lost(when="after"))
    await harness.node("n1").claim("MIRRORB")

    (lost,) = [row.columns for row in await harness.trail() if row.columns.get("Outcome") == "unknown"]
    assert (lost["Event"], lost["Member"]) == ("nic.write", "MIRRORB")
    assert 0 < lost["DurationMs"] < 60_000


class LosesTheRow(Fate):
    """The commit of the first write's row takes effect, its answer is lost, and the table is away right after."""

    def __init__(self) -> None:
        self.lost = False

    async def between(self, node: Node, label: str) -> None:
        if label == "table commit" and not self.lost and any(sent.status == 200 for sent in puts(node.harness)):
            self.lost = True
            node.harness.table_away_until = node.harness.loop.time() + 2.0
            raise CommitUnknown("lost")


@virtual
async def test_a_write_has_one_row() -> None:
    """A row whose commit got no answer before the table went away is not committed a second time. (I3)"""
    harness = Harness(fate=LosesTheRow())
    node = harness.node("n1")
    await node.claim("MIRRORB")

    ids = [row.columns.get("ArmRequestIds") for row in await harness.trail() if row.columns["Event"] == "nic.write"]
    assert len(ids) == len(set(ids)) == len([sent for sent in puts(harness) if sent.status == 200])
    await assert_kept(harness, on="mirrorb280_z2")


@virtual
async def test_a_commit_that_was_cut_off_is_not_written_again() -> None:
    """Rows that are in the trail although their driver was cut off while it waited for the answer are not written again. (I3)"""
    harness = Harness()
    node = harness.node("n1")
    now = harness.loop.time()
    report = Report(now)
    head = take_lease(Head(mirror="PROD"), "n1/1", node.now(), PollCount())
    in_flight = InFlight(Observed(harness.mirror(), {}))
    lease = HeldLease(node.controller.store, head, in_flight, report, PollCount(), taken_at=now, deadline=now + 60.0)
    report.add(Entry(event="nic.write", actor="test", detail="once"))
    landed = asyncio.Event()

    class Hangs(Fate):
        async def between(self, node: Node, label: str) -> None:
            if label == "table commit" and not landed.is_set():
                landed.set()
                await asyncio.Event().wait()

    harness.fate = Hangs()

    def change(head: Head) -> tuple[Head, list[Entry]]:
        return head, []

    cut_off = asyncio.create_task(lease.commit(Head(mirror="PROD"), change))
    await landed.wait()
    cut_off.cancel()
    await asyncio.wait([cut_off])
    await lease.commit(await harness.head(), change)

    assert await details(harness, "nic.write") == ["once"]
