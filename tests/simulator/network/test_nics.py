"""The life cycle of a NIC: writes are accepted, superseded, refused or fail."""

import pytest

from simulator.core.faults import Ends, Match
from tests.simulator.client import NIC_A, Client, configs, error_of

PUT = Match(method="PUT", kind="nic")


def test_update_without_a_vm_is_synchronous_with_one_new_etag() -> None:
    """A PUT of an unattached NIC answers 200 Succeeded without operation URL, and a GET shows the etag of the PUT."""
    client = Client()
    created = client.nic("new").json()

    answer = client.nic("new", tags={"a": "b"})

    assert (answer.status, "azure-asyncoperation" in answer.headers) == (200, False)
    assert answer.json()["etag"] != created["etag"]
    assert client.get(created["id"])["etag"] == answer.json()["etag"]


def test_put_on_a_running_vm_is_updating_with_the_new_content_and_two_etags() -> None:
    """200 with an operation URL; the body and a GET show the new content as Updating; the end gives another etag."""
    client = Client()
    before = client.get(NIC_A)

    answer = client.detach()
    shown = client.get(NIC_A)
    client.clock.advance(10)
    after = client.get(NIC_A)

    assert answer.status == 200
    assert answer.json() == shown
    assert [c["name"] for c in configs(shown)] == ["ipconfig1"]
    assert shown["properties"]["provisioningState"] == configs(shown)[0]["properties"]["provisioningState"] == "Updating"
    assert after["properties"]["provisioningState"] == "Succeeded"
    assert len({before["etag"], shown["etag"], after["etag"]}) == 3
    assert configs(after)[0]["etag"] == after["etag"]


def test_a_failed_nic_is_repaired_by_putting_it_again() -> None:
    """A PUT of an unchanged Failed NIC ends in Succeeded."""
    client = Client()
    client.script(PUT, fault=Ends(how="failed-kept"))
    client.detach()
    client.clock.advance(10)

    assert client.ask("PUT", NIC_A, client.get(NIC_A)).status == 200
    client.clock.advance(10)
    assert client.get(NIC_A)["properties"]["provisioningState"] == "Succeeded"


def test_a_second_put_supersedes_the_first() -> None:
    """Polls of the first operation say Canceled and name both; the later content wins; no address is freed in between."""
    client = Client()
    first = client.detach()
    client.clock.advance(5)

    again = client.get(NIC_A)
    again["tags"] = {"by": "somebody"}
    second = client.ask("PUT", NIC_A, again)
    client.clock.advance(6)

    error = client.poll(first).json()["error"]
    assert error["details"][0]["code"] == "CanceledAndSupersededDueToAnotherOperation"
    assert second.headers["x-ms-request-id"] in error["details"][0]["message"]
    assert client.poll(second).json() == {"status": "InProgress"}
    assert error_of(client.attach()) == (400, "PrivateIPAddressIsAllocated")
    client.clock.advance(4)
    assert client.poll(second).json() == {"status": "Succeeded"}
    assert client.attach().status == 200


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("locked", (429, "RetryableError:RetryableErrorDueToAnotherOperation")),
        ("conflict", (409, "AnotherOperationInProgress")),
    ],
)
def test_a_second_put_may_be_refused_instead(switch: str, expected: tuple[int, str]) -> None:
    """With second_put=locked or conflict the second PUT is refused and the running operation continues."""
    client = Client(second_put=switch)
    first = client.detach()

    second = client.ask("PUT", NIC_A, client.get(NIC_A))

    assert error_of(second) == expected
    client.clock.advance(10)
    assert client.poll(first).json() == {"status": "Succeeded"}


@pytest.mark.parametrize(
    ("state", "at_once", "after", "final"),
    [
        ("deallocated", True, 0, "Succeeded"),
        ("zone-dead-a", False, 10, "Succeeded"),
        ("zone-dead-b", False, 300, "Failed"),
        ("zone-dead-c", False, 900, "Succeeded"),
        ("deleting", False, 2, "Failed"),
    ],
)
def test_the_state_of_the_vm_decides(state: str, at_once: bool, after: float, final: str) -> None:
    """A deallocated VM makes a write synchronous; in a dead zone it is slow or fails; on a VM being deleted it fails."""
    client = Client(vm_state={"MIRRORA": state})

    answer = client.detach()

    assert ("azure-asyncoperation" not in answer.headers) is at_once
    if after:
        client.clock.advance(after - 0.5)
        assert client.get(NIC_A)["properties"]["provisioningState"] == "Updating"
        client.clock.advance(0.5)
    nic = client.get(NIC_A)
    assert nic["properties"]["provisioningState"] == final
    assert [c["name"] for c in configs(nic)] == ["ipconfig1"]
