"""The edge: real connections, real clients, the command line, and the management routes."""

import asyncio
import json
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
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
from tests.simulator.desk import NIC_A, PIP

HTTP = {"enforce_https": False}


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """A running simulator whose NIC operations take 0.05 s."""
    switches = Switches(latency="fixed:0.05", retry_after="none")
    cloud = Cloud(worlds.default(), seed=3, now=ScaledClock(), switches=switches)
    async with running(cloud) as one:
        yield one


@pytest.fixture
async def client(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Microsoft's own client with a managed identity, looking every 0.05 s."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", edge.environment()["IDENTITY_ENDPOINT"])
    monkeypatch.setenv("IDENTITY_HEADER", edge.environment()["IDENTITY_HEADER"])
    async with (
        ManagedIdentityCredential() as credential,
        NetworkManagementClient(credential, SUBSCRIPTION, base_url=edge.url, polling_interval=0.05, retry_total=0) as made,
    ):
        yield made


async def test_the_sdk_moves_the_vip(client: Any) -> None:
    """GET, PUT with If-Match, poll and GET with azure-mgmt-network on both NICs: the VIP and its public IP are on B."""
    nics = client.network_interfaces
    a = await nics.get("rg", "mirrora290_z1", **HTTP)
    vip = a.ip_configurations.pop(1)
    poller = await nics.begin_create_or_update("rg", a.name, a, headers={"If-Match": a.etag}, **HTTP)
    released = await poller.result()
    b = await nics.get("rg", "mirrorb280_z2", **HTTP)
    vip.id = None
    b.ip_configurations.append(vip)
    poller = await nics.begin_create_or_update("rg", b.name, b, headers={"If-Match": b.etag}, **HTTP)
    attached = await poller.result()
    pip = await client.public_ip_addresses.get("rg", "my_vip_ip", **HTTP)

    assert released.provisioning_state == attached.provisioning_state == "Succeeded"
    assert released.network_security_group.id == a.network_security_group.id
    assert [c.name for c in attached.ip_configurations] == ["ipconfig1", "vip"]
    assert pip.ip_configuration.id == attached.ip_configurations[1].id


async def test_the_sdk_sees_refusals_as_azures(client: Any) -> None:
    """A stale etag is 412 PreconditionFailed, a taken address 400 PrivateIPAddressIsAllocated."""
    nics = client.network_interfaces
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


async def test_the_sdk_creates_and_deletes(edge: Edge, client: Any) -> None:
    """A NIC and a public IP are created, listed and deleted through the SDK's pollers."""
    edge.cloud.switches = Switches(latency_delete_s=0.05, latency_pip_s=0.05, retry_after="none")
    subnet = await client.subnets.get("rg", "vnet", "default", **HTTP)
    body = {
        "location": "eastus",
        "properties": {"ipConfigurations": [{"name": "c", "properties": {"subnet": {"id": subnet.id}}}]},
    }
    await (await client.network_interfaces.begin_create_or_update("rg", "new", body, **HTTP)).result()
    pip = {"location": "eastus", "properties": {}}
    await (await client.public_ip_addresses.begin_create_or_update("rg", "new", pip, **HTTP)).result()
    listed = [nic.name async for nic in client.network_interfaces.list("rg", **HTTP)]
    await (await client.network_interfaces.begin_delete("rg", "new", **HTTP)).result()
    await (await client.public_ip_addresses.begin_delete("rg", "new", **HTTP)).result()

    assert "new" in listed
    assert [nic.name async for nic in client.network_interfaces.list("rg", **HTTP)] == listed[:-1]
    free = await client.virtual_networks.check_ip_address_availability("rg", "vnet", ip_address="10.0.0.254", **HTTP)
    assert free.available is False


async def test_the_sdk_moves_with_the_atomic_call(edge: Edge, client: Any) -> None:
    """begin_move_ip_configurations of SDK 33 works where the switch says so."""
    edge.cloud.switches = Switches(latency="fixed:0.05", retry_after="none", move_ip_configurations="all")
    b = await client.network_interfaces.get("rg", "mirrorb280_z2", **HTTP)
    source, target = f"{NIC_A}/ipConfigurations/vip", f"{b.id}/ipConfigurations/vip"
    item = {"sourceIpConfiguration": {"id": source}, "targetIpConfiguration": {"id": target}}
    request = {"moveIpConfigurationItems": [item]}

    poller = await client.virtual_networks.begin_move_ip_configurations("rg", "vnet", request, **HTTP)
    await poller.result()

    assert edge.cloud.shown_on("10.0.0.254") == ["mirrorb280_z2"]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_lost_answer_drops_the_connection(edge: Edge, reset: bool) -> None:
    """A lost reply ends the connection without a byte; the request was carried out."""
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


async def test_management_changes_and_shows_everything(edge: Edge) -> None:
    """Switches, scripts, strangers, pages, VMs, the clock and the history over /simulator; faulty requests get 400 or 404."""
    cloud, base = edge.cloud, f"{edge.url}/simulator"
    async with aiohttp.ClientSession(headers={"Authorization": cloud.bearer()}) as session:

        async def call(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            async with session.request(method, f"{base}/{path}", json=body) as answer:
                assert answer.status == status, await answer.text()
                return await answer.json()

        await call("PUT", "switches", {"latency": "fixed:7", "denied": [{"action": "x"}]})
        assert (await call("GET", "switches"))["denied"][0]["action"] == "x"
        await call("PUT", "switches", {"latencies": 1}, status=400)
        await call("PUT", "switches", {"released_at": "never"}, status=400)
        fault = {"kind": "status", "status": 500}
        await call("POST", "scripts", {"match": {"kind": "pip"}, "fault": fault, "times": 2})
        await call("POST", "scripts", {"fault": {"kind": "x"}}, status=400)
        async with session.get(f"{edge.url}{PIP}?api-version=2024-05-01") as answer:
            assert answer.status == 500
        assert (await call("GET", "scripts"))["value"][0]["struck"] == 1
        await call("DELETE", "scripts")
        etag = cloud.nic_named("mirrora290_z1").etag
        assert (await call("POST", "nics/mirrora290_z1", {"what": "changes-tag"}))["etag"] != etag
        await call("POST", "nics/none", {"what": "changes-tag"}, status=404)
        assert (await call("PUT", "pages/MIRRORB", {"mode": "primary"}))["MIRRORB"] == "primary"
        await call("PUT", "pages/MIRRORB", {"mode": "x"}, status=400)
        assert (await call("PUT", "vms/MIRRORA", {"state": "deallocated"}))["state"] == "deallocated"
        assert (await call("PUT", "clock", {"scale": 50}))["scale"] == 50
        await call("PUT", "clock", {"scale": 0}, status=400)
        assert (await call("GET", "carrier/10.0.0.254"))["carrier"] == "mirrora290_z1"
        assert (await call("GET", "history"))["value"][-1]["status"] == 500
        assert (await call("GET", "states"))["value"][-1]["cause"] == "stranger"
        assert len((await call("GET", "errors"))["value"]) > 40
        await call("GET", "operations")
        await call("GET", "nothing", status=404)


async def test_it_listens_on_loopback_only() -> None:
    """Any other host than a loopback address is refused before a socket is opened."""
    cloud = Cloud(worlds.default(), now=ScaledClock())
    with pytest.raises(ValueError, match="loopback"):
        async with running(cloud, host="0.0.0.0"):
            pass


def _start(*words: str) -> Any:
    command = [sys.executable, "-m", "simulator", *words]
    return asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def test_the_command_serves_http_and_https_until_sigterm(tmp_path: Path) -> None:
    """`python -m simulator` prints the environment, then `ready URL`; https works with its own CA; SIGTERM ends it with 0."""
    world = tmp_path / "world.json"
    world.write_text(json.dumps({"vnets": [{}], "nics": [{"name": "n", "configs": [{"name": "c"}]}]}))
    process = await _start("--port", "0", "--tls-port", "0", "--tls-dir", str(tmp_path / "tls"), "--world", str(world))
    try:
        word, url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        tls_url = await _tls_url(process)
        context = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))
        async with aiohttp.ClientSession() as session:
            for base, trust in ((url, True), (tls_url, context)):
                async with session.get(f"{base}/metadata/endpoints", ssl=trust) as answer:
                    assert (await answer.json())["resourceManager"] == base
    finally:
        process.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(process.wait(), 30)

    assert (word, ended) == ("ready", 0)


async def _errors_of(process: Any) -> bytes:
    """What a command that ends by itself wrote to stderr; one that does not is killed."""
    try:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    except TimeoutError:
        process.kill()
        raise
    return bytes(errors)


async def _tls_url(process: Any) -> str:
    while line := (await asyncio.wait_for(process.stderr.readline(), 30)).decode():
        if line.startswith("# https:"):
            return str(line.split()[2])
    raise AssertionError("no https address was printed")


@pytest.mark.parametrize(
    "words",
    [("--switches", '{"latency": 3}'), ("--switches", "{"), ("--world", "/nowhere.json"), ("--tls-port", "0"), ("--scale", "0")],
)
async def test_unusable_arguments_are_one_clear_line_and_exit_code_2(words: tuple[str, ...]) -> None:
    """A faulty switch, world or option ends the command with 2 and a sentence, without a traceback."""
    process = await _start("--port", "0", *words)
    errors = await _errors_of(process)

    assert process.returncode == 2
    assert b"Traceback" not in errors


async def test_a_taken_port_is_one_clear_line() -> None:
    """A port that somebody else uses ends the command with 2 and a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = await _start("--port", str(other.getsockname()[1]))
        errors = await _errors_of(process)

    assert process.returncode == 2
    assert b"Traceback" not in errors
