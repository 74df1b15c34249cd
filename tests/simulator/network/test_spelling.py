"""Azure writes down what a client puts in its own way."""

from typing import Any

import pytest

from tests.simulator.client import NIC_B, NSG, PIP, SUBNET, VNET, Client, configs, error_of, vip


def test_enumerations_are_accepted_in_any_case_and_shown_in_their_own() -> None:
    """`static` is Static, on a NIC and on a public IP; a word that nobody knows stays as it is."""
    client = Client()
    nic = client.get(NIC_B)
    configs(nic).append(vip("10.0.0.77", "", privateIPAllocationMethod="static", privateIPAddressVersion="ipv4"))
    nic["properties"].update({"auxiliaryMode": "none", "auxiliarySku": "A9"})

    shown = client.ask("PUT", NIC_B, nic).json()

    added = configs(shown)[1]["properties"]
    assert (added["privateIPAddress"], added["privateIPAllocationMethod"]) == ("10.0.0.77", "Static")
    assert added["privateIPAddressVersion"] == "IPv4"
    assert (shown["properties"]["auxiliaryMode"], shown["properties"]["auxiliarySku"]) == ("None", "A9")
    body = {"location": "eastus", "sku": {"name": "standard", "tier": "regional"}}
    made = client.ask("PUT", f"{PIP}2", {**body, "properties": {"publicIPAllocationMethod": "STATIC"}}).json()
    assert made["sku"] == {"name": "Standard", "tier": "Regional"}
    assert made["properties"]["publicIPAllocationMethod"] == "Static"


def test_a_static_address_is_checked_however_static_is_spelled() -> None:
    """`static` does not slip past the checks of a static address."""
    client = Client()
    nic = client.get(NIC_B)
    configs(nic).append(vip("10.9.9.9", "", privateIPAllocationMethod="static"))

    assert error_of(client.ask("PUT", NIC_B, nic)) == (400, "PrivateIPAddressNotInSubnet")


def test_references_are_cut_to_their_ids_and_empty_lists_dropped() -> None:
    """A whole resource in place of a reference is shown as its id; an empty list of references is not shown."""
    client = Client()
    nic = client.get(NIC_B)
    whole: dict[str, Any] = {"id": SUBNET, "name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
    configs(nic)[0]["properties"].update(
        {"subnet": whole, "loadBalancerBackendAddressPools": [], "applicationSecurityGroups": [], "futureThings": []}
    )
    nic["properties"]["networkSecurityGroup"] = {"id": NSG, "properties": {"securityRules": []}}
    nic["tags"] = {"a": "b"}

    shown = client.ask("PUT", NIC_B, nic).json()

    first = configs(shown)[0]["properties"]
    assert first["subnet"] == {"id": SUBNET}
    assert not {"loadBalancerBackendAddressPools", "applicationSecurityGroups"} & first.keys()
    assert first["futureThings"] == []
    assert shown["properties"]["networkSecurityGroup"] == {"id": NSG}


def test_pools_are_cut_to_their_ids() -> None:
    """In a list of references, too."""
    client = Client()
    balancer = NSG.replace("networkSecurityGroups/nsg", "loadBalancers/lb")
    client.ask("PUT", balancer, {"location": "eastus"})
    pooled = vip("10.0.0.77", "", loadBalancerBackendAddressPools=[{"id": f"{balancer}/backendAddressPools/p", "name": "p"}])

    shown = client.nic("new", pooled).json()

    assert configs(shown)[1]["properties"]["loadBalancerBackendAddressPools"] == [{"id": f"{balancer}/backendAddressPools/p"}]


def test_a_subnets_references_are_cut() -> None:
    """The security group of a subnet is shown as its id."""
    client = Client()
    vnet = client.get(VNET)
    vnet["properties"]["subnets"][0]["properties"]["networkSecurityGroup"] = {"id": NSG, "location": "eastus"}

    shown = client.ask("PUT", VNET, vnet).json()

    assert shown["properties"]["subnets"][0]["properties"]["networkSecurityGroup"] == {"id": NSG}


@pytest.mark.parametrize("pools", ["x", [1], [{"name": "p"}]])
def test_references_without_an_id_are_refused(pools: Any) -> None:
    """What has no id is a 400."""
    nic = Client().nic("new", vip("10.0.0.77", "", loadBalancerBackendAddressPools=pools))

    assert error_of(nic) == (400, "InvalidRequestFormat:InvalidRequest")
