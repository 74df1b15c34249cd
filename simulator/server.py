"""The HTTP and HTTPS server of the simulated cloud: real sockets, real delays, loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from simulator import tls
from simulator.core.wire import Request, Response
from simulator.front.front import handle
from simulator.state.clock import ScaledClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from simulator.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Edge:
    """A running simulator: where it listens, and its cloud. Without https, tls_url is '' and ca_file is None."""

    url: str
    tls_url: str
    ca_file: Path | None
    cloud: Cloud

    def environment(self) -> dict[str, str]:
        """The environment variables with which the Function app, an SDK or `az` finds this simulator."""
        found = {
            "VIP_ARM_ENDPOINT": self.url,
            "VIP_ARM_AUDIENCE": "https://management.azure.com",
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": self.cloud.identity_header,
        }
        if self.ca_file is not None:
            found["REQUESTS_CA_BUNDLE"] = str(self.ca_file)
        return found

    def page_url(self, member: str) -> str:
        """The URL of a member's status page."""
        from urllib.parse import quote

        return f"{self.url}/pages/{quote(member, safe='')}/csp/bin/mirror_status.cxw"


def _loopback(host: str) -> str:
    """The host if it is a loopback address, else ValueError: nobody may mistake the simulator for Azure."""
    if host == "localhost" or ipaddress.ip_address(host).is_loopback:
        return host
    raise ValueError(f"the simulator listens on loopback addresses only, not on {host}")


class _Exact(web.Response):
    """A response without the Server and Content-Type headers that aiohttp adds; tests compare the headers with recordings."""

    async def _prepare_headers(self) -> None:
        wanted = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in ("Server", "Content-Type"):
            if name.lower() not in wanted:
                self.headers.popall(name, None)


class _Front:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(request.method, request.path_qs, headers, body, request.scheme)
        answer = handle(self._cloud, asked)
        if answer.delay_s > 0:
            await asyncio.sleep(answer.delay_s / self._scale())
        if answer.lost:
            _drop(request, answer)
        return _Exact(status=answer.status, body=answer.body or None, headers=answer.headers)

    def _scale(self) -> float:
        now = self._cloud.clock.now
        return now.scale if isinstance(now, ScaledClock) else 1.0


def _drop(request: web.BaseRequest, answer: Response) -> None:
    """End the connection without an answer: close it, or reset it (RST, through a linger time of 0)."""
    transport = request.transport
    if transport is not None:
        raw: socket.socket | None = transport.get_extra_info("socket")
        if answer.reset and raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise asyncio.CancelledError


@contextlib.asynccontextmanager
async def running(
    cloud: Cloud, port: int = 0, *, host: str = "127.0.0.1", tls_port: int | None = None, tls_dir: Path | None = None
) -> AsyncIterator[Edge]:
    """Serve the cloud while the context is open. port: 0 for a free one. tls_port, tls_dir: serve https too, with ca.pem there.

    Raises ValueError for a host that is not loopback, OSError for a port that is in use.
    """
    _loopback(host)
    server = web.Server(_Front(cloud), access_log=None, handler_cancellation=False)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        plain = web.TCPSite(runner, host, port)
        await plain.start()
        url, tls_url, ca_file = f"http://{host}:{runner.addresses[0][1]}", "", None
        if tls_port is not None and tls_dir is not None:
            secure = web.TCPSite(runner, host, tls_port, ssl_context=tls.server_context(tls_dir))
            await secure.start()
            tls_url, ca_file = f"https://localhost:{runner.addresses[1][1]}", tls_dir / "ca.pem"
        yield Edge(url, tls_url, ca_file, cloud)
    finally:
        await runner.cleanup()
