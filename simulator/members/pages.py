"""Members' status pages, `/csp/bin/mirror_status.cxw`: primary 200 SUCCESS, anything else 503 FAILED (iris.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.core.wire import Request, Response
from simulator.request.routes import route

if TYPE_CHECKING:
    from simulator.state.state import State

# hang: no answer for an hour. refuse: the connection is reset. lie: says primary whatever the member is.
MODES: Final = ("primary", "backup", "hang", "refuse", "lie", "error")
HANG_S: Final = 3600.0


def handle_page(state: State, request: Request) -> Response:
    """Answer as the member's mode says; 404 for a member the world does not have."""
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
