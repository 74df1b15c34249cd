"""What people do to NICs with tools of their own."""

import asyncio

from tests.promises.harness import Harness
from tests.promises.helpers import NIC_A, NIC_B
from vipcore.arm import nic
from vipcore.arm.rate_limit import Permit
from vipcore.model import Nic, Vip


def drop(harness: Harness, name: str) -> None:
    """Somebody takes the VIP off that NIC."""
    harness.cloud.stranger(harness.cloud.nic_named(name), "drops-config")


def failed(harness: Harness, name: str) -> None:
    """The last operation on that NIC failed, whoever began it."""
    nic_there = harness.cloud.nic_named(name)
    nic_there.state = "Failed"
    nic_there.bodies.clear()


async def by_hand(harness: Harness, to: str) -> None:
    """Somebody moves the VIP to that NIC with a tool of their own."""
    drop(harness, NIC_A if to == NIC_B else NIC_B)
    await given(harness, to, *harness.mirror().vips)


async def given(harness: Harness, name: str, *vips: Vip) -> None:
    """Somebody puts these on that NIC with a tool of their own."""
    hand = harness.node(f"hand {len(harness.nodes)}")
    shown = await hand.controller.arm.read_nic(harness.cloud.nic_named(name).id)
    assert isinstance(shown, Nic)
    await hand.controller.arm.put(shown, nic.attached(shown, vips), Permit())
    await asyncio.sleep(10.0)
