"""`moveIpConfigurations` through azure-mgmt-network: a preview, whose route, version and body are the package's to know.

Imported in a thread, and only where a mirror's strategy asks for it (swap/one_call.py): no cold start pays its 0.5 s.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from vipcore import strictjson
from vipcore.arm.port import ArmReply

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
) -> ArmReply:
    """Azure's first answer to the move, whatever its status. Raises what azure-core's pipeline raises.

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
    response = answers[-1].http_response
    headers = {name.lower(): value for name, value in response.headers.items()}
    return ArmReply(status=response.status_code, headers=headers, body=_json(response.content))  # read by now


def _network(subscription: str, endpoint: str, connect: Mapping[str, Any]) -> "NetworkManagementClient":
    from azure.mgmt.network.aio import NetworkManagementClient  # late: see the module's docstring

    return NetworkManagementClient(_Nobody(), subscription, endpoint, **connect)


def _json(content: bytes) -> Any:
    try:
        return strictjson.parse(content)
    except ValueError:
        return None


class _Nobody:
    """The client insists on a credential; its own policies, which would use it, are replaced by ours."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        raise ClientAuthenticationError("not used")

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "_Nobody":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return
