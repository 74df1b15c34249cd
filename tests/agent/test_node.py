"""The agent on its node: turns, sudden death, the background, and a log that cannot be written."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.agent.scripted import Controller, Node, Reply, end_of, eventually, make_node, moved, problem, signature_of
from tests.agent.test_vectors import load_agent

Serve = Callable[..., Controller]


@contextlib.contextmanager
def started(node: Node, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the agent; it does not outlive the block."""
    process = node.start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def waits_for_a_lock(process: subprocess.Popen[str]) -> bool:
    """Say whether the kernel lists the process as waiting for an flock."""
    waiting = [line.split() for line in pathlib.Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(words[5] == str(process.pid) for words in waiting)


def lock_of(node: Node) -> pathlib.Path:
    """The lock file beside the log."""
    return pathlib.Path(node.settings["log_file"] + ".mirrora-1.lock")


def test_two_agents_take_turns(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The routine starts two: the second sends when the first has its answer, and says how long it has waited."""
    gate = threading.Event()
    controller = serve([Reply(200, {"outcome": "moved"}, gate=gate), moved(outcome="confirmed")])
    node = make_node(tmp_path, controller.url)
    with started(node, "claim", "--event", "CheckBecomePrimaryOK") as first:
        controller.wait_for(1)
        with started(node, "claim", "--event", "NotifyBecomePrimary") as second:
            eventually(lambda: waits_for_a_lock(second))
            sent_meanwhile = len(controller.requests)
            gate.set()
            ended = [end_of(first), end_of(second)]

    assert sent_meanwhile == 1
    assert [one.code for one in ended] == [0, 0]
    assert controller.together == 1
    assert controller.requests[0].body["claim_id"] != controller.requests[1].body["claim_id"]
    assert controller.requests[1].body["issued_at"] > controller.requests[0].body["issued_at"]


def test_turn_ends_with_the_attempt(serve: Serve, tmp_path: pathlib.Path) -> None:
    """An agent that waits for its next attempt is in nobody's way."""
    controller = serve([problem(503, "busy", Retry_After="300"), moved()])
    node = make_node(tmp_path, controller.url)
    with started(node, "claim") as first:
        eventually(lambda: "claim.retry" in node.log)

        ended = node.run("claim")

        assert first.poll() is None
    assert ended.code == 0


def test_deadline_counts_while_waiting_for_the_turn(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Waiting for another agent is part of the claim's time."""
    gate = threading.Event()
    controller = serve([Reply(200, {}, gate=gate)])
    node = make_node(tmp_path, controller.url)
    with started(node, "claim"):
        controller.wait_for(1)

        ended = node.run("claim", "--deadline", "0.3")

    gate.set()
    assert ended.code == 5
    assert ended.result["attempts"] == 0
    assert len(controller.requests) == 1


def test_agent_killed_with_the_lock_leaves_none(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Kill -9 in the middle of an attempt: the next agent has its turn at once."""
    gate = threading.Event()
    controller = serve([Reply(200, {}, gate=gate), moved()])
    node = make_node(tmp_path, controller.url)
    with started(node, "claim") as first:
        controller.wait_for(1)
        with started(node, "claim") as second:
            eventually(lambda: waits_for_a_lock(second))
            first.send_signal(signal.SIGKILL)
            ended = end_of(second)
    gate.set()

    assert ended.code == 0
    assert len(controller.requests) == 2


@pytest.mark.parametrize("place", ["", "/proc/nowhere/agent.log"], ids=["no-log", "unwritable"])
def test_agents_take_turns_without_a_log_folder(serve: Serve, tmp_path: pathlib.Path, place: str) -> None:
    """Where no lock file can be made, the key file is locked."""
    gate = threading.Event()
    controller = serve([Reply(200, {}, gate=gate), moved()])
    node = make_node(tmp_path, controller.url, log_file=place)
    with started(node, "claim") as first:
        controller.wait_for(1)
        with started(node, "claim") as second:
            eventually(lambda: waits_for_a_lock(second))
            gate.set()
            assert (end_of(first).code, end_of(second).code) == (0, 0)
    assert controller.together == 1


def test_full_disk_does_not_stop_the_claim(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Neither the log nor stdout can be written: the claim is carried out and the exit code says so."""
    node = make_node(tmp_path, serve([problem(503, "busy"), moved()]).url)
    pathlib.Path(node.settings["log_file"]).symlink_to("/dev/full")
    with pathlib.Path("/dev/full").open("w") as full:
        process = subprocess.Popen(node.words("claim"), stdout=full, stderr=full)
        assert process.wait(20) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes what others could not")
def test_root_follows_no_link_in_the_folder_of_iriss_user(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Who owns the log's folder must not choose which file root makes or gives away when it runs the agent by hand."""
    folder, target = tmp_path / "log", tmp_path / "cron.d"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    (folder / "agent.log").symlink_to(target)
    node = make_node(tmp_path, serve([moved()]).url, log_file=str(folder / "agent.log"))

    ended = node.run("claim")

    assert (ended.code, target.exists()) == (0, False)


def test_stopped_agent_does_not_keep_the_turn_for_ever(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A process that is frozen in its attempt keeps its lock; after a while others go on beside it, and the log says so."""
    agent = load_agent()
    node = make_node(tmp_path, serve([moved()]).url)
    what = {"event": "manual", "dry_run": False, "evidence": None, "force": False, "deadline_s": 0}
    settings = agent.load_settings(str(node.config), "")
    claim = agent.Claim(settings, agent.load_key(settings.key_file), agent.Log(settings.log_file), agent.steady(), **what)
    claim.turn_limit_s = 0.2
    with lock_of(node).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert claim.run().exit_code == 0

    assert " claim.out_of_turn " in node.log


def test_closed_streams_do_not_stop_the_claim(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Started without stdin, stdout and stderr, the agent writes into none of its own files by mistake."""
    controller = serve([moved()])
    node = make_node(tmp_path, controller.url)
    process = subprocess.Popen(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *node.words("claim")])

    assert process.wait(20) == 0
    assert len(controller.requests) == 1
    assert lock_of(node).read_bytes() == b""


def test_log_tells_the_story_without_the_secret(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Each event is one line, whatever an answer holds; key and signature are absent."""
    controller = serve([Reply(503, {"code": "busy", "detail": "x\n2026 claim.ended forged"}), moved()])
    node = make_node(tmp_path, controller.url)

    node.run("claim")

    events = [line.split()[2] for line in node.log.splitlines()]
    assert events == ["claim.began", "claim.attempt", "claim.retry", "claim.attempt", "claim.ended"]
    assert "AAECAwQF" not in node.log
    assert controller.requests[0].headers["signature"] not in node.log


def test_detached_agent_goes_on_by_itself(serve: Serve, tmp_path: pathlib.Path) -> None:
    """--detach returns at once; the agent is in a session of its own, in /, and holds nothing of the caller's open."""
    gate = threading.Event()
    controller = serve([Reply(200, {"outcome": "moved"}, gate=gate)])
    node = make_node(tmp_path, controller.url)
    inherited, kept = os.pipe()
    ended = node.run("claim", "--detach", pass_fds=(kept,))
    os.close(kept)
    pid = ended.result["pid"]
    process = pathlib.Path("/proc", str(pid))
    try:
        controller.wait_for(1)
        session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
        places = [str((process / "fd" / number).readlink()) for number in "012"]

        assert ended.result["outcome"] == "detached"
        assert session not in (os.getsid(0), pid)
        assert str((process / "cwd").readlink()) == "/"
        assert places == ["/dev/null"] * 3
        assert os.read(inherited, 1) == b""
    finally:
        gate.set()
        os.close(inherited)
    eventually(lambda: "claim.ended exit=0" in node.log)


def test_sign_prints_what_curl_sends(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The command that `sign --curl` prints is accepted like the agent's own attempt, and sends nothing else."""
    controller = serve([moved()])
    node = make_node(tmp_path, controller.url)

    printed = node.run("sign", "--dry-run").stdout
    head, _, body = printed.partition("\n\n")

    assert [line.split(":")[0] for line in head.splitlines()] == [
        "Content-Type",
        "Content-Digest",
        "Signature-Input",
        "Signature",
    ]
    assert json.loads(body)["dry_run"] is True
    assert controller.requests == []


def test_curl_command_of_sign_reaches_the_controller(serve: Serve, tmp_path: pathlib.Path) -> None:
    """`sign --curl` prints one command for the shell."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    controller = serve([moved()])
    node = make_node(tmp_path, controller.url)

    command = node.run("sign", "--curl", "--evidence", "note=it's $HOME").stdout
    subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=20)

    request = controller.requests[0]
    assert request.body["evidence"]["note"] == "it's $HOME"
    assert request.headers["signature"] == f"mirror-vip=:{signature_of(request)}:"
