"""Azure's whole repertoire: what the controller does about every answer that Azure is known to give (azure.md section 7).

Each row of the simulator's ERRORS strikes the detach, the attach, the reads before and the looks at the operations; once, and
for as long as it takes. Each ends in a swap within the request's time, or at once in the contract's code with a sentence that
says what to do; and once the fault is gone the agent's retry, or the timer alone, brings the VIP to the member that claimed.
"""

from collections.abc import Mapping
from typing import Final

import pytest

from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Match
from tests.promises.harness import Harness
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    DETACH,
    NIC_A,
    NIC_B,
    POLL,
    agent,
    assert_kept,
    cured,
    other_content,
    refused,
    timer,
    virtual,
)

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


def test_every_row_has_its_expectation() -> None:
    """No row of the error tables is without a rule, and none has two."""
    groups = [TAKEN, DENIED, TOKEN, THROTTLED, LOCKED, CHANGED, SILENT, WRONG, ASYNC]

    assert set().union(*groups) == ERRORS.keys()
    assert sum(map(len, groups)) == len(ERRORS)
    assert CODES.keys() == ERRORS.keys()


@pytest.mark.parametrize("name", sorted(ERRORS))
@pytest.mark.parametrize("place", WRITES)
@virtual
async def test_an_error_that_strikes_a_write_once(place: str, name: str) -> None:
    """A passing error of a write is outlived within the request; another is told at once, and the agent's next try ends well."""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    struck = harness.cloud.script(WRITES[place], fault=Answer(name=name))

    outcome, refusals = await agent(node, "MIRRORB")

    assert struck.struck == 1
    assert (outcome.outcome, outcome.holder, outcome.from_member) == ("moved", "MIRRORB", "MIRRORA")
    assert [refusal.code for refusal in refusals] == ([] if name in PASSING else [CODES[name]])
    assert all(says_what_to_do(name, refusal.detail) for refusal in refusals), refusals
    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("name", sorted(ERRORS))
@pytest.mark.parametrize("place", WRITES)
@virtual
async def test_an_error_that_strikes_every_write(place: str, name: str) -> None:
    """An error that stays is told in time with its code and what to do; what was not detached stays; the timer ends it later."""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    harness.cloud.script(WRITES[place], fault=Answer(name=name), times=ALWAYS)

    if place == "detach" and name in ASYNC - {"Canceled"}:
        # The operation failed but the address has left the NIC: the swap goes on, and nothing is wrong for the new holder.
        assert (await node.claim("MIRRORB")).outcome == "moved"
    else:
        refusal = await refused(node.claim("MIRRORB"))
        assert refusal.code == CODES[name]
        assert refusal.retry_after_s is not None
        assert says_what_to_do(name, refusal.detail), refusal.detail
        assert harness.loop.time() <= ANSWERED_WITHIN_S
        if place == "detach":
            assert harness.holders() == [NIC_A]
        await assert_kept(harness, on=None)
    cured(harness)
    await timer(node, 900.0)

    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("name", SYNC)
@pytest.mark.parametrize("nic", [NIC_A, NIC_B])
@virtual
async def test_an_error_that_strikes_the_look_at_a_nic(nic: str, name: str) -> None:
    """A NIC that cannot be read is unknown: nothing is written, the claim is recorded, and the timer carries it out. (I9)"""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    harness.cloud.script(Match(method="GET", kind="nic", name=nic), fault=Answer(name=name), times=ALWAYS)

    refusal = await refused(node.claim("MIRRORB"))

    missing = ERRORS[name].status == 404
    if missing:
        # MIRRORA's NIC does not exist, says Azure, and yet somebody holds the address: the read lies, and nothing happens.
        assert refusal.code == ("address-taken" if nic == NIC_A else "azure-failed")
    else:
        assert refusal.code == ("azure-failed" if name in SILENT | CHANGED else CODES[name])
    assert missing or ERRORS[name].layer == "empty" or says_what_to_do(name, refusal.detail) or name in CHANGED
    assert "Nothing was changed" in refusal.detail
    assert harness.holders() == [NIC_A]
    assert (await harness.head()).recorded_claim is not None
    assert (await harness.head()).epoch == 0
    cured(harness)
    await timer(node, 120.0)

    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@pytest.mark.parametrize("name", SYNC)
@pytest.mark.parametrize("kind", ["permissions", "pip", "subnet"])
@virtual
async def test_an_error_that_strikes_a_read_of_the_preflight(kind: str, name: str) -> None:
    """A read of the preflight that fails stops nothing; only a public IP that does not exist stops the swap. (I10)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="GET", kind=kind), fault=Answer(name=name), times=ALWAYS)

    if kind == "pip" and ERRORS[name].status == 404:
        refusal = await refused(node.claim("MIRRORB"))
        assert refusal.code == "azure-failed"
        assert "my_vip_ip does not exist" in refusal.detail
        assert harness.holders() == [NIC_A]
        cured(harness)
        await timer(node, 60.0)
    else:
        assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("name", SYNC)
@virtual
async def test_an_error_that_strikes_one_look_at_an_operation(name: str) -> None:
    """A look at an operation that leads to nothing costs nothing: the next one, or the NIC itself, tells how it ended."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(POLL, fault=Answer(name=name))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("name", SYNC)
@virtual
async def test_an_error_that_strikes_every_look_at_an_operation(name: str) -> None:
    """Where operations cannot be looked at at all the NICs tell; a throttle, which Azure means, is waited for in between."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(POLL, fault=Answer(name=name), times=ALWAYS)

    assert (await node.claim("MIRRORB")).outcome == "moved"
    assert harness.loop.time() < (60.0 if name in THROTTLED else 15.0)

    await assert_kept(harness, on=NIC_B)
