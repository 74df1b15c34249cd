"""NIC documents: what a PUT replaces and what an answer shows."""

from tests.simulator.client import NIC_A, Client, configs


def test_put_replaces_and_keeps_what_it_does_not_know() -> None:
    """A PUT resets absent members to their defaults, keeps unknown members and ignores read-only ones."""
    client = Client()
    nic = client.get(NIC_A)
    nic["properties"].update({"enableIPForwarding": True, "futureThing": {"x": 1}, "macAddress": "00-00"})
    nic["tags"] = {"a": "b"}
    configs(nic)[0]["properties"]["futureToo"] = [1]
    client.ask("PUT", NIC_A, nic)
    client.clock.advance(10)
    shown = client.get(NIC_A)

    assert shown["properties"]["enableIPForwarding"] is True
    assert shown["properties"]["futureThing"] == {"x": 1}
    assert configs(shown)[0]["properties"]["futureToo"] == [1]
    assert shown["properties"]["macAddress"] != "00-00"

    bare = {"location": "eastus", "properties": {"ipConfigurations": configs(shown)}}
    client.ask("PUT", NIC_A, bare)
    client.clock.advance(10)
    shown = client.get(NIC_A)
    assert shown["properties"]["enableIPForwarding"] is False
    assert not {"futureThing", "networkSecurityGroup"} & shown["properties"].keys()
    assert "tags" not in shown
    assert "virtualMachine" in shown["properties"]


def test_the_primary_configuration_comes_first() -> None:
    """The answer shows the primary ip configuration first, whatever the order in the PUT. One PUT can change the primary."""
    client = Client()
    nic = client.get(NIC_A)
    configs(nic).reverse()
    assert [c["name"] for c in configs(client.ask("PUT", NIC_A, nic).json())] == ["ipconfig1", "vip"]

    nic = client.get(NIC_A)
    configs(nic)[0]["properties"]["primary"] = False
    configs(nic)[1]["properties"]["primary"] = True
    assert [c["name"] for c in configs(client.ask("PUT", NIC_A, nic).json())] == ["vip", "ipconfig1"]
