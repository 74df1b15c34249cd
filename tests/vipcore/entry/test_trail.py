"""The audit trail and its verification, page by page."""

import asyncio
import csv
import io
import json
import re
import urllib.parse
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.promises.harness import DOCUMENT, START, Harness
from tests.promises.helpers import agent, virtual
from tests.promises.ledger import MemoryLedger
from tests.vipcore.adapters.ledgers import grown
from tests.vipcore.entry.moved import moved
from vipcore.entry import trail
from vipcore.entry.bodies import Text
from vipcore.errors import Refusal
from vipcore.instants import to_text
from vipcore.ledger.audit import Entry, Row, Seal, append, digest, row_key
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


@virtual
async def test_csv_has_the_same_rows_in_a_fixed_order_of_columns() -> None:
    """One header line, then a line a row, newest first, as RFC 4180 has it: every reader of CSV finds what the JSON shows."""
    harness = Harness()
    controller = await moved(harness)
    records = (await trail.audit(controller, "PROD", {}))["records"]

    said = await trail.answer(controller, "PROD", {"format": "csv"})

    assert isinstance(said, Text)
    assert said.media_type == "text/csv"
    assert "Link" not in said.headers
    found = list(csv.reader(io.StringIO(said.text, newline=""), strict=True))
    assert found[0] == list(trail.CSV_COLUMNS)
    assert found[1:] == [[str({"mirror": "PROD", **one}.get(name, "")) for name in trail.CSV_COLUMNS] for one in records]
    assert {name for one in records for name in one} <= set(trail.CSV_COLUMNS)
    assert said.text.count("\r\n") == said.text.count("\n") == len(records) + 1


@pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|x", "\uff1d1", "'x"])
@virtual
async def test_no_cell_is_a_formula(text: str) -> None:
    """A text that a spreadsheet would calculate begins with an apostrophe, and taking that away gives the text again."""
    harness = Harness()
    controller = harness.node("one").controller
    await controller.store.commit(await harness.head(), lambda head: (head, [Entry("frozen", actor="a", member=text)]))

    said = await trail.audit_csv(controller, "PROD", {})

    (cells,) = list(csv.DictReader(io.StringIO(said.text, newline=""), strict=True))
    assert cells["member"] == "'" + text
    assert (cells["event"], cells["from_member"]) == ("frozen", "")


@virtual
async def test_csv_of_a_long_trail_comes_in_pages() -> None:
    """Each answer has at most `limit` rows; its Link leads on, keeps the question, and tells no function key."""
    harness = Harness()
    controller = harness.node("one").controller
    await grown(harness.ledger, "PROD", 2500)
    others = {"code": "secret", "Code": "secret", "x": "y" * 9000}  # the host takes a key under either name
    query, seqs = {"format": "csv", "limit": "1100", **others}, []
    for _ in range(3):
        said = await trail.audit_csv(controller, "PROD", query)
        seqs += [int(line.split(",")[1]) for line in said.text.splitlines()[1:]]
        link = re.fullmatch(r'<\?(.+)>; rel="next"', said.headers.get("Link", ""))
        query = dict(urllib.parse.parse_qsl(link[1])) if link else {}
        assert not query.keys() & others.keys()

    assert seqs == list(range(2500, 0, -1))
    assert query == {}


class At(MemoryLedger):
    """A trail of a row a minute, each a few seconds before or after its time; counts what is read."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.read = 0
        rows: tuple[Row, ...] = ()
        for n in range(1, count + 1):
            at = to_text(START + timedelta(minutes=n, seconds=(n % 5) - 2))
            rows += append("PROD", n - 1, "0" * 64, [Entry("frozen", actor="a")], at=at, epoch=1, seal=Seal())
        self.rows["PROD"] = {row.row_key: row.to_entity() for row in rows}

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        found = await super().newest_rows(mirror, before=before, limit=limit)
        self.read += len(found)
        return found


@pytest.mark.parametrize(("first", "end"), [(100, 130), (1, 3), (990, 1001), (1500, 1600), (None, 20), (980, None), (7, 7)])
@virtual
async def test_a_period_is_answered_without_reading_the_rest(first: int | None, end: int | None) -> None:
    """`from` is in, `to` is not; only a handful of rows beside the answer's own is read, however long the trail is. (I8)"""
    harness = Harness()
    ledger = harness.ledger = At(1000)
    controller = harness.node("one").controller
    bounds = {name: n for name, n in (("from", first), ("to", end)) if n is not None}
    asked = {name: to_text(START + timedelta(minutes=n, seconds=-5)) for name, n in bounds.items()}

    for limit in ("7", "1000"):
        seqs, query = [], {**asked, "limit": limit}
        while True:
            ledger.read = 0
            page = await trail.audit(controller, "PROD", query)
            assert ledger.read <= int(limit) + 15
            seqs += [record["seq"] for record in page["records"]]
            if page["next"] is None:
                break
            query = {**asked, "limit": limit, "before": str(page["next"])}
        assert seqs == [n for n in range(1000, 0, -1) if (first or 0) <= n < (end or 2000)]


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"to": "2026-01-01"}, {"from": "2026-01-01T00:00:00 01:00"}, {"format": "xlsx"}]
)
@virtual
async def test_a_period_or_a_format_that_is_none(query: dict[str, str]) -> None:
    """What is no instant with an offset, or no format that we have, is `body-invalid`."""
    with pytest.raises(Refusal, match="body-invalid"):
        await trail.answer(Harness().node("one").controller, "PROD", query)


@virtual
async def test_the_trail_as_text_is_a_table_that_fits() -> None:
    """A line for each row, newest first, under one title; the last lines, and `Link`, lead to the page after it."""
    harness = Harness()
    controller = await moved(harness)

    said = await trail.answer(
        controller, "PROD", {"format": "text", "limit": "3", "from": "2020-01-01T00:00:00+01:00", "code": "k"}
    )

    assert isinstance(said, Text)
    assert said.media_type == "text/plain"
    title, *lines = said.text.splitlines()
    assert title.split() == ["SEQ", "AT", "(UTC)", "EVENT", "MEMBER", "OUTCOME", "TOOK"]
    told = [line for line in lines if line[:1].isdigit()]
    last = (await harness.head()).seq
    assert [int(line.split()[0]) for line in told] == [last, last - 1, last - 2]
    assert told[0][title.index("EVENT") :].startswith("swap.completed ")
    assert told[0][title.index("MEMBER") :].startswith("MIRRORB -> MIRRORA ")
    assert lines[1].startswith("    by key:key-MIRRORA: Every VIP is on the NIC of MIRRORA")
    link = f"?from=2020-01-01T00%3A00%3A00%2B01%3A00&limit=3&format=text&before={last - 2}"
    assert lines[-3:] == ["Older rows:", '  curl -H "$KEY" \\', f'    "$API/mirrors/PROD/audit{link}"']
    assert said.headers == {"Link": f'<{link}>; rel="next"'}


@virtual
async def test_a_forged_trail_as_text_moves_no_cursor() -> None:
    """Values of any kind and length keep nobody from the rest, and no line is wider than a terminal."""
    harness = Harness()
    controller = await moved(harness)
    rows = harness.ledger.rows["PROD"]
    odd = {"Actor": "\x1b[2J" + "w" * 200, "Member": "\u93e1" * 64, "DurationMs": "x", "At": 5, "Detail": "\r" + "y " * 200}
    rows[min(rows)].update(odd)

    said = await trail.answer(controller, "PROD", {"format": "text"})

    assert isinstance(said, Text)
    lines = said.text.splitlines()
    assert all(line.isprintable() and len(line) + line.count("\u93e1") <= 100 for line in lines)
    assert sum(line[:1].isdigit() for line in lines) == len(rows)


@virtual
async def test_an_empty_trail_as_text_is_a_sentence() -> None:
    """Nothing is told by silence."""
    said = await trail.answer(Harness().node("one").controller, "PROD", {"format": "text"})

    assert isinstance(said, Text)
    assert said.text == "PROD: no row of the trail is of that period.\n"
