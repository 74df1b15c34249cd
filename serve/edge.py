"""What the real host does to a request before Python sees it. Pure; the rules are those of host 4.1037."""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

# Kestrel's limit on the request line. The documented ones on url and query stand in IIS's configuration only.
LINE_BYTES_MAX: Final = 8192
BODY_BYTES_MAX: Final = 100 * 1024 * 1024
"""What FUNCTIONS_REQUEST_BODY_SIZE_LIMIT replaces."""

# Letters and digits are always safe; everything else becomes %XX in upper case.
SAFE_IN_PATH: Final = "/:@!$&()*+,;=~-._'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A request target: the path as the host decodes it (`%2F` stays), and the query as it was sent, without `?`."""

    path: str
    query: str

    def url(self, host: str, scheme: str = "http") -> str:
        """The url that the function sees: the decoded path escaped anew, so the client's own spelling is gone."""
        escaped = "%2F".join(quote(part, safe=SAFE_IN_PATH) for part in self.path.split("%2F"))
        return f"{scheme}://{host}{escaped}" + (f"?{self.query}" if self.query else "")

    def parameters(self) -> dict[str, str]:
        """The query as `req.params` has it: empty values dropped, repeats joined with a comma."""
        values: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=False):
            values[name] = f"{values[name]},{value}" if name in values else value
        return values


def target(raw: str, *, front_end: bool = False) -> Target:
    """Decode a request target as Kestrel does: percent-decoding all but `%2F`, then removing dot segments.

    Where App Service's front end stands before it, `%2F` has become `/` on the way.
    """
    path, _, query = raw.partition("?")
    if not path.startswith("/"):
        # The absolute form, `http://host/path`, that proxies send.
        path = "/" + path.partition("://")[2].partition("/")[2]
    decoded = ("/" if front_end else "%2F").join(unquote(part, errors="strict") for part in re.split("%2[Ff]", path))
    return Target(path=_without_dot_segments(decoded), query=query)


def headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; repeated lines joined with a comma and no space, so lines can't be counted afterwards."""
    joined: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("utf-8", "replace")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def body_bytes(sent: Mapping[str, str]) -> int:
    """How many bytes of body the host passes on: those that Content-Length announces, so none of a chunked body."""
    if "transfer-encoding" in sent:
        return 0
    text = sent.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def key_sent(raw: Iterable[tuple[bytes, bytes]], query: str) -> str:
    """The function key of a request: the first of its header lines, else the first `?code=`; empty if there is none."""
    lines = (value.decode("latin-1") for name, value in raw if name.lower() == b"x-functions-key")
    codes = (value for name, value in parse_qsl(query, keep_blank_values=True) if name.lower() == "code")
    return next(lines, next(codes, ""))


def opens(key: str, accepted: Iterable[str]) -> bool:
    """Whether a key is one of those that open a function; no empty key opens anything.

    Each comparison takes constant time and all are made, so the time tells nothing.
    """
    return sum(hmac.compare_digest(key.encode(), known.encode()) for known in accepted if known) > 0


def _without_dot_segments(path: str) -> str:
    """Remove `.` and `..` (RFC 3986 section 5.2.4), never above the root."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
