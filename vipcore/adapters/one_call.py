"""`moveIpConfigurations` through azure-mgmt-network: a preview, so its route, version and body are left to the package.

The package is imported in a thread, and only if a mirror's strategy needs it (swap/one_call.py): no cold start pays its 0.5 s.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import HttpResponseError
from azure.core.rest import AsyncHttpResponse

if TYPE_CHECKING:
    from azure.mgmt.network.aio import NetworkManagementClient

ROUTE: Final = re.compile(
    r"https?://[^/]+/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.Network/virtualNetworks/([^/?]+)"
    r"/moveIpConfigurations(\?.*)?",
    re.IGNORECASE,
)


async def move(
    connect: Mapping[str, Any], endpoint: str, route: re.Match[str], body: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> AsyncHttpResponse:
    """Azure's first answer to the move, read, whatever its status. Raises what azure-core's pipeline raises.

    `connect`: the transport and the policies of our own pipeline: its connections, its token, no retry.
    """
    subscription, group, vnet, _ = route.groups()
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

    unused: Any = object()  # the client requires a credential, but our policies replace those that would use it
    return NetworkManagementClient(unused, subscription, endpoint, **connect)
