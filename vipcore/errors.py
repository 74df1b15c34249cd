"""What can go wrong, named by what the caller may conclude; one class per conclusion.

`Refusal` and its children end a request: each carries a `code` (docs/codes.md) and a sentence an operator can act on. Status and
`Retry-After` of a code stand here and nowhere else. `Stale`, `NotSent` and `NoReply` are between a port and its caller and never
reach a request.
"""

from collections.abc import Mapping
from typing import Final

_CODES: Final[Mapping[str, tuple[int, int | None]]] = {
    "body-invalid": (400, None),
    "signature-missing": (401, None),
    "signature-invalid": (401, None),
    "signature-expired": (401, None),
    "claim-replayed": (401, None),
    "key-not-for-member": (403, None),
    "mirror-unknown": (404, None),
    "member-unknown": (404, None),
    "claim-superseded": (409, None),
    "move-superseded": (409, None),
    "peer-still-primary": (409, 2),
    "claimant-not-primary": (409, 2),
    "flapping": (409, 60),
    "address-taken": (409, 10),
    "body-too-large": (413, None),
    "mirror-frozen": (423, 15),
    "too-many-requests": (429, 1),
    "configuration-invalid": (500, None),
    "internal": (500, None),
    "azure-denied": (502, 30),
    "azure-failed": (502, 5),
    "busy": (503, 2),
    "azure-throttled": (503, 10),
    "outcome-unknown": (503, 2),
    "storage-unavailable": (503, 2),
    "identity-unavailable": (503, 5),
}
"""Per code its HTTP status, and the seconds to wait where trying again makes sense; None: final for that request."""

STATUS_OF_CODE: Final[Mapping[str, int]] = {code: status for code, (status, _) in _CODES.items()}
RETRY_AFTER_S: Final[Mapping[str, int]] = {code: wait_s for code, (_, wait_s) in _CODES.items() if wait_s is not None}


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
