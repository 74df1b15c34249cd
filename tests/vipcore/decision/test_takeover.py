"""A swap under way: who joins it, who waits for it, and who takes it over when its driver has died."""

import asyncio
import json

from simulator.core.faults import Hangs
from tests.promises.harness import Fate, Harness, parsed
from tests.promises.helpers import DETACH, NIC_B, agent, assert_kept, document, events, puts, refused, timer, virtual
from tests.vipcore.deaths import third_member
from tests.vipcore.effects import watched


@virtual
async def test_a_second_request_for_what_is_under_way_gets_its_outcome() -> None:
    """The same claim again, another claim for that member and a move wait for the swap under way and get its outcome. (I4)"""
    harness, node, _ = watched()
    other = harness.node("n2")
    first = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)

    outcomes = await asyncio.gather(
        first, other.claim("MIRRORB"), node.claim("MIRRORB", claim_id="other", key_id="key-2"), other.move("MIRRORB")
    )

    assert {outcome.outcome for outcome in outcomes} == {"moved"}
    assert len({outcome.operation_id for outcome in outcomes}) == 1
    assert len({(outcome.epoch, outcome.total_ms, outcome.from_member) for outcome in outcomes}) == 1
    assert len(puts(harness)) == 2
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_driver_whose_process_died() -> None:
    """The agent's retry at another instance takes over when the dead driver's lease has run out, and finishes. (I1, I2)"""
    harness, node, _ = watched()
    other = harness.node("n2")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    node.kill()

    outcome, _ = await agent(other, "MIRRORB")

    claim.cancel()
    assert outcome.outcome == "moved"
    assert harness.loop.time() < 70.0
    assert "swap.resumed" in await events(harness)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_from_is_what_the_driver_saw() -> None:
    """A newer decision that waits for an older one's driver tells where the VIP was when its own driver took it up."""
    harness = Harness()
    node, second = harness.node("n1"), harness.node("n2")
    await node.move("MIRRORA")
    overtaken = asyncio.create_task(refused(node.claim("MIRRORB", claim_id="b")))
    await asyncio.sleep(1.0)

    outcome = await second.claim("MIRRORA", claim_id="a")

    assert (await overtaken).code == "claim-superseded"
    assert outcome.holder == "MIRRORA"
    assert outcome.from_member != "MIRRORA"


@virtual
async def test_a_retry_of_a_swap_under_way_during_a_freeze() -> None:
    """The same claim again, while its swap is unfinished, waits for it and gets its outcome although the mirror is frozen."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(DETACH, fault=Hangs(for_s=250.0))
    assert (await refused(node.claim("MIRRORB"))).code == "busy"
    await node.freeze()

    outcome, _ = await agent(node, "MIRRORB")

    assert outcome.outcome == "moved"
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_member_that_left_the_document_is_no_longer_waited_for() -> None:
    """A swap whose dead driver may still write a NIC that the document no longer names is finished all the same. (I1)"""
    harness = third_member()
    claim = asyncio.create_task(harness.node("n1").claim("MIRRORB"))
    await asyncio.sleep(20.0)
    claim.cancel()
    harness.fate = Fate()
    described = document()
    del described["mirrors"]["PROD"]["members"]["MIRRORA"]
    described["mirrors"]["PROD"]["members"]["MIRRORC"] = {"nic": "c_nic"}
    harness.config = parsed(json.dumps(described))
    node = harness.node("n2")

    await timer(node, 120.0)

    assert harness.holders() == [NIC_B]
    assert (await node.move("MIRRORC")).outcome == "moved"
    assert harness.holders() == ["c_nic"]
