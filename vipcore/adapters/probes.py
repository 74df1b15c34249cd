"""The Probes port on aiohttp: status pages of members, and whether the path of clients is open."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from vipcore.adapters.connections import Connections
from vipcore.model import Member, Page
from vipcore.ports import Log

PAGE_S: Final = 2.0
TRY_S: Final = 1.0
PAUSE_S: Final = 0.25
_SAID: Final = {200: Page.PRIMARY, 503: Page.NOT_PRIMARY}
"""The status codes of `/csp/bin/mirror_status.cxw` on a primary and on any other member (docs/facts/iris.md section 5)."""


@dataclass(slots=True)
class HttpProbes:
    """`vipcore.ports.Probes`. Neither method raises. TLS certificates are verified; redirects are not followed."""

    connections: Connections
    log: Log
    unread: dict[str, str] = field(default_factory=dict)

    async def page(self, member: Member) -> Page:
        """What the member's status page says within PAGE_S. Only its status code counts; its body is not read."""
        url, said, why = member.status_url, Page.UNKNOWN, ""
        if url is None:
            return said
        try:
            status = await self._status(url, PAGE_S)
            said = _SAID.get(status, said)
            why = f"it answered {status}, where 200 is primary and 503 is not" if said is Page.UNKNOWN else ""
        except aiohttp.ClientConnectorCertificateError as exc:
            why = f"its certificate cannot be verified; name the file of its CA in SSL_CERT_FILE ({str(exc)[:200]})"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            why = f"{type(exc).__name__} {str(exc)[:200]}".rstrip()
        if why and why != self.unread.get(url):
            self.log("page.unknown", member=member.name, url=url, detail=f"The status page says nothing: {why}")
        self.unread.pop(url, None)
        if why:
            self.unread[url] = why
        return said

    async def path(self, target: str, *, within_s: float) -> float | None:
        """Seconds until `tcp://host:port` accepts a connection, or an http(s) URL gives any answer; None if not in time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (remaining_s := began + within_s - loop.time()) > 0:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                await self._answer(target, min(TRY_S, remaining_s))
                return loop.time() - began
            await asyncio.sleep(min(PAUSE_S, max(0.0, began + within_s - loop.time())))
        return None

    async def _answer(self, target: str, within_s: float) -> None:
        """Return when it answers. Raises OSError, TimeoutError, aiohttp.ClientError, ValueError."""
        parts = urlsplit(target)
        if parts.scheme == "tcp":
            async with asyncio.timeout(within_s):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.transport.abort()
        else:
            await self._status(target, within_s)

    async def _status(self, url: str, within_s: float) -> int:
        """The status code of the answer. The connection is closed without reading the body."""
        timeout = aiohttp.ClientTimeout(total=within_s)
        response = await self.connections.session().get(url, allow_redirects=False, timeout=timeout)
        response.close()
        return response.status
