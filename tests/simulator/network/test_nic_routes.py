"""DELETE and lists of NICs."""

from tests.simulator.client import NIC_A, PIP, Client, error_of, vip


def test_delete_holds_references_until_its_end() -> None:
    """DELETE answers 202 with Location. Until it ends, the public IP cannot be deleted; then Location answers 204."""
    client = Client()
    client.detach()
    client.clock.advance(10)
    nic = client.nic("new", vip())
    assert nic.status == 201

    deleted = client.ask("DELETE", nic.json()["id"])
    location = deleted.headers["location"].removeprefix("http://127.0.0.1:18080")

    assert (deleted.status, deleted.headers["retry-after"], deleted.body) == (202, "4", b"")
    assert client.get(nic.json()["id"])["properties"]["provisioningState"] == "Deleting"
    assert error_of(client.ask("DELETE", PIP)) == (400, "PublicIPAddressCannotBeDeleted")
    assert client.ask("GET", location).status == 202
    client.clock.advance(10)
    assert client.poll(deleted).json() == {"status": "Succeeded"}
    assert client.ask("GET", location).status == 204
    assert error_of(client.ask("GET", nic.json()["id"])) == (404, "ResourceNotFound")
    assert client.ask("DELETE", PIP).status == 202


def test_a_nic_that_is_being_deleted_takes_no_write() -> None:
    """A PUT during the DELETE is refused; after it, a PUT creates a new NIC."""
    client = Client()
    nic = client.nic("new").json()
    client.ask("DELETE", nic["id"])

    assert error_of(client.nic("new")) == (429, "RetryableError:RetryableErrorDueToAnotherOperation")
    client.clock.advance(10)
    assert client.nic("new").status == 201


def test_a_nic_of_a_vm_is_not_deleted() -> None:
    """DELETE of a NIC that belongs to a VM is refused."""
    assert error_of(Client().ask("DELETE", NIC_A)) == (400, "NicInUse")


def test_lists_may_lag_behind() -> None:
    """With list_lag_s a new NIC is missing from lists for that time, but a GET finds it."""
    client = Client(list_lag_s=60)
    nic = client.nic("new").json()
    listed = nic["id"].rpartition("/")[0]

    assert client.get(nic["id"])["name"] == "new"
    assert len(client.get(listed)["value"]) == 2
    client.clock.advance(60)
    assert len(client.get(listed)["value"]) == 3


def test_retry_after_of_a_delete() -> None:
    """4 since 2025, 10 before; a public IP's DELETE still says 10."""
    client = Client()
    client.ask("PUT", f"{PIP}2", {"location": "eastus", "properties": {}})
    client.clock.advance(5)

    def delete(name: str) -> str:
        return client.ask("DELETE", client.nic(name).json()["id"]).headers["retry-after"]

    assert (delete("a"), client.ask("DELETE", f"{PIP}2").headers["retry-after"]) == ("4", "10")
    client.switch(retry_after="flat-10")
    assert delete("b") == "10"
