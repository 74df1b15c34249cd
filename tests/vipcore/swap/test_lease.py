"""The lease: one driver at a time, and the head names each NIC before it is written."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from simulator.core.faults import Ends, Hangs, Lands
from tests.promises.harness import DOCUMENT, START, Fate, Harness, Node, parsed
from tests.promises.helpers import DETACH, NIC_A, agent, assert_kept, details, events, puts, refused, timer, virtual
from tests.vipcore.effects import PUT, watched
from vipcore.ledger.head import Head
from vipcore.swap.in_flight import InFlight
from vipcore.swap.lease import HeldLease
from vipcore.swap.plan import Observed


@virtual
async def test_nobody_drives_while_a_lease_is_live() -> None:
    """While a driver's lease is live nobody else writes a NIC and nothing is confirmed, until it has ended. (I2)"""
    harness, node, _ = watched()
    other = harness.node("n2")
    harness.cloud.script(DETACH, fault=Hangs(for_s=60.0))
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    await asyncio.sleep(5.0)

    back = await other.claim("MIRRORA", claim_id="back")

    assert back.outcome == "moved"
    assert (await first).code == "claim-superseded"
    writers = [seen.trace.node.name for seen in harness.journal.puts]
    assert writers == sorted(writers)
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_driver_that_only_waits_keeps_its_lease() -> None:
    """While an operation of Azure lasts longer than a lease, its driver renews it. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(DETACH, fault=Ends(after_s=40.0))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(5.0)

    for _ in range(30):
        await asyncio.sleep(1.0)
        assert (await harness.head()).lease_live(node.now())

    assert (await claim).outcome == "moved"


class DieSendingAgain(Fate):
    """An instance dies while it repeats the detach that Azure had canceled; that write lands later by itself."""

    def __init__(self) -> None:
        self.done = False

    async def before(self, node: Node, label: str) -> None:
        if label == PUT and len(puts(node.harness)) == 1 and not self.done:
            self.done = True
            node.harness.cloud.script(DETACH, fault=Lands(after_s=100.0))
            node.harness.loop.call_later(0.05, node.kill)


@virtual
async def test_a_write_of_a_plan_made_anew_is_fenced_too() -> None:
    """A detach that is sent again after Azure canceled it stands in the head, so that a successor rewrites its NIC. (I2)"""
    harness = Harness(fate=DieSendingAgain())
    node, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(DETACH, fault=Ends(how="canceled"))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert node.dead

    outcome, _ = await agent(other, "MIRRORA", claim_id="back")
    await timer(other, 300.0)

    claim.cancel()
    assert outcome.outcome == "moved"
    assert (await events(harness)).count("swap.completed") == 1
    assert any("the write that puts the NIC of MIRRORA" in detail for detail in await details(harness, "nic.write"))
    assert 412 in [sent.status for sent in puts(harness)]
    await assert_kept(harness, on=NIC_A)


def test_no_write_starts_before_the_head_has_what_the_vips_carry() -> None:
    """A head that lacks a setting which was seen since does not cover a write: it is committed first. (I5)"""
    mirror = parsed(json.dumps(DOCUMENT)).mirrors["PROD"]
    observed = Observed(mirror, {})
    held: Any = SimpleNamespace(head=Head(mirror="PROD"), head_is_newest=True, left_s=lambda: 60.0, in_flight=InFlight(observed))
    assert HeldLease._covers_next_write(held)

    observed.recall({"10.0.0.254": {"name": "vip", "settings": {"pool": 1}}})
    assert not HeldLease._covers_next_write(held)
    held.head = InFlight(observed).stamp(held.head, START)

    assert HeldLease._covers_next_write(held)
