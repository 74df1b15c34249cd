"""What a NIC PUT is refused for, and in which order."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.switches import Denial
from simulator.state.world import World, WorldConfig, WorldNic, WorldPlain, WorldPublicIp, WorldVm
from tests.simulator.desk import NETWORK, NIC_A, NIC_B, PIP, SUBNET, Desk, configs, error_of, vip


def with_more(**members: Any) -> World:
    """The default world with more resources of some kinds."""
    world = worlds.default()
    longer: Any = {name: (*getattr(world, name), *added) for name, added in members.items()}
    return replace(world, **longer)


def put_b(desk: Desk, *added: dict[str, Any], **properties: Any) -> tuple[int, str]:
    """PUT NIC B with more configurations and properties; what it was refused with."""
    nic = desk.get(NIC_B)
    configs(nic).extend(added)
    nic["properties"].update(properties)
    return error_of(desk.ask("PUT", NIC_B, nic))


def test_the_order_of_checks_is_azures() -> None:
    """Of many faults in one PUT the first in the order is answered; each one cured lets the next one show."""
    desk = Desk(
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
    nic = desk.ask("GET", NIC_B)
    assert error_of(nic) == (401, "ExpiredAuthenticationToken")
    desk.switch(token_expired=False)
    body = desk.get(NIC_B)
    desk.switch(token_expired=True)
    target = NIC_B.replace("/rg/", "/nowhere/")
    etag = {"if-match": 'W/"stale"'}
    second = vip(pip=f"{NETWORK}/publicIPAddresses/none", primary=False)
    configs(body).append(second)
    configs(body)[0]["properties"]["primary"] = False
    del configs(body)[0]["id"]

    def refused(where: str) -> tuple[int, str]:
        return error_of(desk.ask("PUT", where, body, **etag))

    assert refused(target) == (429, "SubscriptionRequestsThrottled")
    desk.switch(throttling="off")
    assert refused(target) == (401, "ExpiredAuthenticationToken")
    desk.switch(token_expired=False)
    assert refused(target) == (403, "AuthorizationFailed")
    desk.switch(denied=desk.cloud.switches.denied[1:])
    assert refused(target) == (403, "LinkedAuthorizationFailed")
    desk.switch(denied=())
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
    assert desk.ask("PUT", NIC_B, body).status == 200
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
            vip("10.0.0.77", "", applicationGatewayBackendAddressPools=[]),
            "ApplicationGatewayLoadBalancingNotSupportedOnSecondaryIpConfigurations",
        ),
        (vip("10.0.0.77", "", id="x") | {"id": f"{NIC_A}/ipConfigurations/vip"}, "InvalidRequestFormat:InvalidRequest"),
        (vip("nonsense", ""), "InvalidRequestFormat:InvalidRequest"),
        (vip("10.0.0.77", "", name="ipconfig1"), "InvalidRequestFormat:InvalidRequest"),
        (vip("10.0.0.77", "", subnet={"id": SUBNET + "x"}), "InvalidResourceReference"),
    ],
)
def test_a_faulty_configuration_is_refused_and_nothing_changes(added: dict[str, Any], row: str) -> None:
    """Each fault of an added ip configuration has its own 400, and the NIC stays as it was."""
    desk = Desk()
    before = desk.get(NIC_B)

    assert put_b(desk, added) == (400, row)
    assert desk.get(NIC_B) == before


def test_a_public_ip_twice_in_one_put() -> None:
    """The same public IP on two configurations of one PUT is refused."""
    assert put_b(Desk(), vip("10.0.0.77"), vip("10.0.0.78", name="v2")) == (400, "PublicIPReferencedByMultipleIPConfigs")


@pytest.mark.parametrize("change", ["removed", "renamed"])
def test_the_primary_configuration_stays(change: str) -> None:
    """The primary ip configuration can be neither removed nor renamed."""
    desk = Desk()
    nic = desk.get(NIC_A)
    first = configs(nic).pop(0)
    configs(nic)[0]["properties"]["primary"] = True
    if change == "renamed":
        configs(nic).insert(0, {"name": "other", "properties": {**first["properties"], "primary": False}})

    assert error_of(desk.ask("PUT", NIC_A, nic)) == (400, "IpConfigDeleteNotSupported")


def test_a_nic_needs_a_configuration_and_a_location() -> None:
    """No ip configuration and no location are refused."""
    desk = Desk()
    assert error_of(desk.ask("PUT", NIC_A, {"location": "eastus", "properties": {}})) == (400, "InvalidIPConfigCount")
    assert error_of(desk.ask("PUT", NIC_A, {"properties": {}})) == (400, "LocationRequired")


def test_if_match_may_be_ignored() -> None:
    """If-Match on a NIC is honoured, or with the switch ignored; `*` and the present etag always pass."""
    desk = Desk()
    nic = desk.get(NIC_B)

    def put(etag: str) -> int:
        desk.clock.advance(60)
        return desk.ask("PUT", NIC_B, nic, **{"if-match": etag}).status

    assert put(desk.get(NIC_B)["etag"]) == 200
    assert put(nic["etag"]) == 412
    assert put("*") == 200
    desk.switch(if_match="ignored")
    assert put('W/"anything"') == 200


def test_an_etag_goes_stale_at_completion() -> None:
    """The etag of the PUT's own answer is not the NIC's any more once the operation has ended."""
    desk = Desk()
    etag = desk.detach().json()["etag"]
    desk.clock.advance(10)

    assert desk.ask("PUT", NIC_A, desk.get(NIC_A), **{"if-match": etag}).status == 412


def test_a_reference_that_is_updating_is_a_429() -> None:
    """A public IP that is being written is 429 ReferencedResourceNotProvisioned, without Retry-After."""
    desk = Desk()
    new = f"{NETWORK}/publicIPAddresses/new"
    body = {"location": "eastus", "sku": {"name": "Standard"}, "zones": ["1", "2", "3"], "properties": {}}
    assert desk.ask("PUT", new, body).status == 201

    assert put_b(desk, vip("10.0.0.77", new)) == (429, "RetryableError:ReferencedResourceNotProvisioned")
    desk.clock.advance(1)
    nic = desk.get(NIC_B)
    configs(nic).append(vip("10.0.0.77", new))
    assert desk.ask("PUT", NIC_B, nic).status == 200


def test_skus_must_agree() -> None:
    """A Standard balancer's pool takes no Basic public IP, and an availability set no mix of the two."""
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
    desk = Desk(world=world)
    basic = f"{NETWORK}/publicIPAddresses/basic"

    pooled = vip("10.0.0.30", basic, loadBalancerBackendAddressPools=[{"id": f"{balancer}/backendAddressPools/p"}])
    assert error_of(desk.nic("alone", pooled)) == (400, "PublicIPAndLBSkuDoNotMatch")
    mixed = desk.get(f"{NETWORK}/networkInterfaces/n2")
    configs(mixed)[0]["properties"]["publicIPAddress"] = {"id": basic}
    answer = desk.ask("PUT", mixed["id"], mixed)
    assert error_of(answer) == (400, "DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed")


def test_a_reserved_nic_is_refused() -> None:
    """A NIC held for a failed VM create answers NicReservedForAnotherVm until the time is over."""
    desk = Desk()
    desk.cloud.nic_named("mirrorb280_z2").reserved_until = desk.clock() + 180

    assert put_b(desk) == (400, "NicReservedForAnotherVm")


@pytest.mark.parametrize(
    ("action", "scope"),
    [
        ("Microsoft.Network/virtualNetworks/subnets/join/action", SUBNET),
        ("Microsoft.Network/publicIPAddresses/join/action", PIP),
        ("Microsoft.Network/networkSecurityGroups/join/action", f"{NETWORK}/networkSecurityGroups/nsg"),
    ],
)
def test_every_referenced_id_needs_its_join(action: str, scope: str) -> None:
    """A missing join right on any referenced id is LinkedAuthorizationFailed that names action and scope."""
    desk = Desk(denied=(Denial(action=action, scope=scope),))

    answer = desk.attach()

    assert error_of(answer) == (403, "LinkedAuthorizationFailed")
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    message = answer.json()["error"]["message"]
    assert f"'{action}'" in message
    assert f"'{scope}'" in message
    shown = desk.get(f"{scope}/providers/Microsoft.Authorization/permissions")["value"]
    assert shown[0]["notActions"] == [action]


def test_a_role_of_few_actions() -> None:
    """With `granted` only what the role lists is allowed, and the permissions answer shows the role."""
    role = ("Microsoft.Network/networkInterfaces/read", "Microsoft.Authorization/*")
    desk = Desk(granted=role)

    assert desk.ask("GET", NIC_A).status == 200
    assert error_of(desk.ask("GET", PIP)) == (403, "AuthorizationFailed")
    assert desk.get(f"{NIC_A}/providers/Microsoft.Authorization/permissions")["value"][0]["actions"] == list(role)


def test_bodies_and_paths_that_are_no_arm_are_refused_by_the_gateway() -> None:
    """Broken JSON, a missing api-version, an unknown path, method, resource, group and subscription have their own answers."""
    desk = Desk()
    ask = desk.ask

    def raw(method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        from simulator.core.wire import Request
        from simulator.front.front import handle

        sent = {"authorization": desk.cloud.bearer(), **headers}
        return error_of(handle(desk.cloud, Request(method, target, sent, body)))

    assert raw("PUT", f"{NIC_A}?api-version=2024-05-01", b"{") == (400, "InvalidRequestContent")
    assert raw("GET", NIC_A) == (400, "MissingApiVersionParameter")
    assert raw("GET", "/nothing") == (404, "HttpResourceNotFound")
    assert error_of(ask("POST", NIC_A)) == (405, "MethodNotAllowed")
    assert error_of(ask("GET", NIC_A + "x")) == (404, "ResourceNotFound")
    assert error_of(ask("GET", NIC_A.replace("/rg/", "/rx/"))) == (404, "ResourceGroupNotFound")
    assert error_of(ask("GET", NIC_A.replace("0000-0000", "0000-0001"))) == (404, "SubscriptionNotFound")
    assert raw("GET", f"{NIC_A}?api-version=2024-05-01", authorization="Bearer x") == (401, "InvalidAuthenticationToken")
    assert raw("GET", f"{NIC_A}?api-version=2024-05-01", authorization="") == (401, "InvalidAuthenticationToken")
