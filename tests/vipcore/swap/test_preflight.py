"""Preflight: what would stop the swap is found before anything is detached, and what cannot be read stops nothing."""

import asyncio
from dataclasses import replace

import pytest

from simulator import worlds
from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Match
from simulator.core.switches import Denial
from simulator.state.world import WorldConfig, WorldNic, WorldPublicIp
from tests.promises.harness import Harness
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, assert_kept, cured, document, puts, refused, switch, timer, virtual
from tests.vipcore.effects import POLLS, watched
from tests.vipcore.swap.azure import JOINS, fixed, on_nobody
from tests.vipcore.swap.repertoire import SYNC
from vipcore.arm.rate_limit import NEW, ORDER


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
    assert "my_vip_ip is in state Failed; write it back unchanged" in refusal.detail
    assert puts(harness) == []


@pytest.mark.parametrize("name", SYNC)
@pytest.mark.parametrize("kind", ["permissions", "pip", "subnet"])
@virtual
async def test_an_error_that_strikes_a_read_of_the_preflight(kind: str, name: str) -> None:
    """A read of the preflight that fails stops nothing; only a public IP that does not exist stops the swap. (I10)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="GET", kind=kind), fault=Answer(name=name), times=ALWAYS)

    if kind == "pip" and ERRORS[name].status == 404:
        refusal = await refused(node.claim("MIRRORB"))
        assert refusal.code == "azure-failed"
        assert "my_vip_ip does not exist" in refusal.detail
        assert harness.holders() == [NIC_A]
        cured(harness)
        await timer(node, 60.0)
    else:
        assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


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
async def test_readings_that_are_young_stand_in() -> None:
    """Within 15 minutes the next swap reads subnet, public IP and known permissions no more; after that it does. (I10)"""
    _, node, effects = watched()
    reads = []
    for turn, wait_s in enumerate([60.0, 60.0, 60.0, 1000.0, 0.0]):
        effects.seen.clear()
        await node.claim(["MIRRORB", "MIRRORA"][turn % 2], claim_id=f"c{turn}")
        reads.append(sum(n for label, n in effects.count().items() if label.startswith("arm GET")) - effects.count()[POLLS])
        await asyncio.sleep(wait_s)

    assert reads[2] <= 5 < 8 <= reads[0]
    assert reads[4] >= 8


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


@virtual
async def test_a_claim_does_not_wait_for_what_people_wait_for() -> None:
    """Where people wait for a reading that a claim needs too, the claim asks for itself, at its own priority."""
    harness = Harness()
    node = harness.node("n1")
    cache, public_id = node.controller.preflight_cache, harness.mirror().vips[0].public_ip_id or ""
    node.controller.arm.limits_of(harness.mirror()).reads.permits.take(180.0, harness.loop.time())  # enough for swaps alone
    waiting = asyncio.create_task(cache.of(cache.arm.get, public_id))
    await asyncio.sleep(0.5)
    assert not waiting.done()

    ORDER.set((NEW, 0.0))
    claims = await asyncio.wait_for(cache.of(cache.arm.get, public_id), 1.0)

    assert not waiting.done()
    assert await waiting == claims
