"""A head that was removed or set back: what the rows tell of it, and that no fault of this kind stops a mirror."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from simulator.core.faults import Hangs
from tests.promises.checker import check
from tests.promises.crashes import quiet
from tests.promises.harness import Fate, Harness
from tests.promises.helpers import (
    DETACH,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    details,
    document,
    events,
    puts,
    refused,
    timer,
    virtual,
)
from tests.promises.ledger import MemoryLedger
from tests.vipcore.deaths import DieAt, third_member
from tests.vipcore.manual_changes import drop
from vipcore.errors import CommitUnknown
from vipcore.instants import NEVER
from vipcore.ledger import audit, rebuild
from vipcore.ledger.audit import Entry, Row
from vipcore.ledger.head import Head

WAYS = ("removed", "restored")


@pytest.mark.parametrize("way", WAYS)
@virtual
async def test_a_mirror_goes_on_after_its_head_was_lost(way: str) -> None:
    """A claim, a move or a freeze finds the head behind its trail, and is carried out on a rebuilt one. (I1, I8)"""
    for asked in ("claim", "move", "freeze"):
        harness = Harness()
        node = harness.node("n1")
        await node.claim("MIRRORB", claim_id="c1")
        copy = harness.copy()
        await node.claim("MIRRORA", claim_id="c2")
        await asyncio.sleep(60.0)
        before = await harness.head()

        harness.damage(copy=copy if way == "restored" else None)
        if asked == "freeze":
            assert (await node.freeze())["frozen"]
        else:
            assert (await (node.claim("MIRRORB") if asked == "claim" else node.move("MIRRORB"))).epoch == before.epoch + 1

        assert (await events(harness)).count("head.rebuilt") == 1
        assert (await details(harness, "head.rebuilt"))[0].startswith(
            f"The head was {'gone' if way == 'removed' else 'set back to row 4'} and is rebuilt from rows"
        )
        await assert_kept(harness, on=NIC_A if asked == "freeze" else NIC_B)
        assert check(harness, ended=False) == []


@pytest.mark.parametrize("way", WAYS)
@virtual
async def test_a_lost_vip_of_a_mirror_whose_head_is_gone_comes_back(way: str) -> None:
    """The timer alone notices that a head is behind its trail, rebuilds it, and attaches the VIP to desired. (I1)"""
    harness = Harness(document=fleet_of(30))
    node = harness.node("n1")
    await node.claim("MIRRORB")
    copy = harness.copy()
    await node.freeze()
    await node.unfreeze()
    await asyncio.sleep(1000.0)
    await timer(node, 60.0)
    drop(harness, NIC_B)
    assert harness.holders() == []

    harness.damage(copy=copy if way == "restored" else None)
    await timer(node, 600.0)

    assert harness.holders() == [NIC_B]
    assert "head.rebuilt" in await events(harness)


def fleet_of(count: int) -> dict[str, Any]:
    """A document of so many mirrors that the sweep needs its time; nobody looks at the NICs of the others."""
    found = document()
    for number in range(count):
        members = {"A": {"nic": f"a{number}"}, "B": {"nic": f"b{number}"}}
        found["mirrors"][f"M{number:03d}"] = {
            "members": members,
            "vips": [{"name": "vip", "private_ip": f"10.1.0.{number + 1}"}],
        }
    return found


@pytest.mark.parametrize("way", WAYS)
@virtual
async def test_a_swap_under_way_goes_on_without_its_head(way: str) -> None:
    """A driver whose head is lost in the middle finds its lease gone, and whoever asks, itself too, goes on. (I1, I2)"""
    harness = Harness()
    first, second = harness.node("n1"), harness.node("n2")
    await first.freeze()
    await first.unfreeze()
    copy = harness.copy()
    harness.cloud.script(DETACH, fault=Hangs(for_s=20.0))
    waiting = [asyncio.ensure_future(agent(first, "MIRRORB"))]
    await asyncio.sleep(1.0)
    waiting.append(asyncio.ensure_future(agent(second, "MIRRORB")))
    await asyncio.sleep(2.0)
    driven = await harness.head()
    assert driven.lease is not None

    harness.damage(copy=copy if way == "restored" else None)

    for outcome, refusals in await asyncio.gather(*waiting):
        assert outcome.holder == "MIRRORB"
        assert not {"claim-superseded"} & {refusal.code for refusal in refusals}
    assert (await events(harness)).count("head.rebuilt") == 1
    await assert_kept(harness, on=NIC_B)
    assert check(harness, ended=False) == []


@virtual
async def test_a_dead_drivers_nics_are_rewritten_although_the_head_is_gone() -> None:
    """Every member's NIC is rewritten by the next driver: no row tells of all that the lost head named. (I2)"""
    harness = third_member()
    dying = harness.node("n1")
    task = asyncio.ensure_future(dying.claim("MIRRORB"))
    await dying.died.wait()
    task.cancel()
    harness.fate = Fate()
    swap = (await harness.head()).swap

    harness.damage()
    node = harness.node("n2")
    await timer(node, 120.0)

    found = [row for row in await harness.trail() if row.columns["Event"] == "head.rebuilt"]
    assert [row.columns["OperationId"] for row in found] == [swap and swap.operation_id]
    written = {seen.resource.rpartition("/")[2] for seen in puts(harness) if seen.status in (200, 201)}
    assert written == {NIC_A, NIC_B, "c_nic"}
    assert (await harness.head()).late_writes.members == ("MIRRORA", "MIRRORB", "MIRRORC")
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
    await quiet(harness, node)
    assert check(harness) == []


@pytest.mark.parametrize("ended", [False, True])
@virtual
async def test_a_freeze_outlives_the_head(ended: bool) -> None:
    """A freeze is known again with its reason, operator and end, one that was lifted is not; it can be lifted at once. (I7)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await node.freeze(for_s=3600.0)
    before = (await harness.head()).frozen
    if ended:
        await node.unfreeze()
    harness.damage()

    assert (await refused(node.claim("MIRRORA"))).code == "mirror-frozen" if not ended else await node.claim("MIRRORA")

    after = (await harness.head()).frozen
    assert after is None if ended else (before and after and after[:2] == before[:2] and after.until == before.until)
    harness.damage()
    await node.unfreeze()
    assert (await harness.head()).frozen is None


@pytest.mark.parametrize("way", WAYS)
@virtual
async def test_no_claim_is_accepted_again_after_a_rebuild(way: str) -> None:
    """Marks are told by the rows: what was accepted or recorded before is replayed, a claim signed later is not. (I6)"""
    harness = Harness()
    node = harness.node("n1")
    copy = harness.copy()
    issued_at = harness.now()
    await node.claim("MIRRORB", issued_at=issued_at)
    other = harness.now()
    await node.freeze()
    await refused(node.claim("MIRRORA", issued_at=other))
    await node.unfreeze()
    unknown = harness.now() - timedelta(seconds=1)
    await asyncio.sleep(5.0)

    harness.damage(copy=copy if way == "restored" else None)

    assert (await refused(node.claim("MIRRORB", issued_at=issued_at))).code == "claim-replayed"
    assert (await refused(node.claim("MIRRORA", issued_at=other))).code == "claim-replayed"
    # A key of which no row tells: what it signed before the newest row may have been accepted.
    assert (await refused(node.claim("MIRRORA", key_id="another", issued_at=unknown))).code == "claim-replayed"
    assert (await node.claim("MIRRORA", key_id="another")).holder == "MIRRORA"


@virtual
async def test_an_older_decision_does_not_come_back() -> None:
    """An older copy names another member: claims that began before the newest decision stay superseded. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    copy = harness.copy()
    await asyncio.sleep(60.0)
    await node.claim("MIRRORA")
    await asyncio.sleep(60.0)
    harness.damage(copy=copy)

    assert (await refused(node.claim("MIRRORB", age_s=90.0))).code == "claim-superseded"
    await timer(node, 60.0)

    await assert_kept(harness, on=NIC_A)
    assert (await harness.head()).epoch == 2


@virtual
async def test_changes_of_holder_are_counted_over_a_rebuild() -> None:
    """The limit against flapping still holds."""
    harness = Harness()
    assert harness.config is not None
    harness.config = replace(harness.config, max_changes=3)
    node = harness.node("n1")
    for turn in range(3):
        await node.claim(("MIRRORB", "MIRRORA")[turn % 2], claim_id=f"c{turn}")
    harness.damage()

    assert (await refused(node.claim("MIRRORA", claim_id="c5"))).code == "flapping"
    assert len((await harness.head()).changes) == 3


class Racing(MemoryLedger):
    """Fails the commit of a rebuild, with or without an effect."""

    def __init__(self, *, lands: bool) -> None:
        super().__init__()
        self.lands, self.lost = lands, 0

    async def commit(self, head: Head, rows: Any) -> Head:
        if not self.lost and any(row.columns["Event"] == "head.rebuilt" for row in rows):
            self.lost += 1
            if self.lands:
                await super().commit(head, rows)
            raise CommitUnknown("lost")
        return await super().commit(head, rows)


@pytest.mark.parametrize("lands", [False, True])
@virtual
async def test_a_rebuild_whose_answer_is_lost(lands: bool) -> None:
    """It is made again, or gone on from: there is one row of it. (I8)"""
    harness = Harness()
    harness.ledger = Racing(lands=lands)
    node = harness.node("n1")
    await node.claim("MIRRORB")
    harness.damage()

    await node.freeze()

    assert (await events(harness))[-2:] == ["head.rebuilt", "frozen"]
    assert (await events(harness)).count("head.rebuilt") == 1
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_two_instances_rebuild_once() -> None:
    """Whoever is second finds a head that knows its trail."""
    harness = Harness()
    nodes = [harness.node(f"n{number}") for number in range(4)]
    await nodes[0].claim("MIRRORB")
    harness.damage()

    await asyncio.gather(*(node.move("MIRRORA") for node in nodes))

    assert (await events(harness)).count("head.rebuilt") == 1
    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_head_that_is_only_busy_is_not_rebuilt() -> None:
    """The sweep compares a head with rows that others commit meanwhile: the head read after them knows them."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    old = await harness.head()
    await node.freeze()

    assert await node.controller.store.caught_up(old) == await harness.head()
    assert "head.rebuilt" not in await events(harness)


def test_forged_rows_stop_no_rebuild() -> None:
    """Columns that are missing or nonsense leave what no row tells as it was."""
    names = ("Event", "At", "Epoch", "Member", "OperationId", "FromMember", "Actor", "Detail", "IssuedAt", "DurationMs", "Alg")
    for event in (*audit.EVENTS, 7, None):
        for value in (None, 7, "", "\ud800", b"x", "=1"):
            columns = dict.fromkeys(names, value) | {"Event": event, "Seq": 5, "PrevHash": value}
            row = Row("PROD", audit.row_key(5), 5, columns, "h")
            after, entry = rebuild.rebuilt(Head(mirror="PROD"), [row], NEVER)
            assert (after.seq, after.head_hash, entry.event) == (5, "h", "head.rebuilt")


@virtual
async def test_what_a_head_knew_is_found_behind_a_thousand_rows() -> None:
    """Rows are read in pages until the decision is found, and the highest epoch is the mirror's. (I1)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    refusals = [Entry("claim.refused", actor="key:x", member="MIRRORA", outcome="mirror-frozen") for _ in range(2500)]
    await node.controller.store.commit(await harness.head(), lambda head: (replace(head, drift=None), refusals))
    before = await harness.head()
    harness.damage()

    await node.freeze()
    after = await harness.head()

    assert (after.desired, after.epoch, after.seq) == ("MIRRORB", before.epoch, before.seq + 2)


def test_the_search_has_an_end() -> None:
    """What was not found in so many rows is not looked for any longer; nor is what lies before the head's own row."""
    rows = [Row("PROD", audit.row_key(seq), seq, {"Event": "claim.refused"}, "h") for seq in range(rebuild.ROWS_MAX + 1, 1, -1)]

    assert rebuild.is_enough(Head(mirror="PROD"), rows)
    assert not rebuild.is_enough(Head(mirror="PROD"), rows[:-1])
    assert rebuild.is_enough(Head(mirror="PROD", seq=rows[9].seq), rows[:10])
    assert not rebuild.is_enough(Head(mirror="PROD"), [])


@pytest.mark.parametrize("way", WAYS)
@virtual
async def test_a_claim_that_waits_is_not_superseded_by_a_head_that_is_gone(way: str) -> None:
    """Who waits for a swap sees the epoch fall: that is no newer decision, and the claim goes on. (I1)"""
    harness = Harness(fate=DieAt(1))
    await harness.node("n0").freeze()
    await harness.nodes[0].unfreeze()
    copy = harness.copy()
    dying, waiting = harness.node("n1"), harness.node("n2")
    driven = asyncio.ensure_future(dying.claim("MIRRORB", claim_id="c"))
    await dying.died.wait()
    asked = asyncio.ensure_future(waiting.claim("MIRRORB", claim_id="d"))
    harness.fate = Fate()
    await asyncio.sleep(2.0)

    harness.damage(copy=copy if way == "restored" else None)

    assert (await asked).holder == "MIRRORB"
    driven.cancel()
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)
