"""The read-only views: what they say of a mirror, and that a trail that was tampered with in the table is found."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.promises.acts import NIC_A, agent, stranger_puts, virtual
from tests.promises.stage import DOCUMENT, Stage
from vipcore.entry import status, trail
from vipcore.errors import Refusal
from vipcore.ledger.audit import row_key
from vipcore.ledger.seal import Seal, digest
from vipcore.settings import config, document
from vipcore.settings.document import Fault

Rows = dict[str, dict[str, Any]]


async def moved(stage: Stage) -> Any:
    """A controller after two swaps, with a trail of several rows."""
    node = stage.node("one")
    await agent(node, "MIRRORB")
    await agent(node, "MIRRORA", claim_id="d")
    return node.controller


@virtual
async def test_status_of_a_mirror_at_rest() -> None:
    """Desired, epoch, a placement from a fresh read, readiness of every member, the last swap with its phases."""
    stage = Stage()
    controller = await moved(stage)

    shown = await status.mirror(controller, "PROD")

    assert (shown["mirror"], shown["desired"], shown["epoch"]) == ("PROD", "MIRRORA", 2)
    assert shown["placement"] == {"state": "placed", "members": ["MIRRORA"]}
    assert (shown["frozen"], shown["in_progress"], shown["pending"]) == (None, None, None)
    assert (shown["last_swap"]["from"], shown["last_swap"]["to"]) == ("MIRRORB", "MIRRORA")
    assert shown["last_swap"]["phases"]
    assert [(m["name"], m["provisioning_state"], m["vips"], m["ready"]) for m in shown["members"]] == [
        ("MIRRORA", "Succeeded", ["vip"], True),
        ("MIRRORB", "Succeeded", [], True),
    ]
    head_only = {name: value for name, value in shown.items() if name not in ("placement", "members")}
    assert (await status.mirrors(controller))["mirrors"] == [head_only]


@virtual
async def test_status_reads_what_is_there_and_not_what_was_decided() -> None:
    """A NIC that lost the VIP by hand shows so at once, though the head says otherwise."""
    stage = Stage()
    controller = await moved(stage)
    stranger_puts(stage, NIC_A, drop="vip", seconds=1.0)
    await asyncio.sleep(5)

    shown = await status.mirror(controller, "PROD")
    assert (shown["placement"], shown["desired"]) == ({"state": "unplaced", "members": []}, "MIRRORA")


@virtual
async def test_faulty_mirror_is_listed_with_its_fault() -> None:
    """A mirror with a faulty configuration is in the list, with the fault and nothing else; its own routes answer 500."""
    stage = Stage(config=config.Config(faulty={"PROD": (Fault("/mirrors/PROD/hold_s", "must be 0 or more"),)}))
    controller = stage.node("one").controller

    assert (await status.mirrors(controller))["mirrors"] == [
        {"mirror": "PROD", "fault": "/mirrors/PROD/hold_s: must be 0 or more"}
    ]
    for view in (status.mirror(controller, "PROD"), trail.audit(controller, "PROD", {}), trail.verify(controller, "PROD", {})):
        with pytest.raises(Refusal, match="configuration-invalid"):
            await view


@virtual
async def test_trail_comes_in_pages_newest_first() -> None:
    """Every row is in exactly one page; `next` is the `before` of the page after, and null at the end."""
    stage = Stage()
    controller = await moved(stage)
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
    stage = Stage()
    controller = await moved(stage)
    whole = await trail.verify(controller, "PROD", {})
    head = await stage.head()
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
    controller = Stage().node("one").controller

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
        stage = Stage()
        controller = await moved(stage)
        head = await stage.head()
        TAMPERED[name](stage.ledger.rows["PROD"], head.seq)
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
    stage = Stage()
    controller = await moved(stage)
    rows = stage.ledger.rows["PROD"]
    rows[row_key(2) + "x"] = rows[row_key(2)] | {"RowKey": row_key(2) + "x", "Detail": "nothing happened"}

    assert (await trail.verify(controller, "PROD", {}))["intact"] is False


@virtual
async def test_tail_that_was_rewritten_is_found_by_the_heads_hash() -> None:
    """A last row rewritten together with its hash fits its predecessor, but not the head. (I8)"""
    stage = Stage()
    controller = await moved(stage)
    head = await stage.head()
    last = stage.ledger.rows["PROD"][row_key(head.seq)]
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
        stage = Stage()
        controller = await moved(stage)
        older = stage.ledger.heads["PROD"]
        await agent(stage.node("two"), "MIRRORB", claim_id="e")
        if back:
            stage.ledger.heads["PROD"] = older
        else:
            del stage.ledger.heads["PROD"]
        head = await stage.head()
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
    stage = Stage()
    controller = await moved(stage)
    head = await stage.head()
    stage.ledger.rows["PROD"][row_key(2)].update(Detail="nothing happened")

    page = await trail.verify(controller, "PROD", {})

    assert (page["records"], page["broken_seq"]) == (head.seq, 2)


@virtual
async def test_rows_that_are_committed_during_a_check_break_nothing() -> None:
    """A row that is written between the reading of the head and of the rows is the next look's."""
    stage = Stage()
    controller = await moved(stage)
    node = stage.node("two")

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
    stage = Stage(config=config.Config(mirrors=parsed.mirrors, seal=Seal(b"k" * 32)))
    controller = await moved(stage)

    assert (await trail.verify(controller, "PROD", {}))["keyed_from"] == 1
    controller.config = config.Config(mirrors=parsed.mirrors)
    found = await trail.verify(controller, "PROD", {})
    assert (found["intact"], found["broken_seq"]) == (False, 1)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "1" * 19, "１", "1;2"])
@pytest.mark.parametrize("name", ["limit", "before", "from"])
def test_numbers_of_the_query(name: str, text: str) -> None:
    """What is no whole number from 1 on is `body-invalid`; a limit beyond the largest page is cut to it."""

    @virtual
    async def story() -> None:
        controller = Stage().node("one").controller
        views = [trail.audit] if name == "before" else [trail.verify] if name == "from" else [trail.audit, trail.verify]
        for view in views:
            with pytest.raises(Refusal, match="body-invalid"):
                await view(controller, "PROD", {name: text})

    story()


@virtual
async def test_from_behind_the_end_is_no_broken_chain() -> None:
    """Asking from beyond the last row is a mistake of the asker and not a sign of tampering."""
    stage = Stage()
    controller = await moved(stage)
    head = await stage.head()

    assert (await trail.verify(controller, "PROD", {"from": str(head.seq + 1)}))["records"] == 0
    with pytest.raises(Refusal, match="body-invalid"):
        await trail.verify(controller, "PROD", {"from": str(head.seq + 2)})
