"""Only the controller's own answers end a claim; what a platform, a proxy or a cold host says in its place is tried again."""

import json
import pathlib
import threading
import time
from collections.abc import Callable
from email.message import Message
from email.utils import formatdate
from typing import Any

import pytest

from tests.agent.answers import ARRIVED, CLOCKS, FOREIGN, HTML, JSON, NO_DATES, STEPS, WAITS, Wait, check_clock
from tests.agent.scripted import Controller, Node, Reply, Request, make_node, moved, problem
from tests.agent.test_vectors import load_agent
from vipcore.errors import STATUS_OF_CODE

Serve = Callable[..., Controller]


@pytest.mark.parametrize("reply", FOREIGN.values(), ids=FOREIGN)
def test_answer_that_is_not_the_controllers_is_tried_again(serve: Serve, tmp_path: pathlib.Path, reply: Reply) -> None:
    """It decides nothing, whatever its status: the next attempt is carried out."""
    controller = serve([reply, moved()])

    ended = make_node(tmp_path, controller.url).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 2)


@pytest.mark.parametrize("reply", [Reply(200, {}, JSON), moved(), FOREIGN["404-cold-host"]], ids=["empty", "moved", "404"])
def test_status_is_answered_by_the_controller_only(serve: Serve, tmp_path: pathlib.Path, reply: Reply) -> None:
    """What is no result of a dry run is not shown as one."""
    controller = serve([reply, Reply(200, {"outcome": "planned", "holder": "MIRRORB"}, JSON)])

    ended = make_node(tmp_path, controller.url).run("status")

    assert (ended.code, ended.result["attempts"]) == (0, 2)
    assert ended.result["answer"]["holder"] == "MIRRORB"


def test_agent_knows_every_code_of_the_controller() -> None:
    """A code that the agent does not know would be taken for somebody else's."""
    assert set(STATUS_OF_CODE) <= set(load_agent().CODES)


def test_foreign_answer_is_in_the_log(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Status, the first 200 characters and x-correlation-id, on one line and without control characters."""
    page = "<h1>Error 403\n</h1>\x1b[31m" + "x" * 400
    controller = serve([Reply(403, page.encode(), {**HTML, "x-correlation-id": "7f3c-1"}), moved()])
    node = make_node(tmp_path, controller.url)

    node.run("claim")

    line = next(line for line in node.log.splitlines() if " claim.retry " in line)
    assert "403, text/html" in line
    assert "correlation_id=7f3c-1" in line
    shown = "<h1>Error 403 </h1>?[31m"
    assert shown + "x" * (200 - len(shown)) in line
    assert shown + "x" * (201 - len(shown)) not in line


def test_wrong_url_is_seen_by_status(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A wrong url ends in the host's own 404: `status` gives up in time and says what came, and that url may be wrong."""
    controller = serve([Reply(404, b"")])

    ended = make_node(tmp_path, controller.url).run("status", "--deadline", "2")

    assert ended.code == 5
    assert "404" in ended.result["detail"]
    assert "wrong url" in ended.result["detail"]


def test_an_attempt_that_the_deadline_cuts_short_hides_no_answer(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The reason at the end is the last answer, not that there was no time left for another one."""
    never = threading.Event()
    controller = serve([Reply(404, b""), Reply(404, b"", gate=never)])

    ended = make_node(tmp_path, controller.url).run("status", "--deadline", "2")
    never.set()

    assert ended.code == 5
    assert "404" in ended.result["detail"]


@pytest.mark.parametrize("reply", [moved(), problem(403, "key-not-for-member")], ids=["result", "refusal"])
def test_correlation_id_of_the_deciding_answer_is_told(serve: Serve, tmp_path: pathlib.Path, reply: Reply) -> None:
    """It finds the claim in the controller's log: it is in ours and in the line of JSON."""
    controller = serve([Reply(reply.status, reply.body, {**reply.headers, "X-Correlation-ID": "7f3c-2"})])
    node = make_node(tmp_path, controller.url)

    ended = node.run("claim")

    assert ended.result["correlation_id"] == "7f3c-2"
    assert "correlation_id=7f3c-2" in node.log.splitlines()[-1]


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_retry_after_is_bounded(wait: Wait) -> None:
    """The controller may ask for five minutes; a platform that asks for an hour is asked again after half a minute."""
    headers = Message()
    for name, value in wait.reply.headers.items():
        headers[name] = value
    answer = load_agent().Answer(wait.reply.status, headers, json.dumps(wait.reply.body, default=str).encode())

    assert answer.retry_after_s(ARRIVED) == wait.seconds


@pytest.mark.parametrize(("ahead_s", "spent"), CLOCKS)
def test_clock_is_corrected_by_the_controllers_date(ahead_s: float, spent: bool) -> None:
    """A clock that is off by more than a header of whole seconds can tell goes by the header, never behind a spent time."""
    clock = load_agent().WallClock()
    (second, microsecond), true = clock.issue(), time.time() - ahead_s

    changed = clock.correct(formatdate(true, usegmt=True), spent=spent)

    later, fraction = clock.issue()
    check_clock(ahead_s, spent, changed, second + microsecond / 1e6, later + fraction / 1e6, true)


@pytest.mark.parametrize("date", NO_DATES)
def test_what_is_no_date_corrects_nothing(date: str) -> None:
    """A missing or odd Date leaves the clock alone."""
    assert not load_agent().WallClock().correct(date, spent=False)


@pytest.mark.parametrize("header", ["Retry-After", "Date"])
def test_odd_date_ends_no_claim(serve: Serve, tmp_path: pathlib.Path, header: str) -> None:
    """A year that no calendar has is what a broken clock or proxy may send: the claim goes on."""
    expired = problem(401, "signature-expired")
    controller = serve([Reply(401, expired.body, {**expired.headers, header: "Fri, 31 Dec 99999 23:59:59 GMT"}), moved()])

    ended = make_node(tmp_path, controller.url).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 2)


@pytest.mark.parametrize(("steps_back", "ahead_s"), STEPS)
def test_clock_that_was_ahead_for_several_attempts_is_left_behind(steps_back: bool, ahead_s: float) -> None:
    """Attempts that reached nobody do not keep the claim in the future, whoever sets the clock right: Date, or the node."""
    wrong = ahead_s if steps_back else 0.0

    class NodesClock(load_agent().WallClock):  # type: ignore[misc]
        def now(self) -> float:
            return float(super().now() + wrong)

    clock, true = NodesClock(), time.time() - (0.0 if steps_back else ahead_s)
    for _ in range(3):
        clock.issue()
    wrong = 0.0
    clock.issue()

    assert clock.correct(formatdate(true, usegmt=True), spent=False)

    assert abs(clock.issue()[0] - true) < 3


def test_foreign_answer_does_not_set_the_clock(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A page that speaks of an expired signature is not the controller's word on the time."""
    bodies: list[Any] = [{"code": "signature-expired"}]

    def script(request: Request) -> Reply:
        return Reply(401, bodies.pop(), JSON) if bodies else moved()

    controller = serve(script, clock_offset_s=-3600)

    make_node(tmp_path, controller.url).run("claim")

    first, second = (int(request.parameter("created")) for request in controller.requests)
    assert 0 <= second - first < 60


def test_proxies_of_the_environment_are_not_used(serve: Serve, node: Node) -> None:
    """Neither the claim nor primary_check goes where http_proxy and its like point."""
    proxy, controller = serve([Reply(502, b"")]), serve([moved()])
    node.settings |= {"url": controller.url, "primary_check": controller.url.replace("/api", "/200")}
    names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    environment = {name: proxy.url.removesuffix("/api") for name in names}

    ended = node.run("claim", env=environment)

    assert (ended.code, ended.result["attempts"]) == (0, 1)
    assert proxy.requests == []
