"""Preflight: what would stop the swap is found before anything is detached, and what cannot be read stops nothing."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Match, Status
from simulator.core.switches import Denial
from simulator.state.world import World, WorldConfig, WorldNic, WorldPlain, WorldPublicIp, WorldSubnet, WorldVnet
from tests.promises.harness import Harness, Node
from tests.promises.helpers import (
    ALWAYS,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    cured,
    document,
    puts,
    refused,
    switch,
    timer,
    virtual,
)
from tests.vipcore.deaths import DieAt
from tests.vipcore.effects import POLLS, watched
from tests.vipcore.swap.azure import GROUP, JOINS, SUBNET, fixed, on_nobody
from tests.vipcore.swap.repertoire import SYNC
from vipcore.arm.rate_limit import NEW, ORDER
from vipcore.entry import moves, status
from vipcore.model import Json


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


OPS = GROUP.replace("/rg/", "/ops/")
"""A resource group in which the controller has no rights."""

REFERENCES: Mapping[str, tuple[Json, str]] = {
    "its own public IP": ({"publicIPAddress": {"id": f"{OPS}/publicIPAddresses/own"}}, "publicIPAddresses/join/action"),
    "a security group of applications": (
        {"applicationSecurityGroups": [{"id": f"{OPS}/applicationSecurityGroups/asg"}]},
        "applicationSecurityGroups/joinIpConfiguration/action",
    ),
    "a pool": (
        {"loadBalancerBackendAddressPools": [{"id": f"{OPS}/loadBalancers/lb/backendAddressPools/p"}]},
        "loadBalancers/backendAddressPools/join/action",
    ),
    "a NAT rule": (
        {"loadBalancerInboundNatRules": [{"id": f"{OPS}/loadBalancers/lb/inboundNatRules/ssh"}]},
        "loadBalancers/inboundNatRules/join/action",
    ),
    "a pool of an application gateway": (
        {"applicationGatewayBackendAddressPools": [{"id": f"{OPS}/applicationGateways/gw/backendAddressPools/p"}]},
        "applicationGateways/backendAddressPools/join/action",
    ),
    "a gateway load balancer": (
        {"gatewayLoadBalancer": {"id": f"{OPS}/loadBalancers/lb/frontendIPConfigurations/f"}},
        "loadBalancers/frontendIPConfigurations/join/action",
    ),
    "a tap": ({"virtualNetworkTaps": [{"id": f"{OPS}/virtualNetworkTaps/tap"}]}, "virtualNetworkTaps/join/action"),
}


def _referring(side: str, extra: Json) -> World:
    """The default world, where the primary ip configuration of one side's NIC refers to more."""
    found, network = worlds.default(), "Microsoft.Network"

    def configuration(name: str, address: str, **more: Any) -> Json:
        fixed = {"privateIPAddress": address, "privateIPAllocationMethod": "Static", "subnet": {"id": SUBNET}}
        return {"name": name, "properties": {**fixed, **more}}

    vip = configuration("vip", "10.0.0.254", publicIPAddress={"id": f"{GROUP}/publicIPAddresses/my_vip_ip"}, primary=False)
    on_a, on_b = (extra, {}) if side == "holder" else ({}, extra)
    bodies = (
        [configuration("ipconfig1", "10.0.0.4", primary=True, **on_a), vip],
        [configuration("ipconfig1", "10.0.0.5", primary=True, **on_b)],
    )
    nics = (
        replace(one, document={"properties": {"ipConfigurations": body}}) for one, body in zip(found.nics, bodies, strict=True)
    )
    kinds = {"applicationSecurityGroups": "asg", "loadBalancers": "lb", "applicationGateways": "gw", "virtualNetworkTaps": "tap"}
    others = (WorldPlain(type=f"{network}/{kind}", name=name, group="ops") for kind, name in kinds.items())
    return replace(
        found,
        groups=("rg", "ops"),
        nics=tuple(nics),
        public_ips=(*found.public_ips, WorldPublicIp(name="own", group="ops")),
        others=(*found.others, *others),
    )


async def _dry_run(node: Node) -> list[Json]:
    """The checks of a dry run of a move to MIRRORB."""
    asked = {"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}
    checks: list[Json] = (await moves.move(node.controller, "PROD", json.dumps(asked).encode(), "dry"))["checks"]
    return checks


@pytest.mark.parametrize("side", ["holder", "target"])
@pytest.mark.parametrize("what", REFERENCES)
@virtual
async def test_a_missing_right_on_anything_that_a_nic_refers_to(what: str, side: str) -> None:
    """Azure checks rights on all that a NIC refers to when it is written; so does the preflight, on both sides. (I10)"""
    extra, action = REFERENCES[what]
    denied = (Denial(action=f"Microsoft.Network/{action}", scope=OPS),)
    harness = Harness(world=_referring(side, extra), switches=fixed(denied=denied))
    node = harness.node("n1")

    checks = await _dry_run(node)
    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-denied"
    assert f"grant Microsoft.Network/{action} on {OPS}/" in refusal.detail
    assert [check["detail"] in refusal.detail for check in checks if check["ok"] is False] == [True]
    assert puts(harness) == []
    switch(harness, denied=())
    await timer(node, 60.0)
    assert harness.holders() == [NIC_B]


PUBLIC_IPS: Mapping[str, tuple[Json, str]] = {
    "a NAT gateway has it": ({"nat_gateway": f"{GROUP}/natGateways/nat"}, f"belongs to the NAT gateway {GROUP}/natGateways/nat"),
    "the other version": ({"version": "IPv6"}, "is IPv6, and the VIP 10.0.0.254 is IPv4"),
    "another region": ({"location": "West US"}, "is in region westus, and the NIC in eastus"),
    "being deleted": ({"state": "Deleting"}, "is being deleted"),
}


def _with_public_ip(**public_ip: Any) -> World:
    """The default world with another public IP, which the VIP does not have yet."""
    found = worlds.default()
    bare = replace(found.nics[0], configs=(found.nics[0].configs[0], WorldConfig(name="vip", address="10.0.0.254")))
    return replace(found, nics=(bare, found.nics[1]), public_ips=(replace(found.public_ips[0], **public_ip),))


@pytest.mark.parametrize("what", PUBLIC_IPS)
@virtual
async def test_a_public_ip_that_azure_would_not_attach(what: str) -> None:
    """What the public IP's own document tells against it is told by a dry run, and stops a claim before the detach. (I10)"""
    public_ip, why = PUBLIC_IPS[what]
    harness = Harness(world=_with_public_ip(**public_ip))
    node = harness.node("n1")

    checks = await _dry_run(node)
    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-failed"
    assert f"{GROUP}/publicIPAddresses/my_vip_ip {why}" in refusal.detail
    assert [check["detail"] in refusal.detail for check in checks if check["ok"] is False] == [True]
    assert puts(harness) == []


@virtual
async def test_a_zonal_public_ip_is_named() -> None:
    """No read tells which zone a VM is in, so a public IP of one zone stops nothing; a dry run and the status name it. (I10)"""
    harness = Harness(world=_with_public_ip(zones=("2",)))
    node = harness.node("n1")

    checks = await _dry_run(node)

    named = next(check for check in checks if check["name"] == "public IP my_vip_ip")
    assert (named["ok"], "is of zone 2 alone" in named["detail"]) == (None, True)
    assert "zone 2" in (await status.mirror(node.controller, "PROD", "cid"))["members"][1]["reasons"][0]
    assert (await node.claim("MIRRORB")).outcome == "moved"


@virtual
async def test_a_target_without_room_for_one_more_configuration() -> None:
    """A NIC that has as many ip configurations as Azure allows cannot take the VIP: nothing is detached. (I10)"""
    found = worlds.default()
    many = tuple(WorldConfig(name=f"c{number}", address=f"10.0.2.{number}") for number in range(255))
    full = replace(found.nics[1], configs=(*found.nics[1].configs, *many))
    wide = (WorldVnet(subnets=(WorldSubnet(prefix="10.0.0.0/16"),)),)
    harness = Harness(world=replace(found, nics=(found.nics[0], full), vnets=wide))
    node = harness.node("n1")

    checks = await _dry_run(node)
    refusal = await refused(node.claim("MIRRORB"))

    assert f"{NIC_B} would have 257 ip configurations, and Azure allows 256" in refusal.detail
    assert [check["name"] for check in checks if check["ok"] is False] == ["nic MIRRORB"]
    assert puts(harness) == []


@virtual
async def test_a_dry_run_reads_anew_what_is_older_than_a_minute() -> None:
    """A dry run and the status show how old a reading is, and read anew what is older than 60 s. (I10)"""
    harness = Harness()
    node = harness.node("n1")
    await _dry_run(node)
    await asyncio.sleep(40.0)
    young = await _dry_run(node)
    shown = await status.mirror(node.controller, "PROD", "cid")
    switch(harness, denied=(Denial(action="*/subnets/join/action"),))
    await asyncio.sleep(30.0)
    old = await _dry_run(node)

    assert next(check for check in young if check["name"] == "subnet")["detail"].endswith("(read 40 s ago)")
    assert shown["members"][1]["checked_at"] < (await status.mirror(node.controller, "PROD", "cid"))["members"][1]["checked_at"]
    assert [check["name"] for check in old if check["ok"] is False] == ["permissions on default"]


@virtual
async def test_a_no_does_not_stand_in() -> None:
    """What a right's absence stopped goes on within ten seconds after it was granted. (I10)"""
    action = "Microsoft.Network/virtualNetworks/subnets/join/action"
    harness = Harness(switches=fixed(denied=(Denial(action=action),)))
    node = harness.node("n1")
    assert (await refused(node.claim("MIRRORB"))).code == "azure-denied"
    switch(harness, denied=())
    await asyncio.sleep(10.0)

    assert (await node.claim("MIRRORB")).outcome == "moved"


@virtual
async def test_what_azure_contradicts_no_longer_stands_in() -> None:
    """A public IP that was free and went to a NAT gateway is met once: after Azure's refusal it is read again. (I10)"""
    harness = Harness(world=_with_public_ip(), switches=fixed())
    node = harness.node("n1")
    await _dry_run(node)
    next(iter(harness.cloud.resources.pips.values())).nat_gateway = f"{GROUP}/natGateways/nat"

    first = await refused(node.claim("MIRRORB"))
    sent = len(puts(harness))
    second = await refused(node.claim("MIRRORB"))

    assert first.code == "address-taken"
    assert "Nothing was changed" in second.detail
    assert "belongs to the NAT gateway" in second.detail
    assert len(puts(harness)) == sent


UNNAMED = Status(status=200, body=b'{"available": false}')


@virtual
async def test_an_address_that_nobody_is_known_to_have() -> None:
    """At rest, an address that Azure calls taken without naming anyone is taken. (I10)"""
    harness = Harness(world=on_nobody())
    node = harness.node("n1")
    harness.cloud.script(Match(kind="check-ip"), fault=UNNAMED, times=ALWAYS)

    refusal = await refused(node.claim("MIRRORB"))

    assert (refusal.code, "by a resource that Azure does not name" in refusal.detail) == ("address-taken", True)
    assert puts(harness) == []


@virtual
async def test_an_address_that_is_released_between_two_reads() -> None:
    """An address that Azure called taken, and that nobody has a moment later, is not called taken by nobody. (I10)"""
    harness = Harness(world=on_nobody())
    node = harness.node("n1")
    harness.cloud.script(Match(kind="check-ip"), fault=UNNAMED)

    assert (await node.claim("MIRRORB")).outcome == "moved"


@virtual
async def test_an_address_that_a_write_of_ours_may_still_hold() -> None:
    """While a swap is unfinished, an address that Azure calls taken without naming anyone is waited for. (I1, I10)"""
    harness = Harness(switches=fixed(), fate=DieAt(1))
    first, second = harness.node("n1"), harness.node("n2")
    doomed = asyncio.ensure_future(first.claim("MIRRORB"))
    await first.died.wait()
    doomed.cancel()
    harness.cloud.script(Match(kind="check-ip"), fault=UNNAMED, times=ALWAYS)

    outcome, refusals = await agent(second, "MIRRORB", claim_id="c1")

    assert outcome.outcome == "moved"
    assert "address-taken" not in {refusal.code for refusal in refusals}


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
    claims, _ = await asyncio.wait_for(cache.of(cache.arm.get, public_id), 1.0)

    assert not waiting.done()
    assert (await waiting)[0] == claims
