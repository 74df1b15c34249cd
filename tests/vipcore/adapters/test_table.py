"""What only a table over a network has: lost replies, refusals, types, and the price of each call."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient

from serve.azurite import KEY
from tests.vipcore.adapters.ledgers import AT, behind, extended, grown, port_of, table_ledger
from tests.vipcore.adapters.wire import Proxy, Scripted, Seen, proxied, scripted
from vipcore import instants
from vipcore.adapters import table as adapter
from vipcore.adapters import wiring
from vipcore.adapters.clock import TableClock
from vipcore.adapters.ledger import TableLedger
from vipcore.errors import CommitUnknown, NoIdentity, Stale, Unreachable
from vipcore.ledger.audit import Broken, Entry, Link, Seal, check_chain, row_key
from vipcore.ledger.head import Head
from vipcore.ledger.port import Granted, Sweep
from vipcore.ledger.store import Store
from vipcore.model import Epoch
from vipcore.settings.environment import Config

ROW = Entry(event="frozen", actor="operator:x", duration_ms=7)
HEAD = Head(mirror="PROD")


@pytest.fixture
async def ledger(azurite: str) -> AsyncIterator[TableLedger]:
    """A ledger on Azurite."""
    async with table_ledger(azurite) as made:
        yield made


@pytest.fixture
async def watched(azurite: str) -> AsyncIterator[tuple[TableLedger, Proxy]]:
    """A ledger on Azurite behind a proxy."""
    async with proxied(port_of(azurite)) as proxy, table_ledger(behind(azurite, proxy.port)) as made:
        yield made, proxy


@pytest.fixture
async def answered() -> AsyncIterator[tuple[TableLedger, Scripted]]:
    """A ledger on a server that answers as told."""
    async with scripted() as server:
        where = f"AccountName=devstoreaccount1;AccountKey={KEY};TableEndpoint={server.url}/devstoreaccount1"
        async with table_ledger(where) as made:
            yield made, server


def stored(azurite: str, ledger: TableLedger) -> TableClient:
    """The table as anybody else sees it."""
    return TableClient.from_connection_string(azurite, ledger.table.name)


async def test_lost_answer_to_a_commit_is_unknown_and_it_took_effect(watched: tuple[TableLedger, Proxy]) -> None:
    """The transaction reached the service, its answer did not reach us: CommitUnknown, never a second try."""
    ledger, proxy = watched
    start = await ledger.commit(HEAD, [])
    sent, proxy.lose_reply = proxy.requests, True

    with pytest.raises(CommitUnknown):
        await ledger.commit(*extended(start, ROW))

    assert proxy.lost.is_set()
    assert proxy.requests == sent + 1
    assert (await ledger.load_head("PROD")).seq == 1


async def test_lost_answer_to_a_read_or_a_hint_is_asked_again(watched: tuple[TableLedger, Proxy]) -> None:
    """What may be repeated is repeated."""
    ledger, proxy = watched
    start = await ledger.commit(*extended(HEAD, ROW))

    proxy.lose_reply = True
    assert await ledger.load_head("PROD") == start
    proxy.lose_reply = True
    await ledger.put_work_item("PROD")
    proxy.lose_reply = True
    (item,) = await ledger.load_worklist()
    proxy.lose_reply = True
    await ledger.drop_work_item(item)

    assert await ledger.load_worklist() == []


async def test_service_that_is_away_is_unreachable(azurite: str) -> None:
    """Nobody listens: every method raises Unreachable, also a commit, which certainly had no effect."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with table_ledger(behind(azurite, taken.getsockname()[1])) as ledger:
            rows = extended(HEAD, ROW)[1]
            for call in (
                ledger.load_head("PROD"),
                ledger.commit(HEAD, rows),
                ledger.load_row("PROD", 1),
                ledger.newest_rows("PROD", before=None, limit=1),
                ledger.rows_from("PROD", 1, limit=1),
                ledger.load_heads([f"M{n}" for n in range(1000)]),
                ledger.put_work_item("PROD"),
                ledger.load_worklist(),
                ledger.load_sweep(),
                ledger.save_sweep(Sweep("PROD", instants.from_text(AT))),
                ledger.load_granted("sub"),
                ledger.save_granted("sub", Granted({}, None)),
                ledger.count_failures("i", {"signature-invalid": 1}, AT),
            ):
                with pytest.raises(Unreachable):
                    await asyncio.wait_for(call, 5)


def words(code: str) -> bytes:
    """An error as the Table service words it."""
    return json.dumps(
        {"odata.error": {"code": code, "message": {"lang": "en-US", "value": f"{code} it is.\nRequestId:1"}}}
    ).encode()


def refusal(status: int, code: str) -> web.Response:
    """An error as the answer to a whole request."""
    return web.Response(body=words(code), status=status, content_type="application/json")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (503, "ServerBusy", Unreachable),
        (429, "TooManyRequests", Unreachable),
        (403, "AuthorizationFailure", Unreachable),
        (400, "InvalidInput", Unreachable),
        (413, "RequestBodyTooLarge", Unreachable),
        (404, "ResourceNotFound", Stale),
        (500, "InternalError", CommitUnknown),
        (500, "OperationTimedOut", CommitUnknown),
        (503, "", CommitUnknown),
    ],
)
@pytest.mark.parametrize("within", [False, True])
async def test_refused_commit_says_whether_it_may_have_happened(
    answered: tuple[TableLedger, Scripted], status: int, code: str, error: type[Exception], within: bool
) -> None:
    """A throttled or refused transaction had no effect; after a failure of the service nobody knows. Both forms of answer."""
    ledger, server = answered

    async def refuse(_seen: Seen) -> web.StreamResponse:
        if not within:
            return refusal(status, code)
        part = b"--r\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\n\r\n"
        body = part + f"HTTP/1.1 {status} So\r\nDataServiceVersion: 3.0;\r\n\r\n".encode() + words(code)
        return web.Response(status=202, body=body + b"\r\n--c--\r\n--r--\r\n", content_type="multipart/mixed")

    server.answer = refuse
    with pytest.raises(error):
        await ledger.commit(*extended(Head(mirror="PROD", etag='W/"1"'), ROW))

    assert len(server.seen) == 1


@pytest.mark.parametrize("body", ["", "<html>hello</html>", "--x\r\nHTTP/1.1 204 No Content\r\n\r\n--x--"])
async def test_odd_answer_to_a_commit_is_unknown(answered: tuple[TableLedger, Scripted], body: str) -> None:
    """An answer that is none of the protocol's proves nothing."""
    ledger, server = answered

    async def odd(_seen: Seen) -> web.StreamResponse:
        return web.Response(status=202, text=body, content_type="multipart/mixed")

    server.answer = odd
    with pytest.raises(CommitUnknown):
        await ledger.commit(*extended(HEAD, ROW))


@pytest.mark.parametrize("status", [404, 301, 403])
async def test_what_is_no_answer_of_the_table_service_is_not_an_empty_table(
    answered: tuple[TableLedger, Scripted], status: int
) -> None:
    """A 404 of a proxy or of a wrong address is "could not look", never "not there". (I9)"""
    ledger, server = answered

    async def page(_seen: Seen) -> web.StreamResponse:
        return web.Response(status=status, text="<html/>", content_type="text/html", headers={"location": "/x"})

    server.answer = page
    with pytest.raises(Unreachable):
        await ledger.load_head("PROD")
    with pytest.raises(Unreachable):
        await ledger.newest_rows("PROD", before=None, limit=1)


async def test_passing_trouble_of_the_service_is_not_seen_by_readers(answered: tuple[TableLedger, Scripted]) -> None:
    """A read is tried three times, then Unreachable with the service's own words."""
    ledger, server = answered

    async def busy(_seen: Seen) -> web.StreamResponse:
        return refusal(503, "ServerBusy") if len(server.seen) < 3 else refusal(404, "ResourceNotFound")

    server.answer = busy
    assert await ledger.load_head("PROD") == HEAD

    async def always_busy(_seen: Seen) -> web.StreamResponse:
        return refusal(503, "ServerBusy")

    server.answer = always_busy
    server.seen.clear()
    with pytest.raises(Unreachable, match="ServerBusy"):
        await ledger.put_work_item("PROD")
    assert len(server.seen) == 3


async def test_whole_numbers_are_int32_in_the_table(azurite: str, ledger: TableLedger) -> None:
    """`az` and viewers show an Edm.Int32 as a number. What no Edm.Int32 holds is kept all the same."""
    await ledger.commit(*extended(HEAD, ROW))
    await ledger.commit(*extended(replace(HEAD, mirror="BIG", epoch=Epoch(2**31)), Entry("frozen", duration_ms=2**40)))

    async with stored(azurite, ledger) as table:
        for key, names in (("head", ["Seq", "Epoch"]), (row_key(1), ["Seq", "Epoch", "DurationMs"])):
            entity = await table.get_entity("PROD", key)
            assert [type(entity[name]) for name in names] == [int] * len(names)
        big = await table.get_entity("BIG", row_key(1))
    assert (big["Epoch"], big["DurationMs"]) == ((2**31, EdmType.INT64), (2**40, EdmType.INT64))
    assert isinstance(check_chain("BIG", await ledger.rows_from("BIG", 1, limit=9), Link(), Seal()), Link)


async def test_a_trail_that_was_begun_with_int64_goes_on(azurite: str, ledger: TableLedger) -> None:
    """Earlier releases wrote every whole number as Edm.Int64: such a trail is read, goes on, and its chain holds. (I8)"""
    old, rows = extended(HEAD, ROW, ROW)
    async with stored(azurite, ledger) as table:
        await table.create_table()
        for entity in (old.to_entity(), *(row.to_entity() for row in rows)):
            await table.create_entity({k: EntityProperty(v, EdmType.INT64) if type(v) is int else v for k, v in entity.items()})

    await grown(ledger, "PROD", 2)

    found = check_chain("PROD", await ledger.rows_from("PROD", 1, limit=9), Link(), Seal())
    assert found == Link(4, (await ledger.load_head("PROD")).head_hash)


async def test_failed_authentications_are_one_row_per_instance(azurite: str, ledger: TableLedger) -> None:
    """The counters add up, under the columns' names, in a partition of their own."""
    await ledger.count_failures("host/1", {"signature-invalid": 2}, AT)
    await ledger.count_failures("host/1", {"signature-invalid": 1, "signature-expired": 5}, AT)
    await ledger.count_failures("host2", {"signature-invalid": 9}, AT)

    async with stored(azurite, ledger) as table:
        rows = {row["RowKey"]: row async for row in table.query_entities("PartitionKey eq '.auth'")}
    assert set(rows) == {"host_1", "host2"}
    assert (rows["host_1"]["SignatureInvalid"], rows["host_1"]["SignatureExpired"]) == (3, 5)


async def test_damaged_head_is_unreachable_with_its_sentence(azurite: str, ledger: TableLedger) -> None:
    """Nothing is decided on a head that cannot be read, and it is named."""
    await ledger.commit(HEAD, [])
    async with stored(azurite, ledger) as table:
        await table.update_entity({"PartitionKey": "PROD", "RowKey": "head", "Marks": "{"}, mode=UpdateMode.MERGE)

    with pytest.raises(Unreachable, match="the head row of mirror 'PROD' is damaged"):
        await ledger.load_head("PROD")
    assert set(await ledger.load_heads(["A", "PROD", "B"])) == {"A", "B"}


@pytest.mark.parametrize(
    "damage",
    [
        {"At": EntityProperty("2026-11-23T00:29:00.0000000Z", EdmType.DATETIME)},
        {"Detail": b"\x00\xff"},
        {"DurationMs": float("inf")},
        {"DurationMs": True},
        {"Actor": "operator:somebody else"},
        {"Seq": "one"},
        {"Extra": 1},
    ],
)
async def test_forged_rows_are_shown_and_break_the_chain(azurite: str, ledger: TableLedger, damage: dict[str, object]) -> None:
    """A row that was changed behind our back, also in the type of a column, is still read; the chain tells. (I8)"""
    await grown(ledger, "PROD", 3)
    async with stored(azurite, ledger) as table:
        await table.update_entity({"PartitionKey": "PROD", "RowKey": row_key(2), **damage}, mode=UpdateMode.MERGE)

    rows = await ledger.rows_from("PROD", 1, limit=10)

    assert len(rows) == 3
    assert isinstance(check_chain("PROD", rows, Link(), Seal()), Broken)
    assert all(isinstance(value, str | int | float) for row in rows for value in row.view().values())


async def test_deleted_row_shows_as_a_gap(azurite: str, ledger: TableLedger) -> None:
    """A row that is gone is not glossed over. (I8)"""
    await grown(ledger, "PROD", 4)
    async with stored(azurite, ledger) as table:
        await table.delete_entity("PROD", row_key(2))

    rows = await ledger.rows_from("PROD", 1, limit=10)

    assert [row.seq for row in rows] == [1, 3, 4]


async def test_table_is_created_by_the_first_write_only(watched: tuple[TableLedger, Proxy]) -> None:
    """A table that exists costs no round trip; one that does not is empty to readers."""
    ledger, proxy = watched

    await ledger.load_head("PROD")
    assert proxy.requests == 1
    start = await ledger.commit(*extended(HEAD, ROW))
    assert proxy.requests == 4  # refused, created, written
    await ledger.commit(*extended(start, ROW))
    assert proxy.requests == 5


async def test_many_first_writes_at_once_create_one_table(ledger: TableLedger) -> None:
    """Whoever finds the table missing may create it; who comes second goes on."""
    await asyncio.gather(*(ledger.commit(*extended(Head(mirror=f"M{n}"), ROW)) for n in range(16)))

    assert len({head.etag for head in (await ledger.load_heads([f"M{n}" for n in range(16)])).values()} - {None}) > 1


@pytest.mark.parametrize("length", [1_500, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_cost_of_a_look_does_not_grow_with_the_trail(watched: tuple[TableLedger, Proxy], length: int) -> None:
    """A look at the newest rows reads those it returns, in one request, and so does one far back. (I8)"""
    ledger, proxy = watched
    head = await grown(ledger, "PROD", length)
    await grown(ledger, "PROD-2", 10)

    async def cost(call: object) -> tuple[int, int]:
        requests, rows = proxy.requests, proxy.rows
        await call  # type: ignore[misc]  # any of the coroutines below
        return proxy.requests - requests, proxy.rows - rows

    assert await cost(ledger.load_head("PROD")) == (1, 1)
    assert await cost(ledger.newest_rows("PROD", before=None, limit=20)) == (1, 20)
    assert await cost(ledger.newest_rows("PROD", before=length // 2, limit=50)) == (1, 50)
    assert await cost(ledger.rows_from("PROD", length // 3, limit=100)) == (1, 100)
    assert await cost(ledger.load_worklist()) == (1, 0)
    link: Link | Broken = Link()
    while isinstance(link, Link) and link.seq < length:
        link = check_chain("PROD", await ledger.rows_from("PROD", link.seq + 1, limit=1200), link, Seal())
    assert link == Link(seq=length, hash=head.head_hash)


@pytest.mark.parametrize("where", ["", "no connection string", "AccountName=a;AccountKey=QUJD;TableEndpoint=http://192.0.2.1/a"])
async def test_unusable_setting_is_unreachable_without_a_secret(where: str) -> None:
    """A connection string that is none, or that would travel in the clear, is said to be so, and not repeated."""
    async with table_ledger(where) as ledger:
        with pytest.raises(Unreachable, match="VIP_TABLE cannot be used") as caught:
            await ledger.load_head("PROD")

    assert "QUJD" not in str(caught.value)


async def test_hang_of_the_service_ends(answered: tuple[TableLedger, Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that is never answered ends as unknown, within a time of ours."""
    ledger, server = answered
    monkeypatch.setattr(adapter, "WHOLE_S", 0.2)
    never = asyncio.Event()

    async def hang(seen: Seen) -> web.StreamResponse:
        await never.wait()
        return seen.drop()

    server.answer = hang
    with pytest.raises(CommitUnknown):
        await ledger.commit(*extended(HEAD, ROW))
    never.set()


async def test_without_a_token_a_commit_had_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the identity endpoint answers, it says nothing about the table: Unreachable, never Stale or unknown; no storm."""
    async with scripted() as identity:

        async def refuse(_seen: Seen) -> web.StreamResponse:
            return web.json_response({"message": "no identity here"}, status=409)

        identity.answer = refuse
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        credential = wiring.identity(Config())
        async with table_ledger("https://127.0.0.1:1/account", credential) as ledger:
            for _ in range(20):
                with pytest.raises(NoIdentity, match=r"gave no token; its endpoint says .*no identity here"):
                    await ledger.commit(*extended(HEAD, ROW))
        await credential.close()
    assert 1 <= len(identity.seen) <= 5  # those of one try of azure-identity: an endpoint that refuses is left alone then


@pytest.mark.parametrize("way", ["removed", "restored"])
async def test_a_head_that_was_lost_is_rebuilt(azurite: str, ledger: TableLedger, way: str) -> None:
    """The service refuses the transaction for the row that is there, whether the head is an older copy or is gone. (I8)"""
    old = await grown(ledger, "PROD", 3)
    async with stored(azurite, ledger) as table:
        copy = await table.get_entity("PROD", "head")
        await grown(ledger, "PROD", 5)
        await table.delete_entity("PROD", "head")
        if way == "restored":
            await table.create_entity(copy)
    lines: list[str] = []
    store = Store(
        ledger=ledger, clock=TableClock(lambda *_, **__: None), seal=Seal(), log=lambda event, /, **_: lines.append(event)
    )

    head = await store.commit(await ledger.load_head("PROD"), lambda newest: (newest, [ROW]))

    assert (head.seq, old.seq) == (10, 3)
    assert [row.columns["Event"] for row in await ledger.newest_rows("PROD", before=None, limit=2)] == ["frozen", "head.rebuilt"]
    assert isinstance(check_chain("PROD", await ledger.rows_from("PROD", 1, limit=99), Link(), Seal()), Link)
    assert lines == ["head.rebuilt", "audit.head", "frozen", "audit.head"]
