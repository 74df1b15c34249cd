"""Looking at status pages and at the clients' path: an answer, or nothing; never an exception."""

import asyncio
import contextlib
import pathlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.agent.authority import Authority
from tests.vipcore.adapters.wire import Scripted, Seen, scripted
from vipcore.adapters import probes as adapter
from vipcore.adapters.connections import Connections
from vipcore.adapters.probes import HttpProbes
from vipcore.model import Member, Page


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    """A server that answers as told."""
    async with scripted() as made:
        yield made


@pytest.fixture
async def probes() -> AsyncIterator[HttpProbes]:
    """The probes."""
    connections = Connections()
    yield HttpProbes(connections, lambda *_, **__: None)
    await connections.close()


def member(url: str | None) -> Member:
    """A member with that status page."""
    return Member(name="MIRRORA", nic_id="/n", status_url=url)


@pytest.mark.parametrize(
    ("status", "page"),
    [
        (200, Page.PRIMARY),
        (503, Page.NOT_PRIMARY),
        (204, Page.UNKNOWN),
        (302, Page.UNKNOWN),
        (401, Page.UNKNOWN),
        (404, Page.UNKNOWN),
        (500, Page.UNKNOWN),
        (502, Page.UNKNOWN),
    ],
)
async def test_status_page_speaks_by_its_status_alone(probes: HttpProbes, server: Scripted, status: int, page: Page) -> None:
    """200 is primary, 503 is not; any other answer says nothing, and a redirect is not followed. (I9)"""

    async def answer(_seen: Seen) -> web.StreamResponse:
        return web.Response(status=status, text="SUCCESS", headers={"location": "/primary"})

    server.answer = answer
    assert await probes.page(member(f"{server.url}/csp/bin/mirror_status.cxw")) is page
    assert [seen.path for seen in server.seen] == ["/csp/bin/mirror_status.cxw"]


async def test_page_that_never_ends_is_not_read(probes: HttpProbes, server: Scripted) -> None:
    """The status is there; what follows it is nobody's business."""
    stop = asyncio.Event()

    async def endless(seen: Seen) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(seen.raw)
        await stop.wait()
        return response

    server.answer = endless
    assert await asyncio.wait_for(probes.page(member(server.url)), 1) is Page.PRIMARY
    stop.set()


async def test_page_that_hangs_or_is_not_there_is_unknown(
    probes: HttpProbes, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hang, a dropped or refused connection, a URL that is none: all say nothing."""
    monkeypatch.setattr(adapter, "PAGE_S", 0.2)
    stop = asyncio.Event()

    async def hang(seen: Seen) -> web.StreamResponse:
        if seen.path == "/hang":
            await stop.wait()
        return seen.drop()

    server.answer = hang
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for url in (f"{server.url}/hang", f"{server.url}/drop", nobody, "http://", "nonsense", "http://[::1", None):
            assert await probes.page(member(url)) is Page.UNKNOWN
        secure = server.url.replace("http:", "https:")
        assert await probes.page(member(secure)) is Page.UNKNOWN
    stop.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_path_is_open_when_the_port_takes_a_connection(probes: HttpProbes, host: str) -> None:
    """`tcp://host:port`, IPv6 in brackets: a connection is enough, and it is closed again."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()
        writer.close()

    try:
        listener = await asyncio.start_server(take, host, 0)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    port = listener.sockets[0].getsockname()[1]
    took_s = await probes.path(f"tcp://{f'[{host}]' if ':' in host else host}:{port}", within_s=2)
    await asyncio.wait_for(asyncio.gather(came.wait(), gone.wait()), 2)
    listener.close()

    assert took_s is not None
    assert 0 <= took_s < 2


async def test_path_is_open_when_a_url_gives_any_answer(probes: HttpProbes, server: Scripted) -> None:
    """Whoever answers 500 is there."""

    async def answer(_seen: Seen) -> web.StreamResponse:
        return web.Response(status=500)

    server.answer = answer
    assert await probes.path(f"{server.url}/x", within_s=2) is not None


async def test_path_is_tried_until_it_opens(probes: HttpProbes, server: Scripted) -> None:
    """The address may need a moment to arrive at its new place."""

    async def later(seen: Seen) -> web.StreamResponse:
        return seen.drop() if len(server.seen) < 3 else web.Response()

    server.answer = later
    took_s = await probes.path(server.url, within_s=5)

    assert len(server.seen) == 3
    assert took_s is not None
    assert took_s > adapter.PAUSE_S


@pytest.mark.parametrize("target", ["tcp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://[::1", "nonsense", "tcp://127.0.0.1:99999"])
async def test_path_that_stays_closed_is_none_in_time(probes: HttpProbes, target: str) -> None:
    """A hang is not an answer, and the wait has an end."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert await probes.path(target, within_s=0.4) is None
    assert loop.time() - began < 1


async def test_page_that_says_nothing_leaves_its_reason(tmp_path: pathlib.Path) -> None:
    """Why a page could not be read is kept, and logged once, until the page is read; also for a certificate of a private CA."""
    lines: list[str] = []
    connections = Connections()
    probes = HttpProbes(connections, lambda event, /, **fields: lines.append(f"{event} {fields['member']} {fields['detail']}"))
    untrusted = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=Authority(tmp_path, "private").server("127.0.0.1")
    )
    async with scripted() as server, untrusted:

        async def refuses(_seen: Seen) -> web.StreamResponse:
            return web.Response(status=401)

        async def is_primary(_seen: Seen) -> web.StreamResponse:
            return web.Response(status=200)

        server.answer = refuses
        port = untrusted.sockets[0].getsockname()[1]
        private, closed, locked = f"https://127.0.0.1:{port}/", "http://127.0.0.1:9/", f"{server.url}/"
        for url in (private, private, closed, locked):
            assert await probes.page(member(url)) is Page.UNKNOWN
        assert "SSL_CERT_FILE" in probes.unread[private]
        assert "certificate" in lines[0]
        assert "ClientConnectorError" in probes.unread[closed]
        assert "401" in probes.unread[locked]
        assert len(lines) == 3

        server.answer = is_primary
        assert await probes.page(member(locked)) is Page.PRIMARY
        assert locked not in probes.unread
    await connections.close()
