"""What an answer of ARM or of the network resource provider means for us. Pure. Codes and wordings: docs/facts/azure.md
section 7.

An error arrives in an HTTP error answer, or as `{"status": "Failed"}` in the answer 200 of an operation. 429 means two
things: throttled, or another operation holds the resource. The latter comes with the code `RetryableError` and details.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from vipcore.arm.port import ArmReply
from vipcore.errors import AzureRefusal, VipError


class Cause(Enum):
    """What the caller may conclude."""

    THROTTLED = "throttled"  # nothing happened; come back after retry_after_s
    LOCKED = "locked"  # nothing happened; another operation holds this or a referenced resource for a moment
    ADDRESS = "address"  # nothing happened; `holder` has the address
    ETAG = "etag"  # nothing happened; the NIC is not what we read
    DENIED = "denied"  # nothing happened; a right is missing, an operator must act
    FORBIDDEN = "forbidden"  # nothing happened; a policy, a deny assignment or a lock forbids it, and no role helps
    TOKEN = "token"  # nothing happened; the token was not accepted
    GONE = "gone"  # the resource or operation does not exist
    TRANSIENT = "transient"  # a 5xx: a write may have happened
    CANCELED = "canceled"  # an accepted operation was superseded by another write
    FAILED = "failed"  # an accepted operation failed; the NIC may show the new content all the same
    FATAL = "fatal"  # any other refusal: the request is wrong for this environment


class ArmError(VipError):
    """An answer that is not success. `retry_after_s`: None where Azure names no time; `request_id`: ARM's.

    `ended_operation`: whether this is an operation's own word that it failed or was canceled, not the failure of a poll.
    """

    def __init__(self, reply: ArmReply, *, ended_operation: bool = False) -> None:
        status, body = reply.status, reply.body if isinstance(reply.body, dict) else {}
        error = found if isinstance(found := body.get("error"), dict) else {}
        codes = list(_codes(error))
        message = _message(error) or f"HTTP {status} without a message"
        code = next((code for code in reversed(codes) if code in _LOCKED | _THROTTLED), codes[0] if codes else f"Http{status}")
        super().__init__(f"{code}: {message}"[:1000])
        self.cause = _operation_cause(body, codes) if ended_operation else _cause(status, {*codes}, code)
        self.code, self.message, self.ended_operation, self.request_id = code, message[:1000], ended_operation, reply.request_id
        after = reply.headers.get("retry-after", "")
        # Azure sends numbers. A date or nonsense counts as absent.
        self.retry_after_s = float(after) if re.fullmatch(r"\d{1,6}(\.\d+)?", after) else None

    @property
    def holder(self) -> str | None:
        """The resource id that Azure names as holding the address, if it names one."""
        found = re.search(r"(?:already allocated to resource|address \S+ as IP configuration) (/\S+?)\.?(\s|$)", self.message)
        return found[1] if found else None

    @property
    def missing(self) -> tuple[str, str] | None:
        """(action, scope) that the identity lacks, as Azure names them."""
        actions = re.findall(r"perform action '([^']+)'", self.message)
        scopes = re.findall(r"(?:over scope|linked scope\(s\)) '([^']+)'", self.message)
        return (actions[-1], scopes[-1]) if actions and scopes else None

    def refusal(self) -> AzureRefusal:
        """The answer to the request that could not be carried out because of this."""
        wait = None if self.retry_after_s is None else max(1, int(self.retry_after_s + 0.999))
        says = f"{self.code}: {self.message}"
        match self.cause:
            case Cause.DENIED | Cause.TOKEN:
                grant = f"Grant {' on '.join(self.missing)} to the controller's identity. " if self.missing else ""
                return AzureRefusal("azure-denied", f"{grant}Azure says {says}")
            case Cause.FORBIDDEN:
                who, cure = _FORBIDDEN[self.code]
                return AzureRefusal("azure-failed", f"{who} forbids this, and no role helps: {cure}. Azure says {says}")
            case Cause.THROTTLED:
                return AzureRefusal("azure-throttled", f"Azure throttles us: {says}", retry_after_s=wait)
            case Cause.ADDRESS:
                holder = self.holder or "another resource"
                return AzureRefusal("address-taken", f"The address is taken by {holder}: {self.message}")
            case Cause.LOCKED:
                return AzureRefusal("busy", f"Another operation is at work in Azure: {self.message}", retry_after_s=wait)
            case _:
                return AzureRefusal("azure-failed", f"Azure says {says}")


_LOCKED: Final = frozenset({
    "RetryableErrorDueToAnotherOperation", "ReferencedResourceNotProvisioned", "AnotherOperationInProgress", "RetryableError",
    "NicReservedForAnotherVm",
})  # fmt: skip
_LOCKED_AT_ANY_STATUS: Final = _LOCKED - {"RetryableError"}
"""Codes that say so whatever the status: `ReferencedResourceNotProvisioned` comes with 400 as well as with 429."""

_FORBIDDEN: Final = {
    "RequestDisallowedByPolicy": ("An Azure Policy", "exempt the mirror's NICs from it, or change it"),
    "DenyAssignmentAuthorizationFailed": ("A deny assignment", "exclude the controller's identity from it, or remove it"),
    "ScopeLocked": ("A lock", "remove the lock on the scope that Azure names"),
}
"""Code -> who forbids, and what an operator can do."""

_THROTTLED: Final = frozenset({"SubscriptionRequestsThrottled", "ResourceRequestsThrottled", "RetryableErrorDueToTooManyCalls"})
_ADDRESS: Final = frozenset({"PrivateIPAddressIsAllocated", "PrivateIPAddressInUse", "PublicIPAddressInUse"})


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(error.get("code"), str):
        yield error["code"]
    for detail in error.get("details") or ():
        if isinstance(detail, dict):
            yield from _codes(detail)


def _message(error: Mapping[str, Any]) -> str:
    """The most telling message: a detail's, where the outer one is only 'A retryable error occurred.'."""
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    inner = _message(details[0]) if details else ""
    return inner or str(error.get("message") or "")


def _operation_cause(body: Mapping[str, Any], codes: list[str]) -> Cause:
    if body.get("status") == "Canceled" or any(code.startswith("CanceledAndSuperseded") for code in codes):
        return Cause.CANCELED
    return Cause.LOCKED if "AnotherOperationInProgress" in codes else Cause.FAILED


def _cause(status: int, codes: set[str], code: str) -> Cause:
    if status == 429:
        return Cause.LOCKED if _LOCKED & codes and not _THROTTLED & codes else Cause.THROTTLED
    if _ADDRESS & codes:
        return Cause.ADDRESS
    if _LOCKED_AT_ANY_STATUS & codes:
        return Cause.LOCKED
    if code in _FORBIDDEN:
        return Cause.FORBIDDEN
    if status == 408 or status >= 500:
        return Cause.TRANSIENT
    return {401: Cause.TOKEN, 403: Cause.DENIED, 404: Cause.GONE, 412: Cause.ETAG}.get(status, Cause.FATAL)
