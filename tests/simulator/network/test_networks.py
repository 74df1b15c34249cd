"""Virtual networks and subnets: what they show of the NICs in them, and CheckIPAddressAvailability."""

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
    assert {"id": f"{NIC_A}/ipConfigurations/vip"} in plain
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
