"""The audit trail and its verification, page by page."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.promises.harness import DOCUMENT, Harness
from tests.promises.helpers import agent, virtual
from tests.vipcore.entry.moved import moved
from vipcore.entry import trail
from vipcore.errors import Refusal
from vipcore.ledger.audit import Seal, digest, row_key
from vipcore.settings import document, environment

Rows = dict[str, dict[str, Any]]


@virtual
async def test_trail_comes_in_pages_newest_first() -> None:
    """Every row is in exactly one page; `next` is the `before` of the page after, and null at the end."""
    harness = Harness()
    controller = await moved(harness)
    everything = (await trail.audit(controller, "PROD", {}))["records"]
    for limit in (1, 2, 3, len(everything), len(everything) + 1):
        seqs, query = [], {"limit": str(limit)}
        while True:
            page = await trail.audit(controller, "PROD", query)
            seqs += [record["seq"] for record in page["records"]]
            if page["next"] is None:
                break
            query = {"limit": str(limit), "before": str(page["next"])}
        assert seqs == list(range(len(everything), 0, -1))


@virtual
async def test_chain_verifies_in_pages_of_any_size() -> None:
    """Pages of the verification add up to the whole trail, and end at the head's hash. (I8)"""
    harness = Harness()
    controller = await moved(harness)
    whole = await trail.verify(controller, "PROD", {})
    head = await harness.head()
    assert whole == {"intact": True, "records": head.seq, "head_hash": head.head_hash, "keyed_from": None}
    for limit in (1, 2, 3, head.seq):
        records, query = 0, {"limit": str(limit)}
        while True:
            page = await trail.verify(controller, "PROD", query)
            assert page["intact"]
            records += page["records"]
            if "next" not in page:
                break
            query = {"limit": str(limit), "from": str(page["next"])}
        assert (records, page["head_hash"]) == (head.seq, head.head_hash)


@virtual
async def test_empty_trail_is_intact() -> None:
    """A mirror that nothing ever happened to has an intact trail of no rows."""
    controller = Harness().node("one").controller

    assert await trail.verify(controller, "PROD", {}) == {
        "intact": True, "records": 0, "head_hash": "0" * 64, "keyed_from": None,
    }  # fmt: skip
    assert await trail.audit(controller, "PROD", {}) == {"records": [], "next": None}


TAMPERED: dict[str, Callable[[Rows, int], object]] = {
    "a detail was changed": lambda rows, last: rows[row_key(2)].update(Detail="nothing happened"),
    "a row in the middle is gone": lambda rows, last: rows.pop(row_key(2)),
    "the first row is gone": lambda rows, last: rows.pop(row_key(1)),
    "the last row is gone": lambda rows, last: rows.pop(row_key(last)),
    "the last two rows are gone": lambda rows, last: (rows.pop(row_key(last)), rows.pop(row_key(last - 1))),
    "all rows are gone": lambda rows, last: rows.clear(),
    "two rows were exchanged": lambda rows, last: rows.update({row_key(2): rows[row_key(3)], row_key(3): rows[row_key(2)]}),
    "a row says to be far ahead": lambda rows, last: rows[row_key(last)].update(Seq=10**9),
    "the last row's hash was changed": lambda rows, last: rows[row_key(last)].update(Hash="0" * 64),
}


@pytest.mark.parametrize("limit", ["1", "2", "5000"])
@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_in_the_table_is_found(name: str, limit: str) -> None:
    """Whatever is changed, taken away, added or moved among the rows is found, in pages of any size. (I8)"""

    @virtual
    async def story() -> None:
        harness = Harness()
        controller = await moved(harness)
        head = await harness.head()
        TAMPERED[name](harness.ledger.rows["PROD"], head.seq)
        page = await trail.verify(controller, "PROD", {"limit": limit})
        for _ in range(head.seq + 2):
            if page["intact"] and "next" in page:
                page = await trail.verify(controller, "PROD", {"limit": limit, "from": str(page["next"])})

        assert page["intact"] is False
        assert 1 <= page["broken_seq"] <= head.seq
        assert page["detail"]

    story()


@virtual
async def test_row_put_between_two_others_is_found() -> None:
    """A forged row under a RowKey between two others shows in every viewer, so the verification must see it too. (I8)"""
    harness = Harness()
    controller = await moved(harness)
    rows = harness.ledger.rows["PROD"]
    rows[row_key(2) + "x"] = rows[row_key(2)] | {"RowKey": row_key(2) + "x", "Detail": "nothing happened"}

    assert (await trail.verify(controller, "PROD", {}))["intact"] is False


@virtual
async def test_tail_that_was_rewritten_is_found_by_the_heads_hash() -> None:
    """A last row rewritten together with its hash fits its predecessor, but not the head. (I8)"""
    harness = Harness()
    controller = await moved(harness)
    head = await harness.head()
    last = harness.ledger.rows["PROD"][row_key(head.seq)]
    last["Detail"] = "nothing happened"
    last["Hash"] = digest(last, None)

    page = await trail.verify(controller, "PROD", {})
    assert (page["intact"], page["broken_seq"]) == (False, head.seq)
    assert "head" in page["detail"]


@pytest.mark.parametrize("limit", ["1", "3", "5000"])
@pytest.mark.parametrize("back", [True, False], ids=["set back", "removed"])
def test_head_that_was_set_back_or_removed_is_found(limit: str, back: bool) -> None:
    """Rows behind the end that the head tells are no intact trail: its head was set back to an older one, or taken away."""

    @virtual
    async def story() -> None:
        harness = Harness()
        controller = await moved(harness)
        older = harness.ledger.heads["PROD"]
        await agent(harness.node("two"), "MIRRORB", claim_id="e")
        if back:
            harness.ledger.heads["PROD"] = older
        else:
            del harness.ledger.heads["PROD"]
        head = await harness.head()
        first = max(1, head.seq - head.seq % int(limit) + 1 - int(limit)) if limit != "5000" else 1

        page = await trail.verify(controller, "PROD", {"limit": limit, "from": str(first)})
        for _ in range(3):
            if page["intact"] and "next" in page:
                page = await trail.verify(controller, "PROD", {"limit": limit, "from": str(page["next"])})

        assert (page["intact"], page["broken_seq"]) == (False, head.seq + 1)

    story()


@virtual
async def test_broken_trail_tells_how_many_rows_were_read() -> None:
    """`records` is how many rows there were to check, also where one of them is broken."""
    harness = Harness()
    controller = await moved(harness)
    head = await harness.head()
    harness.ledger.rows["PROD"][row_key(2)].update(Detail="nothing happened")

    page = await trail.verify(controller, "PROD", {})

    assert (page["records"], page["broken_seq"]) == (head.seq, 2)


@virtual
async def test_rows_that_are_committed_during_a_check_break_nothing() -> None:
    """A row that is written between the reading of the head and of the rows is the next look's."""
    harness = Harness()
    controller = await moved(harness)
    node = harness.node("two")

    async def freezes() -> None:
        for _ in range(10):
            await node.freeze()

    busy = asyncio.ensure_future(freezes())
    while not busy.done():
        assert (await trail.verify(controller, "PROD", {}))["intact"] is True


@virtual
async def test_keyed_trail_says_from_where_it_is_keyed() -> None:
    """`keyed_from` is the first row under the audit key; without that key the chain cannot be called intact."""
    parsed = document.read(json.dumps(DOCUMENT))
    harness = Harness(config=environment.Config(mirrors=parsed.mirrors, seal=Seal(b"k" * 32)))
    controller = await moved(harness)

    assert (await trail.verify(controller, "PROD", {}))["keyed_from"] == 1
    controller.config = environment.Config(mirrors=parsed.mirrors)
    found = await trail.verify(controller, "PROD", {})
    assert (found["intact"], found["broken_seq"]) == (False, 1)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "1" * 19, "１", "1;2"])
@pytest.mark.parametrize("name", ["limit", "before", "from"])
def test_numbers_of_the_query(name: str, text: str) -> None:
    """What is no whole number from 1 on is `body-invalid`; a limit beyond the largest page is cut to it."""

    @virtual
    async def story() -> None:
        controller = Harness().node("one").controller
        views = [trail.audit] if name == "before" else [trail.verify] if name == "from" else [trail.audit, trail.verify]
        for view in views:
            with pytest.raises(Refusal, match="body-invalid"):
                await view(controller, "PROD", {name: text})

    story()


@virtual
async def test_from_behind_the_end_is_no_broken_chain() -> None:
    """Asking from beyond the last row is a mistake of the asker and not a sign of tampering."""
    harness = Harness()
    controller = await moved(harness)
    head = await harness.head()

    assert (await trail.verify(controller, "PROD", {"from": str(head.seq + 1)}))["records"] == 0
    with pytest.raises(Refusal, match="body-invalid"):
        await trail.verify(controller, "PROD", {"from": str(head.seq + 2)})
