"""An older and a newer instance side by side, as a rolling update and a way back have them: two checkouts, one table."""

import asyncio
import io
import json
import random
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from serve import process
from tests.served.processes import harness, judge
from tests.served.processes.agents import Claimant
from tests.served.processes.harness import Harness

OLDER: Final = "02c512bc620f36b9e6942a02c90ea0b2f3ec6d4c"
"""The last commit before readiness, the budget of writes, and the deployment came in."""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The app of that commit, in a folder."""
    command = ["git", "archive", OLDER, "function_app.py", "host.json", "vipcore"]
    done = subprocess.run(command, cwd=process.ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this checkout has no history, so there is no older version to run beside")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has no filters
        archive.extractall(tmp_path / "older")
    return tmp_path / "older"


def asked(url: str) -> Any:
    """A route of the operators."""
    request = urllib.request.Request(url, headers={"x-functions-key": harness.FUNCTIONS_KEY})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def test_older_and_newer_instances_serve_the_same_mirrors(stand: Harness, older: Path) -> None:
    """Each carries on from what the other wrote, there and back; both find the trail whole, and nothing else is lost. (I8)"""
    mirrors, rng = stand.mirrors[16:18], random.Random(stand.scale.seed)
    apps = [stand.app("older", APP_DIR=str(older)), stand.app("newer")]
    try:
        for app in apps:
            app.start()
        async with aiohttp.ClientSession() as session:
            for turn in range(4):
                side, url = "BA"[turn // 2 % 2], apps[turn % 2].url
                claims = (Claimant(stand, mirror, side).claim(session, lambda: url, rng) for mirror in mirrors)  # noqa: B023
                for mirror, outcome in zip(mirrors, await asyncio.gather(*claims), strict=True):
                    # The one moves, the other confirms what it moved; then the way back begins with the former again.
                    assert outcome["outcome"] == ("moved" if turn % 2 == 0 else "confirmed")
                    assert outcome["holder"] == harness.member(mirror, side)
            for turn in range(2):
                side, url = "BA"[turn], apps[1 - turn].url  # the newer one first this time
                claims = (Claimant(stand, mirror, side).claim(session, lambda: url, rng) for mirror in mirrors)  # noqa: B023
                assert {outcome["outcome"] for outcome in await asyncio.gather(*claims)} == {"moved"}
        for app in apps:
            for mirror in mirrors:
                assert asked(f"{app.url}/mirrors/{mirror.name}/audit/verify")["intact"] is True
                assert asked(f"{app.url}/mirrors/{mirror.name}")["desired"] == harness.member(mirror, "A")
    finally:
        for app in apps:
            app.close()

    assert judge.judge(stand, judge.look(stand), last={mirror.name: "A" for mirror in mirrors}, mirrors=mirrors) == []
