"""A claim from its first attempt to its exit code, against a controller that answers by script."""

import base64
import datetime as dt
import hashlib
import pathlib
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.agent.answers import AGAIN, FINAL, RESULTS
from tests.agent.scripted import Controller, Node, Reply, Request, make_node, moved, problem, signature_of

Serve = Callable[..., Controller]


def test_claim_that_is_carried_out_ends_with_0(serve: Serve, tmp_path: pathlib.Path) -> None:
    """200 means that the VIP is here: exit 0, and the answer in the one line of JSON."""
    controller = serve([moved()])

    ended = make_node(tmp_path, controller.url).run("claim", "--event", "NotifyBecomePrimary")

    assert ended.code == 0
    assert ended.stderr == ""
    assert ended.result["outcome"] == "moved"
    assert ended.result["answer"]["holder"] == "MIRRORA"
    assert ended.result["attempts"] == 1


def test_request_is_as_contract_sections_6_and_7_say(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A claim is one POST with Content-Length, a signed body of the fixed fields, and age 0 at first."""
    controller = serve([moved()])
    before = int(time.time())

    make_node(tmp_path, controller.url).run("claim", "--event", "startup", "--evidence", "mirror_file_count=7")
    request = controller.requests[0]
    body = request.body

    assert (request.method, request.path) == ("POST", "/api/mirrors/PROD/claims")
    assert int(request.headers["content-length"]) == len(request.raw)
    assert "transfer-encoding" not in request.headers
    assert set(body) == {"mirror", "member", "claim_id", "issued_at", "age_ms", "event", "evidence"}
    assert (body["mirror"], body["member"], body["event"], body["age_ms"]) == ("PROD", "MIRRORA", "startup", 0)
    assert body["evidence"]["mirror_file_count"] == 7
    assert uuid.UUID(body["claim_id"]).version == 4
    digest = base64.b64encode(hashlib.sha256(request.raw).digest()).decode()
    assert request.headers["content-digest"] == f"sha-256=:{digest}:"
    assert request.headers["signature"] == f"mirror-vip=:{signature_of(request)}:"
    assert before <= int(request.parameter("created")) <= time.time()
    assert int(request.parameter("expires")) == int(request.parameter("created")) + 60


def check_attempts(requests: list[Request]) -> None:
    """One claim_id, a right and fresh signature each, times that rise."""
    assert len({request.body["claim_id"] for request in requests}) == 1
    assert len({request.parameter("nonce") for request in requests}) == len(requests)
    for request in requests:
        assert request.headers["signature"] == f"mirror-vip=:{signature_of(request)}:"
        issued = dt.datetime.fromisoformat(request.body["issued_at"])
        assert int(issued.timestamp()) == int(request.parameter("created"))
        assert len(request.body["issued_at"]) == len("2026-11-23T01:02:03.000004Z")
    times = [request.body["issued_at"] for request in requests]
    assert times == sorted(set(times))
    ages = [request.body["age_ms"] for request in requests]
    assert ages == sorted(ages)


@pytest.mark.parametrize("reply", AGAIN.values(), ids=AGAIN)
def test_other_answers_are_tried_again_with_a_fresh_signature(serve: Serve, tmp_path: pathlib.Path, reply: Reply) -> None:
    """What is not final is tried again: the same claim_id, everything else fresh."""
    controller = serve([reply, reply, moved()])

    ended = make_node(tmp_path, controller.url).run("claim")

    assert ended.result["outcome"] == "moved"
    assert len(controller.requests) == 3
    check_attempts(controller.requests)


@pytest.mark.parametrize(("reply", "exit_code", "outcome"), FINAL.values(), ids=FINAL)
def test_final_answers_end_the_claim(serve: Serve, tmp_path: pathlib.Path, reply: Reply, exit_code: int, outcome: str) -> None:
    """What no retry can mend is not retried; one line on stderr says what to do."""
    controller = serve([reply])

    ended = make_node(tmp_path, controller.url).run("claim")

    assert ended.code == exit_code
    assert (ended.result["outcome"], ended.result["code"]) == (outcome, reply.body["code"])
    assert len(controller.requests) == 1
    assert ended.stderr.count("\n") == 1
    assert f"about {reply.body['code']}" in ended.stderr


@pytest.mark.parametrize("reply", RESULTS.values(), ids=RESULTS)
def test_results_end_the_claim_with_0(serve: Serve, tmp_path: pathlib.Path, reply: Reply) -> None:
    """`moved` and `confirmed` for this mirror and this member are what a claim is after."""
    ended = make_node(tmp_path, serve([reply, problem(503, "busy")]).url).run("claim", "--deadline", "5")

    assert (ended.code, ended.result["outcome"], ended.result["attempts"]) == (0, reply.body["outcome"], 1)


def test_unreachable_controller_is_tried_until_the_deadline(node: Node) -> None:
    """Nobody answers: exit 5 when the deadline has passed, and the last fault is named."""
    began = time.monotonic()

    ended = node.run("claim", "--deadline", "2")

    assert ended.code == 5
    assert time.monotonic() - began >= 0.5
    assert ended.result["attempts"] > 1
    assert "refused" in (node.folder / "agent.log").read_text(encoding="utf-8")
    assert "http://127.0.0.1:9/api" in ended.result["detail"]  # the last try may have had no time left to be refused


def test_deadline_of_the_configuration_counts_where_no_option_is_given(node: Node) -> None:
    """deadline_s is the default of --deadline."""
    node.settings["deadline_s"] = "0.2"

    assert node.run("claim").code == 5


def test_silent_controller_does_not_hold_up_the_deadline(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A server that accepts and never answers costs no more than the deadline."""
    gate = threading.Event()
    controller = serve([Reply(200, {}, gate=gate)])

    ended = make_node(tmp_path, controller.url).run("claim", "--deadline", "0.5")
    gate.set()

    assert ended.code == 5
    assert "no answer in time" in ended.result["detail"]


def test_retry_after_is_respected(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The next attempt comes no sooner than the controller asked."""
    arrived: list[float] = []

    def script(request: Request) -> Reply:
        arrived.append(time.monotonic())
        return moved() if len(arrived) > 1 else problem(503, "busy", Retry_After="1")

    make_node(tmp_path, serve(script).url).run("claim")

    assert arrived[1] - arrived[0] >= 1.0


def test_age_grows_with_the_claim(serve: Serve, tmp_path: pathlib.Path) -> None:
    """age_ms is the time since the claim began, so the controller can tell when that was."""
    controller = serve([problem(503, "busy", Retry_After="1"), moved()])

    make_node(tmp_path, controller.url).run("claim")

    assert [request.body["age_ms"] >= 1000 for request in controller.requests] == [False, True]


@pytest.mark.parametrize("offset_s", [3600.0, -3600.0, 400 * 86400.0])
def test_node_with_a_wrong_clock_takes_the_controllers(serve: Serve, tmp_path: pathlib.Path, offset_s: float) -> None:
    """After signature-expired the next attempt is signed by the Date of the answer, at once."""

    def script(request: Request) -> Reply:
        fresh = abs(int(request.parameter("created")) - controller.now()) <= 30
        return moved() if fresh else problem(401, "signature-expired")

    controller = serve(script, clock_offset_s=offset_s)

    ended = make_node(tmp_path, controller.url, retry_min_s="60", retry_max_s="60").run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 2)


def test_replay_is_followed_by_a_later_time(serve: Serve, tmp_path: pathlib.Path) -> None:
    """After claim-replayed, with a controller 20 s ahead, the next attempt is later than the mark."""
    marks = [dt.datetime.fromtimestamp(time.time() + 10, dt.UTC)]

    def script(request: Request) -> Reply:
        issued = dt.datetime.fromisoformat(request.body["issued_at"])
        return moved() if issued > marks[0] else problem(401, "claim-replayed")

    controller = serve(script, clock_offset_s=20)

    assert make_node(tmp_path, controller.url).run("claim").result["attempts"] == 2


def test_status_asks_with_a_dry_run(serve: Serve, tmp_path: pathlib.Path) -> None:
    """`status` is a manual claim with dry_run true; its answer is printed."""
    controller = serve([Reply(200, {"outcome": "planned", "desired": "MIRRORB", "epoch": 3})])

    ended = make_node(tmp_path, controller.url, primary_check="false").run("status")
    body: dict[str, Any] = controller.requests[0].body

    assert ended.code == 0
    assert ended.result["answer"]["desired"] == "MIRRORB"
    assert (body["dry_run"], body["event"]) == (True, "manual")


def test_member_option_replaces_the_configured_one(serve: Serve, tmp_path: pathlib.Path) -> None:
    """--member names the member in the claim."""
    controller = serve([moved(holder="HOST/IRIS")])

    make_node(tmp_path, controller.url).run("claim", "--member", "HOST/IRIS")

    assert controller.requests[0].body["member"] == "HOST/IRIS"
