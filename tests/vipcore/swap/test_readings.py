"""The preflight's readings: young ones replace a new read, and a reading that Azure contradicts is dropped."""

import asyncio

from simulator.core.switches import Denial
from tests.promises.harness import Harness
from tests.promises.helpers import NIC_A, assert_kept, puts, refused, switch, timer, virtual
from tests.vipcore.effects import POLLS, watched
from tests.vipcore.swap.azure import JOINS, fixed


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
