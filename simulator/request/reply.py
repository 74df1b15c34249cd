"""What a handler returns, before it becomes an HTTP response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.core.model import Operation
    from simulator.core.wire import Json


@dataclass(slots=True)
class Reply:
    """The answer of a handler. body: a JSON document, encoded bytes, or None for an empty body.

    operation: its id becomes x-ms-request-id. announce: add the Azure-AsyncOperation header (with `location` also
    Location). retry_after: seconds, as text. etag: for the ETag header (GET only). nrp: from Microsoft.Network, not ARM.
    """

    status: int
    body: Json | bytes | None = None
    operation: Operation | None = None
    announce: bool = False
    location: bool = False
    retry_after: str | None = None
    etag: str = ""
    nrp: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
