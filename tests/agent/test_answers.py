"""Only the controller's own answers end a claim; what a platform, a proxy or a cold host says in its place is tried again."""

import json
import pathlib
import time
from collections.abc import Callable
from email.message import Message
from typing import Any

import pytest

from tests.agent.scripted import Controller, Node, Reply, Request, make_node, moved, problem
from tests.agent.test_vectors import load_agent
from vipcore.errors import STATUS_OF_CODE

Serve = Callable[..., Controller]
HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}

FOREIGN = {
    "404-cold-host": Reply(404, b"<html><h1>404 Not Found</h1></html>", HTML),
    "404-not-indexed-yet": Reply(404, b""),
    "403-stopped-app": Reply(403, b"<html>Error 403 - This web app is stopped.</html>", HTML),
    "403-access-restriction": Reply(403, b"Ip Forbidden", {"Content-Type": "text/plain"}),
    "401-platform-authentication": Reply(401, b"", {"WWW-Authenticate": "Bearer"}),
    "407-proxy": Reply(407, b"proxy authentication required", HTML),
    "404-gateway": Reply(404, {"statusCode": 404, "message": "Resource not found"}, JSON),
    "403-azure": Reply(403, {"error": {"code": "AuthorizationFailed"}}, JSON),
    "403-problem-without-code": Reply(403, {"type": "about:blank", "title": "Forbidden", "status": 403}, PROBLEM),
    "403-problem-of-another-product": Reply(403, {"status": 403, "code": "ip-blocked"}, PROBLEM),
    "404-problem-with-odd-code": Reply(404, {"status": 404, "code": ["mirror-unknown"]}, PROBLEM),
    "404-problem-that-is-no-object": Reply(404, ["mirror-unknown"], PROBLEM),
    "403-our-code-in-other-json": Reply(403, {"code": "key-not-for-member"}, JSON),
    "401-our-code-without-media-type": Reply(401, {"code": "signature-invalid"}),
    "409-our-code-in-html": Reply(409, b'{"code": "claim-superseded"}', HTML),
    "302-login": Reply(302, b"", {"Location": "https://login.example/"}),
    "200-login": Reply(200, b"<html>please log in</html>", HTML),
    "200-empty": Reply(200, b""),
    "200-no-object": Reply(200, ["moved"], JSON),
    "200-empty-object": Reply(200, {}, JSON),
    "200-health": Reply(200, {"status": "ok"}, JSON),
    "200-unknown-outcome": moved(outcome="queued"),
    "200-odd-outcome": moved(outcome={"moved": True}),
    "200-dry-run": moved(outcome="planned"),
    "200-other-mirror": moved(mirror="TEST"),
    "204": Reply(204, b""),
}


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


@pytest.mark.parametrize("media_type", ["application/problem+json; charset=utf-8", "Application/Problem+JSON"])
def test_media_type_may_have_parameters_and_any_case(serve: Serve, tmp_path: pathlib.Path, media_type: str) -> None:
    """The controller's refusal is recognized however the host writes its media type."""
    controller = serve([problem(403, "key-not-for-member", Content_Type=media_type)])

    ended = make_node(tmp_path, controller.url).run("claim")

    assert (ended.code, ended.result["code"]) == (4, "key-not-for-member")


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


@pytest.mark.parametrize("reply", [moved(), problem(403, "key-not-for-member")], ids=["result", "refusal"])
def test_correlation_id_of_the_deciding_answer_is_told(serve: Serve, tmp_path: pathlib.Path, reply: Reply) -> None:
    """It finds the claim in the controller's log: it is in ours and in the line of JSON."""
    controller = serve([Reply(reply.status, reply.body, {**reply.headers, "X-Correlation-ID": "7f3c-2"})])
    node = make_node(tmp_path, controller.url)

    ended = node.run("claim")

    assert ended.result["correlation_id"] == "7f3c-2"
    assert "correlation_id=7f3c-2" in node.log.splitlines()[-1]


@pytest.mark.parametrize(
    ("reply", "most_s"), [(problem(503, "busy"), 300), (Reply(503, b"maintenance"), 30)], ids=["ours", "foreign"]
)
def test_retry_after_is_bounded(reply: Reply, most_s: float) -> None:
    """The controller may ask for five minutes; a platform that asks for an hour is asked again after half a minute."""
    headers = Message()
    for name, value in {**reply.headers, "Retry-After": "3600"}.items():
        headers[name] = value
    answer = load_agent().Answer(reply.status, headers, json.dumps(reply.body, default=str).encode())

    assert answer.retry_after_s(time.time()) == most_s


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
