"""HTTP requests and responses as values, without sockets. `server.py` translates them to and from real connections."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = dict[str, Any]

DEFAULT_HOST = "management.azure.com"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    method: upper case. target: path and query as sent. headers: names in lower case. body: as sent.
    scheme: of the connection, for URLs in the answer; the server sets it.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    scheme: str = "https"

    @property
    def base_url(self) -> str:
        """The URL at which the client reached us, without a trailing slash. Operation URLs and Location point there."""
        return f"{self.scheme}://{self.headers.get('host', DEFAULT_HOST)}"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer.

    headers: names in lower case. delay_s: how long the server waits before it sends the answer. lost: the server drops the
    connection instead of answering; the fault decides whether the request took effect. reset: with `lost`, the
    connection is reset (RST) instead of closed (FIN).
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    delay_s: float = 0.0
    lost: bool = False
    reset: bool = False

    def json(self) -> Json:
        """The body as a JSON object; raises ValueError if it is not one."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("the body is not a JSON object")  # noqa: TRY004 - the text is at fault, not the type
        return value


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_pretty = json.JSONEncoder(indent=2, ensure_ascii=False).encode


def encode(value: Json, style: str) -> bytes:
    """JSON as ARM writes it: compact since 2024, `pretty` with CRLF until about 2023 (docs/facts/azure.md section 4)."""
    if style == "compact":
        return _compact(value).encode()
    return _pretty(value).replace("\n", "\r\n").encode()
