"""Public IPs: their etags, their addresses, and the NIC they show."""

from tests.simulator.client import NIC_A, PIP, Client, error_of


def test_public_ip_changes_when_the_nic_operation_ends() -> None:
    """The public IP's etag and `ipConfiguration` change at the end of the NIC's operation, although nobody put the public IP."""
    client = Client()
    before = client.get(PIP)

    client.detach()
    during = client.get(PIP)
    client.clock.advance(10)
    after = client.get(PIP)

    assert during == before
    assert before["properties"]["ipConfiguration"]["id"] == f"{NIC_A}/ipConfigurations/vip"
    assert "ipConfiguration" not in after["properties"]
    assert after["etag"] != before["etag"]


def test_a_public_ip_has_two_etags_per_write() -> None:
    """The etag changes at acceptance and at completion; a PUT can neither attach nor detach."""
    client = Client()
    before = client.get(PIP)
    changed = {**before, "properties": {**before["properties"], "idleTimeoutInMinutes": 7, "ipConfiguration": None}}

    put = client.ask("PUT", PIP, changed)
    client.clock.advance(1)
    after = client.get(PIP)

    assert put.status == 200
    assert len({before["etag"], put.json()["etag"], after["etag"]}) == 3
    assert after["properties"]["idleTimeoutInMinutes"] == 7
    assert after["properties"]["ipConfiguration"] == before["properties"]["ipConfiguration"]


def test_a_dynamic_public_ip_has_an_address_only_while_attached() -> None:
    """A dynamic public IP that is not attached shows no ipAddress."""
    client = Client()
    client.ask("PUT", PIP + "2", {"location": "eastus", "properties": {}})
    client.clock.advance(5)

    assert "ipAddress" not in client.get(PIP + "2")["properties"]


def test_patch_replaces_the_tags_of_a_public_ip() -> None:
    """PATCH answers 200 at once with the new tags and a new etag; nothing else changes. An unknown public IP is a 404."""
    client = Client()
    before = client.get(PIP)

    answer = client.ask("PATCH", PIP, {"tags": {"a": "b"}})

    assert (answer.status, "azure-asyncoperation" in answer.headers) == (200, False)
    after = client.get(PIP)
    assert after == answer.json()
    assert after["tags"] == {"a": "b"}
    assert after["etag"] != before["etag"]
    assert after["properties"] == before["properties"]
    assert error_of(client.ask("PATCH", f"{PIP}x", {"tags": {}})) == (404, "ResourceNotFound")
