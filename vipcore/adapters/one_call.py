"""`moveIpConfigurations` through azure-mgmt-network: a preview, so its route, version and body are left to the package.

The package is imported in a thread, and only if a mirror's strategy needs it (swap/one_call.py): no cold start pays its 0.5 s.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.rest import AsyncHttpResponse

if TYPE_CHECKING:
    from azure.mgmt.network.aio import NetworkManagementClient

_ROUTE: Final = re.compile(
    r"https?://[^/]+/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.Network/virtualNetworks/([^/?]+)"
    r"/moveIpConfigurations(\?.*)?",
    re.IGNORECASE,
)


def is_move(method: str, url: str) -> bool:
    """Whether this request is the move in one call."""
    return method == "POST" and _ROUTE.fullmatch(url) is not None


async def move(
    connect: Mapping[str, Any], endpoint: str, body: Mapping[str, Any] | None, url: str, options: Mapping[str, Any]
) -> AsyncHttpResponse:
    """Azure's first answer to the move, read, whatever its status. Raises what azure-core's pipeline raises.

    `connect`: the transport and the policies of our own pipeline: its connections, its token, no retry.
    """
    found = _ROUTE.fullmatch(url)
    if found is None:
        raise ValueError(f"not a move: {url[:200]}")
    subscription, group, vnet, _ = found.groups()
    network = await asyncio.to_thread(_network, subscription, endpoint, connect)
    from azure.mgmt.network.models import MoveIpConfigurationsRequest  # imported by now

    answers: list[Any] = []
    try:
        await network.virtual_networks.begin_move_ip_configurations(
            group, vnet, MoveIpConfigurationsRequest(dict(body or {})), polling=False, raw_response_hook=answers.append, **options
        )
    except HttpResponseError:
        if not answers:
            raise
    response: AsyncHttpResponse = answers[-1].http_response
    return response


def _network(subscription: str, endpoint: str, connect: Mapping[str, Any]) -> "NetworkManagementClient":
    from azure.mgmt.network.aio import NetworkManagementClient  # late: see the module's docstring

    return NetworkManagementClient(_NoCredential(), subscription, endpoint, **connect)


class _NoCredential:
    """The client requires a credential, but our policies replace those that would use it."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        raise ClientAuthenticationError("not used")

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "_NoCredential":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return
