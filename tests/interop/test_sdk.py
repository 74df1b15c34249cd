"""The published SDK as a second client: it moves a VIP on the simulated Azure as the scripts of sites do."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network import models as network_models

from simulator.state.world import SUBSCRIPTION
from tests.interop.conftest import Azure

models: Any = network_models  # its flattened constructor arguments are unknown to its own type information

pytestmark = pytest.mark.interop

SYNCHRONOUS = ("nic-a", "nic-b", "10.0.0.100", "pip1")
UPDATING = ("mirrora290_z1", "mirrorb280_z2", "10.0.0.254", "my_vip_ip")


@pytest.fixture
def client(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkManagementClient]:
    """A client over https with the managed identity; it looks twice a second instead of every 30 s."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", azure.environment["IDENTITY_ENDPOINT"])
    monkeypatch.setenv("IDENTITY_HEADER", azure.environment["IDENTITY_HEADER"])
    with (
        ManagedIdentityCredential() as credential,
        NetworkManagementClient(
            credential,
            SUBSCRIPTION,
            base_url=azure.tls_url,
            credential_scopes=["https://management.azure.com/.default"],
            connection_verify=azure.environment["REQUESTS_CA_BUNDLE"],
            polling_interval=0.5,
        ) as found,
    ):
        yield found


def _without_vip(nic: Any) -> Any:
    nic.ip_configurations = [c for c in nic.ip_configurations if c.name != "vip"]
    return nic


def _with_vip(nic: Any, address: str, public_ip_id: str) -> Any:
    vip = models.NetworkInterfaceIPConfiguration(
        name="vip",
        subnet=nic.ip_configurations[0].subnet,
        primary=False,
        private_ip_allocation_method="Static",
        private_ip_address=address,
        public_ip_address=models.PublicIPAddress(id=public_ip_id),
    )
    nic.ip_configurations.append(vip)
    return nic


@pytest.mark.parametrize(("old", "new", "address", "public_ip"), [SYNCHRONOUS, UPDATING], ids=["at-once", "updating"])
def test_the_sdk_moves_the_vip(
    azure: Azure, client: NetworkManagementClient, old: str, new: str, address: str, public_ip: str
) -> None:
    """Read, write back without the VIP, wait; read, write back with it, wait: two writes, and the VIP has moved."""
    azure.switch(retry_after="none")
    start = azure.now()
    holder = client.network_interfaces.get("rg", old)
    public_ip_id = next(c.public_ip_address.id for c in holder.ip_configurations if c.name == "vip")

    client.network_interfaces.begin_create_or_update("rg", old, _without_vip(holder)).result()
    claimant = client.network_interfaces.get("rg", new)
    moved = client.network_interfaces.begin_create_or_update("rg", new, _with_vip(claimant, address, public_ip_id)).result()

    vip = next(c for c in moved.ip_configurations if c.name == "vip")
    assert (vip.private_ip_address, vip.public_ip_address.id, vip.primary) == (address, public_ip_id, False)
    assert [c.name for c in client.network_interfaces.get("rg", old).ip_configurations] == ["ipconfig1"]
    assert moved.tags == {"owner": "dba"}
    assert azure.public_ip(public_ip)["properties"]["ipConfiguration"]["id"] == vip.id
    assert [e["method"] for e in azure.requests(start)].count("PUT") == 2


def test_a_stale_etag_is_refused(azure: Azure, client: NetworkManagementClient) -> None:
    """A PUT with the etag of an earlier read answers 412, and the NIC stays as the other writer left it."""
    nic = client.network_interfaces.get("rg", "nic-b")
    client.network_interfaces.begin_create_or_update("rg", "nic-b", nic, headers={"If-Match": nic.etag}).result()
    left = azure.nic("nic-b")

    with pytest.raises(HttpResponseError) as caught:
        client.network_interfaces.begin_create_or_update("rg", "nic-b", nic, headers={"If-Match": nic.etag})

    assert caught.value.status_code == 412
    assert caught.value.error is not None
    assert caught.value.error.code == "PreconditionFailed"
    assert left == azure.nic("nic-b")


def test_an_address_in_use_is_refused(azure: Azure, client: NetworkManagementClient) -> None:
    """Attaching before detaching answers 400 PrivateIPAddressIsAllocated."""
    nic = client.network_interfaces.get("rg", "nic-b")
    pip = azure.public_ip("pip1")["id"]

    with pytest.raises(HttpResponseError) as caught:
        client.network_interfaces.begin_create_or_update("rg", "nic-b", _with_vip(nic, "10.0.0.100", pip))

    assert caught.value.status_code == 400
    assert caught.value.error is not None
    assert caught.value.error.code == "PrivateIPAddressIsAllocated"


def test_a_missing_nic_is_not_found(client: NetworkManagementClient) -> None:
    """The SDK raises its own error type for a NIC that is not there."""
    with pytest.raises(ResourceNotFoundError):
        client.network_interfaces.get("rg", "none")


def test_a_failed_operation_is_seen_by_the_poller(azure: Azure, client: NetworkManagementClient) -> None:
    """An operation that ends Failed raises in the poller with status 200 and Azure's code."""
    azure.switch(retry_after="none", operation_end="failed-kept")
    nic = client.network_interfaces.get("rg", "mirrora290_z1")
    nic.tags = {"changed": "yes"}  # a PUT that changes nothing starts no operation

    with pytest.raises(HttpResponseError) as caught:
        client.network_interfaces.begin_create_or_update("rg", "mirrora290_z1", nic).result()

    assert caught.value.status_code == 200
    assert caught.value.error is not None
    assert caught.value.error.code == "InternalExecutionError"
    assert azure.nic("mirrora290_z1")["properties"]["provisioningState"] == "Failed"


def test_the_sdk_can_ask_for_the_atomic_move(azure: Azure, client: NetworkManagementClient) -> None:
    """The atomic move is refused while the feature is missing, and carries the VIP over when it is there."""
    azure.switch(retry_after="none")
    network = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces"
    request = models.MoveIpConfigurationsRequest(
        move_ip_configuration_items=[
            models.MoveIpConfigurationItem(
                source_ip_configuration=models.SubResource(id=f"{network}/nic-a/ipConfigurations/vip"),
                target_ip_configuration=models.SubResource(id=f"{network}/nic-b/ipConfigurations/vip"),
            )
        ]
    )
    with pytest.raises(HttpResponseError):
        client.virtual_networks.begin_move_ip_configurations("rg", "vnet", request).result()
    azure.switch(move_ip_configurations="all")

    client.virtual_networks.begin_move_ip_configurations("rg", "vnet", request).result()

    names = {n: [c.name for c in client.network_interfaces.get("rg", n).ip_configurations] for n in ("nic-a", "nic-b")}
    assert names == {"nic-a": ["ipconfig1"], "nic-b": ["ipconfig1", "vip"]}
