"""The client of Azure Resource Manager."""

import asyncio
from dataclasses import replace

import pytest

from simulator import worlds
from simulator.core.faults import Answer, Fault, Match, Status
from simulator.core.switches import Denial
from tests.promises.harness import Harness
from tests.promises.helpers import ALWAYS, NIC_A, switch, virtual
from tests.vipcore.swap.azure import READ_A
from vipcore.model import Missing, Nic, Unreadable


@virtual
async def test_a_read_is_as_old_as_its_request() -> None:
    """A look whose answer was slow shows the NIC as it was when it was asked for, not as it is when the answer comes. (I4)"""
    harness = Harness(arm_s=4.0)
    loop = asyncio.get_running_loop()
    asked = loop.time()
    shown = await harness.node("n1").controller.arm.read_nic(harness.mirror().members[0].nic_id)
    assert isinstance(shown, Nic)
    assert shown.read_at - asked < 0.1 < loop.time() - asked


LOOK = Match(kind="check-ip")


async def _seen(harness: Harness) -> object:
    """What is told of MIRRORA's NIC when both are read."""
    mirror = harness.mirror()
    return (await harness.node("n1").controller.arm.read_nics(mirror, ["MIRRORA", "MIRRORB"], {}))["MIRRORA"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (None, "10.0.0.254 is in use"),
        (Status(status=503), "could not be asked whether the VIP is free"),
        (Answer(name="ResourceNotFound"), "could not be asked whether the VIP is free"),
    ],
)
@virtual
async def test_a_404_of_a_nic_that_may_be_there(fault: Fault | None, why: str) -> None:
    """A 404 is not believed while somebody has the VIP's address, or while Azure does not say so. (I9)"""
    harness = Harness()
    harness.cloud.script(READ_A, fault=Answer(name="ResourceNotFound"), times=ALWAYS)
    if fault:
        harness.cloud.script(LOOK, fault=fault, times=ALWAYS)

    seen = await _seen(harness)

    assert isinstance(seen, Unreadable)
    assert why in str(seen.error)
    assert f"{NIC_A} does not exist" in str(seen.error)


@virtual
async def test_a_404_of_a_nic_that_is_gone() -> None:
    """A 404 is believed where Azure calls the VIP's address free, or where we may not ask: an attach finds out. (I9)"""
    found = worlds.default()
    harness = Harness(world=replace(found, nics=found.nics[1:]))

    assert isinstance(await _seen(harness), Missing)
    switch(harness, denied=(Denial(action="Microsoft.Network/virtualNetworks/read"),))
    assert isinstance(await _seen(harness), Missing)
