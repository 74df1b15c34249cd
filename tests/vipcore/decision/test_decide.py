"""Claims and moves: accepted once, confirmed cheaply, and answered 200 only when the VIP is there."""

import asyncio
from dataclasses import replace

import pytest

from simulator import worlds
from simulator.core.switches import Switches
from simulator.state.world import WorldPublicIp
from tests.promises.harness import SUB, Harness
from tests.promises.helpers import NIC_B, assert_kept, events, paged_document, puts, refused, virtual
from tests.vipcore.decision.denials import DENIED
from tests.vipcore.effects import GET, PUT, watched
from vipcore.arm.rate_limit import WINDOW_S
from vipcore.ledger.port import Granted
from vipcore.model import Page


@virtual
async def test_an_accepted_claim_ends_on_its_member() -> None:
    """The VIP, private and public address, ends on the claimant's NIC, and 200 says so only then. (I1, I4)"""
    harness, node, _ = watched()

    outcome = await node.claim("MIRRORB")

    assert (outcome.outcome, outcome.holder, outcome.from_member, outcome.epoch) == ("moved", "MIRRORB", "MIRRORA", 1)
    config = harness.cloud.nic_named(NIC_B).doc.facts[-1]
    assert (config.name, config.address) == ("vip", "10.0.0.254")
    assert config.pip.endswith("/my_vip_ip")
    assert [phase.name for phase in outcome.phases][-3:] == ["detach", "attach", "verify"]
    assert abs(sum(phase.ms for phase in outcome.phases) - outcome.total_ms) <= 20
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_claim_is_accepted_once() -> None:
    """The same signed request is refused for ever after, and so is an older one of that key. (I6)"""
    harness, node, _ = watched()
    at = node.now()
    await asyncio.sleep(1.0)
    later = node.now()
    await node.claim("MIRRORB", issued_at=later)
    rows = len(await harness.trail())

    for issued_at in (later, at):
        assert (await refused(node.claim("MIRRORB", issued_at=issued_at))).code == "claim-replayed"
    await asyncio.sleep(4000.0)
    assert (await refused(node.claim("MIRRORB", issued_at=later))).code == "claim-replayed"
    assert len(await harness.trail()) == rows


@pytest.mark.parametrize("kind", ["claim", "move"])
@virtual
async def test_a_confirmed_claim_costs_three_round_trips_to_the_table(kind: str) -> None:
    """A claim or move for where the VIP is already writes no NIC and makes at most three round trips to the table."""
    harness, node, effects = watched()
    await node.claim("MIRRORB")
    await asyncio.sleep(600.0)
    effects.seen.clear()

    outcome = await (node.claim("MIRRORB", claim_id="again") if kind == "claim" else node.move("MIRRORB"))

    assert (outcome.outcome, outcome.from_member, outcome.phases) == ("confirmed", "MIRRORB", ())
    count = effects.count()
    assert count[PUT] == 0
    assert sum(number for label, number in count.items() if label.startswith("table")) <= 3
    assert count[GET] == 2
    assert (await events(harness))[-1] == f"{kind}.confirmed"


@virtual
async def test_a_claim_costs_the_same_whatever_the_trail() -> None:
    """What claims read and write does not grow with the length of the trail, and no audit row is read."""
    _, node, effects = watched()
    costs = []
    for turn in range(10):
        effects.seen.clear()
        await node.claim(["MIRRORB", "MIRRORA"][turn % 2], claim_id=f"c{turn}")
        costs.append({label: number for label, number in effects.count().items() if label.startswith("table")})
        await asyncio.sleep(700.0)

    assert not [label for cost in costs for label in cost if "row" in label]
    assert max(sum(cost.values()) for cost in costs) <= sum(costs[0].values()) + 1


@virtual
async def test_an_answer_that_was_lost_on_the_way_to_the_agent() -> None:
    """A claim whose answer never reached the agent is confirmed when it is sent again. (I4)"""
    _, node, _ = watched()
    await node.claim("MIRRORB")

    assert (await node.claim("MIRRORB", age_s=8.0)).outcome == "confirmed"


@virtual
async def test_force_never_overrides_the_preflight() -> None:
    """Force overrides the pages and a freeze, never the preflight. (I10)"""
    harness = Harness(switches=Switches(latency="fixed:3", denied=(DENIED,)), document=paged_document())
    harness.pages = {"MIRRORA": Page.PRIMARY}
    node = harness.node("n1")
    await node.freeze()

    assert (await refused(node.move("MIRRORB", force=True))).code == "azure-denied"
    assert puts(harness) == []
    assert (await harness.head()).recorded_claim is None


@virtual
async def test_a_claim_that_got_its_permits_and_is_refused_gives_them_back() -> None:
    """Under contention a claim holds the permits of its writes before it reads; nobody loses them where the reads stop it."""
    found = worlds.default()
    harness = Harness(world=replace(found, public_ips=(WorldPublicIp(name="my_vip_ip", address="20.51.0.254", state="Failed"),)))
    node = harness.node("n1")
    writes = node.controller.arm.limits_of(harness.mirror()).writes
    await writes.acquire(197)  # others of this process hold all there are; new ones come at ten a second

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-failed"
    assert writes.reserved == 197


@virtual
async def test_nothing_is_decided_before_its_writes_fit_beside_those_of_other_instances() -> None:
    """Where others have granted all writes of the five minutes, a claim waits untouched, and is carried out later."""
    harness = Harness()
    node, unix_s = harness.node("n1"), int(harness.now().timestamp())
    harness.ledger.granted[SUB] = Granted({"another": {unix_s: 999}}, "etag")

    refusal = await refused(node.claim("MIRRORB", deadline_s=30.0))

    assert refusal.code == "azure-throttled"
    assert ("claim.accepted" in await events(harness), puts(harness)) == (False, [])
    await asyncio.sleep(WINDOW_S)
    assert (await node.claim("MIRRORB")).outcome == "moved"
    assert list(harness.ledger.granted[SUB].by_instance) == ["n1"]
