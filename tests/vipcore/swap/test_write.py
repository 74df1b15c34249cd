"""One NIC write and its operation: every error that Azure is known to answer with, and changes by others that must stay."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Ends, Hangs, Match, Stranger
from simulator.core.switches import Switches
from simulator.state.world import WorldConfig, WorldPlain
from tests.promises.harness import SUB, Harness
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    DETACH,
    NIC_A,
    NIC_B,
    POLL,
    agent,
    assert_kept,
    cured,
    details,
    other_content,
    puts,
    refused,
    stranger_puts,
    switch,
    timer,
    virtual,
)
from tests.vipcore.swap.azure import READ_A, READ_B, fixed
from tests.vipcore.swap.repertoire import (
    ANSWERED_WITHIN_S,
    ASYNC,
    CHANGED,
    CODES,
    DENIED,
    LOCKED,
    PASSING,
    SILENT,
    SYNC,
    TAKEN,
    THROTTLED,
    TOKEN,
    WRITES,
    WRONG,
    says_what_to_do,
)


def test_every_row_has_its_expectation() -> None:
    """No row of the error tables is without a rule, and none has two."""
    groups = [TAKEN, DENIED, TOKEN, THROTTLED, LOCKED, CHANGED, SILENT, WRONG, ASYNC]

    assert set().union(*groups) == ERRORS.keys()
    assert sum(map(len, groups)) == len(ERRORS)
    assert CODES.keys() == ERRORS.keys()


@pytest.mark.parametrize("name", sorted(ERRORS))
@pytest.mark.parametrize("place", WRITES)
@virtual
async def test_an_error_that_strikes_a_write_once(place: str, name: str) -> None:
    """A passing error of a write is outlived within the request; another is told at once, and the agent's next try ends well."""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    struck = harness.cloud.script(WRITES[place], fault=Answer(name=name))

    outcome, refusals = await agent(node, "MIRRORB")

    assert struck.struck == 1
    assert (outcome.outcome, outcome.holder, outcome.from_member) == ("moved", "MIRRORB", "MIRRORA")
    assert [refusal.code for refusal in refusals] == ([] if name in PASSING else [CODES[name]])
    assert all(says_what_to_do(name, refusal.detail) for refusal in refusals), refusals
    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("name", sorted(ERRORS))
@pytest.mark.parametrize("place", WRITES)
@virtual
async def test_an_error_that_strikes_every_write(place: str, name: str) -> None:
    """An error that stays is told in time with its code and what to do; what was not detached stays; the timer ends it later."""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    harness.cloud.script(WRITES[place], fault=Answer(name=name), times=ALWAYS)

    if place == "detach" and name in ASYNC - {"Canceled"}:
        # The operation failed but the address has left the NIC: the swap goes on, and nothing is wrong for the new holder.
        assert (await node.claim("MIRRORB")).outcome == "moved"
    else:
        refusal = await refused(node.claim("MIRRORB"))
        assert refusal.code == CODES[name]
        assert refusal.retry_after_s is not None
        assert says_what_to_do(name, refusal.detail), refusal.detail
        assert harness.loop.time() <= ANSWERED_WITHIN_S
        if place == "detach":
            assert harness.holders() == [NIC_A]
        await assert_kept(harness, on=None)
    cured(harness)
    await timer(node, 900.0)

    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@virtual
async def test_nothing_else_changes_on_a_nic() -> None:
    """Unknown properties, tags and other configurations travel through a swap unchanged. (I5)"""
    found = worlds.default()
    more = {
        "tags": {"owner": "dba"},
        "extendedLocation": {"name": "edge"},
        "properties": {"enableIPForwarding": True, "futureProperty": {"deep": [1, {"x": None}]}},
    }
    nics = tuple(
        replace(nic, document=more, configs=(*nic.configs, WorldConfig(name="backup", address=f"10.0.0.3{i}")))
        for i, nic in enumerate(found.nics)
    )
    harness = Harness(world=replace(found, nics=nics))
    node, before = harness.node("n1"), other_content(harness)

    await node.claim("MIRRORB")
    await node.claim("MIRRORA", claim_id="back")

    assert other_content(harness) == before
    await assert_kept(harness, on=NIC_A)


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


@pytest.mark.parametrize("second_put", ["supersede", "locked", "conflict"])
@pytest.mark.parametrize("name", [NIC_A, NIC_B])
@virtual
async def test_a_nic_that_somebody_else_is_writing(name: str, second_put: str) -> None:
    """A NIC that is `Updating` by another's operation is waited for, whatever Azure does to a second write. (I10)"""
    harness = Harness(switches=fixed(second_put=second_put))
    node = harness.node("n1")
    stranger_puts(harness, name, seconds=12.0, tags={"owner": "somebody"})
    before = other_content(harness)

    assert (await node.claim("MIRRORB")).outcome == "moved"

    assert 12.0 < harness.loop.time() < 25.0
    assert [sent.status for sent in puts(harness)] == [200, 200]
    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("locked", ["locked", "conflict"])
@virtual
async def test_a_holder_that_stays_locked(locked: str) -> None:
    """A holder's NIC that another operation locks for long answers `busy`, and the swap is done when the lock is gone."""
    harness = Harness(switches=fixed(second_put=locked))
    node = harness.node("n1")
    stranger_puts(harness, NIC_A, seconds=400.0)

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "busy"
    assert harness.holders() == [NIC_A]
    await timer(node, 900.0)
    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("profile", ["base-4", "none"])
@pytest.mark.parametrize("kind", ["arm", "nrp"])
@virtual
async def test_throttling_with_and_without_retry_after(kind: str, profile: str) -> None:
    """A subscription whose budget is used up throttles the swap for a while, and the agent gets its VIP all the same."""
    told = profile != "none"
    limits = {"arm_writes": (1.0, 0.05), "arm_reads": (10.0, 2.0)} if kind == "arm" else {"nrp_writes_per_5min": 1}
    harness = Harness(switches=fixed(throttling=kind, throttle_retry_after=told, retry_after=profile, **limits))
    node = harness.node("n1")

    outcome, refusals = await agent(node, "MIRRORB")

    assert outcome.outcome == "moved"
    assert {refusal.code for refusal in refusals} <= {"azure-throttled", "busy"}
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_token_that_has_expired() -> None:
    """A token that Azure no longer takes ends as `azure-denied`, and the next claim with a good one goes through."""
    harness = Harness(switches=fixed(token_expired=True))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-denied"
    switch(harness, token_expired=False)
    assert (await agent(node, "MIRRORB"))[0].outcome == "moved"
    await assert_kept(harness, on=NIC_B)


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


SCOPE = f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Network"
SETTINGS = {
    "loadBalancerBackendAddressPools": [{"id": f"{SCOPE}/loadBalancers/lb/backendAddressPools/p"}],
    "futureProperty": {"kept": [1, 2]},
}


def with_settings(settings: dict[str, Any]) -> Harness:
    """The VIP on A carries what somebody else has set."""
    found = worlds.default()
    balancer = WorldPlain(type="Microsoft.Network/loadBalancers", name="lb", document={"sku": {"name": "Standard"}})
    harness = Harness(world=replace(found, others=(*found.others, balancer)), switches=Switches(latency="fixed:2"))
    harness.carry(NIC_A, **settings)
    return harness


def carried(harness: Harness, nic: str) -> dict[str, Any]:
    """What the VIP carries on that NIC, of what was set."""
    configs = harness.cloud.nic_named(nic).doc.configs
    return {k: v for c in configs if c.name == "vip" for k, v in c.properties.items() if k in SETTINGS}


@virtual
async def test_what_the_vip_carries_travels_with_it() -> None:
    """Pools, rules and what we do not know move with the VIP; the row of the attach names them. (I5)"""
    harness = with_settings(SETTINGS)
    node = harness.node("n1")

    await node.claim("MIRRORB")

    assert carried(harness, NIC_B) == SETTINGS
    said = "Azure accepted the attach of vip (with futureProperty, loadBalancerBackendAddressPools) to the NIC of MIRRORB."
    assert said in await details(harness, "nic.write")


@virtual
async def test_what_the_vip_carries_survives_the_death_of_its_driver() -> None:
    """The head knows it before the detach goes out: a successor that finds the VIP on no NIC attaches it with that. (I5)"""
    harness = with_settings(SETTINGS)
    node = harness.node("n1")
    driving = asyncio.ensure_future(node.claim("MIRRORB"))
    while harness.holders():
        await asyncio.sleep(0.1)
    node.kill()

    await timer(harness.node("n2"), 120.0)

    assert carried(harness, NIC_B) == SETTINGS
    driving.cancel()


@virtual
async def test_what_was_set_between_decision_and_detach_is_known_too() -> None:
    """Somebody sets a property while the swap waits: the detach goes out only after the head has it. (I5)"""
    harness = with_settings({})
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", kind="nic"), fault=Answer(name="AnotherOperationInProgress", retry_after=5))
    driving = asyncio.ensure_future(node.claim("MIRRORB"))
    await asyncio.sleep(3.0)
    harness.carry(NIC_A, **SETTINGS)
    while harness.holders():
        await asyncio.sleep(0.1)
    node.kill()

    assert (await harness.head()).carried["10.0.0.254"]["settings"] == SETTINGS
    driving.cancel()


@virtual
async def test_a_lost_vip_comes_back_with_what_it_carried_when_it_was_last_seen() -> None:
    """A look that finds the VIP in place keeps what was set since the last swap; there is no row for that. (I5)"""
    harness = with_settings({})
    node = harness.node("n1")
    await node.claim("MIRRORA")
    harness.carry(NIC_A, **SETTINGS)
    rows = len(await harness.trail())
    await timer(node, 700.0)
    assert len(await harness.trail()) == rows

    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "drops-config")
    await timer(node, 700.0)

    assert carried(harness, NIC_A) == SETTINGS


@virtual
async def test_more_than_a_column_takes_travels_all_the_same() -> None:
    """The address comes first: what the head cannot keep is in the driver's memory, and the row says what a crash would cost."""
    settings = {"futureProperty": {"kept": ["x" * 40_000]}}
    harness = with_settings(settings)

    await harness.node("n1").claim("MIRRORB")

    assert carried(harness, NIC_B) == settings
    assert (await harness.head()).carried == {}
    assert "too much for the head to keep" in (await details(harness, "swap.completed"))[0]


@virtual
async def test_settings_that_azure_refuses_do_not_strand_the_vip() -> None:
    """An attach that Azure refuses for good is tried once without what the VIP carries; the row says what to set again. (I1)"""
    harness = with_settings(SETTINGS)
    gone = Answer(name="InvalidResourceReference")
    harness.cloud.script(Match(method="PUT", kind="nic", name=NIC_B), fault=gone)

    outcome = await harness.node("n1").claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert harness.holders() == [NIC_B]
    assert "the attach is made without; set that again by hand" in (await details(harness, "swap.completed"))[0]
