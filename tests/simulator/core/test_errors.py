"""Every row of the error table can be produced."""

import pytest

from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Match
from tests.simulator.client import NIC_A, Client

PUT = Match(method="PUT", kind="nic")


@pytest.mark.parametrize("name", ERRORS)
def test_every_row_can_be_produced_by_name(name: str) -> None:
    """Every row of the error table can strike a NIC PUT, with its status, code and envelope; the PUT has no effect."""
    client = Client()
    row = ERRORS[name]
    before = client.get(NIC_A)["etag"]
    client.script(PUT, fault=Answer(name=name))

    answer = client.detach()

    if row.layer == "async":
        client.clock.advance(10)
        error = client.poll(answer).json()["error"]
    else:
        assert answer.status == row.status
        assert client.get(NIC_A)["etag"] == before
        if row.layer == "empty":
            assert answer.body == b""
            return
        error = answer.json()["error"]
    assert error["code"] == row.code
    assert "<" not in error["message"]
    assert ("details" in error) is (row.layer != "gateway")
    assert (answer.headers.get("x-ms-failure-cause") == "gateway") is (row.layer == "gateway")
    assert ("x-ms-arm-service-request-id" in answer.headers) is (row.layer != "gateway")
    if row.detail is not None:
        assert error["details"][0]["code"] == row.detail[0]
    if row.layer != "async":
        assert ("retry-after" in answer.headers) is row.retry_after


def test_words_and_retry_after_of_an_answer_can_be_chosen() -> None:
    """The caller can choose values for the message and Retry-After; 0 means no header."""
    client = Client()
    name = "RetryableError.RetryableErrorDueToAnotherOperation"
    client.script(PUT, fault=Answer(name=name, retry_after=7, words={"seconds": 7}))
    client.script(PUT, fault=Answer(name=name, retry_after=0))

    first, second = client.detach(), client.detach()

    assert first.headers["retry-after"] == "7"
    assert "retried in 7 seconds" in first.json()["error"]["details"][0]["message"]
    assert "retry-after" not in second.headers


def test_a_reference_that_is_updating_can_be_told_with_400() -> None:
    """The 400 form of ReferencedResourceNotProvisioned says `Updating`, in the words of the 429 form, and has no Retry-After."""
    client = Client()
    client.script(PUT, fault=Answer(name="ReferencedResourceNotProvisioned.Updating"))
    client.script(PUT, fault=Answer(name="RetryableError.ReferencedResourceNotProvisioned"))

    first, second = client.detach(), client.detach()

    error = first.json()["error"]
    assert (first.status, error["code"], error["details"]) == (400, "ReferencedResourceNotProvisioned", [])
    assert "Resource is in Updating state" in error["message"]
    assert error["message"] == second.json()["error"]["details"][0]["message"]
    assert "retry-after" not in first.headers
