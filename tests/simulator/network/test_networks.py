"""Virtual networks and subnets: what they show of the NICs in them, and CheckIPAddressAvailability."""

from simulator.state.world import SUBSCRIPTION
from tests.simulator.client import NIC_A, SUBNET, VNET, Client, error_of


def test_vnet_changes_its_etag_with_the_addresses_in_it() -> None:
    """An address that a NIC frees gives the virtual network a new etag."""
    client = Client()
    before = client.get(VNET)["etag"]

    client.detach()
    client.clock.advance(10)

    assert client.get(VNET)["etag"] != before


def test_subnet_lists_who_holds_addresses() -> None:
    """GET of the subnet with $expand shows every ip configuration, including one that is being released."""
    client = Client()
    client.detach()
    expanded = client.get(f"{SUBNET}?$expand=ipConfigurations")["properties"]["ipConfigurations"]
    plain = client.get(SUBNET)["properties"]["ipConfigurations"]

    assert {c["properties"]["privateIPAddress"] for c in expanded} == {"10.0.0.4", "10.0.0.5", "10.0.0.254"}
    upper = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/RG/providers/Microsoft.Network/networkInterfaces/MIRRORA290_Z1"
    assert {"id": f"{upper}/ipConfigurations/VIP"} in plain
    client.clock.advance(10)
    assert len(client.get(SUBNET)["properties"]["ipConfigurations"]) == 2


def test_check_ip_address_availability() -> None:
    """CheckIPAddressAvailability distinguishes free, taken and reserved addresses, and refuses one outside all subnets."""
    client = Client()
    url = f"{VNET}/CheckIPAddressAvailability?ipAddress="

    assert client.get(url + "10.0.0.77") == {"available": True, "isPlatformReserved": False}
    taken = client.get(url + "10.0.0.254")
    assert taken["available"] is False
    assert taken["availableIPAddresses"][0] == "10.0.0.6"
    assert client.get(url + "10.0.0.1")["isPlatformReserved"] is True
    assert error_of(client.ask("GET", url + "10.9.9.9")) == (400, "PrivateIPAddressNotInAnySubnet")


def test_ids_of_2024_are_in_upper_case_and_older_ones_as_named() -> None:
    """A subnet shows group, NIC and configuration in upper case since 2024; in its virtual network, too. A switch undoes it."""
    client = Client()

    def shown() -> set[str]:
        listed = client.get(SUBNET)["properties"]["ipConfigurations"]
        assert client.get(VNET)["properties"]["subnets"][0]["properties"]["ipConfigurations"] == listed
        return {config["id"] for config in listed}

    upper = shown()
    client.switch(subnet_config_ids="as-named")

    assert f"{NIC_A}/ipConfigurations/vip" in shown()
    assert {one.lower() for one in upper} == {one.lower() for one in shown()}
    assert all("/resourceGroups/RG/" in one and one.rpartition("/")[2].isupper() for one in upper)


def test_a_subnets_own_etag_stays_when_a_nic_takes_or_frees_an_address() -> None:
    """Since 2025 only the virtual network gets a new etag; in 2019 its subnets showed the same one."""
    client = Client()
    vnet, subnet = client.get(VNET)["etag"], client.get(SUBNET)["etag"]

    client.detach()
    client.clock.advance(10)

    assert client.get(SUBNET)["etag"] == subnet
    assert client.get(VNET)["etag"] != vnet
    client.switch(subnet_etag="of-vnet")
    client.attach()
    assert client.get(SUBNET)["etag"] == client.get(VNET)["etag"] != subnet


def test_patch_replaces_the_tags_of_a_virtual_network() -> None:
    """PATCH answers 200 at once with the new tags and a new etag; nothing else changes. An unknown network is a 404."""
    client = Client()
    before = client.get(VNET)

    answer = client.ask("PATCH", VNET, {"tags": {"a": "b"}})

    assert (answer.status, "azure-asyncoperation" in answer.headers) == (200, False)
    after = client.get(VNET)
    assert after == answer.json()
    assert after["tags"] == {"a": "b"}
    assert after["etag"] != before["etag"]
    assert after["properties"] == before["properties"]
    assert error_of(client.ask("PATCH", f"{VNET}x", {"tags": {}})) == (404, "ResourceNotFound")


def test_a_subnet_in_use_is_named_as_it_was_created() -> None:
    """The refusal to delete a subnet names an ip configuration by its own id."""
    refused = Client().ask("DELETE", SUBNET)

    assert error_of(refused) == (400, "InUseSubnetCannotBeDeleted")
    assert f"{NIC_A}/ipConfigurations/" in refused.json()["error"]["message"]
