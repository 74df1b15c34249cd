"""The port of Azure Resource Manager: one HTTP exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRequest:
    """A request to Azure Resource Manager. `url`: a path with query, or an absolute URL that Azure gave (an operation's)."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReply:
    """Azure's answer. Header names in lower case; `body`: the JSON value, or None where there is none or it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = field(default=None, repr=False)


class Transport(Protocol):
    """One HTTP exchange with ARM, authenticated, never retried: whether to send a write again is the core's decision."""

    async def send(self, request: ArmRequest) -> ArmReply:
        """The answer, whatever its status. Raises NotSent if the request certainly had no effect, NoReply if it may have."""
