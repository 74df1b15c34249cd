"""What is put together, and the log line."""

import asyncio
import contextlib
import gc
import logging
from pathlib import Path

import pytest

from tests.vipcore.adapters.wire import scripted
from vipcore.adapters import wiring
from vipcore.adapters.log import line, log
from vipcore.errors import Unreachable
from vipcore.settings import environment

SETTINGS = {
    "VIP_TABLE": "UseDevelopmentStorage=true",
    "VIP_MIRRORS": '{"mirrors": {}}',
    "WEBSITE_INSTANCE_ID": "0123456789abcdef",
}


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


@pytest.mark.parametrize(
    "value", ["a\nb", "a\r\nfake.event x=1", 'a "quoted" b', "ä", "\x1b[31m", "\x7f", "\u2028", "", "a=b", "\\"]
)
def test_one_event_is_one_line(value: str) -> None:
    """No value can begin a line, a field or an escape sequence of its own."""
    text = line("claim.refused", {"actor": value, "epoch": 7, "member": None, "plain": "key:mirrora-1"})

    assert text.isascii()
    assert text.isprintable()
    assert text.startswith('claim.refused actor="')
    assert text.endswith('" epoch=7 plain=key:mirrora-1')


def test_log_goes_to_its_logger_with_a_level(caplog: pytest.LogCaptureFixture) -> None:
    """Trouble is a warning, everything else is information."""
    caplog.set_level(logging.INFO, logger="mirror_vip")

    log("audit.head", mirror="PROD", seq=1)
    log("timer.skipped", why="away")

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "audit.head mirror=PROD seq=1"),
        ("WARNING", "timer.skipped why=away"),
    ]


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
