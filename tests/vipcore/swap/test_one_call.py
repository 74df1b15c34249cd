"""Moving a VIP in one call: `moveIpConfigurations`, where it is available, and when it is left alone."""

import asyncio

from simulator.core.faults import Lost
from tests.promises.helpers import ATTACH, NIC_A, NIC_B, assert_kept, switch, virtual
from tests.vipcore.swap.swaps import OPERATION_S, swap, swap_harness, writes
from vipcore.arm.rate_limit import Permit
from vipcore.model import Nic


@virtual
async def test_the_call_that_moves_at_once_halves_the_swap() -> None:
    """With `moveIpConfigurations` a swap is one write, and takes 0.55 of the serial time or less."""
    harness = swap_harness("atomic", public=False, move_ip_configurations="private")
    node = harness.node("n1")

    for turn in range(3):
        took, sent = await swap(harness, node, turn)

        assert took <= 0.55 * 2 * OPERATION_S
        assert [seen.method for seen in sent] == ["POST"]


@virtual
async def test_a_write_that_may_still_come_is_not_settled_by_the_one_call() -> None:
    """While a write without an answer may still come, NICs are written under their etags and not moved in one call. (I2)"""
    harness = swap_harness("atomic", public=False, move_ip_configurations="private")
    node, hand = harness.node("n1"), harness.node("hand")
    source = harness.cloud.nic_named(NIC_A)
    with_vip = await hand.controller.arm.read_nic(source.id)
    assert isinstance(with_vip, Nic)
    harness.cloud.stranger(source, "drops-config")
    harness.cloud.script(ATTACH, fault=Lost(when="before", after_s=2.0))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    # While the attach is on its way, somebody gives the VIP to MIRRORA: what is left to do is a plain move.
    bare = await hand.controller.arm.read_nic(source.id)
    assert isinstance(bare, Nic)
    await hand.controller.arm.put(bare, with_vip.document, Permit())

    assert (await claim).outcome == "moved"

    assert {seen.method for seen in writes(harness)} == {"PUT"}
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    assert (await node.claim("MIRRORA", claim_id="back")).outcome == "moved"
    assert [seen.method for seen in writes(harness)][-1] == "POST"


@virtual
async def test_auto_never_tries_the_one_call() -> None:
    """`auto` leaves the preview to mirrors whose strategy asks for it, also where it would work."""
    harness = swap_harness("auto", public=False, move_ip_configurations="private")
    node = harness.node("n1")

    sent = [(await swap(harness, node, turn))[1] for turn in range(6)]

    assert {seen.method for one in sent for seen in one} == {"PUT"}


@virtual
async def test_a_one_call_that_stopped_working_costs_one_refusal() -> None:
    """A preview that is taken away costs the swap one refused call; the two writes follow."""
    harness = swap_harness("atomic", public=False, move_ip_configurations="private")
    node = harness.node("n1")
    for turn in range(4):
        await swap(harness, node, turn)
    switch(harness, move_ip_configurations="feature-missing")

    _, first = await swap(harness, node, 4)

    assert [seen.method for seen in first] == ["POST", "PUT", "PUT"]


@virtual
async def test_auto_does_not_send_public_addresses_through_a_private_preview() -> None:
    """A VIP with a public IP is never moved by `auto` in one call: nobody has said that the call can."""
    harness = swap_harness("auto", public=True, move_ip_configurations="private")
    node = harness.node("n1")

    sent = [one for turn in range(5) for one in (await swap(harness, node, turn))[1]]

    assert {seen.method for seen in sent} == {"PUT"}
