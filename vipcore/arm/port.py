"""The port of Azure Resource Manager: one HTTP exchange."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol


class ArmRequest(NamedTuple):
    """A request to Azure Resource Manager. `url`: a path with query, or an absolute URL that Azure gave (an operation's)."""

    method: str
    url: str
    headers: Mapping[str, str] = MappingProxyType({})
    body: Mapping[str, Any] | None = None
    timeout_s: float = 10.0


class ArmReply(NamedTuple):
    """Azure's answer. Header names in lower case; `body`: the JSON value, or None where there is none or it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = None

    @property
    def request_id(self) -> str:
        """ARM's own id of the request."""
        return self.headers.get("x-ms-request-id", "")

    @property
    def operation(self) -> str | None:
        """The URL that tells how an accepted write goes on, where Azure gives one."""
        return self.headers.get("azure-asyncoperation")


class Transport(Protocol):
    """One HTTP exchange with ARM, authenticated and never repeated: the caller decides whether to send a write again."""

    async def send(self, request: ArmRequest) -> ArmReply:
        """The answer, whatever its status. Raises NotSent if the request certainly had no effect, NoReply if it may have."""
