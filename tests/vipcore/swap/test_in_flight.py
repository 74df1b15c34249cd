"""Writes without an answer: what they did is read afterwards, and a successor overwrites what may still land."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from simulator.core.faults import Answer, Lands, Late, Lost, Match, Status
from tests.promises import worlds
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    DETACH,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    cured,
    details,
    other_content,
    puts,
    refused,
    timer,
    virtual,
)
from tests.vipcore.effects import PUT, watched
from vipcore.model import Epoch


class DieSending(Fate):
    """An instance dies while its second NIC write is on its way; that write lands later by itself."""

    def __init__(self) -> None:
        self.writes = 0

    async def before(self, node: Node, label: str) -> None:
        self.writes += label == PUT
        if self.writes == 2 and label == PUT:
            self.writes += 1
            node.harness.cloud.script(ATTACH, fault=Lands(after_s=100.0))
            node.harness.loop.call_later(0.05, node.kill)


@virtual
async def test_a_write_that_lands_after_its_driver_died() -> None:
    """A dead driver's write that lands long after its successor has moved the VIP elsewhere fails: its etag is gone. (I2)"""
    harness = Harness(fate=DieSending())
    node, other = harness.node("n1"), harness.node("n2")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert node.dead

    outcome, _ = await agent(other, "MIRRORA", claim_id="back")
    await timer(other, 300.0)

    claim.cancel()
    assert outcome.outcome == "moved"
    assert any("Rewrote the NIC of MIRRORB" in detail for detail in await details(harness, "nic.write"))
    assert 412 in [sent.status for sent in puts(harness)]
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_swap_survives_a_lost_answer_of_both_writes() -> None:
    """Both writes took effect and neither answer arrived: fresh reads find that, and the claim says moved. (I3)"""
    harness, node, _ = watched()
    for match in (DETACH, ATTACH):
        harness.cloud.script(match, fault=Lost(when="after"))

    outcome, _ = await agent(node, "MIRRORB")

    assert outcome.outcome == "moved"
    unknown = [row for row in await harness.trail() if row.columns.get("Outcome") == "unknown"]
    assert len(unknown) == 2
    cured(harness)
    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("fault", [Lost(when="before"), Lost(when="after"), Lost(when="after", reset=True), Late(delay_s=25.0)])
@pytest.mark.parametrize("match", [DETACH, ATTACH], ids=["detach", "attach"])
@virtual
async def test_a_write_whose_answer_is_lost(match: Match, fault: Any) -> None:
    """A write without an answer is settled by a fresh read, and the trail says what that found. (I3)"""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    harness.cloud.script(match, fault=fault)

    outcome, refusals = await agent(node, "MIRRORB")

    assert outcome.outcome == "moved"
    assert {refusal.code for refusal in refusals} <= {"outcome-unknown", "busy"}
    assert any("got no answer; a fresh read found" in detail for detail in await details(harness, "nic.write"))
    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("match", [DETACH, ATTACH], ids=["detach", "attach"])
@virtual
async def test_writes_whose_answers_are_always_lost(match: Match) -> None:
    """Where no write is ever answered the claim ends as `outcome-unknown`, and what happened is found out later. (I3)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(match, fault=Lost(when="before"), times=ALWAYS)

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "outcome-unknown"
    cured(harness)
    await timer(node, 600.0)
    await assert_kept(harness, on=NIC_B)


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
