"""Others on the same NICs, dead machines, lost answers, and what Azure may do in more than one way: the VIP arrives."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Answer, Late, Lost, Match, Status, Stranger
from simulator.core.switches import Switches
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Harness
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
    document,
    events,
    other_content,
    puts,
    refused,
    switch,
    timer,
    virtual,
)

READ_A = Match(method="GET", kind="nic", name=NIC_A)
READ_B = Match(method="GET", kind="nic", name=NIC_B)


def fixed(**switches: Any) -> Switches:
    """Operations of three seconds, and other switches."""
    return Switches(latency="fixed:3", **switches)


# -- foreign writers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["bumps-etag", "changes-tag", "adds-config"])
@pytest.mark.parametrize("match", [READ_A, READ_B], ids=["holder", "target"])
@virtual
async def test_a_foreign_write_between_our_read_and_our_write(match: Match, what: str) -> None:
    """What somebody else writes to a NIC between our read and our write is not overwritten, and the swap goes on. (I5)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(match, fault=Stranger(what=what))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    assert 412 in [sent.status for sent in puts(harness)]
    foreign = {state.nic: state for state in harness.cloud.states if state.cause == "stranger"}
    for name, state in foreign.items():
        kept = {fact.name for fact in state.configs} - {"vip"}
        assert kept <= {fact.name for fact in harness.cloud.nic_named(name).doc.facts}
        if what == "changes-tag":
            assert "touched" in harness.cloud.nic_named(name).doc.top["tags"]
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_foreign_write_that_never_stops() -> None:
    """A NIC that somebody else changes before each of our writes answers `busy`, says so, and keeps every change. (I5)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(READ_A, fault=Stranger(what="changes-tag"), times=ALWAYS)

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "busy"
    assert "Somebody else changed the NIC" in refusal.detail
    assert harness.holders() == [NIC_A]
    cured(harness)
    await timer(node, 60.0)
    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("match", [READ_A, READ_B], ids=["holder", "target"])
@virtual
async def test_a_foreign_write_where_if_match_is_ignored(match: Match) -> None:
    """Where Azure ignores `If-Match` the swap still ends in place, and what differs on a NIC is said in the trail. (I5)"""
    harness = Harness(switches=fixed(if_match="ignored"))
    node = harness.node("n1")
    harness.cloud.script(match, fault=Stranger(what="changes-tag"))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_foreign_change_after_our_write_is_reported() -> None:
    """What somebody else changes on a NIC while we write it is left alone and named in the swap's row. (I5)"""
    harness = Harness()
    node = harness.node("n1")
    harness.loop.call_later(2.0, lambda: harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "changes-tag"))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    assert "touched" in harness.cloud.nic_named(NIC_A).doc.top["tags"]
    assert "also differs at /tags" in (await details(harness, "swap.completed"))[0]
    await assert_kept(harness, on=NIC_B)


# -- NICs that cannot be seen ------------------------------------------------------------------------------------------


@virtual
async def test_a_target_that_does_not_exist() -> None:
    """A claim for a member whose NIC is gone is refused and recorded, and nothing is detached. (I9, I10)"""
    found = worlds.default()
    harness = Harness(world=replace(found, nics=found.nics[:1]))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-failed"
    assert f"does not exist: /subscriptions/{'0' * 8}" in refusal.detail
    assert puts(harness) == []


@virtual
async def test_a_holder_that_does_not_exist_any_more() -> None:
    """A VIP whose holder's NIC was deleted is attached to the claimant: nothing is left to detach it from. (I9)"""
    found = worlds.default()
    harness = Harness(world=replace(found, nics=found.nics[1:]))
    node = harness.node("n1")

    outcome = await node.claim("MIRRORB")

    assert (outcome.outcome, outcome.from_member) == ("moved", None)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_an_unreadable_bystander_stops_nothing() -> None:
    """Where every VIP is seen, a third NIC that cannot be read does not matter: an address is on one NIC only. (I9)"""
    found = worlds.default()
    third = WorldNic(name="third", vm="", configs=(WorldConfig(name="ipconfig1", address="10.0.0.6"),))
    members = {"MIRRORA": {"nic": NIC_A}, "MIRRORB": {"nic": NIC_B}, "DR": {"nic": "third"}}
    harness = Harness(world=replace(found, nics=(*found.nics, third)), document=document(members=members))
    node = harness.node("n1")
    harness.cloud.script(Match(method="GET", name="third"), fault=Status(status=503), times=ALWAYS)

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("match", [READ_A, READ_B], ids=["holder", "target"])
@virtual
async def test_a_nic_that_becomes_unreadable_in_the_middle(match: Match) -> None:
    """A NIC that can no longer be read during the swap is looked at again; no answer says more than was read. (I4, I9)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(match, fault=Status(status=503), times=ALWAYS, skip=1)

    first = await agent_once(node)
    cured(harness)
    await timer(node, 120.0)

    assert first in {"moved", "azure-failed"}
    if match is READ_B:
        assert first == "azure-failed"
    await assert_kept(harness, on=NIC_B)


async def agent_once(node: Any) -> str:
    """The outcome or the code of one claim."""
    try:
        return str((await node.claim("MIRRORB")).outcome)
    except Exception as exc:
        return str(getattr(exc, "code", exc))


# -- answers that are lost or late -------------------------------------------------------------------------------------


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


# -- machines that are down --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "deallocated", "zone-dead-a", "zone-dead-b", "zone-dead-c"])
@pytest.mark.parametrize("vm", ["MIRRORA", "MIRRORB"])
@virtual
async def test_a_machine_that_is_down(vm: str, state: str) -> None:
    """Whatever state a member's machine is in, the VIP ends on the claimant as soon as Azure's own operations end. (I1)"""
    harness = Harness(switches=fixed(vm_state={vm: state}))
    node, before = harness.node("n1"), other_content(harness)

    if (vm, state) == ("MIRRORB", "zone-dead-b"):
        # The claimant's own NIC cannot succeed while its zone is down: never a 200 before it does. (I4)
        assert (await refused(node.claim("MIRRORB"))).code == "busy"
        await timer(node, 600.0)
        assert (await harness.head()).swap is not None
        switch(harness, vm_state={})
    outcome, refusals = await agent(node, "MIRRORB", within_s=1900.0)

    assert outcome.holder == "MIRRORB"
    assert {refusal.code for refusal in refusals} <= {"busy"}
    if vm == "MIRRORA":
        own = {"zone-dead-b": 300.0, "zone-dead-c": 900.0}.get(state, 3.0) + 3.0
        assert harness.loop.time() < own + 30.0
    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@virtual
async def test_a_holder_that_is_being_deleted() -> None:
    """The old holder's machine is being deleted: its operation fails, the address has left it, the swap goes on. (I1)"""
    harness = Harness(switches=fixed(vm_state={"MIRRORA": "deleting"}))
    node = harness.node("n1")

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


# -- what Azure may do in more than one way ----------------------------------------------------------------------------


@pytest.mark.parametrize("released_at", ["operation-end", "acceptance"])
@pytest.mark.parametrize("strategy", ["put", "auto", "atomic"])
@pytest.mark.parametrize("one_call", ["feature-missing", "version-unknown", "private", "all", "slow", "half-way"])
@virtual
async def test_every_strategy_on_every_azure(one_call: str, strategy: str, released_at: str) -> None:
    """Whenever Azure lets go of an address and whatever it thinks of the one-call move, six swaps in a row end in place. (I1)"""
    harness = Harness(
        switches=fixed(released_at=released_at, move_ip_configurations=one_call), document=document(strategy=strategy)
    )
    node, before = harness.node("n1"), other_content(harness)

    for permit in range(6):
        member, nic = [("MIRRORB", NIC_B), ("MIRRORA", NIC_A)][permit % 2]
        outcome, refusals = await agent(node, member, claim_id=f"c{permit}")
        assert (outcome.outcome, outcome.holder, outcome.epoch) == ("moved", member, permit + 1), refusals
        await assert_kept(harness, on=nic)
    assert other_content(harness) == before


@pytest.mark.parametrize("strategy", ["put", "auto"])
@virtual
async def test_what_the_overlap_gains(strategy: str) -> None:
    """Where Azure lets go at acceptance, a swap takes little more than one operation as soon as that is known."""
    harness = Harness(switches=fixed(released_at="acceptance"), document=document(strategy=strategy))
    node = harness.node("n1")
    took = []
    for permit in range(4):
        outcome = await node.claim(["MIRRORB", "MIRRORA"][permit % 2], claim_id=f"c{permit}")
        took.append(outcome.total_ms)

    assert took[-1] < 4000
    assert took[0] < (4000 if strategy == "put" else 7000)


@virtual
async def test_an_error_of_the_old_wording_during_the_overlap() -> None:
    """The old wording of a held address names no resource; during the overlap it is taken for our own, and the swap goes on."""
    harness = Harness(switches=fixed(released_at="acceptance"), document=document(strategy="put"))
    node = harness.node("n1")
    words = {"address": "10.0.0.254", "other": "B"}
    harness.cloud.script(ATTACH, fault=Answer(name="PrivateIPAddressInUse", words=words))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)
    assert (await events(harness))[-1] == "swap.completed"
