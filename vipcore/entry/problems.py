"""Refusals as RFC 9457 problem documents. errors.py says which status a code has; here is how it looks."""

from typing import Any, Final

from vipcore.errors import Refusal

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "The request does not have the required form",
    401: "The request is not authenticated",
    403: "The key does not speak for this mirror and member",
    404: "No such thing",
    409: "The state of the mirror does not allow it",
    413: "The body is too large",
    423: "The mirror is frozen",
    429: "Too many requests",
    500: "The controller cannot serve this",
    502: "Azure refused",
    503: "Not possible now; try the same again",
}


def document(refusal: Refusal, correlation_id: str, instance: str) -> dict[str, Any]:
    """The body. `type` is a name within this product, not an address to fetch."""
    return {
        "type": f"urn:mirror-vip:problem:{refusal.code}",
        "title": _TITLES[refusal.status],
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": instance,
        "code": refusal.code,
        "correlation_id": correlation_id,
    }


def headers(refusal: Refusal) -> dict[str, str]:
    """`Retry-After` wherever trying again makes sense."""
    return {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else {}
