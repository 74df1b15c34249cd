"""Drift: a VIP on no NIC is attached to desired; a VIP that somebody moved by hand is reported and left."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Match, Status
from simulator.core.switches import Switches
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Fate, Harness
from tests.promises.helpers import (
    ALWAYS,
    NIC_A,
    NIC_B,
    assert_kept,
    cured,
    details,
    document,
    events,
    paged_document,
    puts,
    refused,
    stranger_puts,
    timer,
    virtual,
)
from tests.vipcore.deaths import DieAt, third_member
from tests.vipcore.decision.denials import denied_write
from tests.vipcore.decision.pages import A_WHILE, N, P, U
from tests.vipcore.manual_changes import by_hand, drop, given
from vipcore.decision import drift
from vipcore.errors import Refusal
from vipcore.ledger.audit import Caller
from vipcore.model import Page


@virtual
async def test_a_vip_on_no_nic_is_attached_to_desired() -> None:
    """A VIP that is on no NIC is attached to desired, with a row when it was found and one when it was repaired. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    assert (await events(harness))[4:] == ["drift.found", "nic.write", "swap.completed", "drift.repaired"]
    assert (await harness.head()).epoch == 1


@virtual
async def test_a_vip_on_another_member_is_reported_and_left() -> None:
    """A VIP found on another known member without a claim is reported once and left: somebody moved it by hand."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    written = len(puts(harness))

    await timer(node, 2 * A_WHILE)

    assert harness.holders() == [NIC_A]
    assert len(puts(harness)) == written
    assert (await events(harness)).count("drift.found") == 1
    assert "The VIP is on MIRRORA; desired is MIRRORB. No claim moved it" in (await details(harness, "drift.found"))[0]
    assert any(event == "drift.found" for event, _ in node.log)


@virtual
async def test_a_drift_that_ends_by_itself_is_said() -> None:
    """A drift that somebody puts right by hand gets its row too."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    await timer(node, 60.0)
    await by_hand(harness, NIC_B)

    await timer(node, 60.0)

    assert (await events(harness))[-1] == "drift.repaired"
    assert (await harness.head()).drift is None


@pytest.mark.parametrize(
    ("pages", "repaired"),
    [((N, P), True), ((U, P), True), ((P, P), False), ((P, N), False), ((N, N), False), ((U, U), False)],
)
@virtual
async def test_pages_that_say_that_desired_is_primary_bring_the_vip_back(pages: tuple[Page, Page], repaired: bool) -> None:
    """A VIP on another member is brought back only if the pages say that desired is primary and nobody else is."""
    harness = Harness(document=paged_document())
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    harness.pages = dict(zip(("MIRRORA", "MIRRORB"), pages, strict=True))

    await timer(node, A_WHILE)

    assert harness.holders() == [NIC_B if repaired else NIC_A]
    await assert_kept(harness, on=NIC_B if repaired else NIC_A, rows_of_writes=False)
    assert ("drift.repaired" in await events(harness)) is repaired


@virtual
async def test_a_foreign_holder_is_reported_and_left() -> None:
    """A VIP's address under another name, on another member's NIC, was moved there by somebody: it is reported and left."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "takes-address", address="10.0.0.254")

    await timer(node, A_WHILE)

    assert "somebody moved it by hand. The mirrors document defines VIP vip" in (await details(harness, "drift.found"))[0]
    assert harness.holders() == [NIC_A]
    assert (await events(harness)).count("drift.found") == 1


@virtual
async def test_a_stranger_with_the_address_of_a_lost_vip() -> None:
    """A VIP on no NIC whose address a stranger has stays where it is, until the stranger lets go. One row says why. (I10)"""
    found = worlds.default()
    thief = WorldNic(name="thief", configs=(WorldConfig(name="own", address="10.0.0.9"),))
    harness = Harness(world=replace(found, nics=(*found.nics, thief)))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    harness.cloud.stranger(harness.cloud.nic_named("thief"), "takes-address", address="10.0.0.254")
    await timer(node, 3 * A_WHILE)
    assert harness.holders() == ["thief"]
    (told,) = [row.columns for row in await harness.trail() if row.columns["Event"] == "drift.found"]
    assert told["Outcome"] == "address-taken"
    assert re.search(r"The VIP is on no NIC.+It is not repaired \(address-taken\): .*thief", told["Detail"])
    assert (await harness.head()).drift == told["Detail"]

    drop(harness, "thief")
    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    assert (await harness.head()).drift is None


@virtual
async def test_a_reason_that_passes_by_itself_is_reported_once() -> None:
    """Azure words a throttle differently each time: its code is the reason, and has one row."""
    harness = Harness()
    controller = harness.node("n1").controller
    await harness.node("n1").claim("MIRRORB")
    mirror, caller = harness.mirror(), Caller("reconciler", "c")
    for told in ("wait 7 s", "wait 9 s"):
        observed = await controller.read_all(mirror)
        head, refusal = await harness.head(), Refusal("azure-throttled", told)
        await drift._report(controller, head, observed, caller, "The VIP is on no NIC.", refusal)

    assert await details(harness, "drift.found") == ["The VIP is on no NIC. It is not repaired (azure-throttled): wait 7 s"]


@virtual
async def test_a_drift_under_a_freeze_says_why_it_is_left() -> None:
    """A drift that a freeze keeps from being repaired has a row that says so, and is repaired once the freeze is lifted."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await node.freeze()
    drop(harness, NIC_B)
    await timer(node, 2 * A_WHILE)
    assert [detail.split(". ")[-1] for detail in await details(harness, "drift.found")] == [
        "The mirror is frozen: it is left so."
    ]

    await node.unfreeze()
    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_nic_that_cannot_be_read_is_no_drift() -> None:
    """Where a NIC cannot be read the placement is unknown: nothing is reported and nothing is repaired. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    rows = len(await harness.trail())
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_B), fault=Status(status=503), times=ALWAYS)

    await timer(node, A_WHILE)

    assert len(await harness.trail()) == rows
    cured(harness)
    await assert_kept(harness, on=NIC_B)


def two_vips(made: Callable[..., dict[str, Any]]) -> Harness:
    """A mirror with two VIPs, both on MIRRORA; `made` makes its document."""
    found = worlds.default()
    two = WorldConfig(name="vip2", address="10.0.0.253")
    nics = (replace(found.nics[0], configs=(*found.nics[0].configs, two)), found.nics[1])
    vips = [
        {"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"},
        {"name": "vip2", "private_ip": "10.0.0.253"},
    ]
    return Harness(world=replace(found, nics=nics), document=made(vips=vips))


@virtual
async def test_a_split_mirror_is_reported() -> None:
    """Two VIPs on two members are a drift that is reported, and repaired where the pages say that desired is primary."""
    harness = two_vips(paged_document)
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await assert_kept(harness, on=NIC_B, address="10.0.0.253")
    drop(harness, NIC_B)
    harness.cloud.stranger(harness.cloud.nic_named(NIC_B), "takes-address", address="10.0.0.254")
    drop(harness, NIC_B)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    await assert_kept(harness, on=NIC_B, address="10.0.0.253")


@virtual
async def test_one_of_two_vips_on_no_nic_is_attached_to_desired() -> None:
    """Without any page: of two VIPs the one that is on no NIC is attached to desired, which has the other."""
    harness = two_vips(document)
    node = harness.node("n1")
    await node.claim("MIRRORB")
    stranger_puts(harness, NIC_B, drop="vip2", seconds=1.0)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    await assert_kept(harness, on=NIC_B, address="10.0.0.253")
    assert (await events(harness))[-4:] == ["drift.found", "nic.write", "swap.completed", "drift.repaired"]


@virtual
async def test_a_mirror_that_was_never_decided_is_left_alone() -> None:
    """Where nobody has ever claimed or moved there is no desired, and so no drift and no write."""
    harness = Harness()
    node = harness.node("n1")
    drop(harness, NIC_A)

    await timer(node, A_WHILE)

    assert (puts(harness), await events(harness)) == ([], [])


@virtual
async def test_a_late_write_of_a_dead_driver_is_no_drift() -> None:
    """For 15 minutes after a driver died a placement that its late write explains is an unfinished swap, never drift. (I2)"""
    harness = Harness(fate=DieAt(1))
    dying = harness.node("n1")
    claim = asyncio.create_task(dying.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    harness.fate = Fate()
    node = harness.node("n2")
    await timer(node, 240.0)
    claim.cancel()
    await by_hand(harness, NIC_A)

    await timer(node, 120.0)

    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    assert "drift.found" not in await events(harness)
    assert (await harness.head()).late_writes.until > node.now()
    await timer(node, 1000.0)
    assert harness.ledger.worklist == {}


@virtual
async def test_only_what_a_dead_driver_may_have_written_explains_a_placement() -> None:
    """A VIP found on a member whose NIC the dead driver never wrote was moved by hand: it is reported and left."""
    harness = third_member()
    claim = asyncio.create_task(harness.node("n1").claim("MIRRORB"))
    await asyncio.sleep(20.0)
    harness.fate = Fate()
    node = harness.node("n2")
    await timer(node, 240.0)
    claim.cancel()
    drop(harness, NIC_B)
    await given(harness, "c_nic", *harness.mirror().vips)

    await timer(node, 120.0)

    assert harness.holders() == ["c_nic"]
    assert (await details(harness, "drift.found"))[-1].startswith("The VIP is on MIRRORC; desired is MIRRORB")


@virtual
async def test_a_late_write_is_put_right_during_a_freeze_too() -> None:
    """What a dead driver's write has undone is an unfinished swap, and a freeze lets that finish. (I2)"""
    harness = Harness(fate=DieAt(1))
    claim = asyncio.create_task(harness.node("n1").claim("MIRRORB"))
    await asyncio.sleep(20.0)
    harness.fate = Fate()
    node = harness.node("n2")
    await timer(node, 240.0)
    claim.cancel()
    await node.freeze()
    await by_hand(harness, NIC_A)

    await timer(node, 120.0)

    assert harness.holders() == [NIC_B]
    assert "drift.found" not in await events(harness)


@virtual
async def test_a_vip_moved_by_hand_without_its_public_ip_is_left() -> None:
    """A VIP that is on another member without its public IP is there all the same: reported, and not taken back."""
    harness = Harness()
    node = harness.node("n1")
    await node.move("MIRRORA")
    drop(harness, NIC_A)
    await given(harness, NIC_B, *(replace(vip, public_ip_id=None) for vip in harness.mirror().vips))

    await timer(node, A_WHILE)

    assert harness.holders() == [NIC_B]
    assert (await details(harness, "drift.found"))[-1].startswith("The VIP is on MIRRORB; desired is MIRRORA")


@virtual
async def test_a_recorded_claim_keeps_no_drift_from_repair() -> None:
    """A VIP on no NIC is attached to desired, also while a claim that cannot be carried out is recorded for another member."""
    harness = Harness(switches=Switches(latency="fixed:3"))
    harness.cloud.switches = replace(harness.cloud.switches, denied=(denied_write(harness, NIC_B),))
    node = harness.node("n1")
    await node.move("MIRRORA")
    await asyncio.sleep(5.0)
    assert (await refused(node.claim("MIRRORB"))).code == "azure-denied"
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "drops-config")

    await timer(node, 660.0)

    assert (await harness.head()).recorded_claim is not None
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_freeze_stops_the_repair_of_drift() -> None:
    """During a freeze drift is reported and not repaired; after it, it is."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await node.freeze()
    harness.cloud.stranger(harness.cloud.nic_named(NIC_B), "drops-config")

    await timer(node, 300.0)
    assert harness.holders() == []
    assert (await events(harness)).count("drift.found") == 1
    await node.unfreeze()
    await timer(node, 60.0)

    await assert_kept(harness, on=NIC_B)
