"""A request's reads of NICs: side by side, and never older than the last write."""

import asyncio

from simulator.core.faults import Answer, Match
from simulator.core.switches import Switches
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import NIC_A, NIC_B, assert_kept, events, refused, timer, virtual
from tests.vipcore.effects import GET, PUT, watched
from tests.vipcore.manual_changes import drop


@virtual
async def test_the_reads_before_the_first_write_go_out_side_by_side() -> None:
    """Before the first write there are one table read, one transaction, and reads that wait only for the id they ask about."""
    harness, node, effects = watched()
    await node.controller.store.arrival()  # a process's first request asks the table for the time
    effects.seen.clear()

    await node.claim("MIRRORB")

    at = [(when, label) for when, label in effects.seen[: [label for _, label in effects.seen].index(PUT)]]
    begun = at[0][0]
    assert {label for when, label in at if when == begun} == {"table load_head", GET}
    assert [label for _, label in at].count("table load_head") == 1
    assert [label for _, label in at].count("table commit") == 1
    # The first ones know their ids from the configuration and go out beside the NICs' reads; the others from the NIC's document.
    preflight = [when for when, label in at if label.startswith("arm GET") and label != GET]
    nics_read_by = next(when for when, label in at if label == "table put_hint")
    assert min(preflight) <= nics_read_by
    assert len(set(preflight)) == 2
    assert harness.loop.time() > 6.0


class Slow(Fate):
    """An instance whose next commit is on its way for so many seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    async def before(self, node: Node, label: str) -> None:
        if label == "table commit":
            await asyncio.sleep(self.seconds.pop(node.name, 0.0))


@virtual
async def test_a_look_that_was_repeated_grows_old_again() -> None:
    """Who looked twice because of one write looks once more after the next one, and never confirms what has moved. (I2, I4)"""
    slow = Slow()
    harness = Harness(fate=slow, switches=Switches(latency="fixed:1"))
    first, second, third = (harness.node(f"n{number}") for number in (1, 2, 3))
    await first.claim("MIRRORB")
    slow.seconds = {"n2": 0.5, "n3": 4.0}
    back = asyncio.create_task(second.claim("MIRRORA", claim_id="back"))
    await asyncio.sleep(0.1)

    # It sees the VIP on MIRRORB, by a look that the swap before made it repeat; while its commit is on its way the VIP moves.
    outcome = await third.claim("MIRRORB", claim_id="again")

    assert (await back).outcome == "moved"
    assert outcome.outcome == "moved"
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_claim_whose_reads_have_no_turn_is_recorded() -> None:
    """Where a throttle outlasts the request and the NICs cannot be read, the claim is recorded, and the timer goes on with it."""
    harness = Harness()
    node = harness.node("n1")
    await node.move("MIRRORA")
    await asyncio.sleep(5.0)
    harness.cloud.script(Match(method="GET", kind="nic"), fault=Answer(name="SubscriptionRequestsThrottled", retry_after=600))
    await node.controller.read_all(harness.mirror())

    refusal = await refused(node.claim("MIRRORB"))

    assert refusal.code == "azure-throttled"
    assert (await events(harness))[-2:] == ["claim.refused", "claim.recorded"]
    await timer(node, 900.0)
    await assert_kept(harness, on=NIC_B)


class Stalls(Fate):
    """The head's first read of one instance takes so long."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds

    async def before(self, node: Node, label: str) -> None:
        if node.name == self.name and label == "table load_head" and self.seconds:
            seconds, self.seconds = self.seconds, 0.0
            await asyncio.sleep(seconds)


@virtual
async def test_a_look_of_before_the_last_write_confirms_nothing() -> None:
    """NICs read before the swap that a claim was judged after say nothing of where the VIP is. (I4)"""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    await other.controller.store.arrival()
    harness.fate = Stalls("n2", 15.0)
    first = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(0.02)

    outcome = await other.claim("MIRRORA", claim_id="back")

    assert (await first).outcome == "moved"
    assert outcome.outcome == "moved"
    await assert_kept(harness, on=NIC_A)


class StandsStill(Fate):
    """A process that is paused for a minute when its first read of a NIC has been answered."""

    def __init__(self) -> None:
        self.stood = False

    async def after(self, node: Node, label: str) -> None:
        if label == GET and not self.stood:
            self.stood = True
            node.pause(60.0)


@virtual
async def test_nothing_is_confirmed_by_reads_from_before_a_pause() -> None:
    """A process that stood still reads again: the VIP may have gone meanwhile, and no head tells of it. (I4)"""
    harness = Harness(fate=StandsStill())
    claim = asyncio.create_task(harness.node("n1").claim("MIRRORA"))
    await asyncio.sleep(30.0)
    drop(harness, NIC_A)

    assert (await claim).outcome == "moved"
    await assert_kept(harness, on=NIC_A)
