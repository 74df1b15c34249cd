"""Other ends for the adapters: a server that answers as told, a proxy that loses replies; and a transport with an identity."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from vipcore.adapters import wiring
from vipcore.adapters.arm import ArmTransport
from vipcore.adapters.connections import Connections
from vipcore.settings.environment import Config

Handler = Callable[["Seen"], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw: web.BaseRequest = field(repr=False)

    def drop(self) -> web.Response:
        """End the connection without an answer, as a handler's return value."""
        assert self.raw.transport is not None
        self.raw.transport.abort()
        return web.Response()


@dataclass(slots=True)
class Scripted:
    """A server on loopback; `answer` may be replaced at any time."""

    url: str
    answer: Handler
    seen: list[Seen] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")


async def ok(_seen: Seen) -> web.StreamResponse:
    """The plainest answer."""
    return web.json_response({})


@contextlib.asynccontextmanager
async def scripted(answer: Handler = ok) -> AsyncIterator[Scripted]:
    """A scripted server, up while the block runs."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.path_qs, headers, await request.read(), request)
        server.seen.append(seen)
        return await server.answer(seen)

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = Scripted(f"http://127.0.0.1:{runner.addresses[0][1]}", answer)
    try:
        yield server
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Proxy:
    """Forwards bytes. `lose_reply`: forward the next request whole, then end the connection instead of passing the answer on.

    `date`: what the answers' `Date` is replaced with, as a service whose clock differs from the machine's would have it.
    """

    port: int
    lose_reply: bool = False
    date: Callable[[], str] | None = None
    requests: int = 0
    rows: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def proxied(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port on loopback, counting requests sent and rows (`"RowKey"`) received."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target_port)

        async def up() -> None:
            while data := await reader.read(65536):
                proxy.requests += len(re.findall(rb"(?m)^(?:GET|PUT|POST|DELETE|PATCH) /\S* HTTP/1.1\r$", data))
                back.write(data)
                await back.drain()
            back.close()

        async def down() -> None:
            while data := await there.read(65536):
                if proxy.lose_reply:  # the service answers a request only once it has all of it
                    proxy.lose_reply = False
                    proxy.lost.set()
                    break
                proxy.rows += data.count(b'"RowKey":')
                if proxy.date is not None:
                    data = re.sub(rb"(?im)^Date: [^\r]*", b"Date: " + proxy.date().encode(), data)
                writer.write(data)
                await writer.drain()
            writer.transport.abort()

        with contextlib.suppress(OSError):
            await asyncio.gather(up(), down())
        back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()


def with_identity(
    url: str, environment: Mapping[str, str], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> ArmTransport:
    """A transport to this ARM, with the managed identity that the environment names."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = Config(arm_endpoint=url)
    return ArmTransport(endpoint=url, audience=config.arm_audience, identity=wiring.identity(config), connections=connections)
