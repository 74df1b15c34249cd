"""Refusals as RFC 9457 problem documents. One owner of how an error looks; which status a code has stands in errors.py."""

from typing import Any, Final

from vipcore.errors import Refusal

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "The request is not as the contract needs it",
    401: "The request is not authenticated",
    403: "The key is not for this",
    404: "No such thing",
    409: "The state of the mirror speaks against it",
    413: "The body is too large",
    423: "The mirror is frozen",
    429: "Too many requests",
    500: "The controller cannot serve this",
    502: "Azure refused",
    503: "Not now; try the same again",
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
