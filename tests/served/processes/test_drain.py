"""SIGTERM: what runs is finished, nothing new is begun, and the exit code is 0."""

import asyncio

import aiohttp

from tests.served.processes import harness, judge
from tests.served.processes.agents import Claimant
from tests.served.processes.harness import Harness


async def test_sigterm_lets_running_claims_finish(stand: Harness) -> None:
    """At SIGTERM the claims under way get their 200, new connections are refused, and the process ends with 0. (I1)"""
    mirrors = stand.mirrors[4:7]
    nics = {harness.nic(mirror, side) for mirror in mirrors for side in "AB"}
    # In Azure it is 10 s; on a busy machine a claim may take longer, and that it goes on after a kill is test_kills.py's.
    app = stand.app("app-drained", SERVE_DRAIN_S="40")
    try:
        await asyncio.to_thread(app.start)
        async with aiohttp.ClientSession() as session:
            claims = [asyncio.create_task(Claimant(stand, mirror, "B").attempt(session, app.url)) for mirror in mirrors]
            while sum(write["resource"].rsplit("/", 1)[-1] in nics for write in stand.nic_writes(stand.began)) < len(mirrors):
                await asyncio.sleep(0.05)
            app.terminate()
            answers = await asyncio.gather(*claims)
            late, _, _ = await Claimant(stand, mirrors[0], "A").attempt(session, app.url)
        code = await asyncio.to_thread(app.wait, 45.0)
    finally:
        app.close()

    assert [(status, said["holder"]) for status, said, _ in answers] == [(200, harness.member(m, "B")) for m in mirrors]
    assert late == 0
    assert code == 0
    assert judge.judge(stand, judge.look(stand), last={mirror.name: "B" for mirror in mirrors}, mirrors=mirrors) == []
