"""primary_check: who may claim, and what ends a claim."""

import pathlib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.agent.scripted import Controller, Node, Reply, Request, eventually, make_node, moved, problem
from tests.agent.test_vectors import load_agent

Serve = Callable[..., Controller]
QLIST = "IRIS^/usr/irissys^2025.1^running, since Mon^iris.cpf^1972^52773^0^{state}^IRIS^Failover^{role}^/usr/irissys\n"


def fake_iris(node: Node, role: str, state: str = "ok") -> str:
    """Put a program beside the configuration that answers as `iris qlist` does; return the command."""
    (node.folder / "role").write_text(QLIST.format(role=role, state=state))
    program = node.folder / "iris"
    program.write_text(f"#!/bin/sh\ncat {node.folder}/role\n")
    program.chmod(0o755)
    return f"{program} qlist IRIS"


@pytest.mark.parametrize(
    ("check", "exit_code"),
    [
        ("true", 0),
        ("false", 3),
        ("sh -c 'exit 2'", 0),
        ("/nowhere/iris qlist IRIS", 0),
        ("sh -c 'kill -9 $$'", 0),
        ("unbalanced 'quote", 0),
        ("", 0),
    ],
)
def test_command_tells_who_is_primary(serve: Serve, tmp_path: pathlib.Path, check: str, exit_code: int) -> None:
    """0: primary; 1: not, which ends the claim unsent; anything else: unknown, which never does."""
    controller = serve([moved()])

    ended = make_node(tmp_path, controller.url, primary_check=check).run("claim")

    assert ended.code == exit_code
    assert len(controller.requests) == (0 if exit_code else 1)


@pytest.mark.parametrize(
    ("role", "state", "exit_code"),
    [
        ("Primary", "ok", 0),
        ("Backup", "ok", 3),
        ("Connected", "warn", 3),
        ("Waiting", "ok", 3),
        ("Transition", "ok", 0),
        ("Trouble", "ok", 0),
        ("", "ok", 0),
        ("Backup", "hung", 0),
    ],
)
def test_qlist_tells_by_field_12(serve: Serve, node: Node, role: str, state: str, exit_code: int) -> None:
    """`iris qlist` ends with 0 whatever the role; the settled roles decide, all else is unknown."""
    node.settings |= {"url": serve([moved()]).url, "primary_check": fake_iris(node, role, state)}

    assert node.run("claim").code == exit_code


@pytest.mark.parametrize(
    "check",
    [
        "/nowhere/iris qlist IRIS",
        "unbalanced 'quote",
        "env iris-is-not-here qlist IRIS",
        "sh -c 'exit 127'",
        "http://[::1/primary",
        "http://127.0.0.1:port/primary",
        "https:///primary",
        "http://pg..example/primary",
    ],
)
def test_check_that_cannot_run_is_said_loudly_and_once(serve: Serve, tmp_path: pathlib.Path, check: str) -> None:
    """It would be unknown for ever: log, stderr and result say so, and the claim goes on."""
    node = make_node(tmp_path, serve([problem(503, "busy"), moved()]).url, primary_check=check)

    ended = node.run("claim")

    assert ended.code == 0
    assert ended.stderr.count("primary_check cannot run") == 1
    assert node.log.count("primary_check.cannot_run") == 1
    assert "primary_check cannot run" in ended.result["warning"]


@pytest.mark.parametrize("role", ["Transition", "Trouble", ""])
def test_role_that_is_not_settled_is_no_warning(serve: Serve, node: Node, role: str) -> None:
    """Unknown for a while is part of a takeover."""
    node.settings |= {"url": serve([moved()]).url, "primary_check": fake_iris(node, role)}

    ended = node.run("claim")

    assert (ended.stderr, "warning" in ended.result) == ("", False)


def test_qlist_without_an_instance_is_unknown(serve: Serve, node: Node) -> None:
    """A wrong instance name prints nothing; that ends no claim."""
    node.settings |= {"url": serve([moved()]).url, "primary_check": fake_iris(node, "Backup")}
    (node.folder / "role").write_text("")

    assert node.run("claim").code == 0


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 3), (404, 0), (500, 0)])
def test_page_tells_by_its_status(serve: Serve, node: Node, status: int, exit_code: int) -> None:
    """200: primary; 503: not; anything else: unknown."""
    controller = serve([moved()])
    node.settings |= {"url": controller.url, "primary_check": controller.url.replace("/api", f"/{status}")}

    assert node.run("claim").code == exit_code


def test_check_that_hangs_is_unknown_after_5_s(serve: Serve, node: Node) -> None:
    """IRIS may hang: the claim goes out after 5 s, and the command and its children are killed."""
    node.settings |= {"url": serve([moved()]).url, "primary_check": f"sh -c 'echo $$ >{node.folder}/pid; sleep 987; :'"}
    began = time.monotonic()

    ended = node.run("claim")

    assert ended.code == 0
    assert 5.0 <= time.monotonic() - began < 10
    process = pathlib.Path("/proc", (node.folder / "pid").read_text().strip())
    eventually(lambda: not process.exists() or "\nState:\tZ" in (process / "status").read_text())


def test_page_that_answers_byte_by_byte_is_hung_up_on() -> None:
    """After 5 s the answer is unknown, and no connection is left behind: `watch` asks four times a minute, for ever."""
    left = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while True:
                connection.sendall(b"H")
                threading.Event().wait(0.2)
        left.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        check = load_agent().PrimaryCheck(f"http://127.0.0.1:{listener.getsockname()[1]}/primary", None)

        assert check.verdict()[0] == "unknown"
        assert left.wait(2)


def test_force_skips_the_check(serve: Serve, tmp_path: pathlib.Path) -> None:
    """--force claims without asking."""
    assert make_node(tmp_path, serve([moved()]).url, primary_check="false").run("claim", "--force").code == 0


def test_check_is_asked_before_every_attempt(serve: Serve, node: Node) -> None:
    """A member that stops being primary while it claims ends with 3."""

    def script(request: Request) -> Reply:
        fake_iris(node, "Backup")
        return problem(503, "busy")

    controller = serve(script)
    node.settings |= {"url": controller.url, "primary_check": fake_iris(node, "Primary")}

    ended = node.run("claim")

    assert (ended.code, ended.result["outcome"]) == (3, "not-primary")
    assert len(controller.requests) == 1


def test_not_primary_counts_more_than_an_unreachable_controller(node: Node) -> None:
    """A member that is not primary does not go on trying to reach the controller."""
    node.settings["primary_check"] = "false"

    assert node.run("claim").code == 3


def test_check_become_primary_ok_is_not_held_to_not(serve: Serve, node: Node) -> None:
    """IRIS does not call itself primary yet during CheckBecomePrimaryOK: there "not" is unknown."""
    node.settings |= {"url": serve([moved()]).url, "primary_check": fake_iris(node, "Backup")}

    assert node.run("claim", "--event", "CheckBecomePrimaryOK").code == 0


def test_check_become_primary_ok_ends_once_it_has_been_primary(serve: Serve, node: Node) -> None:
    """Not yet, then primary, then not any more: that is the end, for this event too."""
    roles = iter(["Primary", "Backup"])

    def script(request: Request) -> Reply:
        fake_iris(node, next(roles))
        return problem(503, "busy")

    controller = serve(script)
    node.settings |= {"url": controller.url, "primary_check": fake_iris(node, "Backup")}

    assert node.run("claim", "--event", "CheckBecomePrimaryOK").code == 3
    assert len(controller.requests) == 2


def test_check_become_primary_ok_is_believed_for_600_s_only(serve: Serve, node: Node) -> None:
    """After 600 s of "not" the takeover has failed; the claim that began then ends unsent."""
    agent = load_agent()
    controller = serve([moved()])
    node.settings |= {"url": controller.url, "primary_check": "false"}
    settings = agent.load_settings(str(node.config), "")
    what = {"event": "CheckBecomePrimaryOK", "dry_run": False, "evidence": None, "force": False, "deadline_s": 0}

    stop = agent.Claim(settings, bytes(32), agent.Log(""), agent.steady() - 601, **what).run()

    assert stop.exit_code == 3
    assert controller.requests == []
