"""Resource groups, subscriptions and endpoints."""

from tests.simulator.client import GROUP, NIC_A, Client


def test_resource_groups_and_subscriptions_as_az_asks_for_them() -> None:
    """Groups, subscriptions and endpoints read in ARM's form; paths ignore case."""
    client = Client()

    assert client.get("/subscriptions")["value"][0]["state"] == "Enabled"
    assert client.get(GROUP.replace("resourceGroups", "resourcegroups"))["name"] == "rg"
    assert [g["name"] for g in client.get(GROUP.rpartition("/")[0])["value"]] == ["rg"]
    assert client.get("/metadata/endpoints")["resourceManager"] == "http://127.0.0.1:18080"
    assert client.get(NIC_A.upper().replace("SUBSCRIPTIONS", "subscriptions"))["name"] == "mirrora290_z1"
    created = client.ask("PUT", GROUP + "2", {"location": "westus"})
    assert (created.status, created.json()["location"]) == (201, "westus")
    assert client.ask("HEAD", GROUP + "3").status == 404
