"""The connections of a process, and the one thing the SDK does not tell: whether a failed request may have been sent.

azure-core's aiohttp transport maps every `ClientError` to ServiceRequestError ("no request was sent"), also a connection that
was reset after the request had left (azure-core 1.41.0, `_aiohttp.py`). So we do not judge by exception classes: aiohttp's own
tracing says whether a request was given a connection at all. Without one nothing can have been sent; with one, it may have been.
"""

import urllib.request
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport

CONNECT_S: Final = 2.0
CONNECTIONS_MAX: Final = 100
"""To one host. Below the 128 SNAT ports that an App Service instance is sure of (Azure's documentation)."""

KEPT_S: Final = 55.0
"""How long an idle connection is kept: a claim that comes a minute later pays for a new one, a retry does not."""


@dataclass(slots=True)
class Exchange:
    """What became of one request; pass it to the SDK's call as `trace_request_ctx`."""

    connected: bool = False


@dataclass(slots=True)
class Channel:
    """A connection pool, made in the running event loop when first used, never before."""

    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    def session(self) -> aiohttp.ClientSession:
        """The session. To be called in the event loop that will use it."""
        if self._session is None or self._session.closed:
            self._session = _session()
        return self._session

    def transport(self, *, read_s: float) -> AsyncHttpTransport[Any, Any]:
        """The session as azure-core wants it; closing a client leaves the session open. `read_s`: between two packets."""
        made: AsyncHttpTransport[Any, Any] = AioHttpTransport(
            session=self.session(), session_owner=False, connection_timeout=CONNECT_S, read_timeout=read_s
        )
        return made

    async def close(self) -> None:
        """Close all connections. A later use opens new ones."""
        if self._session is not None:
            await self._session.close()


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_MAX, keepalive_timeout=KEPT_S)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_tracing()],
        # Asked once: aiohttp would look for proxies and a .netrc in a thread, for each request.
        trust_env=bool(urllib.request.getproxies_environment()),
    )
    # aiohttp sends GET, PUT and DELETE a second time when a kept connection breaks under them. Whether a PUT may be sent again
    # is decided by the core, after a fresh look. There is no public switch; tests/vipcore/adapters/test_arm.py watches over it.
    session._retry_connection = False
    return session


def _tracing() -> aiohttp.TraceConfig:
    tracing = aiohttp.TraceConfig()

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        exchange = context.trace_request_ctx
        if isinstance(exchange, Exchange):
            exchange.connected = True

    tracing.on_connection_create_end.append(connected)
    tracing.on_connection_reuseconn.append(connected)
    return tracing
