"""What can go wrong, named by what the caller may conclude; one class per conclusion.

`Refusal` and its children end a request: each carries a `code` (docs/codes.md) and a sentence an operator can act on. The HTTP
status of a code stands in `STATUS_OF_CODE` and nowhere else. `Stale`, `NotSent` and `NoReply` are between a port and its
caller and never reach a request.
"""

from collections.abc import Mapping
from typing import Final

STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "body-invalid": 400,
    "signature-missing": 401,
    "signature-invalid": 401,
    "signature-expired": 401,
    "claim-replayed": 401,
    "key-not-for-member": 403,
    "mirror-unknown": 404,
    "member-unknown": 404,
    "claim-superseded": 409,
    "move-superseded": 409,
    "peer-still-primary": 409,
    "claimant-not-primary": 409,
    "flapping": 409,
    "address-taken": 409,
    "body-too-large": 413,
    "mirror-frozen": 423,
    "too-many-requests": 429,
    "configuration-invalid": 500,
    "internal": 500,
    "azure-denied": 502,
    "azure-failed": 502,
    "busy": 503,
    "azure-throttled": 503,
    "outcome-unknown": 503,
    "storage-unavailable": 503,
}

RETRY_AFTER_S: Final[Mapping[str, int]] = {
    "peer-still-primary": 2,
    "claimant-not-primary": 2,
    "address-taken": 10,
    "flapping": 60,
    "mirror-frozen": 15,
    "too-many-requests": 1,
    "azure-denied": 30,
    "azure-failed": 5,
    "busy": 2,
    "azure-throttled": 10,
    "outcome-unknown": 2,
    "storage-unavailable": 2,
}
"""Seconds to wait where trying again makes sense and nobody said otherwise; codes left out are final for that request."""


class VipError(Exception):
    """Root of everything this application raises on purpose."""


class Refusal(VipError):
    """The request ends without success.

    `code`: a key of `STATUS_OF_CODE`; `detail`: a sentence for an operator, never a secret; `retry_after_s`: whole seconds, or
    None where asking again is useless.
    """

    def __init__(self, code: str, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = STATUS_OF_CODE[code]
        self.detail = detail
        self.retry_after_s = retry_after_s if retry_after_s is not None else RETRY_AFTER_S.get(code)


class AzureRefusal(Refusal):
    """Azure's answer, or its silence, ends the attempt: the decision stands and is tried again later.

    Codes: `azure-denied`, `azure-failed`, `azure-throttled`, `address-taken`, `outcome-unknown`, `busy`.
    """


class Unreachable(VipError):
    """The Table service did not answer, or cannot be used now. Nothing can be decided: the answer is `storage-unavailable`."""


class Stale(VipError):
    """Another writer was first: the head has another etag. Load it again and judge anew."""


class CommitUnknown(VipError):
    """A transaction was sent and its answer lost: it may have landed. Load the head, compare Seq and HeadHash."""


class NotSent(VipError):
    """The request to Azure certainly had no effect: it was not sent."""


class NoReply(VipError):
    """The request to Azure was sent and no answer came: a write may have happened, or may still happen."""


class InvariantBroken(VipError):
    """Our own fault: a state that the rules exclude. Answered with 500 `internal` and worth an alert."""
