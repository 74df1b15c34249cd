"""The line of docs/trail.md for an auditor without Python: the real az on a trail in Azurite."""

import asyncio
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.interop.azurecli import AZ, ROOT
from tests.vipcore.adapters.ledgers import extended
from trail import __main__ as command
from vipcore.adapters.connections import Connections
from vipcore.adapters.ledger import TableLedger
from vipcore.adapters.table import Table
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head

pytestmark = pytest.mark.interop


async def written(connection: str) -> None:
    """A trail of two rows."""
    connections = Connections()
    ledger = TableLedger(Table(where=connection, name="MirrorVip", connections=connections))
    entries = [
        Entry(event, actor="a", member="MIRRORB", outcome="moved", detail="Done.", duration_ms=ms)
        for event, ms in (("nic.write", 212), ("swap.completed", 9))
    ]
    await ledger.commit(*extended(Head(mirror="PROD"), *entries))
    await connections.close()


def az(config: Path, words: list[str]) -> str:
    """What az prints."""
    environment = {**os.environ, "AZURE_CONFIG_DIR": str(config), "AZURE_CORE_COLLECT_TELEMETRY": "false"}
    return subprocess.run([str(AZ), *words], env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_line_of_the_page_prints_a_table(azurite: str, tmp_path: Path) -> None:
    """It shows numbers as numbers, the newest row first; what az prints as JSON is a copy that verifies. (I8)"""
    asyncio.run(written(azurite))
    (line,) = re.findall(r"^az (storage entity query .+)$", (ROOT / "docs" / "trail.md").read_text(), re.MULTILINE)
    words = shlex.split(line.replace("--account-name ACCOUNT --auth-mode login", f"--connection-string '{azurite}'"))

    head, _, *rows = az(tmp_path, words).splitlines()

    assert head.split() == ["Seq", "At", "Event", "Member", "Outcome", "Ms", "Detail"]
    assert [row.split() for row in rows[:2]] == [
        ["2", "2026-11-23T00:29:00.000000Z", "swap.completed", "MIRRORB", "moved", "9", "Done."],
        ["1", "2026-11-23T00:29:00.000000Z", "nic.write", "MIRRORB", "moved", "212", "Done."],
    ]
    (tmp_path / "az.json").write_text(az(tmp_path, [*words[: words.index("--query")], "-o", "json"]))
    assert command.main(["PROD", "--copy", str(tmp_path / "az.json")]) == 0
