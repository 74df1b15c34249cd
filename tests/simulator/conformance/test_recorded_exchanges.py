"""The simulated Azure answers recorded requests as the real one did, field by field and header by header."""

import aiohttp
import pytest
from yarl import URL

from simulator import server
from simulator.core.wire import Request, Response
from tests.simulator.conformance.matching import Difference
from tests.simulator.conformance.replay import Replay
from tests.simulator.conformance.scenarios import Scenario, scenarios
from tests.simulator.conformance.tapes import load

SCENARIOS = scenarios()


def _assert_explained(differences: list[Difference], scenario: Scenario) -> None:
    unexplained = [str(d) for d in differences if not any(a.covers(d) for a in scenario.allowances)]
    assert not unexplained, "\n".join(unexplained)
    stale = [a for a in scenario.allowances if not any(a.covers(d) for d in differences)]
    assert not stale, f"these no longer differ: {stale}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_answer_of_the_tape_is_the_recorded_one(name: str) -> None:
    """The simulator answers the recorded requests, at the recorded times, as Azure did, except for listed differences."""
    scenario = SCENARIOS[name]

    differences = list(Replay(load(name), scenario).run())

    _assert_explained(differences, scenario)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_every_answer_over_a_socket_is_the_recorded_one(name: str) -> None:
    """The HTTP server changes nothing: the client receives what was recorded, including the headers."""
    scenario = SCENARIOS[name]
    replay = Replay(load(name), scenario)
    differences: list[Difference] = []

    async with server.running(replay.cloud) as edge, aiohttp.ClientSession(auto_decompress=False) as session:
        for step in replay.tape.steps:
            differences += replay.judge(step, await _send(session, edge.url, replay.request(step)))

    _assert_explained(differences, scenario)


async def _send(session: aiohttp.ClientSession, url: str, request: Request) -> Response:
    """Send over plain http what was recorded over https, and restore the scheme in the answer's URLs."""
    target = URL(url + request.target, encoded=True)
    async with session.request(request.method, target, headers=request.headers, data=request.body or None) as answer:
        headers: dict[str, str] = {}
        for name, value in answer.headers.items():
            text = value.replace("http://management.azure.com", "https://management.azure.com")
            headers[name.lower()] = f"{headers[name.lower()]}, {text}" if name.lower() in headers else text
        return Response(answer.status, headers, await answer.read())
