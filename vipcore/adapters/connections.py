"""The connections of a process, and what the SDK does not tell: whether a failed request may have been sent.

azure-core's aiohttp transport maps every `ClientError` to ServiceRequestError ("no request was sent"), even a connection that was
reset after the request had left (azure-core 1.41.0, `_aiohttp.py`). So exception classes decide nothing here. aiohttp's tracing
says whether a request got a connection: without one it was certainly not sent; with one it may have been.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport

from vipcore.errors import NoReply, NotSent

CONNECT_S: Final = 2.0
CONNECTIONS_MAX: Final = 100
"""To one host. Below the 128 SNAT ports that Azure guarantees an App Service instance (its documentation)."""

KEPT_S: Final = 55.0
"""How long an idle connection is kept: a retry reuses it, a claim a minute later opens a new one."""


class Exchange:
    """Whether one request got a connection, and when. Pass it to the SDK's call as `trace_request_ctx`.

    `answered`: called with the answer's `Date` and the loop seconds at which the request got its connection.
    """

    def __init__(self, answered: Callable[[str, float], None] | None = None) -> None:
        self.connected, self.sent_at, self.answered = False, 0.0, answered

    def lost(self, what: str) -> NoReply | NotSent:
        """What a request without a proper answer is to its caller."""
        return NoReply(what) if self.connected else NotSent(what)


class Connections:
    """A connection pool. Its first use opens it in the event loop that runs then."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The session. Call it in the event loop that uses it."""
        if self._session is None or self._session.closed:
            tracing = aiohttp.TraceConfig()
            tracing.on_connection_create_end.append(_connected)
            tracing.on_connection_reuseconn.append(_connected)
            tracing.on_request_end.append(_answered)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_MAX, keepalive_timeout=KEPT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[tracing],
                # No proxy of the environment, for nothing: its own 503 would read as a page's "not primary".
                trust_env=False,
            )
            # aiohttp repeats GET, PUT and DELETE when a kept connection breaks. Whether to send a PUT again is decided after a
            # new read, not here. There is no public switch; tests/vipcore/adapters/test_arm.py holds this.
            self._session._retry_connection = False
        return self._session

    def transport(self, *, read_s: float) -> AsyncHttpTransport[Any, Any]:
        """The session as a transport of azure-core; closing a client leaves it open. `read_s`: the wait for each packet."""
        made: AsyncHttpTransport[Any, Any] = AioHttpTransport(
            session=self.session(),
            session_owner=False,
            connection_timeout=CONNECT_S,
            read_timeout=read_s,
            use_env_settings=False,
        )
        return made

    async def close(self) -> None:
        """Close all connections. A later use opens new ones."""
        if self._session is not None:
            await self._session.close()


def check_secrecy(url: str) -> None:
    """Raises ValueError where a token or a key would travel in the clear."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("http:// is for loopback only: a token would travel in the clear")


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if isinstance(context.trace_request_ctx, Exchange):
        context.trace_request_ctx.connected, context.trace_request_ctx.sent_at = True, asyncio.get_running_loop().time()


async def _answered(_session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange) and exchange.answered is not None:
        exchange.answered(params.response.headers.get("Date", ""), exchange.sent_at)
