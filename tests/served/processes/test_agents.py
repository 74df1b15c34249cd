"""The real agent in bad company: killed at random, no room for its log, many of it at once. The claim still ends with 0."""

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest

from simulator.worlds import FleetMirror
from tests.served.processes import judge
from tests.served.processes.agents import Agent
from tests.served.processes.harness import App, Harness, member

WITHIN_S = 60.0
# Root without the right to pass over permissions.
WITHOUT_ROOTS_WAY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
KILLED = -9
NO_FILE_MAY_GROW = ("sh", "-c", 'ulimit -f 0; exec "$0" "$@"')


def check(stand: Harness, *mirrors: FleetMirror) -> None:
    """Each VIP is on side B, and its trail tells it."""
    assert judge.judge(stand, judge.look(stand), last={mirror.name: "B" for mirror in mirrors}, mirrors=mirrors) == []


async def test_agent_killed_at_random(stand: Harness, apps: tuple[App, App]) -> None:
    """An agent may be killed at any instant; the one that is started next gets the VIP. (I1)"""
    mirrors = stand.mirrors[7:10]
    rng = random.Random(stand.scale.seed)

    async def one(mirror: FleetMirror) -> tuple[list[int], int]:
        config, killed = stand.agent(mirror, "B", apps[0].url), []
        for _ in range(4):
            agent = await Agent.start(config)
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            killed.append((await agent.kill()).code)
        return killed, (await (await Agent.start(config)).end(WITHIN_S)).code

    ended = await asyncio.gather(*(one(mirror) for mirror in mirrors))

    assert [code for _, code in ended] == [0] * len(mirrors)
    assert KILLED in {code for killed, _ in ended for code in killed}
    check(stand, *mirrors)


async def test_several_agents_at_once(stand: Harness, apps: tuple[App, App]) -> None:
    """Several agents with one key on one node take turns; all end with 0, and there is one swap. (I6)"""
    mirror = stand.mirrors[10]
    config = stand.agent(mirror, "B", apps[1].url)

    agents = [await Agent.start(config) for _ in range(4)]
    ended = await asyncio.gather(*(agent.end(WITHIN_S) for agent in agents))

    assert [end.code for end in ended] == [0] * 4
    assert len(judge.look(stand).events(mirror.name, "swap.completed")) == 1
    check(stand, mirror)


@pytest.mark.parametrize(
    ("place", "log_file", "prefix"),
    [(11, "/dev/full", ()), (12, "{}/agent.log", NO_FILE_MAY_GROW), (13, "{}/missing/agent.log", ())],
    ids=["full disk", "no file may grow", "no folder"],
)
async def test_log_that_cannot_be_written(
    stand: Harness, apps: tuple[App, App], tmp_path: Path, place: int, log_file: str, prefix: tuple[str, ...]
) -> None:
    """No room for the log costs the log and nothing else, with two agents at once. (I1)"""
    mirror = stand.mirrors[place]
    config = stand.agent(mirror, "B", apps[0].url, log_file=log_file.format(tmp_path))

    agents = [await Agent.start(config, prefix=prefix) for _ in range(2)]
    ended = await asyncio.gather(*(agent.end(WITHIN_S) for agent in agents))

    assert [end.code for end in ended] == [0, 0]
    check(stand, mirror)


async def test_log_folder_without_write_permission(stand: Harness, apps: tuple[App, App], tmp_path: Path) -> None:
    """An agent that may not write to its log's folder, neither log nor lock, takes turns by the key file and ends with 0. (I1)"""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("run as root, who may write everywhere, and there is no setpriv to change that")
    folder = tmp_path / "log"
    folder.mkdir(mode=0o555)
    mirror = stand.mirrors[14]
    config = stand.agent(mirror, "B", apps[1].url, log_file=str(folder / "agent.log"))
    prefix = WITHOUT_ROOTS_WAY if os.geteuid() == 0 else ()

    agents = [await Agent.start(config, prefix=prefix) for _ in range(2)]
    ended = await asyncio.gather(*(agent.end(WITHIN_S) for agent in agents))

    assert [end.code for end in ended] == [0, 0]
    assert list(folder.iterdir()) == []
    check(stand, mirror)


async def test_status_and_watch_understand_the_app(stand: Harness, apps: tuple[App, App]) -> None:
    """Through a url where nobody is: the holder and the VIPs in `status`; `watch` leaves a primary alone that holds its VIP."""
    mirror = stand.mirrors[15]
    urls = f"http://127.0.0.1:9/api {apps[0].url} {apps[1].url}"
    config = stand.agent(mirror, "B", urls, primary_check="true")
    claimed = await (await Agent.start(config)).end(WITHIN_S)

    status = await (await Agent.start(config, does=("status",))).end(WITHIN_S)
    watch = await Agent.start(config, does=("watch", "--every", "0.1"))
    log = config.with_suffix(".log")
    async with asyncio.timeout(WITHIN_S):
        while log.read_text().count("outcome=answered") < 3:
            await asyncio.sleep(0.05)
    await watch.kill()

    assert (claimed.code, status.code) == (0, 0)
    assert (status.result["holder"], status.result["primary"]) == (member(mirror, "B"), True)
    assert [vip["private_ip"] for vip in status.result["answer"]["vips"]]
    assert "event=watch" not in log.read_text()
    check(stand, mirror)
