"""The server: real connections and real clients."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity.aio import ManagedIdentityCredential
from azure.mgmt.network.aio import NetworkManagementClient

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core.faults import Lost, Match
from simulator.core.switches import Switches
from simulator.server import Edge, running
from simulator.state.clock import ScaledClock
from simulator.state.world import SUBSCRIPTION
from tests.simulator.client import NIC_A

HTTP = {"enforce_https": False}


@pytest.fixture
async def sdk(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Microsoft's SDK with a managed identity, polling every 0.05 s."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", edge.environment()["IDENTITY_ENDPOINT"])
    monkeypatch.setenv("IDENTITY_HEADER", edge.environment()["IDENTITY_HEADER"])
    async with (
        ManagedIdentityCredential() as credential,
        NetworkManagementClient(credential, SUBSCRIPTION, base_url=edge.url, polling_interval=0.05, retry_total=0) as made,
    ):
        yield made


async def test_the_sdk_moves_the_vip(sdk: Any) -> None:
    """GET, PUT with If-Match and polls of azure-mgmt-network on both NICs move the VIP and its public IP to B."""
    nics = sdk.network_interfaces
    a = await nics.get("rg", "mirrora290_z1", **HTTP)
    vip = a.ip_configurations.pop(1)
    poller = await nics.begin_create_or_update("rg", a.name, a, headers={"If-Match": a.etag}, **HTTP)
    released = await poller.result()
    b = await nics.get("rg", "mirrorb280_z2", **HTTP)
    vip.id = None
    b.ip_configurations.append(vip)
    poller = await nics.begin_create_or_update("rg", b.name, b, headers={"If-Match": b.etag}, **HTTP)
    attached = await poller.result()
    pip = await sdk.public_ip_addresses.get("rg", "my_vip_ip", **HTTP)

    assert released.provisioning_state == attached.provisioning_state == "Succeeded"
    assert released.network_security_group.id == a.network_security_group.id
    assert [c.name for c in attached.ip_configurations] == ["ipconfig1", "vip"]
    assert pip.ip_configuration.id == attached.ip_configurations[1].id


async def test_the_sdk_sees_refusals_as_azures(sdk: Any) -> None:
    """A stale etag gets 412 PreconditionFailed, a taken address 400 PrivateIPAddressIsAllocated."""
    nics = sdk.network_interfaces
    a, b = await nics.get("rg", "mirrora290_z1", **HTTP), await nics.get("rg", "mirrorb280_z2", **HTTP)
    with pytest.raises(HttpResponseError) as stale:
        await nics.begin_create_or_update("rg", a.name, a, headers={"If-Match": b.etag}, **HTTP)
    vip = a.ip_configurations[1]
    vip.id = None
    b.ip_configurations.append(vip)
    with pytest.raises(HttpResponseError) as taken:
        await nics.begin_create_or_update("rg", b.name, b, **HTTP)

    assert (stale.value.status_code, getattr(stale.value.error, "code", "")) == (412, "PreconditionFailed")
    assert (taken.value.status_code, getattr(taken.value.error, "code", "")) == (400, "PrivateIPAddressIsAllocated")


async def test_the_sdk_creates_and_deletes(edge: Edge, sdk: Any) -> None:
    """A NIC and a public IP are created, listed and deleted through the SDK's pollers."""
    edge.cloud.switches = Switches(latency_delete_s=0.05, latency_pip_s=0.05, retry_after="none")
    subnet = await sdk.subnets.get("rg", "vnet", "default", **HTTP)
    body = {
        "location": "eastus",
        "properties": {"ipConfigurations": [{"name": "c", "properties": {"subnet": {"id": subnet.id}}}]},
    }
    await (await sdk.network_interfaces.begin_create_or_update("rg", "new", body, **HTTP)).result()
    pip = {"location": "eastus", "properties": {}}
    await (await sdk.public_ip_addresses.begin_create_or_update("rg", "new", pip, **HTTP)).result()
    listed = [nic.name async for nic in sdk.network_interfaces.list("rg", **HTTP)]
    await (await sdk.network_interfaces.begin_delete("rg", "new", **HTTP)).result()
    await (await sdk.public_ip_addresses.begin_delete("rg", "new", **HTTP)).result()

    assert "new" in listed
    assert [nic.name async for nic in sdk.network_interfaces.list("rg", **HTTP)] == listed[:-1]
    free = await sdk.virtual_networks.check_ip_address_availability("rg", "vnet", ip_address="10.0.0.254", **HTTP)
    assert free.available is False


async def test_the_sdk_moves_with_the_atomic_call(edge: Edge, sdk: Any) -> None:
    """begin_move_ip_configurations of SDK 33 works if the switch enables it."""
    edge.cloud.switches = Switches(latency="fixed:0.05", retry_after="none", move_ip_configurations="all")
    b = await sdk.network_interfaces.get("rg", "mirrorb280_z2", **HTTP)
    source, target = f"{NIC_A}/ipConfigurations/vip", f"{b.id}/ipConfigurations/vip"
    item = {"sourceIpConfiguration": {"id": source}, "targetIpConfiguration": {"id": target}}
    request = {"moveIpConfigurationItems": [item]}

    poller = await sdk.virtual_networks.begin_move_ip_configurations("rg", "vnet", request, **HTTP)
    await poller.result()

    assert edge.cloud.shown_on("10.0.0.254") == ["mirrorb280_z2"]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_lost_answer_drops_the_connection(edge: Edge, reset: bool) -> None:
    """A lost reply ends the connection without a byte; the request took effect."""
    edge.cloud.script(Match(kind="nic"), fault=Lost(reset=reset))
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    target = f"{NIC_A}?api-version=2024-05-01"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {edge.cloud.bearer()}\r\n\r\n".encode())

    if reset:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
    else:
        assert await asyncio.wait_for(reader.read(), 10) == b""

    writer.close()
    assert [(e.status, e.lost) for e in edge.cloud.history] == [(200, True)]


async def test_it_listens_on_loopback_only() -> None:
    """A host that is not a loopback address is refused before a socket is opened."""
    cloud = Cloud(worlds.default(), now=ScaledClock())
    with pytest.raises(ValueError, match="loopback"):
        async with running(cloud, host="0.0.0.0"):
            pass
