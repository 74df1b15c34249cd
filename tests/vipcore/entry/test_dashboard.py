"""The page as it is put together: from the heads, from a look, without the table, and from pages of the trail."""

import asyncio
import html
import json
import re
import time
from typing import Any

import pytest

from tests.promises.harness import DOCUMENT, Harness, parsed
from tests.promises.helpers import NIC_A, agent, stranger_puts, timer, virtual
from tests.vipcore.decision.pages import P, U, paged
from tests.vipcore.entry.moved import moved
from vipcore.entry import dashboard, trail
from vipcore.entry.bodies import Text
from vipcore.errors import Unreachable
from vipcore.ledger import verify
from vipcore.ledger.audit import Broken, row_key
from vipcore.settings import environment
from vipcore.settings.document import Fault

URL = "https://app.example/api/dashboard?code=secret"


async def shown(controller: Any, **query: str) -> Text:
    """The page for this query."""
    asked = {name.rstrip("_"): value for name, value in query.items()}
    return await dashboard.page(controller, dashboard.Request(asked, URL, "cid", "0.9"))


def words(page: Text) -> str:
    """What can be read on it, in one line."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@virtual
async def test_a_mirror_at_rest() -> None:
    """Who has the VIP since when, whether a failover would work, the swaps, the lines, the rows: all on one page."""
    controller = await moved(Harness())

    page = await shown(controller, mirror="PROD")

    text = words(page)
    assert (page.status, page.media_type) == (200, "text/html")
    assert "MIRRORA has the VIP. Since 2026-01-01 00:00:12 UTC" in text
    assert text.count("A claim would be carried out.") == 2
    assert "MIRRORB → MIRRORA done 6.5 s" in text
    assert "detach 3.2 s attach 3.1 s" in text
    assert "MIRRORA → MIRRORB done" in text  # the one before, from its rows
    assert 'curl -sS -H "$KEY" https://app.example/api/mirrors/PROD/moves -d \'' in html.unescape(page.text)
    assert text.count("nic.write") >= 4
    assert "secret" not in page.text


@virtual
async def test_the_list_is_made_from_the_heads_alone() -> None:
    """The list reads no NIC, and says of each mirror who holds the VIP, who should, and who is ready."""
    harness = Harness()
    controller = await moved(harness)
    await timer(harness.node("two"), 60.0)
    before = len(harness.cloud.history)

    page = await shown(controller)

    assert len(harness.cloud.history) == before
    assert "The one mirror is in order." in words(page)
    assert "PROD In order MIRRORA seen" in words(page)
    assert "MIRRORA: yes MIRRORB: yes" in words(page)


@virtual
async def test_a_vip_that_somebody_took_off_is_told_at_once() -> None:
    """A fresh look shows it, whatever the head says."""
    harness = Harness()
    controller = await moved(harness)
    stranger_puts(harness, NIC_A, drop="vip", seconds=1.0)
    await asyncio.sleep(5)

    text = words(await shown(controller, mirror="PROD"))

    assert "PROD On no NIC The VIP is on no NIC: clients cannot connect." in text


@virtual
async def test_a_swap_under_way() -> None:
    """From whom to whom, since when, in which phase; and the page asks again sooner."""
    harness = Harness()
    node = harness.node("one")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(2)

    one, every = await shown(node.controller, mirror="PROD"), await shown(node.controller)
    await claim

    assert "The VIP is on its way from MIRRORA to MIRRORB." in words(one)
    assert "A swap is under way From MIRRORA to MIRRORB" in words(one)
    assert "MIRRORA → MIRRORB under way" in words(one)
    assert re.search(r"PROD Swapping To MIRRORB: the (first|last) write is on its way\.", words(every))
    assert "1 of 1 mirror is swapping; nothing needs you." in words(every)
    assert all('data-refresh-s="3"' in page.text for page in (one, every))


@virtual
async def test_without_the_table_the_page_shows_what_azure_shows() -> None:
    """It says that the table is away, and where each VIP is; nothing else is made up."""
    harness = Harness()
    node = harness.node("one")
    await node.tick()
    harness.table_away_until = harness.loop.time() + 60.0

    one, every = await shown(node.controller, mirror="PROD"), await shown(node.controller)

    assert "The table is away Only what Azure shows is known: the table is away." in words(one)
    assert "MIRRORA has the VIP." in words(one)
    assert "Desired nobody" not in words(one)
    assert (every.status, "The table is away." in words(every)) == (503, True)
    assert "What Azure shows now Mirror VIP is on PROD MIRRORA" in words(every)


@virtual
async def test_a_table_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's script waits 30 s for an answer: a table that takes 15 s to be given up does not keep the page from it."""
    harness = Harness()
    controller = harness.node("one").controller

    async def hangs(*_: object, **__: object) -> Any:
        await asyncio.sleep(15.0)
        raise Unreachable("no answer")

    for name in ("load_head", "load_heads", "load_heard", "load_worklist"):
        monkeypatch.setattr(controller.ledger, name, hangs)
    began = harness.loop.time()

    page = await shown(controller)

    assert "What Azure shows now Mirror VIP is on PROD MIRRORA" in words(page)
    assert harness.loop.time() - began < 25.0


@virtual
async def test_a_table_that_goes_away_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head was read, the rows cannot be: the page shows all but them."""
    controller = await moved(Harness())

    async def away(*_: object, **__: object) -> Any:
        raise Unreachable("gone")

    monkeypatch.setattr(controller.ledger, "newest_rows", away)
    text = words(await shown(controller, mirror="PROD"))

    assert "MIRRORA has the VIP." in text
    assert "The table is away, and the trail with it." in text


@virtual
async def test_what_cannot_be_shown_is_told_by_a_page() -> None:
    """An unknown mirror is 404, a faulty one 500, both as a page with the way back; the list names the fault."""
    harness = Harness(config=environment.Config(faulty={"PROD": (Fault("/mirrors/PROD/hold_s", "must be 0 or more"),)}))
    controller = harness.node("one").controller

    unknown, faulty, every = await shown(controller, mirror="NO"), await shown(controller, mirror="PROD"), await shown(controller)

    assert (unknown.status, "There is no such mirror." in words(unknown)) == (404, True)
    assert (faulty.status, "/mirrors/PROD/hold_s: must be 0 or more" in words(faulty)) == (500, True)
    assert "1 of 1 mirror needs somebody. " in words(every)
    assert "PROD Not served /mirrors/PROD/hold_s: must be 0 or more" in words(every)


@virtual
async def test_the_list_tells_whom_pages_called_primary_without_asking_them() -> None:
    """What this process heard last, and when; nobody is asked for the list."""
    _, node = paged(P, U)
    assert "primary" not in words(await shown(node.controller)).split("Ready for failover")[1].lower()
    await shown(node.controller, mirror="PROD")
    await asyncio.sleep(7)
    asked = node.controller.glances.said["PROD"]

    assert "MIRRORA, 7 s ago" in words(await shown(node.controller))
    assert node.controller.glances.said["PROD"] is asked
    await asyncio.sleep(dashboard.SAID_S_MAX)
    assert "MIRRORA, " not in words(await shown(node.controller)).replace("MIRRORA: ", "")


def seqs(page: Text) -> list[int]:
    """The rows on the page."""
    return [int(seq) for seq in re.findall(r'<li id="row-(\d+)"', page.text)]


def link(page: Text, name: str) -> dict[str, str] | None:
    """The query of a link, or None where it is not there."""
    found = re.search(rf'id="{name}"[^>]*href="\?([^"]*)"', page.text)
    return dict(part.split("=", 1) for part in html.unescape(found[1]).split("&")) if found else None


@virtual
async def test_rows_come_in_pages_and_none_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is filtered for, following the link to older rows shows each row that fits once. (I8)"""
    monkeypatch.setattr(dashboard, "ROWS", 3)
    controller = await moved(Harness())
    rows = (await trail.audit(controller, "PROD", {}))["records"]
    for query, fits in (
        ({}, lambda row: True),
        ({"event": "nic.write"}, lambda row: row["event"] == "nic.write"),
        ({"member": "MIRRORB"}, lambda row: "MIRRORB" in (row.get("member"), row.get("from_member"))),
        ({"from_": "2026-01-01T00:00:05"}, lambda row: row["at"] >= "2026-01-01T00:00:05"),
        (
            {"to": "2026-01-01T00:00:05Z", "event": "nic.write"},
            lambda r: r["at"] < "2026-01-01T00:00:05" and r["event"] == "nic.write",
        ),
        ({"event": "frozen"}, lambda row: False),
    ):
        found, more = [], dict(query)
        for _ in range(20):
            page = await shown(controller, mirror="PROD", **more)
            found += seqs(page)
            following = link(page, "rows-older")
            if following is None:
                break
            more = {**query, "before": following["before"]}

        assert found == [row["seq"] for row in rows if fits(row)], query


@virtual
async def test_a_filter_looks_at_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the trail is, a page reads so many rows and says how far it looked."""
    monkeypatch.setattr(dashboard, "ROWS_LOOKED_AT_MAX", 400)
    controller, asked = await moved(Harness()), []

    async def endless(name: str, *, before: int | None, limit: int) -> Any:
        rows = await type(controller.ledger).newest_rows(controller.ledger, name, before=None, limit=1)
        asked.append(limit)
        top = before or 10**6
        seqs = range(top - 1, top - 1 - limit, -1)
        return [rows[0]._replace(seq=n, row_key=row_key(n), columns={**rows[0].columns, "Seq": n}) for n in seqs]

    monkeypatch.setattr(controller.ledger, "newest_rows", endless)
    page = await shown(controller, mirror="PROD", event="head.rebuilt")

    assert asked == [dashboard.ROWS_OF_SWAPS, 200, 200]
    assert "None of the 400 rows that were looked at fits." in words(page)
    assert (link(page, "rows-older") or {})["before"] == str(10**6 - 400)


@virtual
async def test_a_filter_that_cannot_be_used_is_left_out() -> None:
    """The page says so, and shows the rows that the rest asks for."""
    controller = await moved(Harness())

    page = await shown(controller, mirror="PROD", from_="yesterday", event="no.such", to="2026-13-01T00:00")

    assert words(page).count("is left out") == 3
    assert len(seqs(page)) == (await controller.load_head("PROD")).seq


def fleet(count: int) -> Harness:
    """So many mirrors, none of which was ever written."""
    one = DOCUMENT["mirrors"]["PROD"]
    names = [f"M{number:04d}" for number in range(count)]
    members = {name: {member: {"nic": f"{name}-{member}"} for member in one["members"]} for name in names}
    mirrors = {
        name: {"members": members[name], "vips": [{"name": "vip", "private_ip": f"10.{1 + i // 250}.0.{1 + i % 250}"}]}
        for i, name in enumerate(names)
    }
    return Harness(config=parsed(json.dumps({**DOCUMENT, "mirrors": mirrors, "keys": {}})))


@virtual
async def test_a_thousand_mirrors_are_listed_fast() -> None:
    """A page of a hundred, the counts of all, and a search among all; in well under a second, and small."""
    controller = fleet(1000).node("one").controller
    first = await shown(controller)

    began = time.perf_counter()
    page = await shown(controller, q="m0999")
    took = time.perf_counter() - began

    assert "1000 of 1000 mirrors need somebody." in words(first)
    assert first.text.count('<tr id="m-') == 100
    assert (link(first, "page-next") or {})["page"] == "2"
    assert re.findall(r'<tr id="m-(\w+)"', page.text) == ["M0999"]
    assert len(first.text) < 250_000
    assert took < 1.0


@virtual
async def test_a_claim_that_waits_and_a_freeze() -> None:
    """Who froze it, why, until when; and whose claim waits for that."""
    harness = Harness()
    node = harness.node("one")
    await agent(node, "MIRRORA")
    await node.freeze(for_s=3600)
    with pytest.raises(Exception, match="frozen"):
        await node.claim("MIRRORB", claim_id="e")

    text = words(await shown(node.controller, mirror="PROD"))

    assert "PROD Frozen" in text
    assert "Frozen by " in text
    assert "A claim of MIRRORB waits Recorded" in text
    assert text.index("Lift the freeze") < text.index("Try a move to")


@virtual
async def test_the_last_verification_is_told() -> None:
    """Until the timer has looked: that nobody has. Then which rows, and when; a break with its row and its reason."""
    harness = Harness()
    controller = await moved(harness)
    assert "Not verified yet This instance" in words(await shown(controller, mirror="PROD"))
    head = await controller.load_head("PROD")
    intact = await verify.newest(controller.ledger, controller.store.seal, head, None, controller.clock.now())

    controller.store.verified["PROD"] = intact
    assert f"Chain intact Rows 1 to {head.seq}, verified 2026-01-01 00:00:12 UTC." in words(
        await shown(controller, mirror="PROD")
    )
    controller.store.verified["PROD"] = intact._replace(first=head.seq + 1)
    assert "Chain intact There were no newer rows" in words(await shown(controller, mirror="PROD"))
    controller.store.verified["PROD"] = intact._replace(broken=Broken(7, "row 7 is <missing>"))
    assert "Chain broken At row 7: row 7 is <missing>." in words(await shown(controller, mirror="PROD"))
