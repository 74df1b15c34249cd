"""Azure in trouble beyond single answers: operations that fail or hang, locks, throttles, strangers, and what reads find."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Ends, Hangs, Lost, Match
from simulator.core.switches import Denial, Switches
from simulator.state.world import World, WorldConfig, WorldNic, WorldPublicIp
from tests.promises.harness import SUB, Harness
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    DETACH,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    cured,
    document,
    other_content,
    puts,
    refused,
    stranger_puts,
    switch,
    timer,
    virtual,
)

GROUP = f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Network"
SUBNET = f"{GROUP}/virtualNetworks/vnet/subnets/default"


def world(*more: WorldNic, b: dict[str, Any] | None = None, **parts: Any) -> World:
    """The default world with more NICs, and MIRRORB's NIC changed."""
    found = worlds.default()
    return replace(found, nics=(found.nics[0], replace(found.nics[1], **(b or {})), *more), **parts)


def fixed(**switches: Any) -> Switches:
    """Operations of three seconds, and other switches."""
    return Switches(latency="fixed:3", **switches)


# -- operations that end badly -----------------------------------------------------------------------------------------


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


# -- others at work ----------------------------------------------------------------------------------------------------


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


@virtual
async def test_a_target_that_stays_updating() -> None:
    """A target NIC that stays `Updating` is waited for before anything is detached, and the VIP stays where it is. (I10)"""
    harness = Harness()
    node = harness.node("n1")
    stranger_puts(harness, NIC_B, seconds=600.0)

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "busy"
    assert puts(harness) == []
    assert harness.holders() == [NIC_A]
    await timer(node, 900.0)
    await assert_kept(harness, on=NIC_B)


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


@virtual
async def test_a_failed_target_is_repaired_first() -> None:
    """A target NIC in `Failed` is put back as it is before anything is detached. (I10)"""
    harness = Harness(world=world(b={"state": "Failed"}))
    node, before = harness.node("n1"), other_content(harness)

    assert (await node.claim("MIRRORB")).outcome == "moved"

    assert [sent.resource.rsplit("/", 1)[-1] for sent in puts(harness)] == [NIC_B, NIC_A, NIC_B]
    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@virtual
async def test_a_failed_target_that_cannot_be_repaired() -> None:
    """Where putting a failed target back does not repair it, the swap stops and the VIP stays where it is. (I10)"""
    harness = Harness(world=world(b={"state": "Failed"}))
    node = harness.node("n1")
    harness.cloud.script(ATTACH, fault=Ends(how="not-allowed"), times=ALWAYS)

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-failed"
    assert "marked for deletion" in refusal.detail
    assert harness.holders() == [NIC_A]
    await assert_kept(harness, on=None)
    cured(harness)
    await timer(node, 120.0)
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


@pytest.mark.parametrize("times", [1, 3])
@virtual
async def test_a_reference_that_is_updating(times: int) -> None:
    """A referenced resource that is still `Updating` after the detach delays the attach and no more."""
    harness = Harness(switches=fixed(busy_after_completion_s=4.0 * times))
    node = harness.node("n1")

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


# -- rights ------------------------------------------------------------------------------------------------------------

JOINS = {
    "Microsoft.Network/networkInterfaces/write": f"{GROUP}/networkInterfaces/{NIC_B}",
    "Microsoft.Network/virtualNetworks/subnets/join/action": SUBNET,
    "Microsoft.Network/publicIPAddresses/join/action": f"{GROUP}/publicIPAddresses/my_vip_ip",
    "Microsoft.Network/networkSecurityGroups/join/action": f"{GROUP}/networkSecurityGroups/nsg",
}


@pytest.mark.parametrize("action", JOINS)
@virtual
async def test_a_missing_right_is_found_before_anything_is_detached(action: str) -> None:
    """A right that the attach will need and the identity lacks is named with its scope, and nothing is detached. (I10)"""
    harness = Harness(switches=fixed(denied=(Denial(action=action, scope=JOINS[action]),)))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-denied"
    assert f"{action} on {JOINS[action]}" in refusal.detail
    assert puts(harness) == []
    switch(harness, denied=())
    await timer(node, 60.0)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_right_that_was_taken_away_is_met_once() -> None:
    """A reading of rights that Azure has just contradicted no longer stands in: the next try stops before it writes. (I3, I10)"""
    action = "Microsoft.Network/virtualNetworks/subnets/join/action"
    harness = Harness(switches=fixed())
    node = harness.node("n1")
    await node.claim("MIRRORB")
    switch(harness, denied=(Denial(action=action, scope=JOINS[action]),))

    first = await refused(node.claim("MIRRORA", claim_id="c2"))
    sent = len(puts(harness))
    second = await refused(node.claim("MIRRORA", claim_id="c2"))

    assert (first.code, second.code) == ("azure-denied", "azure-denied")
    assert len(puts(harness)) == sent
    # What Azure refused is told too: each answer's request id stands in a row.
    known = ",".join(str(row.columns.get("ArmRequestIds", "")) for row in await harness.trail())
    assert all(sent.request_id in known for sent in harness.cloud.history if sent.method == "PUT")
    switch(harness, denied=())
    await timer(node, 600.0)
    await assert_kept(harness, on=NIC_A)


@pytest.mark.parametrize("action", JOINS)
@virtual
async def test_a_missing_right_that_no_read_can_find(action: str) -> None:
    """Where permissions cannot be read either, the write is tried; its refusal names action and scope, and is outlived."""
    blind = Denial(action="Microsoft.Authorization/*")
    harness = Harness(switches=fixed(denied=(blind, Denial(action=action, scope=JOINS[action]))))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-denied"
    assert f"Grant {action} on {JOINS[action]}" in refusal.detail
    switch(harness, denied=())
    await timer(node, 600.0)
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


# -- addresses ---------------------------------------------------------------------------------------------------------


def on_nobody() -> World:
    """The default world with the VIP on no NIC."""
    found = worlds.default()
    return replace(found, nics=(replace(found.nics[0], configs=found.nics[0].configs[:1]), found.nics[1]))


@virtual
async def test_an_address_that_a_stranger_has_from_the_start() -> None:
    """An address on no member that somebody else holds is refused with the holder's name, before anything is written. (I10)"""
    stranger = WorldNic(name="thief", configs=(WorldConfig(name="taken", address="10.0.0.254"),))
    nobody = on_nobody()
    harness = Harness(world=replace(nobody, nics=(*nobody.nics, stranger)))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "address-taken"
    assert "networkInterfaces/thief/ipConfigurations/taken" in refusal.detail
    assert puts(harness) == []
    assert (await harness.head()).epoch == 0


@virtual
async def test_an_address_that_is_taken_between_detach_and_attach() -> None:
    """An address that a stranger takes in the gap is reported with its holder; when it is free again the timer ends the swap."""
    harness = Harness(world=world(WorldNic(name="thief", vm="", configs=(WorldConfig(name="own", address="10.0.0.9"),))))
    node = harness.node("n1")
    thief = harness.cloud.nic_named("thief")
    # The address is free from the end of the detach until the attach arrives: the thief is there first.
    harness.cloud.script(ATTACH, fault=Lost(when="before"))
    harness.loop.call_later(3.2, lambda: harness.cloud.stranger(thief, "takes-address", address="10.0.0.254"))

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "address-taken"
    assert "networkInterfaces/thief" in refusal.detail
    assert harness.holders() == ["thief"]
    harness.cloud.stranger(thief, "drops-config")
    await timer(node, 300.0)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_public_ip_that_is_attached_elsewhere() -> None:
    """A public IP on a NIC that is no member's is refused with that NIC's name, and nothing is detached. (I10)"""
    found = worlds.default()
    bare = replace(found.nics[0], configs=(found.nics[0].configs[0], WorldConfig(name="vip", address="10.0.0.254")))
    other = WorldNic(name="web", configs=(WorldConfig(name="front", address="10.0.0.9", public_ip="my_vip_ip"),))
    harness = Harness(world=replace(found, nics=(bare, found.nics[1], other)))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "address-taken"
    assert "networkInterfaces/web/ipConfigurations/front" in refusal.detail
    assert puts(harness) == []


@pytest.mark.parametrize("address", ["10.0.1.4", "10.0.0.3", "10.0.0.255"])
@virtual
async def test_an_address_that_the_subnet_cannot_give(address: str) -> None:
    """An address outside of the subnet, or one that Azure keeps for itself, is refused before anything is detached. (I10)"""
    vips = [{"name": "vip", "private_ip": address, "public_ip": "my_vip_ip"}]
    harness = Harness(world=on_nobody(), document=document(vips=vips))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-failed"
    assert address in refusal.detail
    assert puts(harness) == []


@virtual
async def test_a_public_ip_that_has_failed() -> None:
    """A public IP in `Failed` is refused before anything is detached. (I10)"""
    found = worlds.default()
    harness = Harness(world=replace(found, public_ips=(WorldPublicIp(name="my_vip_ip", address="20.51.0.254", state="Failed"),)))
    node = harness.node("n1")

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-failed"
    assert "my_vip_ip is in state Failed" in refusal.detail
    assert puts(harness) == []
