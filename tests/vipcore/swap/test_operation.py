"""Following an operation: however it ends, hangs or hides, a read of the NIC decides what comes next."""

import pytest

from simulator.core.faults import Answer, Ends, Hangs, Match
from tests.promises.harness import Harness
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    DETACH,
    NIC_A,
    NIC_B,
    POLL,
    agent,
    assert_kept,
    details,
    other_content,
    puts,
    refused,
    stranger_puts,
    switch,
    timer,
    virtual,
)
from tests.vipcore.swap.azure import fixed
from tests.vipcore.swap.repertoire import SYNC, THROTTLED


@pytest.mark.parametrize("name", SYNC)
@virtual
async def test_an_error_that_strikes_one_look_at_an_operation(name: str) -> None:
    """A look at an operation that leads to nothing costs nothing: the next one, or the NIC itself, tells how it ended."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(POLL, fault=Answer(name=name))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("name", SYNC)
@virtual
async def test_an_error_that_strikes_every_look_at_an_operation(name: str) -> None:
    """Where operations cannot be looked at at all the NICs tell; a throttle, which Azure means, is waited for in between."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(POLL, fault=Answer(name=name), times=ALWAYS)

    assert (await node.claim("MIRRORB")).outcome == "moved"
    assert harness.loop.time() < (60.0 if name in THROTTLED else 15.0)

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize(
    "name", ["AuthorizationFailed", "InvalidRequestFormat", "RetryableError.RetryableErrorDueToAnotherOperation"]
)
@virtual
async def test_a_poll_that_fails_is_not_the_end_of_its_operation(name: str) -> None:
    """A refused look at an operation says nothing about the write: no row says that it ended, and nothing is written again."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(POLL, fault=Answer(name=name), times=ALWAYS)

    await node.claim("MIRRORB")

    assert [sent.status for sent in puts(harness)] == [200, 200]
    assert [detail for detail in await details(harness, "swap.completed") if "ended with" in detail] == []


@pytest.mark.parametrize("how", ["failed-kept", "failed-rolled-back", "canceled", "not-allowed", "gone"])
@pytest.mark.parametrize("match", [DETACH, ATTACH], ids=["detach", "attach"])
@virtual
async def test_an_operation_that_ends_badly(match: Match, how: str) -> None:
    """However an accepted operation ends, a look at the NIC says what it left, and the swap goes on from there."""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    harness.cloud.script(match, fault=Ends(how=how))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("match", [DETACH, ATTACH], ids=["detach", "attach"])
@virtual
async def test_an_operation_that_hangs(match: Match) -> None:
    """An operation that does not end in the request's time answers `busy` in time; the decision stands and the timer ends it."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(match, fault=Hangs(for_s=400.0))

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "busy"
    assert harness.loop.time() <= 200.0
    assert (await harness.head()).desired == "MIRRORB"
    await timer(node, 600.0)
    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("name", [NIC_A, NIC_B])
@virtual
async def test_an_operation_superseded_by_another_writer(name: str) -> None:
    """A write of ours that somebody else's cancels is read again and repeated where needed, and the other's change stays."""
    harness = Harness()
    node = harness.node("n1")
    harness.loop.call_later(1.5 if name == NIC_A else 4.5, stranger_puts, harness, name)
    harness.loop.call_later(8.0, stranger_puts, harness, name)

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


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
