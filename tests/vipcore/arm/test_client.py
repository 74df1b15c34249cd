"""The client of Azure Resource Manager."""

import asyncio

from tests.promises.harness import Harness
from tests.promises.helpers import virtual
from vipcore.model import Nic


@virtual
async def test_a_read_is_as_old_as_its_request() -> None:
    """A look whose answer was slow shows the NIC as it was when it was asked for, not as it is when the answer comes. (I4)"""
    harness = Harness(arm_s=4.0)
    loop = asyncio.get_running_loop()
    asked = loop.time()
    shown = await harness.node("n1").controller.arm.read_nic(harness.mirror().members[0].nic_id)
    assert isinstance(shown, Nic)
    assert shown.read_at - asked < 0.1 < loop.time() - asked
