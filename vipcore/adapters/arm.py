"""The Transport port on the Azure SDK's ARM pipeline: our own short list of policies, no retry, no redirect, raw JSON.

Documents are sent and returned as plain JSON, so properties that the SDK's models do not know survive. All calls but one go
through the pipeline that azure-mgmt-network itself is built on: importing that package costs as much of a cold start as all the
rest together (docs/facts/runtime.md section 7). It is imported for the one call whose shape only it describes: `one_call.py`.
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import CustomHookPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.core import AsyncARMPipelineClient

from vipcore.adapters import one_call
from vipcore.adapters.connections import Connections, Exchange
from vipcore.adapters.table import LOOPBACK
from vipcore.adapters.token import TokenPolicy
from vipcore.arm.port import ArmReply, ArmRequest
from vipcore.errors import NoReply, NotSent

CLIENT_REQUEST_ID: Final = "x-ms-client-request-id"


@dataclass(slots=True, kw_only=True)
class ArmTransport:
    """`endpoint`: the origin of every request, https (http on loopback only). `audience`: the resource that tokens are for."""

    endpoint: str
    audience: str
    new_credential: Callable[[], AsyncTokenCredential] = field(repr=False)
    connections: Connections = field(default_factory=Connections)
    _token_policy: TokenPolicy | None = field(default=None, repr=False)
    _client: "AsyncARMPipelineClient[HttpRequest, AsyncHttpResponse] | None" = field(default=None, repr=False)

    async def send(self, request: ArmRequest) -> ArmReply:
        """See the port. `timeout_s` includes the time to get a token."""
        url = self._url(request.url)
        client, exchange = self._connect(), Exchange()
        options: dict[str, Any] = {"trace_request_ctx": exchange, "read_timeout": request.timeout_s}
        try:
            async with asyncio.timeout(request.timeout_s):
                if one_call.is_move(request.method, url):
                    response = await one_call.move(self._pipeline(), self.endpoint, request.body, url, options)
                else:
                    response = await client.send_request(_http_request(request, url), stream=False, **options)
        except (AzureError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            what = f"{request.method} {urlsplit(url).path}: {str(exc)[:300] or type(exc).__name__}"
            raise (NoReply(what) if exchange.connected else NotSent(what)) from exc
        headers = {name.lower(): value for name, value in response.headers.items()}
        return ArmReply(status=response.status_code, headers=headers, body=_json(response.content))

    async def close(self) -> None:
        """Close the credential. Whoever made `connections` closes them."""
        if self._token_policy is not None:
            await self._token_policy.forget()

    def _url(self, url: str) -> str:
        """The absolute URL. Raises NotSent for another origin: our token goes to our endpoint only."""
        if url.startswith("/") and not url.startswith("//"):
            return self.endpoint + url
        if _origin(url) != _origin(self.endpoint):
            raise NotSent(f"refused to send our token to another host: {url[:200]!r}")
        return url

    def _connect(self) -> "AsyncARMPipelineClient[HttpRequest, AsyncHttpResponse]":
        if self._client is None:
            parts = urlsplit(self.endpoint)
            if parts.scheme != "https" and parts.hostname not in LOOPBACK:
                raise NotSent("http:// is for loopback only: a token would travel in the clear")
            self._token_policy = TokenPolicy(self.new_credential, f"{self.audience.rstrip('/')}/.default")
            self._client = AsyncARMPipelineClient(self.endpoint, **self._pipeline())
        return self._client

    def _pipeline(self) -> dict[str, Any]:
        """The parts of a client's pipeline. The hook policy hands over an answer whatever its status (`one_call.py`)."""
        return {"policies": [CustomHookPolicy(), self._token_policy], "transport": self.connections.transport(read_s=30.0)}


def _http_request(request: ArmRequest, url: str) -> HttpRequest:
    headers = {"accept": "application/json", CLIENT_REQUEST_ID: str(uuid.uuid4()), **request.headers}
    if request.body is None:
        return HttpRequest(request.method, url, headers=headers)
    content = json.dumps(request.body, ensure_ascii=False, separators=(",", ":")).encode()
    return HttpRequest(request.method, url, headers={"content-type": "application/json", **headers}, content=content)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        default = {"https": 443, "http": 80}.get(parts.scheme)
        return ("", None, None) if "@" in parts.netloc else (parts.scheme, parts.hostname, parts.port or default)
    except ValueError:
        return "", None, None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:  # also where the bytes are not UTF-8
        return None
