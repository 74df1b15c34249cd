"""What is put together."""

import asyncio
import contextlib
import gc
from pathlib import Path

import pytest
from aiohttp import web

from tests.vipcore.adapters.wire import Seen, scripted
from vipcore.adapters import wiring
from vipcore.arm.port import ArmRequest
from vipcore.errors import Unreachable
from vipcore.model import Member, Page
from vipcore.settings import environment

SETTINGS = {
    "VIP_TABLE": "UseDevelopmentStorage=true",
    "VIP_MIRRORS": '{"mirrors": {}}',
    "WEBSITE_INSTANCE_ID": "0123456789abcdef",
}


@pytest.mark.parametrize("client_id", ["", "00000000-0000-0000-0000-000000000001"])
async def test_nothing_goes_through_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, client_id: str) -> None:
    """A proxy would get the identity's secret, and its own 503 would read as a page's "not primary"."""

    async def answer(seen: Seen) -> web.StreamResponse:
        if seen.path.startswith("/msi"):
            return web.json_response({"access_token": "t", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"})
        return web.json_response({})

    async with scripted() as proxy, scripted(answer) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        table = f"AccountName=x;AccountKey=eA==;TableEndpoint={server.url}/x"
        settings = {**SETTINGS, "VIP_TABLE": table, "VIP_ARM_ENDPOINT": server.url, "AZURE_CLIENT_ID": client_id}
        wired = wiring.build(environment.load(settings, Path()), environ=settings)

        await wired.controller.arm.transport.send(ArmRequest("GET", "/nic"))
        page = await wired.controller.probes.page(Member(name="A", nic_id="/n", status_url=f"{server.url}/page"))
        reached = await wired.controller.probes.path(f"{server.url}/probe", within_s=5.0)
        with contextlib.suppress(Unreachable):
            await wired.controller.ledger.load_head("PROD")
        await wired.close()

    assert proxy.seen == []
    assert page is Page.PRIMARY
    assert reached is not None
    assert {seen.path.split("?")[0].split("/")[1].split("(")[0] for seen in server.seen} == {"msi", "nic", "page", "probe", "x"}


async def test_ports_are_built_without_opening_anything_and_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building talks to nobody, so that it may happen at any time; closing what was never used does no harm."""
    async with scripted() as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        wired = wiring.build(environment.load({**SETTINGS, "VIP_ARM_ENDPOINT": server.url}, Path()), environ=SETTINGS)
        await wired.close()

        assert server.seen == []


def test_instance_is_named_after_its_host_and_is_one_of_a_kind() -> None:
    """Two processes never share a name, or one would take the other's lease for its own. (I2)"""
    names = {wiring.instance_name(SETTINGS) for _ in range(50)} | {wiring.instance_name({}) for _ in range(50)}

    assert len(names) == 100
    assert any(name.startswith("01234567-") for name in names)


def test_connections_are_closed_when_the_loop_ends(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the process leaves no open connection behind, which the loop's own end would complain about."""
    seen = []

    async def use() -> None:
        async with scripted() as server:
            settings = {**SETTINGS, "VIP_TABLE": f"AccountName=x;AccountKey=eA==;TableEndpoint={server.url}/x"}
            made = wiring.controller(environment.load(settings, Path()), environ=SETTINGS)
            with contextlib.suppress(Unreachable):
                await made.ledger.load_head("PROD")
            seen.extend(server.seen)

    asyncio.run(use())
    gc.collect()

    assert seen
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
