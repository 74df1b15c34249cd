"""The move in one call through azure-mgmt-network: the first answer as it came, whatever it is, and what a lost one means."""

import json
import time
from dataclasses import replace

import pytest
from aiohttp import web

from simulator import server as simulator
from simulator import worlds
from simulator.cloud import Cloud
from tests.vipcore.adapters.test_arm import Tokens
from tests.vipcore.adapters.wire import Seen, scripted, with_identity
from vipcore.adapters.arm import ArmTransport
from vipcore.adapters.connections import Connections
from vipcore.arm.client import Arm
from vipcore.arm.errors import ArmError
from vipcore.arm.port import ArmRequest
from vipcore.arm.rate_limit import Permit
from vipcore.errors import NoReply
from vipcore.model import Nic

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network"
VNET = f"{GROUP}/virtualNetworks/vnet"
SOURCE = f"{GROUP}/networkInterfaces/mirrora290_z1"
TARGET = f"{GROUP}/networkInterfaces/mirrorb280_z2"
ITEMS = [(f"{SOURCE}/ipConfigurations/vip", f"{TARGET}/ipConfigurations/vip")]


@pytest.mark.parametrize(("available", "code"), [("all", ""), ("feature-missing", "SubscriptionNotRegisteredForFeature")])
async def test_the_first_answer_comes_as_azure_gave_it(available: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted: the operation to look at and ARM's request id. Refused: Azure's own code, and no retry."""
    cloud = Cloud(worlds.default(), now=time.time)
    cloud.switches = replace(cloud.switches, move_ip_configurations=available, latency="fixed:0.2")
    connections = Connections()
    async with simulator.running(cloud) as edge:
        transport = with_identity(edge.url, edge.environment(), connections, monkeypatch)
        arm = Arm(transport)
        source, target = await arm.read_nic(SOURCE), await arm.read_nic(TARGET)
        assert isinstance(source, Nic)
        assert isinstance(target, Nic)
        if code:
            with pytest.raises(ArmError) as refused:
                await arm.move_in_one_call(VNET, ITEMS, (source, target), Permit())
            assert refused.value.code == code
        else:
            moved = await arm.move_in_one_call(VNET, ITEMS, (source, target), Permit())
            assert moved.status == 202
            assert moved.operation is not None
            assert moved.operation.startswith(edge.url)
            assert moved.request_id in moved.operation
        await transport.close()
    await connections.close()
    posts = [exchange for exchange in cloud.history if exchange.method == "POST"]

    assert len(posts) == 1
    assert json.loads(posts[0].request_body)["moveIpConfigurationItems"] == [
        {"sourceIpConfiguration": {"id": ITEMS[0][0]}, "targetIpConfiguration": {"id": ITEMS[0][1]}}
    ]
    assert posts[0].target.startswith(f"{VNET}/moveIpConfigurations?api-version=2026-03-01")


async def test_an_answer_that_never_comes_may_have_had_an_effect() -> None:
    """A server that takes the call and says nothing: NoReply, as for a NIC's write."""
    connections = Connections()
    async with scripted() as server:

        async def silent(seen: Seen) -> web.StreamResponse:
            return seen.drop()

        server.answer = silent
        transport = ArmTransport(endpoint=server.url, audience="a", new_credential=Tokens, connections=connections)
        with pytest.raises(NoReply):
            await transport.send(
                ArmRequest(method="POST", url=f"{VNET}/moveIpConfigurations?api-version=2026-03-01", body={}, timeout_s=5.0)
            )
        await transport.close()
    await connections.close()
