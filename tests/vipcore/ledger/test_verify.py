"""The look at the newest rows that the timer makes by itself: once a day and after each start, bounded, and told."""

import asyncio
from typing import Any

import pytest

from tests.promises.harness import Harness, Node
from tests.promises.helpers import timer, virtual
from tests.promises.ledger import MemoryLedger
from tests.vipcore.adapters.ledgers import grown
from vipcore.ledger import audit, verify
from vipcore.ledger.audit import Link, Seal, digest, row_key

DAY_S = 86_400.0


def told(node: Node) -> list[tuple[str, dict[str, Any]]]:
    """What the log says of the trail."""
    return [(event, fields) for event, fields in node.log if event in ("audit.verified", "audit.broken")]


@virtual
async def test_the_trail_is_verified_after_each_start_and_once_a_day() -> None:
    """Each process looks soon after its start and then daily; log and memory tell up to which row all is well. (I8)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await timer(node, 300.0)
    head = await harness.head()
    assert told(node) == [("audit.verified", {"mirror": "PROD", "first": 1, "seq": head.seq, "hash": head.head_hash})]
    assert node.controller.store.verified["PROD"].reached == Link(head.seq, head.head_hash)

    await timer(node, 600.0)
    assert len(told(node)) == 1
    await node.freeze()
    await asyncio.sleep(DAY_S)
    await timer(node, 60.0)

    assert [(event, fields["first"], fields["seq"]) for event, fields in told(node)[1:]] == [
        ("audit.verified", head.seq + 1, head.seq + 1)
    ]
    other = harness.node("n2")
    await timer(other, 300.0)
    assert [(event, fields["first"]) for event, fields in told(other)] == [("audit.verified", 1)]


@virtual
async def test_a_broken_trail_is_told_by_itself() -> None:
    """A row that was changed in the table is found without anybody asking: an error in the log, and in memory. (I8)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    harness.ledger.rows["PROD"][row_key(2)]["Detail"] = "nothing happened"

    await timer(node, 300.0)

    ((event, fields),) = told(node)
    assert (event, fields["seq"]) == ("audit.broken", 2)
    assert "it was changed" in fields["detail"]
    assert node.controller.store.verified["PROD"].broken == (2, fields["detail"])


@pytest.mark.parametrize("how", ["rewritten", "cut off"])
@virtual
async def test_a_tail_that_was_replaced_with_its_head_is_found(how: str) -> None:
    """Rows and head may be made to agree by whoever owns the table: the process remembers what it saw. (I8)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await timer(node, 300.0)
    rows = harness.ledger.rows["PROD"]
    head = await harness.head()
    if how == "rewritten":
        last = rows[row_key(head.seq)]
        last["Detail"] = "nothing happened"
        last["Hash"] = digest(last, None)
        changed = {"HeadHash": last["Hash"]}
    else:
        del rows[row_key(head.seq)]
        changed = {"Seq": head.seq - 1, "HeadHash": rows[row_key(head.seq - 1)]["Hash"]}
    harness.ledger.set_head("PROD", {**head.to_entity(), **changed})

    await asyncio.sleep(DAY_S)
    await timer(node, 60.0)

    assert told(node)[-1][0] == "audit.broken"


@virtual
async def test_a_look_reads_the_newest_rows_only() -> None:
    """However long a trail is, a look reads no more than NEWEST rows; what came since is looked at page by page. (I8)"""
    harness = Harness()
    now, reads = harness.now(), list[int]()

    class Counting(MemoryLedger):
        async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[audit.Row]:
            rows = await super().rows_from(mirror, seq, limit=limit)
            reads.append(len(rows))
            return rows

    ledger = Counting()
    head = await grown(ledger, "PROD", 1000)

    first = await verify.newest(ledger, Seal(), head, None, now)
    assert (first.first, first.reached.seq, first.more, first.broken) == (801, 1000, False, None)

    head = await grown(ledger, "PROD", 250)
    looks = [first]
    for _ in range(2):
        looks.append(await verify.newest(ledger, Seal(), head, looks[-1], now))
    assert [(look.first, look.reached.seq, look.more) for look in looks[1:]] == [(1001, 1200, True), (1201, 1250, False)]
    assert max(reads) <= verify.NEWEST + 1
    assert verify.is_due(looks[1], now)
    assert not verify.is_due(looks[2], now)


@virtual
async def test_a_look_without_the_table_is_made_later() -> None:
    """A table that is away says nothing about the trail: the next turn looks. (I8)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    harness.table_away_until = harness.loop.time() + 120.0
    await timer(node, 100.0)
    assert told(node) == []

    await timer(node, 1200.0)

    assert [event for event, _ in told(node)] == ["audit.verified"]
