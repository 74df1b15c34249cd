"""Asynchronous operations: their URLs, their polls, and how they end."""

import pytest

from simulator.core.faults import Answer, Ends, Hangs, Match
from tests.simulator.client import NIC_A, PIP, VNET, Client, configs, error_of

PUT = Match(method="PUT", kind="nic")


def test_an_ao_header_on_a_synchronous_put_is_a_switch() -> None:
    """A synchronous PUT can have an operation URL whose first poll says Succeeded, as until 2023."""
    client = Client(sync_ao=True)

    answer = client.nic("new")

    assert answer.json()["properties"]["provisioningState"] == "Succeeded"
    assert "retry-after" not in answer.headers
    assert client.poll(answer).json() == {"status": "Succeeded"}


def test_operation_id_is_the_request_id_of_the_write() -> None:
    """x-ms-request-id of the write is the id in the operation URL, which points to the host that the client used."""
    client = Client()

    answer = client.detach()

    url = answer.headers["azure-asyncoperation"]
    assert url.startswith("http://127.0.0.1:18080/subscriptions/")
    assert f"/operations/{answer.headers['x-ms-request-id']}?" in url


@pytest.mark.parametrize(
    ("how", "status", "code", "state", "kept"),
    [
        ("failed-kept", "Failed", "InternalExecutionError", "Failed", True),
        ("failed-rolled-back", "Failed", "InternalExecutionError", "Failed", False),
        ("not-allowed", "Failed", "OperationNotAllowed", "Failed", True),
        ("GwmOperationTimeOut", "Failed", "GwmOperationTimeOut", "Failed", True),
        ("canceled", "Canceled", "Canceled", "Succeeded", False),
    ],
)
def test_operations_end_badly_as_planned(how: str, status: str, code: str, state: str, kept: bool) -> None:
    """A poll of a failed operation is HTTP 200 with the error in the body. The fault decides about a rollback of the content."""
    client = Client()
    client.script(PUT, fault=Ends(how=how))

    answer = client.detach()
    client.clock.advance(10)
    poll = client.poll(answer)

    assert poll.status == 200
    assert (poll.json()["status"], poll.json()["error"]["code"]) == (status, code)
    nic = client.get(NIC_A)
    assert nic["properties"]["provisioningState"] == state
    assert ([c["name"] for c in configs(nic)] == ["ipconfig1"]) is kept
    assert ("ipConfiguration" in client.get(PIP)["properties"]) is not kept


def test_a_gone_operation_answers_404_but_took_effect() -> None:
    """Polls of a gone operation answer 404, but the write takes effect."""
    client = Client()
    client.script(PUT, fault=Ends(how="gone"))

    answer = client.detach()

    assert error_of(client.poll(answer)) == (404, "NotFound")
    client.clock.advance(10)
    assert client.poll(answer).status == 404
    assert client.get(NIC_A)["properties"]["provisioningState"] == "Succeeded"


def test_a_hanging_operation_takes_so_much_longer() -> None:
    """The fault Hangs only delays the end of the operation."""
    client = Client()
    client.script(PUT, fault=Hangs(for_s=600))

    answer = client.detach()
    client.clock.advance(609)
    assert client.poll(answer).json() == {"status": "InProgress"}
    client.clock.advance(1)
    assert client.poll(answer).json() == {"status": "Succeeded"}


def test_busy_after_completion() -> None:
    """With the switch, writes in the same subnet get 429 ReferencedResourceNotProvisioned for some seconds after an operation."""
    client = Client(busy_after_completion_s=3)
    client.detach()
    client.clock.advance(10)

    busy = client.attach()
    assert error_of(busy) == (429, "RetryableError:ReferencedResourceNotProvisioned")
    assert "retry-after" not in busy.headers
    client.clock.advance(3)
    assert client.attach().status == 200


def test_long_ao_urls_are_three_to_four_kilobytes_and_work() -> None:
    """The operation URL of 2024 has the parameters t, c, s and h, is 3 to 4 kB long, and can be polled."""
    client = Client(ao_url="long")
    put = client.detach()
    url = put.headers["azure-asyncoperation"]

    assert 3000 < len(url) < 4096
    assert all(f"&{name}=" in url for name in "tcsh")
    assert client.poll(put).json() == {"status": "InProgress"}


def test_the_poll_of_a_superseded_operation_names_the_later_one() -> None:
    """The header canceled-by-azure-asyncoperation is the URL of the operation that superseded it; other polls have none."""
    client = Client()
    first = client.detach()
    second = client.ask("PUT", NIC_A, {**client.get(NIC_A), "tags": {"a": "b"}})

    url = client.poll(first).headers["canceled-by-azure-asyncoperation"]

    assert f"/operations/{second.headers['x-ms-request-id']}?" in url
    assert client.ask("GET", url.removeprefix("http://127.0.0.1:18080")).json() == {"status": "InProgress"}
    assert "canceled-by-azure-asyncoperation" not in client.poll(second).headers


@pytest.mark.parametrize("target", [NIC_A, PIP, VNET])
def test_an_operation_that_is_canceled_as_planned_names_a_later_one(target: str) -> None:
    """So does one that a fault cancels, and the error names the same operation."""
    client = Client()
    client.script(Match(method="PUT"), fault=Ends(how="canceled"))
    put = client.ask("PUT", target, {**client.get(target), "tags": {"a": "b"}})
    client.clock.advance(10)

    poll = client.poll(put)

    later = poll.json()["error"]["details"][0]["message"].rpartition("(")[2].rstrip(").")
    assert f"/operations/{later}?" in poll.headers["canceled-by-azure-asyncoperation"]


def test_a_scripted_canceled_poll_names_a_later_operation() -> None:
    """A poll that is answered by a planned Canceled has the header, too; one that is answered by Failed has not."""
    client = Client()
    client.script(Match(kind="poll"), fault=Answer(name="Canceled"))
    client.script(Match(kind="poll"), fault=Answer(name="InternalExecutionError"))
    put = client.detach()

    assert "canceled-by-azure-asyncoperation" in client.poll(put).headers
    assert "canceled-by-azure-asyncoperation" not in client.poll(put).headers
