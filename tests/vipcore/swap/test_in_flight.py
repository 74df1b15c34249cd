"""Writes without an answer: what they did is read afterwards, and a successor overwrites what may still land."""

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.faults import Answer, Fault, Lands, Late, Lost, Match, Status
from simulator.core.switches import Switches
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
from tests.vipcore.swap.azure import READ_A, READ_B
from vipcore.errors import InvariantBroken
from vipcore.model import Epoch, Mirror, Nic
from vipcore.swap.in_flight import Event, InFlight, Write
from vipcore.swap.plan import Observed


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
    assert any("the write that puts the NIC of MIRRORB" in detail for detail in await details(harness, "nic.write"))
    assert any("the tag mirror-vip-overwritten on the NIC of MIRRORB" in it for it in await details(harness, "nic.write"))
    assert not any("also changed" in detail for detail in await details(harness, "swap.completed"))
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
    assert any("the write that puts the NIC of MIRRORB" in detail for detail in await details(harness, "nic.write"))
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


NOTHING = Observed(Mirror(name="M", members=(), vips=()), {})
ALLOWED = {
    (Write.NONE, Event.ANNOUNCE): Write.ANNOUNCED,
    (Write.NONE, Event.SETTLE): Write.NONE,
    (Write.ANNOUNCED, Event.WITHDRAW): Write.NONE,
    (Write.ANNOUNCED, Event.SEND): Write.SENT,
    (Write.SENT, Event.ACCEPT): Write.NONE,
    (Write.SENT, Event.ANSWER): Write.NONE,
    (Write.SENT, Event.REFUSE): Write.NONE,
    (Write.SENT, Event.LOSE): Write.UNANSWERED,
    (Write.UNANSWERED, Event.ANNOUNCE): Write.ANNOUNCED_AGAIN,
    (Write.UNANSWERED, Event.SETTLE): Write.NONE,
    (Write.ANNOUNCED_AGAIN, Event.WITHDRAW): Write.UNANSWERED,
    (Write.ANNOUNCED_AGAIN, Event.SEND): Write.SENT_AGAIN,
    (Write.ANNOUNCED_AGAIN, Event.SETTLE): Write.ANNOUNCED,
    (Write.SENT_AGAIN, Event.ACCEPT): Write.NONE,
    (Write.SENT_AGAIN, Event.ANSWER): Write.UNANSWERED,
    (Write.SENT_AGAIN, Event.REFUSE): Write.UNANSWERED,
    (Write.SENT_AGAIN, Event.LOSE): Write.UNANSWERED,
    (Write.SENT_AGAIN, Event.SETTLE): Write.SENT,
}


def happens(in_flight: InFlight, event: Event) -> None:
    """The event, through the public methods."""
    shown = Nic(id="nic", document={}, etag="1", state="Succeeded", read_at=0.0)
    match event:
        case Event.ANNOUNCE:
            in_flight.announce("A")
        case Event.WITHDRAW:
            in_flight.withdraw("A")
        case Event.SEND:
            in_flight.sent("A", shown.document)
        case Event.ACCEPT:
            in_flight.accepted("A", 1.0)
        case Event.ANSWER:
            in_flight.answered("A", 1.0)
        case Event.REFUSE:
            in_flight.refused("A")
        case Event.LOSE:
            in_flight.lost("A")
        case Event.SETTLE:
            in_flight.settled("A", 1.0)


@pytest.mark.parametrize("state", list(Write))
@pytest.mark.parametrize("event", list(Event))
def test_state_table_of_a_write(state: Write, event: Event) -> None:
    """Each pair of state and event leads where the table says; any other pair is a defect and changes nothing. (I2)"""
    in_flight = InFlight(NOTHING)
    in_flight.writes["A"] = state
    if (state, event) not in ALLOWED:
        with pytest.raises(InvariantBroken, match=f"{event.name} of a write of the NIC of A in state {state.name}"):
            happens(in_flight, event)
        assert in_flight.writes == {"A": state}
        return

    happens(in_flight, event)

    assert in_flight.writes == {"A": ALLOWED[state, event]}


@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_a_write_without_an_answer_stays_in_flight_until_it_is_settled(events: list[Event]) -> None:
    """Whatever else is sent: after a lost answer the NIC is named until a write is accepted or a read settles it. (I2)"""
    in_flight, unsettled, sent = InFlight(NOTHING), False, False
    for event in events:
        try:
            happens(in_flight, event)
        except InvariantBroken:
            continue
        sent = event is Event.SEND or (sent and event not in (Event.ACCEPT, Event.ANSWER, Event.REFUSE, Event.LOSE))
        unsettled = event is Event.LOSE or (unsettled and event not in (Event.ACCEPT, Event.SETTLE))

        assert ("A" in in_flight.late) is (unsettled or sent)


def test_a_dead_drivers_write_stays_in_flight_until_its_nic_is_written() -> None:
    """What a driver before us may still write is named until its NIC was written; one that is gone is watched for. (I2)"""
    in_flight = InFlight(NOTHING, {"A", "B"})

    for event in (Event.ANNOUNCE, Event.SEND, Event.LOSE, Event.SETTLE, Event.ANNOUNCE, Event.SEND, Event.ANSWER):
        happens(in_flight, event)
        assert in_flight.late == {"A", "B"}
    for event in (Event.ANNOUNCE, Event.SEND, Event.ACCEPT):
        happens(in_flight, event)
    in_flight.gone("B")
    assert (in_flight.late, in_flight.left_to_others()) == (set(), ("B",))
    in_flight.shown("B")

    assert in_flight.late == {"B"}


UNREADABLE = Status(status=503)
GONE = Answer(name="ResourceNotFound")


@pytest.mark.parametrize(
    ("hidden", "unread", "silent", "told"),
    [
        (UNREADABLE, 18, 9, "moved"),
        (UNREADABLE, 18, 60, "azure-failed"),
        (UNREADABLE, 200, 60, "azure-failed"),
        (GONE, 2, 9, "moved"),
        (GONE, 200, 60, "azure-failed"),
    ],
)
@virtual
async def test_a_nic_that_can_be_read_again_is_rewritten(hidden: Fault, unread: int, silent: int, told: str) -> None:
    """A NIC that a dead driver may still write stays in the head while Azure does not show it, and is rewritten after. (I2)"""
    harness = Harness(switches=Switches(latency="fixed:8"))
    node, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(Match(method="PUT"), fault=Lost(when="before", after_s=19.0))
    doomed = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(2.0)
    node.kill()
    doomed.cancel()
    await asyncio.sleep(15.0)
    harness.cloud.script(READ_B, fault=hidden, times=unread)  # 18: five reads in vain, then one that is repeated
    harness.cloud.script(READ_A, fault=Status(status=503), times=silent, skip=3)

    claimed = other.claim("MIRRORA")
    assert (await claimed).outcome == told if told == "moved" else (await refused(claimed)).code == told
    rewritten = min((put.landed for put in harness.journal.puts if put.nic == NIC_B and put.landed), default=math.inf)
    assert (rewritten < math.inf) or told != "moved"
    swaps = [commit.after.swap for commit in harness.journal.commits if commit.trace.node is other and commit.at < rewritten]
    assert [swap for swap in swaps if swap and "MIRRORB" not in swap.maybe_in_flight] == []
    cured(harness)
    await timer(other, 120.0)

    assert NIC_B in [put.nic for put in harness.journal.puts]
    await assert_kept(harness, on=NIC_A, rows_of_writes=False)
