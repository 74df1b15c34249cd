"""What an error of Azure lets us conclude, and what an operator reads."""

import pytest

from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.port import ArmReply

POLICY = "Resource 'nic-a' was disallowed by policy. Policy identifiers: 'nics must not have public ips'."
ASSIGNMENT = (
    "The client has permission to perform action 'x' on scope 's'; however, the access is denied because of the deny assignment."
)
LOCK = "The scope 'nic-a' cannot perform write operation because following scope(s) are locked: 'rg'."


def reply(status: int, code: str, message: str = "m") -> ArmReply:
    """An error answer of ARM."""
    return ArmReply(status=status, headers={}, body={"error": {"code": code, "message": message}})


@pytest.mark.parametrize(
    ("status", "code", "message", "says"),
    [
        (403, "RequestDisallowedByPolicy", POLICY, "An Azure Policy forbids this, and no role helps: exempt the mirror's NICs"),
        (403, "DenyAssignmentAuthorizationFailed", ASSIGNMENT, "A deny assignment forbids this, and no role helps: exclude"),
        (409, "ScopeLocked", LOCK, "A lock forbids this, and no role helps: remove the lock on the scope that Azure names"),
    ],
)
def test_what_no_role_helps_is_no_missing_right(status: int, code: str, message: str, says: str) -> None:
    """A policy, a deny assignment and a lock are `azure-failed`: the sentence says which, what to do, and Azure's own words."""
    refusal = ArmError(reply(status, code, message)).refusal()

    assert refusal.code == "azure-failed"
    assert refusal.detail.startswith(says)
    assert message in refusal.detail


def test_a_missing_right_names_action_and_scope() -> None:
    """403 for want of a right is `azure-denied`, with what to grant where."""
    message = "The client 'c' does not have authorization to perform action 'A/write' over scope '/s' or the scope is invalid."
    refusal = ArmError(reply(403, "AuthorizationFailed", message)).refusal()

    assert refusal.code == "azure-denied"
    assert refusal.detail.startswith("Grant A/write on /s to the controller's identity.")


@pytest.mark.parametrize("status", [400, 429])
def test_a_resource_that_is_not_provisioned_yet_is_locked(status: int) -> None:
    """`ReferencedResourceNotProvisioned` means "come back", whatever status it comes with."""
    assert ArmError(reply(status, "ReferencedResourceNotProvisioned")).cause is Cause.LOCKED


def test_only_the_operations_own_word_ends_it() -> None:
    """An operation that failed arrives in an answer 200; a refused poll is none of its ends."""
    ended = ArmReply(status=200, headers={}, body={"status": "Failed", "error": {"code": "X", "message": "m"}})

    assert ArmError(ended, ended_operation=True).ended_operation
    assert not ArmError(reply(403, "AuthorizationFailed")).ended_operation
