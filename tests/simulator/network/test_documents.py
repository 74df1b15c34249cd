"""NIC documents: what a PUT replaces and what an answer shows."""

from dataclasses import replace
from typing import Any

from simulator import worlds
from simulator.state.world import WorldConfig, WorldNic
from tests.simulator.client import NETWORK, NIC_A, NIC_B, SUBNET, Client, configs, error_of


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


def bare(name: str = "bare") -> dict[str, Any]:
    """An ip configuration without subnet and address."""
    return {"name": name, "properties": {"primary": False}}


def test_a_configuration_without_subnet_and_address_is_accepted() -> None:
    """It is shown without both, keeps them away in later writes, holds nothing, and can be given a subnet later."""
    client = Client()
    nic = client.get(NIC_B)
    configs(nic).append(bare())

    assert client.ask("PUT", NIC_B, nic).status == 200
    client.clock.advance(10)
    shown = client.get(NIC_B)
    assert not {"subnet", "privateIPAddress"} & configs(shown)[1]["properties"].keys()
    assert client.ask("PUT", NIC_B, shown).json() == shown
    assert len(client.get(SUBNET)["properties"]["ipConfigurations"]) == 3
    assert [held.what for held in client.cloud.ledger.log if held.config == "bare"] == []

    configs(shown)[1]["properties"]["subnet"] = {"id": SUBNET}
    assert configs(client.ask("PUT", NIC_B, shown).json())[1]["properties"]["privateIPAddress"] == "10.0.0.6"
    client.clock.advance(10)
    del configs(shown)[1]
    assert client.ask("PUT", NIC_B, shown).status == 200


def test_two_nics_may_have_a_configuration_without_subnet() -> None:
    """Such configurations do not get into each other's way, on one NIC or on several; a NIC may have nothing else."""
    client = Client()

    assert client.nic("new", bare("a"), bare("b")).status == 201
    alone = {"name": "only", "properties": {}}
    nic = client.ask("PUT", f"{NIC_B}2", {"location": "eastus", "properties": {"ipConfigurations": [alone]}})
    assert (nic.status, configs(nic.json())[0]["properties"]["primary"]) == (201, True)
    client.cloud.stranger(client.cloud.nic_named("mirrorb280_z22"), "adds-config")
    assert client.ask("DELETE", nic.json()["id"]).status == 202


def test_a_static_address_needs_a_subnet() -> None:
    """An address without a subnet is refused."""
    address = {"privateIPAddress": "10.0.0.77", "privateIPAllocationMethod": "Static"}
    answer = Client().nic("new", {"name": "c", "properties": address})

    assert error_of(answer) == (400, "InvalidRequestFormat:InvalidRequest")


def test_a_world_may_hold_a_configuration_without_subnet() -> None:
    """Seeded by its parts or by a document, it reads as it was given."""
    nics = (
        WorldNic(name="parts", configs=(WorldConfig(name="c", subnet=""),)),
        WorldNic(name="whole", document={"properties": {"ipConfigurations": [{"name": "c", "properties": {"primary": True}}]}}),
    )
    client = Client(world=replace(worlds.default(), nics=nics))

    for name in ("parts", "whole"):
        shown = configs(client.get(f"{NETWORK}/networkInterfaces/{name}"))[0]["properties"]
        assert not {"subnet", "privateIPAddress"} & shown.keys()


def test_only_the_first_nic_of_a_vm_is_primary() -> None:
    """`primary` is true on a VM's first NIC and false on its second, unless the world's document says otherwise."""
    nics = tuple(
        WorldNic(name=name, vm=vm, configs=(WorldConfig(name="c"),), document=document)
        for name, vm, document in (
            ("a1", "MIRRORA", {}),
            ("a2", "MIRRORA", {}),
            ("b1", "MIRRORB", {"properties": {"primary": False}}),
            ("b2", "MIRRORB", {"properties": {"primary": True}}),
            ("free", "", {}),
        )
    )
    client = Client(world=replace(worlds.default(), nics=nics))

    shown = [client.get(f"{NETWORK}/networkInterfaces/{nic.name}")["properties"].get("primary") for nic in nics]

    assert shown == [True, False, False, True, None]


def test_default_outbound_connectivity_is_shown_since_2025_03_01() -> None:
    """`defaultOutboundConnectivityEnabled` is in answers at that api-version and later, and ignored in a PUT."""
    client = Client()

    def shown(version: str) -> Any:
        nic = client.get(f"{NIC_A}?api-version={version}")
        return nic["properties"].get("defaultOutboundConnectivityEnabled")

    assert (shown("2025-01-01"), shown("2025-03-01"), shown("2026-03-01")) == (None, False, False)
    nic = client.get(f"{NIC_A}?api-version=2026-03-01")
    assert client.ask("PUT", f"{NIC_A}?api-version=2026-03-01", nic).json() == nic
