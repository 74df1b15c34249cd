"""The members' status pages, `/csp/bin/mirror_status.cxw`: 200 SUCCESS from a primary, 503 FAILED from any other member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.core.wire import Request, Response
from simulator.request.routes import route

if TYPE_CHECKING:
    from simulator.state.state import State

# hang: no answer for an hour. refuse: the connection is reset. lie: SUCCESS although the member is not primary.
MODES: Final = ("primary", "backup", "hang", "refuse", "lie", "error")
HANG_S: Final = 3600.0


def handle_page(state: State, request: Request) -> Response:
    """Answer according to the member's mode; 404 for an unknown member."""
    mode = state.resources.members.get(route(request.target.partition("?")[0]).name)
    headers = {"content-type": "text/html; charset=utf-8", "cache-control": "no-cache"}
    match mode:
        case "primary" | "lie":
            return Response(200, headers, b"SUCCESS")
        case "backup":
            return Response(503, headers, b"FAILED")
        case "hang":
            return Response(503, headers, b"", delay_s=HANG_S, lost=True)
        case "refuse":
            return Response(503, headers, b"", lost=True, reset=True)
        case "error":
            return Response(500, headers, b"<html>CSP error</html>")
    return Response(404, headers, b"no such member")
