"""The steps of a swap: repair, detach, attach, and an attach that is tried early."""

import asyncio
import json

import pytest

from simulator.core.faults import Answer, Ends, Lost, Status
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Harness
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    cured,
    document,
    events,
    other_content,
    puts,
    refused,
    stranger_puts,
    switch,
    timer,
    virtual,
)
from tests.vipcore.swap.azure import GROUP, fixed, world
from tests.vipcore.swap.swaps import OPERATION_S, overlap_memory, swap, swap_harness


@pytest.mark.parametrize("strategy", ["put", "auto"])
@virtual
async def test_an_early_release_halves_the_swap(strategy: str) -> None:
    """Where Azure lets go at acceptance, both operations run at the same time: 0.55 of the serial time or less, in two writes."""
    harness = swap_harness(strategy, public=True, released_at="acceptance")
    node = harness.node("n1")

    taken = [await swap(harness, node, turn) for turn in range(4)]

    # `auto` plays safe in the first swap and finds out in the second.
    for took, sent in taken[1 if strategy == "auto" else 0 :]:
        assert took <= 0.55 * 2 * OPERATION_S
        assert [seen.status for seen in sent] == [200, 200]
    assert (await overlap_memory(harness))["release"] == "acceptance"


@virtual
async def test_auto_asks_in_vain_at_most_once_in_many_swaps() -> None:
    """Where Azure lets go at the end, `auto` finds that out by one refused write, and asks again only after many swaps."""
    harness = swap_harness("auto", public=True)
    node = harness.node("n1")

    sent = []
    for turn in range(12):
        sent.append((await swap(harness, node, turn))[1])
        await asyncio.sleep(120.0)  # six changes in ten minutes are the limit

    refused = [seen for one in sent for seen in one if seen.status == 400]
    assert len(refused) == 1
    assert sum(len(one) for one in sent) == 2 * 12 + 1


@virtual
async def test_an_early_release_that_ends_costs_one_write() -> None:
    """Azure that let go early and no longer does: the early try is refused, the swap ends all the same; that is remembered."""
    harness = swap_harness("auto", public=True, released_at="acceptance")
    node = harness.node("n1")
    for turn in range(4):
        await swap(harness, node, turn)
    switch(harness, released_at="operation-end")

    _, first = await swap(harness, node, 4)
    _, second = await swap(harness, node, 5)

    assert [seen.status for seen in first] == [200, 400, 200]
    assert [seen.status for seen in second] == [200, 200]


@virtual
async def test_a_refused_early_try_costs_no_time() -> None:
    """`put` against an Azure that lets go at the end is as fast as waiting: the refusal comes while Azure works anyway."""
    harness = swap_harness("put", public=True)
    node = harness.node("n1")

    took, sent = await swap(harness, node, 0)

    assert took <= 1.06 * 2 * OPERATION_S
    assert len(sent) == 3


@pytest.mark.parametrize("strategy", ["put", "auto"])
@virtual
async def test_what_the_overlap_gains(strategy: str) -> None:
    """Where Azure lets go at acceptance, a swap takes little more than one operation as soon as that is known."""
    harness = Harness(switches=fixed(released_at="acceptance"), document=document(strategy=strategy))
    node = harness.node("n1")
    took = []
    for turn in range(4):
        outcome = await node.claim(["MIRRORB", "MIRRORA"][turn % 2], claim_id=f"c{turn}")
        took.append(outcome.total_ms)

    assert took[-1] < 4000
    assert took[0] < (4000 if strategy == "put" else 7000)


@virtual
async def test_an_error_of_the_old_wording_during_the_overlap() -> None:
    """The old wording of a held address names no resource; during the overlap it is taken for our own, and the swap goes on."""
    harness = Harness(switches=fixed(released_at="acceptance"), document=document(strategy="put"))
    node = harness.node("n1")
    words = {"address": "10.0.0.254", "other": "B"}
    harness.cloud.script(ATTACH, fault=Answer(name="PrivateIPAddressInUse", words=words))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)
    assert (await events(harness))[-1] == "swap.completed"


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


@pytest.mark.parametrize("times", [1, 3])
@virtual
async def test_a_reference_that_is_updating(times: int) -> None:
    """A referenced resource that is still `Updating` after the detach delays the attach and no more."""
    harness = Harness(switches=fixed(busy_after_completion_s=4.0 * times))
    node = harness.node("n1")

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


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


def _taken(by: str) -> Status:
    """Azure's refusal of an address, in words that end so."""
    message = f"IP configuration x is using the private IP address 10.0.0.254 which is already allocated to resource {by}."
    return Status(status=400, body=json.dumps({"error": {"code": "PrivateIPAddressIsAllocated", "message": message}}).encode())


HOLDERS = {
    "nobody": "vip0",
    "the old holder": f"{GROUP}/networkInterfaces/{NIC_A}/ipConfigurations/vip",
    "the target": f"{GROUP}/networkInterfaces/{NIC_B}/ipConfigurations/vip",
}


@pytest.mark.parametrize("strategy", ["auto", "put"])
@pytest.mark.parametrize("holder", HOLDERS)
@virtual
async def test_an_address_that_no_stranger_is_known_to_have(holder: str, strategy: str) -> None:
    """An attach that Azure refuses for an address that one of our NICs has, or that nobody is named for, is tried again. (I1)"""
    harness = Harness(switches=fixed(), document=document(strategy=strategy))
    harness.cloud.script(ATTACH, fault=_taken(HOLDERS[holder]), times=4)

    assert (await harness.node("n1").claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("holder", HOLDERS)
@virtual
async def test_an_address_that_azure_does_not_let_go_of(holder: str) -> None:
    """However long Azure keeps an address that we have just detached, it is `busy`, and never somebody else's. (I1)"""
    harness = Harness(switches=fixed())
    node = harness.node("n1")
    harness.cloud.script(ATTACH, fault=_taken(HOLDERS[holder]), times=60)

    outcome, refusals = await agent(node, "MIRRORB", within_s=3000.0)

    assert outcome.outcome == "moved"
    assert {refusal.code for refusal in refusals} == {"busy"}
    await assert_kept(harness, on=NIC_B)
