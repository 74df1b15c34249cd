"""Reads for people: joined, of the newest head, and never waited for long."""

import asyncio

import pytest

from simulator.core.faults import Answer, Late, Match
from simulator.core.switches import Switches
from tests.promises.harness import Harness
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, virtual
from vipcore.entry import status

ASKED = 20


def reads(harness: Harness) -> int:
    """How many NICs were read."""
    return len(harness.journal.gets)


@virtual
async def test_one_look_serves_all_who_ask_within_seconds() -> None:
    """Twenty people who ask at once, and one a second later, cost one read of each NIC; one who asks later costs another."""
    harness = Harness()
    node = harness.node("n1")

    await asyncio.gather(*(node.look("PROD") for _ in range(ASKED)))
    await asyncio.sleep(1.0)
    await node.look("PROD")
    assert reads(harness) == 2

    await asyncio.sleep(4.0)
    await node.look("PROD")
    assert reads(harness) == 4


@virtual
async def test_a_look_of_before_a_swap_shows_nobody_what_was() -> None:
    """Who asks after a swap, on any instance, is shown where the VIP is, however young the look of before."""
    harness = Harness(switches=Switches(latency="fixed:0.2"))
    node, other = harness.node("n1"), harness.node("n2")
    await asyncio.gather(node.look("PROD"), other.look("PROD"))
    await node.claim("MIRRORB")

    for instance in (node, other):
        shown = await status.mirror(instance.controller, "PROD", "cid")
        assert shown["placement"] == {"state": "placed", "members": ["MIRRORB"]}
    assert harness.holders() == [NIC_B]
    assert harness.loop.time() < 3.0


@pytest.mark.parametrize("name", [NIC_A, NIC_B])
@virtual
async def test_what_cannot_be_read_in_time_is_null_and_says_why(name: str) -> None:
    """Where Azure leaves people no read, the answer comes within seconds all the same: null, with the reason. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    throttled = Answer(name="SubscriptionRequestsThrottled", retry_after=100)
    harness.cloud.script(Match(method="GET", kind="nic", name=name), fault=throttled, times=1)
    await node.look("PROD")
    await asyncio.sleep(5.0)

    began = harness.loop.time()
    shown = await status.mirror(node.controller, "PROD", "cid")

    assert harness.loop.time() - began < 12.0
    assert shown["placement"]["state"] == "unknown"
    for member in shown["members"]:
        assert (member["vips"], member["ready"]) == (None, None)
        assert "no answer within 10 s" in member["reasons"][0]


@virtual
async def test_a_404_that_could_not_be_doubted_in_time_is_null() -> None:
    """Where Azure does not say in time whether a 404 is to be believed, the answer comes within seconds all the same. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_A), fault=Answer(name="ResourceNotFound"), times=ALWAYS)
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_B), fault=Late(delay_s=8.0), times=ALWAYS)
    harness.cloud.script(Match(kind="check-ip"), fault=Late(delay_s=8.0), times=ALWAYS)

    shown = await status.mirror(node.controller, "PROD", "cid")

    assert harness.loop.time() < 12.0
    assert shown["members"][0]["vips"] is None
    assert "could not be asked whether the VIP is free: no answer in time" in shown["members"][0]["reasons"][0]
