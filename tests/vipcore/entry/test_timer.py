"""The timer's pass over all mirrors: its worklist, its sweep, and one mirror that does not hold up the others."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.virtual import Fleet
from simulator import worlds
from simulator.core.faults import Answer, Ends, Hangs, Match
from simulator.core.switches import Switches
from tests.promises.harness import Fate, Harness, Node, parsed
from tests.promises.helpers import ATTACH, DETACH, NIC_B, assert_kept, events, fleet_document, puts, refused, timer, virtual
from tests.promises.ledger import MemoryLedger
from tests.promises.loop import run
from tests.vipcore.decision.pages import A_WHILE
from tests.vipcore.manual_changes import drop
from vipcore import VERSION, instants
from vipcore.entry.timer import ITEM_S_MIN, PASS_S, Passed
from vipcore.errors import Refusal
from vipcore.ledger.audit import Row
from vipcore.ledger.head import Frozen, Head, LateWrites, Swap
from vipcore.ledger.port import Sweep, WorkItem
from vipcore.model import Epoch
from vipcore.settings.document import Fault


class CountedLedger(MemoryLedger):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    async def load_head(self, mirror: str) -> Head:
        self.seen.append(("head", mirror))
        return await super().load_head(mirror)

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        self.seen.append(("row", mirror))
        return await super().load_row(mirror, seq)

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        self.seen.append(("row" if limit == 1 else "rows", mirror))
        return await super().newest_rows(mirror, before=before, limit=limit)

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        self.seen.append(("rows", mirror))
        return await super().rows_from(mirror, seq, limit=limit)

    async def load_worklist(self) -> list[WorkItem]:
        self.seen.append(("hints", ""))
        return await super().load_worklist()


def counted(**harness: Any) -> tuple[Harness, CountedLedger]:
    """A harness whose table counts."""
    found = Harness(**harness)
    found.ledger = ledger = CountedLedger()
    return found, ledger


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 9, 25, 400, 1200])
@virtual
async def test_the_sweep_sees_every_head_within_ten_minutes(count: int) -> None:
    """The spread sweep reads every head within ten minutes of passes every 30 s, and never nearly all at once."""
    harness, ledger = counted(document=fleet_document(count))
    node = harness.node("n1")
    most = 0

    until = harness.loop.time() + 600.0
    while harness.loop.time() < until:
        before = len(ledger.seen)
        began = harness.loop.time()
        await node.tick()
        most = max(most, len([kind for kind, _ in ledger.seen[before:] if kind != "row"]))
        assert len(ledger.seen) - before <= 2 * most
        await asyncio.sleep(max(0.0, began + 30.0 - harness.loop.time()))

    heads = {name for kind, name in ledger.seen if kind == "head"}
    assert len(heads) == count
    assert most <= max(12, math.ceil(count / 15))


@virtual
async def test_the_sweep_keeps_its_promise_where_passes_are_late() -> None:
    """Passes that come only every three minutes read larger slices: every head within ten minutes all the same."""
    harness, ledger = counted(document=fleet_document(1000))
    node = harness.node("n1")
    for _ in range(4):
        await node.tick()
        await asyncio.sleep(180.0)

    assert len({name for kind, name in ledger.seen if kind == "head"}) == 1000


@pytest.mark.parametrize("life_s", [30.0, 270.0])
@virtual
async def test_the_sweep_goes_on_where_another_process_stopped(life_s: float) -> None:
    """However short processes live, and whichever instance makes a pass, every head is read within ten minutes."""
    harness, ledger = counted(document=fleet_document(400))
    node = harness.node("n0")
    while harness.loop.time() < 570.0:
        if harness.loop.time() >= len(harness.nodes) * life_s:
            node.kill()
            node = harness.node(f"n{len(harness.nodes)}")
        began = harness.loop.time()
        await node.tick()
        await asyncio.sleep(began + 30.0 - harness.loop.time())

    assert len(harness.nodes) == math.ceil(570.0 / life_s)
    assert len({name for kind, name in ledger.seen if kind == "head"}) == 400


@virtual
async def test_the_sweep_survives_a_document_that_changes() -> None:
    """The sweep goes on after a name, so mirrors that come and go cost no other its turn."""
    harness, ledger = counted(document=fleet_document(100))
    for passed in range(20):
        harness.config = parsed(json.dumps(fleet_document(100 - 4 * passed)))
        await harness.node(f"n{passed}").tick()
        await asyncio.sleep(29.0)

    assert len({name for kind, name in ledger.seen if kind == "head"} & set(fleet_document(24)["mirrors"])) == 24


@virtual
async def test_an_idle_pass_reads_one_row_of_a_mirror() -> None:
    """What an idle pass reads does not grow with the length of the trail: hints, heads, and of each its newest row. (I8)"""
    harness, ledger = counted(document=fleet_document(3))
    node = harness.node("n1")
    costs = []
    for turn in range(12):
        await node.claim(["MIRRORB", "MIRRORA"][turn % 2], claim_id=f"c{turn}")
        await asyncio.sleep(700.0)
        await node.tick()
        await node.tick()
        before = len(ledger.seen)
        await node.tick()
        costs.append(ledger.seen[before:])
        of = {what: sorted(name for kind, name in costs[-1] if kind == what) for what in ("head", "row")}
        assert of["row"] == of["head"]

    assert [len(cost) for cost in costs] == [len(costs[0])] * 12
    assert {kind for cost in costs for kind, _ in cost} == {"hints", "head", "row"}
    assert (await harness.head()).seq >= 48


@virtual
async def test_a_hint_stands_as_long_as_there_is_work() -> None:
    """A mirror keeps its hint while a swap is unfinished, and loses it once passes have long seen its head at rest."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(DETACH, fault=Hangs(for_s=250.0))
    await refused(node.claim("MIRRORB"))
    assert list(harness.ledger.worklist) == ["PROD"]
    await node.tick()
    assert list(harness.ledger.worklist) == ["PROD"]

    await timer(node, 800.0)

    assert harness.ledger.worklist == {}
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_the_hint_of_a_recorded_claim_outlives_a_freeze() -> None:
    """However long a freeze lasts, the mirror with a claim to judge again stays on the worklist. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze()
    await refused(node.claim("MIRRORB"))

    await timer(node, 600.0)

    assert list(harness.ledger.worklist) == ["PROD"]


@virtual
async def test_the_hint_of_a_watched_mirror_outlives_its_request() -> None:
    """While a dead driver's write may still land, the mirror stays on the worklist, however long ago its request was. (I2)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    head = await harness.head()
    until = harness.node("n2").controller.clock.now() + instants.seconds(900.0)
    await harness.ledger.commit(replace(head, late_writes=LateWrites(until, ("MIRRORA",))), [])

    await timer(node, 600.0)
    assert list(harness.ledger.worklist) == ["PROD"]
    await timer(node, 600.0)
    assert harness.ledger.worklist == {}


@virtual
async def test_a_hint_outlives_the_request_that_wrote_it() -> None:
    """A pass between a request's hint and its decision leaves the hint, so that the timer finds what a crash leaves. (I1)"""
    harness = Harness(document=fleet_document(400), fate=Between())
    dying, passing = harness.node("dying"), harness.node("passing")
    claim = asyncio.create_task(dying.claim("MIRRORB"))
    await asyncio.sleep(10.0)
    assert dying.dead
    claim.cancel()

    await timer(passing, 120.0)

    await assert_kept(harness, on=NIC_B, rows_of_writes=False)


class Between(Fate):
    """A whole pass before the first decision, whose instance dies right after it."""

    def __init__(self) -> None:
        self.passed = False

    async def before(self, node: Node, label: str) -> None:
        if label == "table commit" and node.name == "dying" and not self.passed:
            self.passed = True
            await node.harness.node("pass").tick()

    async def after(self, node: Node, label: str) -> None:
        if label == "table commit" and node.name == "dying":
            node.kill()


@virtual
async def test_a_hint_is_dropped_only_under_a_head_that_was_read_when_it_was_old_enough() -> None:
    """A head that was read while the request could still commit proves nothing, however long its answer took. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()  # the first look at the mirror leaves a hint of its own
    await harness.ledger.put_work_item("PROD")
    await node.tick()

    class Slow(Fate):
        async def between(self, node: Node, label: str) -> None:
            if label == "table load_heads":
                await asyncio.sleep(20.0)

    harness.fate = Slow()
    await asyncio.sleep(ITEM_S_MIN - 10.0)
    await node.tick()
    assert list(harness.ledger.worklist) == ["PROD"]
    await node.tick()
    assert harness.ledger.worklist == {}


@pytest.mark.parametrize("moment", ["table load_heads", "table drop_hint", "never"])
@virtual
async def test_a_hint_that_is_written_during_a_pass_survives_it(moment: str) -> None:
    """A hint written after the pass has read the hints has another etag, and is not deleted by that pass. (I1)"""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    await harness.ledger.put_work_item("PROD")

    class Meanwhile(Fate):
        async def before(self, node: Node, label: str) -> None:
            if label == moment:
                await harness.ledger.put_work_item("PROD")

    await node.tick()  # its first look at the mirror is news, with a hint of its own
    await node.tick()
    await asyncio.sleep(ITEM_S_MIN + 2.0)
    harness.fate = Meanwhile()
    await node.tick()
    assert list(harness.ledger.worklist) == ([] if moment == "never" else ["PROD"])

    harness.fate = Fate()
    await timer(other, 300.0)
    assert harness.ledger.worklist == {}


@virtual
async def test_a_hint_of_a_mirror_that_is_no_longer_configured() -> None:
    """A hint of a mirror that the document no longer names does no harm to the others."""
    harness = Harness()
    node = harness.node("n1")
    await harness.ledger.put_work_item("GONE")

    await node.claim("MIRRORB")
    await timer(node, 300.0)

    await assert_kept(harness, on=NIC_B)
    assert "PROD" not in harness.ledger.worklist


@virtual
async def test_one_faulty_mirror_leaves_the_others_alone() -> None:
    """A mirror whose NICs cannot be looked at does not keep the timer from the others."""
    harness = Harness(document=fleet_document(40))
    node = harness.node("n1")
    for number in range(1, 40):
        await harness.ledger.put_work_item(f"M{number:04d}")
        harness.ledger.heads[f"M{number:04d}"] = (replace(Head(mirror=f"M{number:04d}"), desired="A").to_entity(), 'W/"x"')
    await node.claim("MIRRORB")
    drop(harness, NIC_B)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_throttle_of_hours_does_not_keep_the_timer() -> None:
    """Where Azure asks to be left alone for long, a pass ends all the same, and so do the drives that it began."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    throttled = Answer(name="SubscriptionRequestsThrottled", retry_after=7200)
    harness.cloud.script(Match(method="GET", kind="nic"), fault=throttled, times=1)
    await harness.ledger.put_work_item("PROD")
    began = harness.loop.time()

    await node.tick()
    await node.tick()
    assert harness.loop.time() - began < 200.0
    await asyncio.sleep(7200.0)
    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_defect_at_one_mirror_is_told_after_all_others_had_their_turn() -> None:
    """What our own rules exclude ends the pass with an error, for the host's log; the other mirrors are attended to before."""
    harness = Harness(document=fleet_document(3))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    no_instant: Any = "soon"
    frozen = Frozen(reason="r", operator="o", at=node.now(), until=no_instant)

    class Broken(MemoryLedger):
        async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
            return {**await super().load_heads(mirrors), "M0001": Head(mirror="M0001", frozen=frozen)}

    harness.ledger.__class__ = Broken
    with pytest.raises(TypeError):
        await node.tick()

    assert [fields["mirror"] for event, fields in node.log if event == "timer.failed"] == ["M0001"]
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_pass_while_the_table_is_away() -> None:
    """A pass that cannot reach the table ends quietly, and a later one does the work. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    harness.table_away_until = harness.loop.time() + 120.0

    await timer(node, 100.0)
    assert harness.holders() == []
    await timer(node, 120.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_two_instances_with_timers_do_the_work_once() -> None:
    """Two timers at the same moment repair a drift with one write and one pair of rows. (I2)"""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    written = len(puts(harness))

    await asyncio.gather(timer(node, 120.0), timer(other, 120.0))

    await assert_kept(harness, on=NIC_B)
    assert len(puts(harness)) == written + 1
    assert (await events(harness)).count("drift.found") == 1


@virtual
async def test_a_pass_is_bounded_whatever_hangs() -> None:
    """A pass ends before the next one is due though an operation hangs; that mirror is left, and later passes leave it alone."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    await asyncio.sleep(10.0)
    harness.cloud.script(Match(method="PUT"), fault=Hangs(for_s=50.0))
    written = len(puts(harness))

    for _ in range(2):
        began = harness.loop.time()
        passed = await node.timer.run_pass("cid")
        assert harness.loop.time() - began <= PASS_S + 1e-6
        assert passed == Passed(left=1)
    assert len(puts(harness)) == written + 1
    await asyncio.sleep(40.0)
    assert await node.timer.run_pass("cid") == Passed(attended=1)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_pass_says_what_it_did() -> None:
    """How many mirrors had their turn, how many were driven, and how many could not be."""
    harness = Harness()
    node = harness.node("n1")
    assert await node.timer.run_pass("cid") == Passed(attended=1)
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    await asyncio.sleep(10.0)
    assert await node.timer.run_pass("cid") == Passed(attended=1, driven=1)
    harness.table_away_until = harness.loop.time() + 100.0
    assert await node.timer.run_pass("cid") == Passed()


@virtual
async def test_a_pass_that_is_asked_for_looks_at_all_that_is_decided() -> None:
    """`POST /reconcile` looks at every mirror with work left and every one with a desired member, and says what it did."""
    harness = Harness(document=fleet_document(40))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    await harness.ledger.save_sweep(Sweep("PROD", node.now()))  # its turn of the sweep is over
    await harness.ledger.drop_work_item((await harness.ledger.load_worklist())[0])
    await asyncio.sleep(10.0)

    assert await node.timer.run_now("cid") == {"attended": 11, "driven": 1, "refused": 0, "left": 0}

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_second_pass_is_refused_and_the_clock_s_own_gives_way() -> None:
    """Of one process's passes only one runs: who asks for another is told 409 `busy`, and the timer's own does nothing."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    asked = asyncio.create_task(node.timer.run_now("cid"))
    await asyncio.sleep(0.5)

    with pytest.raises(Refusal) as caught:
        await node.timer.run_now("cid2")
    assert (caught.value.code, caught.value.status) == ("busy", 409)
    assert await node.timer.run_pass("cid3") == Passed()
    assert (await asked)["driven"] == 1
    assert (await node.timer.run_now("cid4"))["attended"] == 1


@virtual
async def test_a_pass_that_is_asked_for_without_the_table() -> None:
    """What could not be done is said: 503 `storage-unavailable`; and the next one runs."""
    harness = Harness()
    node = harness.node("n1")
    harness.table_away_until = 30.0

    with pytest.raises(Refusal, match="storage-unavailable"):
        await node.timer.run_now("cid")
    await asyncio.sleep(30.0)
    assert (await node.timer.run_now("cid"))["refused"] == 0


@virtual
async def test_the_log_has_one_line_of_the_passes_every_five_minutes() -> None:
    """It says which version runs, and what the passes see: what is unfinished, frozen or drifted. Faults are said again."""
    harness = Harness(document=fleet_document(3))
    node = harness.node("n1")
    fault = Fault("/mirrors/OTHER", "is missing")
    node.controller.config = replace(node.controller.config, faults=(fault,))
    harness.cloud.script(ATTACH, fault=Answer(name="NetworkInterfaceIPConfigurationLimitExceeded"), times=4)
    await refused(node.claim("MIRRORB"))
    await node.freeze("M0001")

    await timer(node, 900)

    told = [(at, fields) for at, event, fields in harness.lines if event == "timer.pass"]
    assert [round((at - told[0][0]).total_seconds()) for at, _ in told] == [0, 300, 600]
    seen = ("version", "health", "mirrors", "seen", "faults", "unfinished", "frozen", "not_ready", "left")
    assert [[fields[name] for name in seen] for _, fields in told] == [
        [VERSION, "degraded", 3, 3, 1, 1, 1, 0, 0],
        [VERSION, "degraded", 3, 3, 1, 0, 1, 1, 0],
        [VERSION, "degraded", 3, 3, 1, 0, 1, 1, 0],
    ]
    assert [fields for _, event, fields in harness.lines if event == "configuration.fault"] == [
        {"where": "/mirrors/OTHER", "detail": "is missing"}
    ] * 3


@virtual
async def test_the_line_comes_where_the_table_is_away() -> None:
    """Its silence means one thing alone, that the timer stands still."""
    harness = Harness()
    node = harness.node("n1")
    harness.table_away_until = 1e9

    await timer(node, 600)

    assert [event for event, _ in node.log].count("timer.pass") == 2
    assert [event for event, _ in node.log].count("timer.skipped") == 20


@pytest.mark.parametrize("count", [500, pytest.param(1000, marks=pytest.mark.soak)])
def test_a_lost_vip_beside_many_mirrors_that_hang(count: int) -> None:
    """A VIP that is lost while the operations of so many mirrors of its subscription hang is attached within 60 s. (I1)"""

    async def story() -> float:
        fleet = Fleet(count + 1, 1, switches=Switches(latency="fixed:600", throttling="both", history_max=1), timer=False)
        for number in range(count):
            await unfinished(fleet, worlds.fleet_mirror(number, 1).name)
        ticking = asyncio.create_task(fleet._tick())
        await asyncio.sleep(100.0)

        lost, cloud = worlds.fleet_mirror(count, 1), fleet.cloud
        for name in (lost.nic_a, lost.nic_b):
            cloud.script(Match(method="PUT", name=name), fault=Ends(after_s=8.0))
        cloud.stranger(cloud.nic_named(lost.nic_a), "drops-config")
        await unfinished(fleet, lost.name)
        began = fleet.loop.time()
        while (await fleet.ledger.load_head(lost.name)).swap is not None:
            await asyncio.sleep(1.0)
        ticking.cancel()
        assert any(fact.name == "vip" for fact in cloud.nic_named(lost.nic_b).doc.facts)
        return fleet.loop.time() - began

    took = run(story())
    print(f"{count} mirrors that hang: attached after {took:.0f} s")
    assert took <= 60.0


async def unfinished(fleet: Fleet, name: str) -> None:
    """A swap to the mirror's B side that was accepted now and whose driver died."""
    at = fleet.controllers[0].clock.now()
    swap = Swap(operation_id=name, from_member=f"{name}-A", started_at=at, actor="key:k", begun=True)
    await fleet.ledger.put_work_item(name)
    await fleet.ledger.commit(Head(mirror=name, desired=f"{name}-B", epoch=Epoch(1), began=at, swap=swap), [])
