"""Azure's repertoire: every error that Azure is known to answer with, and what the controller does about each.

Tests strike the detach, the attach, the reads before them and the polls of operations with each row of the simulator's ERRORS,
once and for as long as it takes. Each case ends in a swap within the request's time, or at once in a code of docs/codes.md with
a sentence that says what to do. Once the fault is gone, the agent's retry, or the timer alone, brings the VIP to the member that
claimed.
"""

from collections.abc import Mapping
from typing import Final

from simulator.core.errors import ERRORS
from tests.promises.helpers import ATTACH, DETACH

ANSWERED_WITHIN_S: Final = 200.0
ASYNC: Final = {name for name, row in ERRORS.items() if row.layer == "async"}
SYNC: Final = sorted(ERRORS.keys() - ASYNC)
TAKEN: Final = {"PrivateIPAddressIsAllocated", "PrivateIPAddressInUse", "PublicIPAddressInUse"}
DENIED: Final = {"AuthorizationFailed", "LinkedAuthorizationFailed"}
TOKEN: Final = {"AuthenticationFailed", "ExpiredAuthenticationToken", "InvalidAuthenticationToken"}


THROTTLED: Final = {
    "SubscriptionRequestsThrottled",
    "SubscriptionRequestsThrottled.Backend",
    "ResourceRequestsThrottled",
    "RetryableErrorDueToTooManyCalls",
}


LOCKED: Final = {
    "RetryableError.RetryableErrorDueToAnotherOperation",
    "RetryableError.ReferencedResourceNotProvisioned",
    "ReferencedResourceNotProvisioned",
    "ReferencedResourceNotProvisioned.Updating",
    "AnotherOperationInProgress",
    "NicReservedForAnotherVm",
    "NicReservedForAnotherVm.409",
}
CHANGED: Final = {"PreconditionFailed"}
SILENT: Final = {"InternalServerError", "ServerTimeout", "Empty.500", "Empty.503"}


PASSING: Final = TOKEN | THROTTLED | LOCKED | CHANGED | SILENT | ASYNC
"""What is tried again within the request: nothing an operator would have to do."""


WRONG: Final = ERRORS.keys() - PASSING - TAKEN - DENIED
"""The request does not fit the environment: told at once, with Azure's code and message."""


CODES: Final[Mapping[str, str]] = {
    **dict.fromkeys(TAKEN, "address-taken"),
    **dict.fromkeys(DENIED | TOKEN, "azure-denied"),
    **dict.fromkeys(THROTTLED, "azure-throttled"),
    **dict.fromkeys(LOCKED | CHANGED, "busy"),
    **dict.fromkeys(SILENT, "outcome-unknown"),
    **dict.fromkeys(WRONG | ASYNC, "azure-failed"),
}
WRITES: Final = {"detach": DETACH, "attach": ATTACH}


def says_what_to_do(name: str, detail: str) -> bool:
    """Whether the sentence has what an operator needs for that row."""
    row = ERRORS[name]
    if name == "AuthorizationFailed":
        return "Grant Microsoft.Network/networkInterfaces/write on /subscriptions/" in detail
    if name == "LinkedAuthorizationFailed":
        return "Grant Microsoft.Network/virtualNetworks/subnets/join/action on /subscriptions/" in detail
    if name in TAKEN:
        return "taken by /subscriptions/" in detail
    if name in CHANGED:
        return "Somebody else" in detail
    if name in LOCKED:
        return "Another operation is at work" in detail
    code = row.detail[0] if row.detail and row.message == "A retryable error occurred." else row.code
    return code in detail or row.layer == "empty"
