"""The headers of ARM's answers, as recorded (docs/facts/azure.md section 4)."""

from __future__ import annotations

import time
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.core.principals import Principal
    from simulator.core.wire import Request
    from simulator.state.state import State

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ALWAYS: Final = {
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


@lru_cache(maxsize=256)
def _times(second: int) -> tuple[str, str, str]:
    t = time.gmtime(second)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    day = f"{t.tm_year}-{t.tm_mon:02}-{t.tm_mday:02}"
    date = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year} {clock} GMT"
    return date, f"{day}T{clock}Z".replace("-", "").replace(":", ""), f"{day}T{clock}Z"


def common(state: State, request: Request, request_id: str, *, gateway_error: bool) -> dict[str, str]:
    """The headers of every answer of ARM. request_id: x-ms-request-id; for a write it is the id of its operation.

    gateway_error: the answer comes from ARM itself and has no `server` header.
    """
    date, compact, iso = _times(int(state.clock.at))
    correlation = request.headers.get("x-ms-correlation-request-id") or state.ids.guid()
    headers = dict(_ALWAYS)
    headers["date"] = date
    headers["x-ms-request-id"] = request_id
    headers["x-ms-correlation-request-id"] = correlation
    headers["x-ms-routing-request-id"] = f"{state.world.location.upper()}:{compact}:{correlation}"
    if state.switches.front_door:
        headers["x-cache"] = "CONFIG_NOCACHE"
        headers["x-msedge-ref"] = f"Ref A: {state.ids.hex(128)} Ref B: SIM000000000000 Ref C: {iso}"
    elif not gateway_error:
        headers["server"] = "Microsoft-HTTPAPI/2.0, Microsoft-HTTPAPI/2.0"  # recorded twice, once per hop
    if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        headers["x-ms-client-request-id"] = request.headers.get("x-ms-client-request-id", "")
    return headers


def operation_identifier(state: State, who: Principal, request_id: str) -> str:
    """The value of x-ms-operation-identifier, in the form that answers have since 2025: who asked, where, and a GUID."""
    own = uuid.uuid5(uuid.NAMESPACE_URL, request_id)
    return f"tenantId={state.world.tenant},objectId={who.object_id}/{state.world.location}/{own}"
