"""The timer: drift by contract section 9, hints that lose nothing, a sweep that misses nobody, passes that cost little."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Answer, Hangs, Match, Status
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Fate, Harness, Node, parsed
from tests.promises.helpers import (
    ALWAYS,
    DETACH,
    NIC_A,
    NIC_B,
    assert_kept,
    cured,
    details,
    document,
    events,
    paged_document,
    puts,
    refused,
    stranger_puts,
    timer,
    virtual,
)
from tests.promises.ledger import MemoryLedger
from vipcore.arm import nic
from vipcore.ledger import columns
from vipcore.ledger.audit import Row
from vipcore.ledger.head import Frozen, Head
from vipcore.ledger.port import WorkItem
from vipcore.model import Nic, Page, Vip

P, N, U = Page.PRIMARY, Page.NOT_PRIMARY, Page.UNKNOWN
A_WHILE = 600.0


def drop(harness: Harness, name: str) -> None:
    """Somebody takes the VIP off that NIC."""
    harness.cloud.stranger(harness.cloud.nic_named(name), "drops-config")


async def by_hand(harness: Harness, to: str) -> None:
    """Somebody moves the VIP to that NIC with a tool of their own."""
    drop(harness, NIC_A if to == NIC_B else NIC_B)
    await given(harness, to, *harness.mirror().vips)


# -- the drift table ---------------------------------------------------------------------------------------------------


@virtual
async def test_a_vip_on_no_nic_is_attached_to_desired() -> None:
    """A VIP that is on no NIC is attached to desired, with a row when it was found and one when it was repaired. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    assert (await events(harness))[4:] == ["drift.found", "nic.write", "swap.completed", "drift.repaired"]
    assert (await harness.head()).epoch == 1


@virtual
async def test_a_vip_on_another_member_is_reported_and_left() -> None:
    """A VIP found on another known member without a claim is reported once and left: somebody moved it by hand."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    written = len(puts(harness))

    await timer(node, 2 * A_WHILE)

    assert harness.holders() == [NIC_A]
    assert len(puts(harness)) == written
    assert (await events(harness)).count("drift.found") == 1
    assert "The VIP is on MIRRORA without a claim, desired is MIRRORB" in (await details(harness, "drift.found"))[0]
    assert any(event == "drift.found" for event, _ in node.log)


@virtual
async def test_a_drift_that_ends_by_itself_is_said() -> None:
    """A drift that somebody puts right by hand gets its row too."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    await timer(node, 60.0)
    await by_hand(harness, NIC_B)

    await timer(node, 60.0)

    assert (await events(harness))[-1] == "drift.repaired"
    assert (await harness.head()).drift is None


@pytest.mark.parametrize(
    ("pages", "repaired"),
    [((N, P), True), ((U, P), True), ((P, P), False), ((P, N), False), ((N, N), False), ((U, U), False)],
)
@virtual
async def test_pages_that_say_that_desired_is_primary_bring_the_vip_back(pages: tuple[Page, Page], repaired: bool) -> None:
    """A VIP on another member is brought back only if the pages say that desired is primary and nobody else is."""
    harness = Harness(document=paged_document())
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    harness.pages = dict(zip(("MIRRORA", "MIRRORB"), pages, strict=True))

    await timer(node, A_WHILE)

    assert harness.holders() == [NIC_B if repaired else NIC_A]
    await assert_kept(harness, on=NIC_B if repaired else NIC_A, rows_of_writes=False)
    assert ("drift.repaired" in await events(harness)) is repaired


@virtual
async def test_a_foreign_holder_is_reported_and_left() -> None:
    """A VIP's address under a name that is not ours, on a member's NIC, is reported and left."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "takes-address", address="10.0.0.254")

    await timer(node, A_WHILE)

    assert "held by something that is not ours by name" in (await details(harness, "drift.found"))[0]
    assert harness.holders() == [NIC_A]
    assert (await events(harness)).count("drift.found") == 1


@virtual
async def test_a_stranger_with_the_address_of_a_lost_vip() -> None:
    """A VIP on no NIC whose address a stranger has stays where it is, until the stranger lets go. (I10)"""
    found = worlds.default()
    thief = WorldNic(name="thief", configs=(WorldConfig(name="own", address="10.0.0.9"),))
    harness = Harness(world=replace(found, nics=(*found.nics, thief)))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    drop(harness, NIC_B)
    harness.cloud.stranger(harness.cloud.nic_named("thief"), "takes-address", address="10.0.0.254")
    await timer(node, A_WHILE)
    assert harness.holders() == ["thief"]

    drop(harness, "thief")
    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_nic_that_cannot_be_read_is_no_drift() -> None:
    """Where a NIC cannot be read the placement is unknown: nothing is reported and nothing is repaired. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    rows = len(await harness.trail())
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_B), fault=Status(status=503), times=ALWAYS)

    await timer(node, A_WHILE)

    assert len(await harness.trail()) == rows
    cured(harness)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_split_mirror_is_reported() -> None:
    """Two VIPs on two members are a drift that is reported, and repaired where the pages say that desired is primary."""
    found = worlds.default()
    two = WorldConfig(name="vip2", address="10.0.0.253")
    nics = (replace(found.nics[0], configs=(*found.nics[0].configs, two)), found.nics[1])
    vips = [
        {"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"},
        {"name": "vip2", "private_ip": "10.0.0.253"},
    ]
    harness = Harness(world=replace(found, nics=nics), document=paged_document(vips=vips))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await assert_kept(harness, on=NIC_B, address="10.0.0.253")
    drop(harness, NIC_B)
    harness.cloud.stranger(harness.cloud.nic_named(NIC_B), "takes-address", address="10.0.0.254")
    drop(harness, NIC_B)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    await assert_kept(harness, on=NIC_B, address="10.0.0.253")


@virtual
async def test_one_of_two_vips_on_no_nic_is_attached_to_desired() -> None:
    """Without any page: of two VIPs the one that is on no NIC is attached to desired, which has the other."""
    found = worlds.default()
    two = WorldConfig(name="vip2", address="10.0.0.253")
    nics = (replace(found.nics[0], configs=(*found.nics[0].configs, two)), found.nics[1])
    vips = [
        {"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"},
        {"name": "vip2", "private_ip": "10.0.0.253"},
    ]
    harness = Harness(world=replace(found, nics=nics), document=document(vips=vips))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    stranger_puts(harness, NIC_B, drop="vip2", seconds=1.0)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)
    await assert_kept(harness, on=NIC_B, address="10.0.0.253")
    assert (await events(harness))[-4:] == ["drift.found", "nic.write", "swap.completed", "drift.repaired"]


@virtual
async def test_a_mirror_that_was_never_decided_is_left_alone() -> None:
    """Where nobody has ever claimed or moved there is no desired, and so no drift and no write."""
    harness = Harness()
    node = harness.node("n1")
    drop(harness, NIC_A)

    await timer(node, A_WHILE)

    assert (puts(harness), await events(harness)) == ([], [])


# -- unfinished work ---------------------------------------------------------------------------------------------------


class DieAt(Fate):
    """An instance dies right after its n-th NIC write took effect."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def between(self, node: Node, label: str) -> None:
        if label == "arm PUT networkInterfaces":
            self.count -= 1
            if self.count == 0:
                node.kill()


@pytest.mark.parametrize("writes", [1, 2])
@virtual
async def test_a_swap_whose_driver_died_is_finished_by_the_timer_alone(writes: int) -> None:
    """A swap whose driver died after a write is finished by another instance's timer, with a row that says so. (I1)"""
    harness = Harness(fate=DieAt(writes))
    dying = harness.node("n1")
    claim = asyncio.create_task(dying.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert dying.dead

    await timer(harness.node("n2"), 240.0)

    claim.cancel()
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    assert "swap.resumed" in await events(harness)


@virtual
async def test_a_swap_that_keeps_failing_is_tried_less_and_less_often() -> None:
    """The timer's tries back off up to five minutes, and the swap is done soon after the cause is gone. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(DETACH, fault=Status(status=400, body=b'{"error":{"code":"BadRequest","message":"no"}}'), times=ALWAYS)
    await refused(node.claim("MIRRORB"))

    await timer(node, 3600.0)

    tries = [row for row in await harness.trail() if row.columns["Event"] == "swap.failed"]
    assert 12 <= len(tries) <= 20
    cured(harness)
    await timer(node, 330.0)
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_late_write_of_a_dead_driver_is_no_drift() -> None:
    """For 15 minutes after a driver died a placement that its late write explains is an unfinished swap, never drift. (I2)"""
    harness = Harness(fate=DieAt(1))
    dying = harness.node("n1")
    claim = asyncio.create_task(dying.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    harness.fate = Fate()
    node = harness.node("n2")
    await timer(node, 240.0)
    claim.cancel()
    await by_hand(harness, NIC_A)

    await timer(node, 120.0)

    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    assert "drift.found" not in await events(harness)
    assert (await harness.head()).watch_until > node.now()
    await timer(node, 1000.0)
    assert harness.ledger.worklist == {}


# -- hints, the sweep, and what a pass costs ---------------------------------------------------------------------------


def fleet(count: int) -> dict[str, Any]:
    """A document of that many mirrors; those beside the first have NICs that nobody looks at here."""
    found = document()
    for number in range(1, count):
        found["mirrors"][f"M{number:04d}"] = {
            "members": {"A": {"nic": f"a{number}"}, "B": {"nic": f"b{number}"}},
            "vips": [{"name": "vip", "private_ip": f"10.1.{number // 250}.{number % 250 + 1}"}],
        }
    return found


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
        self.seen.append(("rows", mirror))
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


@pytest.mark.parametrize("count", [1, 9, 25, 400, 3000])
@virtual
async def test_the_sweep_sees_every_head_within_ten_minutes(count: int) -> None:
    """The spread sweep reads every head within ten minutes of passes every 30 s, and never nearly all at once."""
    harness, ledger = counted(document=fleet(count))
    node = harness.node("n1")
    most = 0

    until = harness.loop.time() + 600.0
    while harness.loop.time() < until:
        before = len(ledger.seen)
        began = harness.loop.time()
        await node.tick()
        most = max(most, len(ledger.seen) - before)
        await asyncio.sleep(max(0.0, began + 30.0 - harness.loop.time()))

    heads = {name for kind, name in ledger.seen if kind == "head"}
    assert len(heads) == count
    assert most <= max(12, math.ceil(count / 15))


@virtual
async def test_the_sweep_keeps_its_promise_where_passes_are_late() -> None:
    """Passes that come only every three minutes read larger slices: every head within ten minutes all the same."""
    harness, ledger = counted(document=fleet(1000))
    node = harness.node("n1")
    for _ in range(4):
        await node.tick()
        await asyncio.sleep(180.0)

    assert len({name for kind, name in ledger.seen if kind == "head"}) == 1000


@virtual
async def test_an_idle_pass_reads_no_rows() -> None:
    """What an idle pass reads does not grow with the length of the trail: hints and heads, never an audit row. (I8)"""
    harness, ledger = counted(document=fleet(3))
    node = harness.node("n1")
    costs = []
    for permit in range(12):
        await node.claim(["MIRRORB", "MIRRORA"][permit % 2], claim_id=f"c{permit}")
        await asyncio.sleep(700.0)
        await node.tick()
        await node.tick()
        before = len(ledger.seen)
        await node.tick()
        costs.append(ledger.seen[before:])

    assert [len(cost) for cost in costs] == [len(costs[0])] * 12
    assert {kind for cost in costs for kind, _ in cost} == {"hints", "head"}
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
async def test_a_hint_outlives_the_request_that_wrote_it() -> None:
    """A pass between a request's hint and its decision leaves the hint, so that the timer finds what a crash leaves. (I1)"""
    harness = Harness(document=fleet(400), fate=Between())
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


@pytest.mark.parametrize("moment", ["table load_heads", "table drop_hint"])
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

    await timer(node, 230.0)
    harness.fate = Meanwhile()
    await node.tick()
    assert list(harness.ledger.worklist) == ["PROD"]

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
    harness = Harness(document=fleet(40))
    node = harness.node("n1")
    for number in range(1, 40):
        await harness.ledger.put_work_item(f"M{number:04d}")
        harness.ledger.heads[f"M{number:04d}"] = (columns.to_entity(replace(Head(mirror=f"M{number:04d}"), desired="A")), 'W/"x"')
    await node.claim("MIRRORB")
    drop(harness, NIC_B)

    await timer(node, A_WHILE)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_recorded_claim_is_judged_though_the_document_has_lost_desired() -> None:
    """A member that the document no longer has is nowhere to go; a claim of another one that is recorded is carried out."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    head = await harness.head()
    harness.ledger.heads["PROD"] = (columns.to_entity(replace(head, desired="OLD")), 'W/"x"')
    await node.freeze()
    await refused(node.claim("MIRRORA"))
    await node.unfreeze()

    await timer(node, 60.0)

    assert harness.holders() == [NIC_A]
    assert (await harness.head()).recorded_claim is None


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
    harness = Harness(document=fleet(3))
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


# -- what an audit against the contract found ----------------------------------------------------------------------------


def third_member() -> Harness:
    """A harness whose mirror has a third member, MIRRORC on c_nic, and whose first instance dies after its first NIC write."""
    world = worlds.default()
    other = WorldNic(name="c_nic", configs=(WorldConfig(name="own", address="10.0.0.9"),))
    described = document()
    described["mirrors"]["PROD"]["members"]["MIRRORC"] = {"nic": "c_nic"}
    return Harness(world=replace(world, nics=(*world.nics, other)), document=described, fate=DieAt(1))


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


@virtual
async def test_only_what_a_dead_driver_may_have_written_explains_a_placement() -> None:
    """A VIP found on a member whose NIC the dead driver never wrote was moved by hand: it is reported and left."""
    harness = third_member()
    claim = asyncio.create_task(harness.node("n1").claim("MIRRORB"))
    await asyncio.sleep(20.0)
    harness.fate = Fate()
    node = harness.node("n2")
    await timer(node, 240.0)
    claim.cancel()
    drop(harness, NIC_B)
    await given(harness, "c_nic", *harness.mirror().vips)

    await timer(node, 120.0)

    assert harness.holders() == ["c_nic"]
    assert (await details(harness, "drift.found"))[-1].startswith("The VIP is on MIRRORC without a claim")


@virtual
async def test_a_late_write_is_put_right_during_a_freeze_too() -> None:
    """What a dead driver's write has undone is an unfinished swap, and a freeze lets that finish. (I2)"""
    harness = Harness(fate=DieAt(1))
    claim = asyncio.create_task(harness.node("n1").claim("MIRRORB"))
    await asyncio.sleep(20.0)
    harness.fate = Fate()
    node = harness.node("n2")
    await timer(node, 240.0)
    claim.cancel()
    await node.freeze()
    await by_hand(harness, NIC_A)

    await timer(node, 120.0)

    assert harness.holders() == [NIC_B]
    assert "drift.found" not in await events(harness)


@virtual
async def test_a_vip_moved_by_hand_without_its_public_ip_is_left() -> None:
    """A VIP that is on another member without its public IP is there all the same: reported, and not taken back."""
    harness = Harness()
    node = harness.node("n1")
    await node.move("MIRRORA")
    drop(harness, NIC_A)
    await given(harness, NIC_B, *(replace(vip, public_ip_id=None) for vip in harness.mirror().vips))

    await timer(node, A_WHILE)

    assert harness.holders() == [NIC_B]
    assert (await details(harness, "drift.found"))[-1].startswith("The VIP is on MIRRORB without a claim")


async def given(harness: Harness, name: str, *vips: Vip) -> None:
    """Somebody puts these on that NIC with a tool of their own."""
    hand = harness.node(f"hand {len(harness.nodes)}")
    shown = await hand.controller.arm.read_nic(harness.cloud.nic_named(name).id)
    assert isinstance(shown, Nic)
    await hand.controller.arm.put(shown, nic.attached(shown, vips))
    await asyncio.sleep(10.0)
