"""What a handler gives back before it becomes an HTTP answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.core.model import Operation
    from simulator.core.wire import Json


@dataclass(slots=True)
class Reply:
    """An answer of a handler. body: a JSON document, bytes already encoded, or None for an empty body.

    operation: whose id becomes x-ms-request-id. announce: put the AO header (and Location, if location) on the answer.
    retry_after: seconds, as text. etag: for the ETag header (GET only). nrp: came from Microsoft.Network, not the gateway.
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
