"""The real azure-cli moves a VIP on the simulated Azure, with the commands that sites use today."""

from typing import Any

import pytest

from simulator.state.world import SUBSCRIPTION
from tests.interop.azurecli import Cli
from tests.interop.conftest import Azure

pytestmark = pytest.mark.interop

SYNCHRONOUS = ("nic-a", "nic-b", "10.0.0.100", "pip1")
UPDATING = ("mirrora290_z1", "mirrorb280_z2", "10.0.0.254", "my_vip_ip")


def _configs(nic: Any) -> dict[str, Any]:
    return {c["name"]: c["properties"] for c in nic["properties"]["ipConfigurations"]}


def _rest(nic: Any) -> Any:
    """Everything about a NIC but its ip configurations and etag."""
    properties = {k: v for k, v in nic["properties"].items() if k != "ipConfigurations"}
    return {**nic, "properties": properties, "etag": None}


def _create(nic: str, address: str, public_ip: str) -> tuple[str, ...]:
    named = ("-g", "rg", "--nic-name", nic, "-n", "vip", "--vnet-name", "vnet", "--subnet", "default")
    return ("network", "nic", "ip-config", "create", *named, "--private-ip-address", address,
            "--public-ip-address", public_ip)  # fmt: skip


def test_az_logs_in_with_the_managed_identity(az: Cli) -> None:
    """`az cloud register` and `az login --identity` work, and the subscription is the simulated one."""
    shown = az("account", "show").json()

    assert (shown["id"], shown["environmentName"], shown["state"]) == (SUBSCRIPTION, "Simulated", "Enabled")
    assert shown["user"]["type"] == "servicePrincipal"


@pytest.mark.parametrize(("old", "new", "address", "public_ip"), [SYNCHRONOUS, UPDATING], ids=["at-once", "updating"])
def test_az_moves_the_vip(azure: Azure, az: Cli, old: str, new: str, address: str, public_ip: str) -> None:
    """Delete on the old NIC, create on the new one: both addresses move and nothing else, az prints the new one."""
    before = {name: azure.nic(name) for name in (old, new)}

    deleted = az("network", "nic", "ip-config", "delete", "-g", "rg", "--nic-name", old, "-n", "vip").json()
    between = azure.nic(old)
    printed = az(*_create(new, address, public_ip)).json()

    after = {name: azure.nic(name) for name in (old, new)}
    assert deleted is None
    assert list(_configs(between)) == ["ipconfig1"]
    assert list(_configs(after[old])) == ["ipconfig1"]
    assert list(_configs(after[new])) == ["ipconfig1", "vip"]
    vip = _configs(after[new])["vip"]
    assert (vip["privateIPAddress"], vip["privateIPAllocationMethod"], vip["primary"]) == (address, "Static", False)
    assert vip["publicIPAddress"]["id"].endswith(f"/publicIPAddresses/{public_ip}")
    assert azure.public_ip(public_ip)["properties"]["ipConfiguration"]["id"].endswith(f"{new}/ipConfigurations/vip")
    for name in (old, new):
        assert after[name]["properties"]["provisioningState"] == "Succeeded"
        assert _rest(before[name]) == _rest(after[name])
        assert _configs(before[name])["ipconfig1"] == _configs(after[name])["ipconfig1"]
        assert before[name]["etag"] != after[name]["etag"]
    assert (printed["name"], printed["provisioningState"]) == ("vip", "Succeeded")
    assert (printed["privateIPAddress"], printed["publicIPAddress"]["id"]) == (address, vip["publicIPAddress"]["id"])


def test_az_polls_the_operation_of_a_nic_on_a_running_vm(azure: Azure, az: Cli) -> None:
    """One ip-config command on a VM's NIC is GET, PUT, polls of the operation until it ended, GET."""
    start = azure.now()

    az("network", "nic", "ip-config", "delete", "-g", "rg", "--nic-name", "mirrora290_z1", "-n", "vip").json()

    asked = azure.requests(start)
    kinds = [(e["method"], e["kind"]) for e in asked]
    assert kinds[:2] == [("GET", "nic"), ("PUT", "nic")]
    assert kinds[-1] == ("GET", "nic")
    assert set(kinds[2:-1]) == {("GET", "poll")}
    assert len(kinds) >= 5, "the operation takes 1.5 s, and az looks at once: one look finds it in progress"
    assert all(e["status"] == 200 for e in asked)


def test_create_before_delete_is_refused(azure: Azure, az: Cli) -> None:
    """While the old NIC holds the address, create fails with PrivateIPAddressIsAllocated and exit code 1."""
    before = azure.nic("nic-b")

    refused = az(*_create("nic-b", "10.0.0.100", "pip1"))

    assert refused.code == 1
    assert "(PrivateIPAddressIsAllocated)" in refused.err
    assert "nic-a/ipConfigurations/vip" in refused.err
    assert before == azure.nic("nic-b")


def test_az_says_when_the_address_or_the_nic_is_wrong(az: Cli) -> None:
    """A NIC that is not there ends with ResourceNotFound (exit 3), an address outside the subnet with Azure's code."""
    missing = az("network", "nic", "ip-config", "show", "-g", "rg", "--nic-name", "none", "-n", "vip")
    outside = az(*_create("nic-b", "10.9.0.1", "pip1"))

    assert (missing.code, "(ResourceNotFound)" in missing.err) == (3, True)
    assert (outside.code, "(PrivateIPAddressNotInSubnet)" in outside.err) == (1, True)


def test_az_shows_who_may_not_write(azure: Azure, az: Cli) -> None:
    """Without the right to join the public IP, az prints LinkedAuthorizationFailed and nothing is written."""
    azure.switch(denied=[{"action": "Microsoft.Network/publicIPAddresses/join/action"}])
    before = azure.nic("nic-b")

    refused = az(*_create("nic-b", "10.0.0.200", "pip1"))

    assert refused.code == 1
    assert "(LinkedAuthorizationFailed)" in refused.err
    assert before == azure.nic("nic-b")


def test_the_address_is_held_until_the_release_has_ended(azure: Azure, az: Cli) -> None:
    """After `delete --no-wait` the old NIC no longer shows the VIP, but create is refused until the operation has ended."""
    azure.switch(latency="fixed:3600")
    az("network", "nic", "ip-config", "delete", "-g", "rg", "--nic-name", "mirrora290_z1", "-n", "vip", "--no-wait").json()
    old = azure.nic("mirrora290_z1")

    refused = az(*_create("mirrorb280_z2", "10.0.0.254", "my_vip_ip"))

    assert (old["properties"]["provisioningState"], list(_configs(old))) == ("Updating", ["ipconfig1"])
    assert refused.code == 1
    assert "(PrivateIPAddressIsAllocated)" in refused.err


def test_az_tells_that_an_operation_failed(azure: Azure, az: Cli) -> None:
    """An accepted write whose operation ends Failed: az prints Azure's code and exits with 1, the NIC is left Failed."""
    azure.switch(operation_end="failed-kept")

    failed = az("network", "nic", "ip-config", "delete", "-g", "rg", "--nic-name", "mirrora290_z1", "-n", "vip")

    assert failed.code == 1
    assert "(InternalExecutionError)" in failed.err
    assert azure.nic("mirrora290_z1")["properties"]["provisioningState"] == "Failed"
