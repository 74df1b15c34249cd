"""NICs without a VM in pools and security groups: which writes are asynchronous."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.state.world import World, WorldPlain
from tests.simulator.client import NETWORK, SUBNET, Client, configs

ASG = f"{NETWORK}/applicationSecurityGroups/asg"


def world(sku: str = "Standard") -> World:
    """The default world with a load balancer of this SKU, an application gateway and an application security group."""
    more = (
        WorldPlain(type="Microsoft.Network/loadBalancers", name="lb", document={"sku": {"name": sku}} if sku else {}),
        WorldPlain(type="Microsoft.Network/applicationGateways", name="gw"),
        WorldPlain(type="Microsoft.Network/applicationSecurityGroups", name="asg"),
    )
    default = worlds.default()
    return replace(default, others=(*default.others, *more))


def pool(member: str = "loadBalancerBackendAddressPools") -> dict[str, Any]:
    """The property that puts an ip configuration into a pool or rule."""
    owner = "applicationGateways/gw" if "Gateway" in member else "loadBalancers/lb"
    return {member: [{"id": f"{NETWORK}/{owner}/things/one"}]}


def first(**properties: Any) -> dict[str, Any]:
    """The properties of a NIC with one ip configuration."""
    return {"ipConfigurations": [{"name": "ipconfig1", "properties": {"subnet": {"id": SUBNET}, "primary": True, **properties}}]}


@pytest.mark.parametrize("member", ["loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"])
@pytest.mark.parametrize(("sku", "slow"), [("Standard", True), ("Basic", False), ("Gateway", False), ("", False)])
def test_a_pool_of_a_standard_balancer_makes_writes_asynchronous(sku: str, slow: bool, member: str) -> None:
    """Standard: Updating with an operation URL, whether the NIC joins, stays or leaves. Basic and Gateway: Succeeded at once."""
    client = Client(world=world(sku))
    client.nic("new")

    joins = client.nic("new", properties=first(**pool(member)))
    client.clock.advance(5)
    stays = client.nic("new", properties=first(**pool(member)), tags={"a": "b"})
    client.clock.advance(5)
    leaves = client.nic("new")

    for answer in (joins, stays, leaves):
        assert answer.status == 200
        assert ("azure-asyncoperation" in answer.headers) is slow
        assert answer.json()["properties"]["provisioningState"] == ("Updating" if slow else "Succeeded")


@pytest.mark.parametrize(
    ("member", "sku", "slow"),
    [
        ("loadBalancerBackendAddressPools", "Standard", True),
        ("loadBalancerBackendAddressPools", "Basic", False),
        ("applicationGatewayBackendAddressPools", "Basic", True),
    ],
)
def test_a_nic_may_be_created_in_a_pool(member: str, sku: str, slow: bool) -> None:
    """A creation in a pool of a Standard load balancer or an application gateway is asynchronous, too."""
    created = Client(world=world(sku)).nic("new", properties=first(**pool(member)))

    assert (created.status, "azure-asyncoperation" in created.headers) == (201, slow)


def test_adding_an_application_security_group_is_asynchronous() -> None:
    """Without a VM: Updating with an operation URL and a second etag at its end. A later write with the same group is not."""
    client = Client(world=world())
    created = client.nic("new").json()

    answer = client.nic("new", properties=first(applicationSecurityGroups=[{"id": ASG}]))
    client.clock.advance(5)
    after = client.get(created["id"])

    assert answer.json()["properties"]["provisioningState"] == "Updating"
    assert client.poll(answer).json() == {"status": "Succeeded"}
    assert len({created["etag"], answer.json()["etag"], after["etag"]}) == 3
    assert configs(after)[0]["properties"]["applicationSecurityGroups"] == [{"id": ASG}]
    again = client.nic("new", properties=first(applicationSecurityGroups=[{"id": ASG}]), tags={"a": "b"})
    assert "azure-asyncoperation" not in again.headers
