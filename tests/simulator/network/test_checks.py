"""The checks of a NIC PUT and their order."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.switches import Denial
from simulator.state.world import World, WorldConfig, WorldNic, WorldPlain, WorldPublicIp, WorldVm
from tests.simulator.client import NETWORK, NIC_A, NIC_B, PIP, SUBNET, Client, configs, error_of, vip


def with_more(**members: Any) -> World:
    """The default world with more resources of some kinds."""
    world = worlds.default()
    longer: Any = {name: (*getattr(world, name), *added) for name, added in members.items()}
    return replace(world, **longer)


def put_b(client: Client, *added: dict[str, Any], **properties: Any) -> tuple[int, str]:
    """PUT NIC B with more configurations and properties; returns the error."""
    nic = client.get(NIC_B)
    configs(nic).extend(added)
    nic["properties"].update(properties)
    return error_of(client.ask("PUT", NIC_B, nic))


def test_the_order_of_checks_is_azures() -> None:
    """A PUT with many errors gets the first one in Azure's order; each fix reveals the next one."""
    client = Client(
        world=with_more(
            public_ips=(WorldPublicIp(name="broken", state="Failed"), WorldPublicIp(name="zonal", zones=("1",))),
        ),
        throttling="arm",
        arm_writes=(0.5, 0.01),
        token_expired=True,
        denied=(
            Denial(action="Microsoft.Network/networkInterfaces/write"),
            Denial(action="Microsoft.Network/publicIPAddresses/join/action"),
        ),
        second_put="locked",
    )
    nic = client.ask("GET", NIC_B)
    assert error_of(nic) == (401, "ExpiredAuthenticationToken")
    client.switch(token_expired=False)
    body = client.get(NIC_B)
    client.switch(token_expired=True)
    target = NIC_B.replace("/rg/", "/nowhere/")
    etag = {"if-match": 'W/"stale"'}
    second = vip(pip=f"{NETWORK}/publicIPAddresses/none", primary=False)
    configs(body).append(second)
    configs(body)[0]["properties"]["primary"] = False
    del configs(body)[0]["id"]

    def refused(where: str) -> tuple[int, str]:
        return error_of(client.ask("PUT", where, body, **etag))

    assert refused(target) == (429, "SubscriptionRequestsThrottled")
    client.switch(throttling="off")
    assert refused(target) == (401, "ExpiredAuthenticationToken")
    client.switch(token_expired=False)
    assert refused(target) == (403, "AuthorizationFailed")
    client.switch(denied=client.cloud.switches.denied[1:])
    assert refused(target) == (403, "LinkedAuthorizationFailed")
    client.switch(denied=())
    assert refused(target) == (404, "ResourceGroupNotFound")
    assert refused(NIC_B) == (400, "NetworkInterfaceMustHaveOneOneIPConfigAsPrimary")
    configs(body)[0]["properties"]["primary"] = True
    assert refused(NIC_B) == (412, "PreconditionFailed:PreconditionFailedEtagMismatch")
    etag.clear()
    assert refused(NIC_B) == (400, "InvalidResourceReference")
    second["properties"]["publicIPAddress"]["id"] = f"{NETWORK}/publicIPAddresses/broken"
    assert refused(NIC_B) == (400, "ReferencedResourceNotProvisioned")
    second["properties"]["publicIPAddress"]["id"] = f"{NETWORK}/publicIPAddresses/zonal"
    assert refused(NIC_B)[1] == "ComputeResourceZoneConstraintDoesNotMatchPublicIPAddressZoneConstraint"
    second["properties"]["publicIPAddress"]["id"] = PIP
    assert refused(NIC_B) == (400, "PrivateIPAddressIsAllocated")
    second["properties"]["privateIPAddress"] = "10.0.0.200"
    assert refused(NIC_B) == (400, "PublicIPAddressInUse")
    del second["properties"]["publicIPAddress"]
    assert client.ask("PUT", NIC_B, body).status == 200
    assert refused(NIC_B) == (429, "RetryableError:RetryableErrorDueToAnotherOperation")


@pytest.mark.parametrize(
    ("added", "row"),
    [
        (vip("10.1.0.4", ""), "PrivateIPAddressNotInSubnet"),
        (vip("10.0.0.3", ""), "PrivateIPAddressInReservedRange"),
        (vip("10.0.0.255", ""), "PrivateIPAddressInReservedRange"),
        (vip("", ""), "PrivateIPAddressMissing"),
        (vip("10.0.0.5", ""), "PrivateIPAddressInUse"),
        (vip("10.0.0.254", ""), "PrivateIPAddressIsAllocated"),
        (vip("10.0.0.77", PIP), "PublicIPAddressInUse"),
        (vip("10.0.0.77", NIC_A.replace("networkInterfaces", "publicIPAddresses")), "InvalidResourceReference"),
        (
            vip("10.0.0.77", "", applicationGatewayBackendAddressPools=[{"id": f"{NIC_A}/pools/p"}]),
            "ApplicationGatewayLoadBalancingNotSupportedOnSecondaryIpConfigurations",
        ),
        (vip("10.0.0.77", "", id="x") | {"id": f"{NIC_A}/ipConfigurations/vip"}, "InvalidRequestFormat:InvalidRequest"),
        (vip("nonsense", ""), "InvalidRequestFormat:InvalidRequest"),
        (vip("10.0.0.77", "", name="ipconfig1"), "InvalidRequestFormat:InvalidRequest"),
        (vip("10.0.0.77", "", subnet={"id": SUBNET + "x"}), "InvalidResourceReference"),
    ],
)
def test_a_faulty_configuration_is_refused_and_nothing_changes(added: dict[str, Any], row: str) -> None:
    """Each error in an added ip configuration has its own 400, and the NIC does not change."""
    client = Client()
    before = client.get(NIC_B)

    assert put_b(client, added) == (400, row)
    assert client.get(NIC_B) == before


def test_a_public_ip_twice_in_one_put() -> None:
    """A PUT with the same public IP on two configurations is refused."""
    assert put_b(Client(), vip("10.0.0.77"), vip("10.0.0.78", name="v2")) == (400, "PublicIPReferencedByMultipleIPConfigs")


@pytest.mark.parametrize("change", ["removed", "renamed"])
def test_the_primary_configuration_stays(change: str) -> None:
    """The primary ip configuration can be neither removed nor renamed."""
    client = Client()
    nic = client.get(NIC_A)
    first = configs(nic).pop(0)
    configs(nic)[0]["properties"]["primary"] = True
    if change == "renamed":
        configs(nic).insert(0, {"name": "other", "properties": {**first["properties"], "primary": False}})

    assert error_of(client.ask("PUT", NIC_A, nic)) == (400, "IpConfigDeleteNotSupported")


def test_a_nic_needs_a_configuration_and_a_location() -> None:
    """No ip configuration and no location are refused."""
    client = Client()
    assert error_of(client.ask("PUT", NIC_A, {"location": "eastus", "properties": {}})) == (400, "InvalidIPConfigCount")
    assert error_of(client.ask("PUT", NIC_A, {"properties": {}})) == (400, "LocationRequired")


def test_if_match_may_be_ignored() -> None:
    """If-Match on a NIC is checked unless the switch ignores it; `*` and the current etag pass."""
    client = Client(unchanged_put="rewritten")
    nic = client.get(NIC_B)

    def put(etag: str) -> int:
        client.clock.advance(60)
        return client.ask("PUT", NIC_B, nic, **{"if-match": etag}).status

    assert put(client.get(NIC_B)["etag"]) == 200
    assert put(nic["etag"]) == 412
    assert put("*") == 200
    client.switch(if_match="ignored")
    assert put('W/"anything"') == 200


def test_an_etag_goes_stale_at_completion() -> None:
    """The etag in the answer to a PUT is stale once the operation has ended."""
    client = Client()
    etag = client.detach().json()["etag"]
    client.clock.advance(10)

    assert client.ask("PUT", NIC_A, client.get(NIC_A), **{"if-match": etag}).status == 412


def test_a_reference_that_is_updating_is_a_429() -> None:
    """A reference to a public IP that is being written gets 429 ReferencedResourceNotProvisioned, without Retry-After."""
    client = Client()
    new = f"{NETWORK}/publicIPAddresses/new"
    body = {"location": "eastus", "sku": {"name": "Standard"}, "zones": ["1", "2", "3"], "properties": {}}
    assert client.ask("PUT", new, body).status == 201

    assert put_b(client, vip("10.0.0.77", new)) == (429, "RetryableError:ReferencedResourceNotProvisioned")
    client.clock.advance(1)
    nic = client.get(NIC_B)
    configs(nic).append(vip("10.0.0.77", new))
    assert client.ask("PUT", NIC_B, nic).status == 200


def test_skus_must_agree() -> None:
    """The pool of a Standard balancer refuses a Basic public IP, and an availability set refuses a mix of both."""
    balancer = f"{NETWORK}/loadBalancers/lb"
    world = with_more(
        public_ips=(WorldPublicIp(name="basic", sku="Basic"), WorldPublicIp(name="standard")),
        vms=(WorldVm(name="vm1", availability_set="av1"), WorldVm(name="vm2", availability_set="av1")),
        nics=(
            WorldNic(name="n1", vm="vm1", configs=(WorldConfig(name="c", address="10.0.0.20", public_ip="standard"),)),
            WorldNic(name="n2", vm="vm2", configs=(WorldConfig(name="c", address="10.0.0.21"),)),
        ),
        others=(WorldPlain(type="Microsoft.Network/loadBalancers", name="lb", document={"sku": {"name": "Standard"}}),),
    )
    client = Client(world=world)
    basic = f"{NETWORK}/publicIPAddresses/basic"

    pooled = vip("10.0.0.30", basic, loadBalancerBackendAddressPools=[{"id": f"{balancer}/backendAddressPools/p"}])
    assert error_of(client.nic("alone", pooled)) == (400, "PublicIPAndLBSkuDoNotMatch")
    mixed = client.get(f"{NETWORK}/networkInterfaces/n2")
    configs(mixed)[0]["properties"]["publicIPAddress"] = {"id": basic}
    answer = client.ask("PUT", mixed["id"], mixed)
    assert error_of(answer) == (400, "DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed")


def test_a_reserved_nic_is_refused() -> None:
    """A NIC that is reserved for another VM answers NicReservedForAnotherVm until the reservation ends."""
    client = Client()
    client.cloud.nic_named("mirrorb280_z2").reserved_until = client.clock() + 180

    assert put_b(client) == (400, "NicReservedForAnotherVm")


@pytest.mark.parametrize(
    ("public_ip", "code"),
    [
        ({"nat_gateway": f"{NETWORK}/natGateways/nat"}, "PublicIPAddressInUse"),
        ({"version": "IPv6"}, "IPVersionForPublicIpAndNicIpConfigurationMustMatch"),
        ({"location": "westus"}, "InvalidResourceReference"),
    ],
)
def test_a_public_ip_that_the_nic_cannot_have(public_ip: dict[str, Any], code: str) -> None:
    """A public IP of a NAT gateway, of the other IP version or of another region is refused; its document shows why."""
    client = Client(world=with_more(public_ips=(WorldPublicIp(name="other", **public_ip),)))
    pip = f"{NETWORK}/publicIPAddresses/other"

    assert put_b(client, vip("10.0.0.77", pip=pip, primary=False)) == (400, code)
    shown = client.get(pip)
    assert shown["properties"].get("natGateway", {}).get("id") == public_ip.get("nat_gateway")
    assert shown["properties"]["publicIPAddressVersion"] == public_ip.get("version", "IPv4")
    assert shown["location"] == public_ip.get("location", "eastus")


def test_a_nic_with_too_many_configurations() -> None:
    """A NIC has at most 256 ip configurations."""
    client = Client()

    added = [vip(f"10.0.1.{number}", name=f"c{number}", pip="", primary=False) for number in range(256)]

    assert put_b(client, *added) == (400, "NetworkInterfaceIPConfigurationLimitExceeded")


@pytest.mark.parametrize(
    ("extra", "action"),
    [
        ({"gatewayLoadBalancer": {"id": f"{NETWORK}/loadBalancers/lb/frontendIPConfigurations/f"}}, "frontendIPConfigurations"),
        ({"virtualNetworkTaps": [{"id": f"{NETWORK}/virtualNetworkTaps/tap"}]}, "virtualNetworkTaps"),
    ],
)
def test_a_gateway_load_balancer_and_a_tap_need_rights(extra: dict[str, Any], action: str) -> None:
    """What an ip configuration refers to needs a right of its own, and has to exist."""
    client = Client(denied=(Denial(action=f"Microsoft.Network/*{action}/join/action"),))
    nic = client.get(NIC_B)
    configs(nic)[0]["properties"].update(extra)

    assert error_of(client.ask("PUT", NIC_B, nic)) == (403, "LinkedAuthorizationFailed")
    client.switch(denied=())
    assert error_of(client.ask("PUT", NIC_B, nic)) == (400, "InvalidResourceReference")
