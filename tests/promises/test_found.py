"""What the simulation's checker found, and what only a story told on purpose shows: one by one."""

import asyncio
from dataclasses import replace

from simulator.core.faults import Answer, Ends, Lands, Lost, Match, Status
from tests.promises import worlds
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import (
    ATTACH,
    DETACH,
    NIC_A,
    agent,
    assert_kept,
    details,
    events,
    puts,
    refused,
    timer,
    virtual,
)
from vipcore.decision.request import Request
from vipcore.decision.takeover import driver_for
from vipcore.errors import CommitUnknown
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.model import Epoch, Nic

PUT = "arm PUT networkInterfaces"


class DieSendingAgain(Fate):
    """An instance dies while it repeats the detach that Azure had canceled; that write lands later by itself."""

    def __init__(self) -> None:
        self.done = False

    async def before(self, node: Node, label: str) -> None:
        if label == PUT and len(puts(node.harness)) == 1 and not self.done:
            self.done = True
            node.harness.cloud.script(DETACH, fault=Lands(after_s=100.0))
            node.harness.loop.call_later(0.05, node.kill)


@virtual
async def test_a_write_of_a_plan_made_anew_is_fenced_too() -> None:
    """A detach that is sent again after Azure canceled it stands in the head, so that a successor rewrites its NIC. (I2)"""
    harness = Harness(fate=DieSendingAgain())
    node, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(DETACH, fault=Ends(how="canceled"))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert node.dead

    outcome, _ = await agent(other, "MIRRORA", claim_id="back")
    await timer(other, 300.0)

    claim.cancel()
    assert outcome.outcome == "moved"
    assert (await events(harness)).count("swap.completed") == 1
    assert any("Rewrote the NIC of MIRRORA" in detail for detail in await details(harness, "nic.write"))
    assert 412 in [sent.status for sent in puts(harness)]
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_refused_write_is_told_by_a_driver_that_is_superseded() -> None:
    """Whoever hands over tells of the writes that Azure had refused it: those were answered too. (I3)"""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(ATTACH, fault=Answer(name="SubscriptionRequestsThrottled", retry_after=4), times=3)
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    while not any(sent.status == 429 for sent in puts(harness)):
        await asyncio.sleep(0.1)

    await agent(other, "MIRRORA", claim_id="back")

    assert (await first).code == "claim-superseded"
    known = " ".join(str(row.columns.get("ArmRequestIds", "")) for row in await harness.trail())
    assert [sent.status for sent in puts(harness) if sent.request_id not in known] == []
    await assert_kept(harness, on=NIC_A)


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
async def test_a_lost_answer_is_told_by_the_first_read_that_succeeds() -> None:
    """Where the NIC cannot be read right after a write without an answer, the next read's row says what it found. (I3)"""
    harness = Harness()
    harness.cloud.script(DETACH, fault=Lost(when="before"))
    task = asyncio.create_task(harness.node("n1").claim("MIRRORB"))
    while not puts(harness):
        await asyncio.sleep(0.05)
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_A), fault=Status(status=500), times=3)

    await task

    said = [detail for detail in await details(harness, "nic.write") if "got no answer" in detail]
    assert len(said) == 1
    assert "is still as it was" in said[0]


class Stalls(Fate):
    """The head's first read of one instance takes so long."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds

    async def before(self, node: Node, label: str) -> None:
        if node.name == self.name and label == "table load_head" and self.seconds:
            seconds, self.seconds = self.seconds, 0.0
            await asyncio.sleep(seconds)


@virtual
async def test_a_look_of_before_the_last_write_confirms_nothing() -> None:
    """NICs read before the swap that a claim was judged after say nothing of where the VIP is. (I4)"""
    harness = Harness(fate=Stalls("n2", 15.0))
    node, other = harness.node("n1"), harness.node("n2")
    first = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(0.02)

    outcome = await other.claim("MIRRORA", claim_id="back")

    assert (await first).outcome == "moved"
    assert outcome.outcome == "moved"
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_read_is_as_old_as_its_request() -> None:
    """A look whose answer was slow shows the NIC as it was when it was asked for, not as it is when the answer comes. (I4)"""
    harness = Harness(arm_s=4.0)
    loop = asyncio.get_running_loop()
    asked = loop.time()
    shown = await harness.node("n1").controller.arm.read_nic(harness.mirror().members[0].nic_id)
    assert isinstance(shown, Nic)
    assert shown.read_at - asked < 0.1 < loop.time() - asked


@virtual
async def test_one_request_delivered_twice_at_once_joins_a_swap_once() -> None:
    """Of two deliveries of one signed request, judged on the same head, one joins the swap and the other is a replay. (I6)"""
    harness = Harness()
    node, second, third = harness.node("n1"), harness.node("n2"), harness.node("n3")
    driving = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    at = second.now()

    deliveries = [one.claim("MIRRORB", claim_id="twice", issued_at=at) for one in (second, third)]
    answers = await asyncio.gather(*deliveries, return_exceptions=True)

    assert (await driving).outcome == "moved"
    assert sorted(type(answer).__name__ for answer in answers) == ["Outcome", "Refusal"]
    assert (await events(harness)).count("claim.accepted") == 2


class DieSendingAttach(Fate):
    """An instance dies while its attach is on its way; that write lands later by itself."""

    def __init__(self) -> None:
        self.done = False

    async def before(self, node: Node, label: str) -> None:
        if label == PUT and len(puts(node.harness)) == 1 and not self.done:
            self.done = True
            node.harness.cloud.script(Match(method="PUT", name="nic-b"), fault=Lands(after_s=150.0))
            node.harness.loop.call_later(0.05, node.kill)


@virtual
async def test_a_hand_over_leaves_what_was_to_be_rewritten() -> None:
    """A successor that is itself superseded before it rewrote a dead driver's NIC leaves that to the next one. (I2)"""
    harness = Harness(world=worlds.world(3), document=worlds.document(3), fate=DieSendingAttach())
    node, second, third = harness.node("n1"), harness.node("n2"), harness.node("n3")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert node.dead

    busy = Answer(name="SubscriptionRequestsThrottled", retry_after=15)
    harness.cloud.script(Match(method="PUT", name="nic-b"), fault=busy)
    overtaken = asyncio.create_task(refused(second.claim("MIRRORC", claim_id="c")))
    while not any(sent.status == 429 for sent in puts(harness)):
        await asyncio.sleep(0.1)
    await agent(third, "MIRRORA", claim_id="back")
    await timer(third, 300.0)

    claim.cancel()
    assert (await overtaken).code == "claim-superseded"
    assert any("Rewrote the NIC of MIRRORB" in detail for detail in await details(harness, "nic.write"))
    assert puts(harness)[-1].status == 412


@virtual
async def test_a_driver_that_lets_go_tells_of_a_write_without_an_answer() -> None:
    """Whoever is superseded before it looked after a write whose answer was lost says so; its successor's rows would not. (I3)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(ATTACH, fault=Lost(when="before", after_s=30.0), times=1)
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    while len(puts(harness)) < 2:
        await asyncio.sleep(0.05)
    head = await harness.head()
    newer = replace(head, desired="MIRRORA", epoch=Epoch(head.epoch + 1), etag=head.etag)
    await harness.ledger.commit(newer, [])  # somebody decides, and no row of theirs tells of the write

    await first

    assert any("let go before a read could tell" in detail for detail in await details(harness, "nic.write"))


@virtual
async def test_a_commit_that_was_cut_off_is_not_written_again() -> None:
    """Rows that are in the trail although their driver was cut off while it waited for the answer are not written again. (I3)"""
    harness = Harness()
    node = harness.node("n1")
    driver = driver_for(node.controller, ask_of(node), Head(mirror="PROD"), {})
    driver.drafts = [Entry(event="nic.write", actor="test", detail="once")]
    landed = asyncio.Event()

    class Hangs(Fate):
        async def between(self, node: Node, label: str) -> None:
            if label == "table commit" and not landed.is_set():
                landed.set()
                await asyncio.Event().wait()

    harness.fate = Hangs()

    def change(head: Head) -> tuple[Head, list[Entry]]:
        return head, driver.drafts

    cut_off = asyncio.create_task(driver.record(driver.head, change))
    await landed.wait()
    cut_off.cancel()
    await asyncio.wait([cut_off])
    await driver.record(await harness.head(), change)

    assert await details(harness, "nic.write") == ["once"]


def ask_of(node: Node) -> Request:
    """A move to MIRRORB."""
    return Request(mirror=node.harness.mirror(), member="MIRRORB", began=node.now(), actor="operator:op", correlation_id="c")
