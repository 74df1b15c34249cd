"""What can go wrong, named by what the caller may conclude; one class per conclusion.

`Refusal` and its children end a request: each carries a `code` (docs/codes.md) and a sentence an operator can act on. Status,
`Retry-After` and title of a code stand here and nowhere else. `Stale`, `NotSent` and `NoReply` are between a port and its caller
and never reach a request.
"""

from collections.abc import Mapping
from typing import Final

_CODES: Final[Mapping[str, tuple[int, int | None, str]]] = {
    "body-invalid": (400, None, "The request's body or query is not valid"),
    "signature-missing": (401, None, "The claim is not signed"),
    "signature-invalid": (401, None, "The claim's signature is not valid"),
    "signature-expired": (401, None, "The claim's signature is too old, or from a clock that is ahead"),
    "claim-replayed": (401, None, "This signed claim, or a later one, was accepted before"),
    "key-not-for-member": (403, None, "The key is for another member or mirror"),
    "mirror-unknown": (404, None, "The mirrors document has no such mirror"),
    "member-unknown": (404, None, "The mirror has no such member"),
    "claim-superseded": (409, None, "A later decision for another member is in force"),
    "move-superseded": (409, None, "A later decision for another member is in force"),
    "peer-still-primary": (409, 2, "Another member's status page says that it is primary"),
    "claimant-not-primary": (409, 2, "The member's own status page does not say that it is primary"),
    "flapping": (409, 60, "The VIP has changed its holder too often in a short time"),
    "address-taken": (409, 10, "Something else has the VIP's address"),
    "body-too-large": (413, None, "The request's body is too large"),
    "mirror-frozen": (423, 15, "The mirror is frozen by an operator"),
    "too-many-requests": (429, 1, "Too many requests with this key"),
    "configuration-invalid": (500, None, "A setting, or the mirrors document, is faulty"),
    "internal": (500, None, "A defect of the controller"),
    "azure-denied": (502, 30, "The controller's identity lacks a right in Azure"),
    "azure-failed": (502, 5, "Azure refused, or failed"),
    "busy": (503, 2, "Not finished yet; ask again"),
    "azure-throttled": (503, 10, "Azure's rate limits leave no room now; ask again"),
    "outcome-unknown": (503, 2, "A write to Azure got no answer; ask again"),
    "storage-unavailable": (503, 2, "The Table service cannot be used now"),
    "identity-unavailable": (503, 5, "The controller's identity got no token"),
}
"""Per code its HTTP status; the seconds to wait where trying again makes sense, None: final for that request; and what it says
in a few words, the same at each occurrence (RFC 9457)."""

STATUS_OF_CODE: Final[Mapping[str, int]] = {code: status for code, (status, _, _) in _CODES.items()}
RETRY_AFTER_S: Final[Mapping[str, int]] = {code: wait_s for code, (_, wait_s, _) in _CODES.items() if wait_s is not None}
TITLE_OF_CODE: Final[Mapping[str, str]] = {code: title for code, (_, _, title) in _CODES.items()}


NEEDS_SOMEBODY: Final = frozenset({
    "flapping", "address-taken", "configuration-invalid", "internal", "azure-denied", "azure-failed", "storage-unavailable",
    "identity-unavailable",
})  # fmt: skip
"""The codes at which somebody should look; the others pass by themselves, or are the caller's to mend."""


class VipError(Exception):
    """Root of everything this application raises on purpose."""


class Refusal(VipError):
    """The request ends without success.

    `code`: a key of `STATUS_OF_CODE`; `detail`: a sentence for an operator, never a secret; `retry_after_s`: whole seconds, or
    None where asking again is useless; `status`: where it is not the code's own.
    """

    def __init__(self, code: str, detail: str, *, retry_after_s: int | None = None, status: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail
        self.status = STATUS_OF_CODE[code] if status is None else status
        self.retry_after_s = retry_after_s if retry_after_s is not None else RETRY_AFTER_S.get(code)


class AzureRefusal(Refusal):
    """Azure's answer, or its silence, ends the attempt: the decision stands and is tried again later.

    Codes: `identity-unavailable`, `azure-denied`, `azure-failed`, `azure-throttled`, `address-taken`, `outcome-unknown`, `busy`.
    """


class Unreachable(VipError):
    """The Table service did not answer, or cannot be used now. Nothing can be decided: the answer is `storage-unavailable`."""


class NoIdentity(Unreachable):
    """As Unreachable, since the managed identity gave no token: the answer is `identity-unavailable`."""


class Stale(VipError):
    """Another writer was first: the head has another etag. Load it again and judge anew."""


class CommitUnknown(VipError):
    """A transaction was sent and its answer lost: it may have landed. Load the head, compare Seq and HeadHash."""


class NotSent(VipError):
    """The request to Azure certainly had no effect: it was not sent."""


class NoToken(NotSent):
    """As NotSent, since the managed identity gave no token: the answer is `identity-unavailable`."""


class NoReply(VipError):
    """The request to Azure was sent and no answer came: a write may have happened, or may still happen."""


class InvariantBroken(VipError):
    """Our own fault: a state that the rules exclude. Answered with 500 `internal` and worth an alert."""
