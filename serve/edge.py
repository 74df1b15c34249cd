"""What the real host does to a request before Python sees it. Pure; the rules are those of host 4.1037."""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

# Documented limits of the platform; which status its front end answers with is not, so these are Kestrel's.
URL_CHARACTERS_MAX: Final = 8192
QUERY_CHARACTERS_MAX: Final = 4096
BODY_BYTES_MAX: Final = 210 * 1024 * 1024
# Letters and digits are always safe; everything else becomes %XX in upper case.
SAFE_IN_PATH: Final = "/:@!$&()*+,;=~-._'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A request target: the path as the host decodes it (`%2F` stays), and the query as it was sent, without `?`."""

    path: str
    query: str

    def url(self, host: str) -> str:
        """The url that the function sees: the decoded path escaped anew, so the client's own spelling is gone."""
        escaped = "%2F".join(quote(part, safe=SAFE_IN_PATH) for part in self.path.split("%2F"))
        return f"http://{host}{escaped}" + (f"?{self.query}" if self.query else "")

    def parameters(self) -> dict[str, str]:
        """The query as `req.params` has it: empty values dropped, repeats joined with a comma."""
        values: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=False):
            values[name] = f"{values[name]},{value}" if name in values else value
        return values


def target(raw: str) -> Target:
    """Decode a request target as Kestrel does: percent-decoding all but `%2F`, then removing dot segments."""
    path, _, query = raw.partition("?")
    if not path.startswith("/"):
        # The absolute form, `http://host/path`, that proxies send.
        path = "/" + path.partition("://")[2].partition("/")[2]
    decoded = "%2F".join(unquote(part, errors="strict") for part in re.split("%2[Ff]", path))
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


def key_sent(sent: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The function key of a request: the header first, else `?code=`; empty if there is none."""
    return sent.get("x-functions-key", "") if "x-functions-key" in sent else query.get("code", "")


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
