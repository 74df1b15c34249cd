"""The Transport port on the Azure SDK's ARM pipeline: our own short list of policies, no retry, no redirect, raw JSON.

Documents are sent and returned as plain JSON, so properties that the SDK's models do not know survive. All calls but one go
through the pipeline that azure-mgmt-network itself is built on: importing that package costs as much of a cold start as all the
rest together (docs/facts/runtime.md section 7). It is imported, late and in a thread, for the one call whose route, version and
body only it describes: the preview `moveIpConfigurations`, which a mirror's strategy may need (swap/one_call.py).
"""

import asyncio
import contextlib
import importlib
import json
import re
import uuid
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import CustomHookPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.core import AsyncARMPipelineClient

from vipcore.adapters.connections import Connections, Exchange, check_secrecy
from vipcore.adapters.token import Identity, TokenPolicy
from vipcore.arm.port import ArmReply, ArmRequest
from vipcore.errors import NotSent

_MOVE: Final = re.compile(
    r"https?://[^/]+/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.Network/virtualNetworks/([^/?]+)"
    r"/moveIpConfigurations(\?.*)?",
    re.IGNORECASE,
)


class ArmTransport:
    """`endpoint`: the origin of every request, https (http on loopback only). `audience`: the resource that tokens are for."""

    def __init__(self, *, endpoint: str, audience: str, identity: Identity, connections: Connections) -> None:
        self.endpoint, self.identity, self.connections = endpoint, identity, connections
        self._token_policy = TokenPolicy(identity, f"{audience.rstrip('/')}/.default")
        self._client: AsyncARMPipelineClient[HttpRequest, AsyncHttpResponse] | None = None

    async def send(self, request: ArmRequest) -> ArmReply:
        """See the port. `timeout_s` includes the time to get a token."""
        url, exchange = self._url(request.url), Exchange()
        options: dict[str, Any] = {"trace_request_ctx": exchange, "read_timeout": request.timeout_s}
        headers = {"accept": "application/json", "x-ms-client-request-id": str(uuid.uuid4()), **request.headers}
        try:
            check_secrecy(self.endpoint)
            self._client = self._client or AsyncARMPipelineClient(self.endpoint, **self._pipeline())
            async with asyncio.timeout(request.timeout_s):
                if request.method == "POST" and (found := _MOVE.fullmatch(url)):
                    response = await self._move(found, dict(request.body or {}), options)
                else:
                    sent = HttpRequest(request.method, url, headers=headers, json=request.body)
                    response = await self._client.send_request(sent, stream=False, **options)
        except (AzureError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise exchange.lost(f"{request.method} {urlsplit(url).path}: {str(exc)[:300] or type(exc).__name__}") from exc
        body: Any = None
        with contextlib.suppress(ValueError):  # no JSON, or not even UTF-8
            body = json.loads(response.content)
        return ArmReply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)

    async def _move(self, route: re.Match[str], body: dict[str, Any], options: dict[str, Any]) -> AsyncHttpResponse:
        """Azure's first answer to the move, read, whatever its status. Raises what azure-core's pipeline raises."""
        subscription, group, vnet, _ = route.groups()
        await asyncio.to_thread(importlib.import_module, "azure.mgmt.network.aio")
        from azure.mgmt.network.aio import NetworkManagementClient  # imported by now
        from azure.mgmt.network.models import MoveIpConfigurationsRequest

        unused: Any = object()  # the client requires a credential, but our policies replace those that would use it
        network = await asyncio.to_thread(NetworkManagementClient, unused, subscription, self.endpoint, **self._pipeline())
        move = network.virtual_networks.begin_move_ip_configurations
        answers: list[Any] = []
        try:
            await move(group, vnet, MoveIpConfigurationsRequest(body), polling=False, raw_response_hook=answers.append, **options)
        except HttpResponseError:
            if not answers:
                raise
        response: AsyncHttpResponse = answers[-1].http_response
        return response

    def _url(self, url: str) -> str:
        """The absolute URL. Raises NotSent for another origin: our token goes to our endpoint only."""
        if url.startswith("/") and not url.startswith("//"):
            return self.endpoint + url
        if _origin(url) != _origin(self.endpoint):
            raise NotSent(f"refused to send our token to another host: {url[:200]!r}")
        return url

    def _pipeline(self) -> dict[str, Any]:
        """The parts of a client's pipeline. The hook policy hands over an answer whatever its status (`_move`)."""
        return {"policies": [CustomHookPolicy(), self._token_policy], "transport": self.connections.transport(read_s=30.0)}


def _origin(url: str) -> tuple[str | int | None, ...]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.username, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ()
