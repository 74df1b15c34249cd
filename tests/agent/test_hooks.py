"""The hooks for other databases, each called as its manager calls it, with the real agent and a scripted controller."""

import os
import pathlib
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from tests.agent.scripted import AGENT, Controller, Node, Reply, eventually, make_node, moved, problem

Serve = Callable[..., Controller]
HOOKS = AGENT.parent / "hooks"
ENDS = 20


def call(node: Node, hook: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a hook to its end, as a manager with an environment of its own does."""
    known = {
        "PATH": "/usr/bin:/bin",
        "MIRROR_VIP_PYTHON": sys.executable,
        "MIRROR_VIP_AGENT": str(AGENT),
        "MIRROR_VIP_CONFIG": str(node.config),
        "MIRROR_VIP_STATE": str(node.folder / "state"),
    }
    words = [str(HOOKS / hook), *arguments]
    return subprocess.run(words, env=known | environment, text=True, capture_output=True, timeout=ENDS, check=False)


def finished(node: Node, claims: int = 1) -> None:
    """Wait for the claims in the background: none may go on after its test."""
    eventually(lambda: node.log.count(" claim.ended ") == claims)


def evidence(controller: Controller) -> list[tuple[str, str]]:
    """Event and manager of each claim that arrived."""
    return [(request.body["event"], request.body["evidence"]["manager"]) for request in controller.requests]


def test_hooks_are_sound_shell() -> None:
    """ShellCheck finds nothing, and /bin/sh is what they ask for."""
    hooks = sorted(HOOKS.iterdir())

    subprocess.run([pathlib.Path(sys.executable).parent / "shellcheck", *hooks], check=True, timeout=60)

    assert all(hook.read_text().startswith("#!/bin/sh\n") and os.access(hook, os.X_OK) for hook in hooks)


# --- Patroni


@pytest.mark.parametrize("role", ["primary", "master"])
@pytest.mark.parametrize("action", ["on_role_change", "on_start"])
def test_patroni_claims_for_the_primary(serve: Serve, tmp_path: pathlib.Path, action: str, role: str) -> None:
    """The callback ends at once, and the claim goes on by itself: Patroni kills a callback that still runs, with its children."""
    gate = threading.Event()
    controller = serve([Reply(200, moved().body, gate=gate)])
    node = make_node(tmp_path, controller.url)

    ended = call(node, "patroni-callback", action, role, "batman")

    assert ended.returncode == 0
    controller.wait_for(1)
    gate.set()
    eventually(lambda: "claim.ended exit=0" in node.log)
    assert evidence(controller) == [("NotifyBecomePrimary", "patroni")]
    assert controller.requests[0].body["evidence"]["cluster"] == "batman"


@pytest.mark.parametrize(
    ("action", "role"),
    [
        ("on_role_change", "replica"),
        ("on_role_change", "demoted"),
        ("on_role_change", "standby_leader"),
        ("on_start", "replica"),
        ("on_stop", "primary"),
        ("on_reload", "primary"),
        ("on_restart", "primary"),
    ],
)
def test_patroni_does_nothing_else(node: Node, action: str, role: str) -> None:
    """Whoever is no primary has nothing to say: the new primary pulls the VIP."""
    ended = call(node, "patroni-callback", action, role, "batman", MIRROR_VIP_AGENT="/nowhere")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_patroni_demotes_and_the_claim_ends(serve: Serve, tmp_path: pathlib.Path) -> None:
    """primary_check is Patroni's own page: 200 for the primary, 503 for the others."""
    controller = serve([problem(503, "busy")])
    node = make_node(tmp_path, controller.url, primary_check=controller.url.replace("/api", "/503"))

    call(node, "patroni-callback", "on_role_change", "primary", "batman")

    eventually(lambda: "claim.ended exit=3" in node.log)
    assert controller.requests == []


def test_configured_arguments_come_first(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Patroni and keepalived append theirs to the words of the configuration."""
    controller = serve([moved()])
    node = make_node(tmp_path, controller.url)

    call(node, "patroni-callback", "some", "words", "on_start", "primary", "batman")
    call(node, "keepalived-notify", "some", "INSTANCE", "VI_1", "MASTER", "100")

    finished(node, 2)
    assert {manager for _, manager in evidence(controller)} == {"patroni", "keepalived"}


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [
        ("patroni-callback", ["on_role_change", "primary", "batman"]),
        ("keepalived-notify", ["INSTANCE", "VI_1", "MASTER", "100"]),
    ],
)
def test_fault_of_the_configuration_is_told(node: Node, hook: str, arguments: list[str]) -> None:
    """The manager's log gets one line, and the exit code is not 0."""
    node.settings["key_file"] = "/nowhere"

    ended = call(node, hook, *arguments)

    assert ended.returncode == 2
    assert "/nowhere cannot be read" in ended.stderr


# --- keepalived


def check(node: Node, name: str) -> int:
    """Ask the hook as the agent's primary_check does."""
    return call(node, "keepalived-notify", "check", name).returncode


def test_keepalived_claims_for_the_master(serve: Serve, tmp_path: pathlib.Path) -> None:
    """MASTER claims, and the agent's primary_check already sees it; a later BACKUP ends a claim that still tries."""
    controller = serve([problem(503, "busy")])
    node = make_node(tmp_path, controller.url)
    settings = f"env MIRROR_VIP_STATE={tmp_path}/state {HOOKS / 'keepalived-notify'} check VI_1"
    node.settings["primary_check"] = settings

    assert call(node, "keepalived-notify", "INSTANCE", "VI_1", "MASTER", "100").returncode == 0
    controller.wait_for(2)
    assert call(node, "keepalived-notify", "INSTANCE", "VI_1", "BACKUP", "100").returncode == 0

    eventually(lambda: "claim.ended exit=3" in node.log)
    assert set(evidence(controller)) == {("NotifyBecomePrimary", "keepalived")}


def test_keepalived_remembers_its_state(serve: Serve, tmp_path: pathlib.Path) -> None:
    """check: 0 for MASTER, 1 for all else, 2 as long as nothing is known; instances apart."""
    node = make_node(tmp_path, serve([moved()]).url)
    found = [check(node, "VI_1")]
    for state in ("MASTER", "BACKUP", "MASTER", "FAULT", "STOP", "DELETED"):
        call(node, "keepalived-notify", "INSTANCE", "VI_1", state, "100")
        found.append(check(node, "VI_1"))
    finished(node, 2)

    assert found == [2, 0, 1, 0, 1, 1, 1]
    assert check(node, "VI_2") == 2


@pytest.mark.parametrize("arguments", [["GROUP", "G1", "MASTER", "100"], ["INSTANCE", "VI_1", "FAULT", "100"]])
def test_keepalived_does_nothing_else(node: Node, arguments: list[str]) -> None:
    """A group's instances call for themselves, and only MASTER claims."""
    ended = call(node, "keepalived-notify", *arguments, MIRROR_VIP_AGENT="/nowhere")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_keepalived_claims_without_a_folder(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Where the state cannot be kept, that is said, and the VIP moves all the same."""
    node = make_node(tmp_path, serve([moved()]).url)

    ended = call(node, "keepalived-notify", "INSTANCE", "VI_1", "MASTER", "100", MIRROR_VIP_STATE="/proc/no")

    finished(node)
    assert ended.returncode == 0
    assert "/proc/no cannot be written" in ended.stderr


# --- Pacemaker


def ocf(node: Node, action: str, **environment: str) -> int:
    """Run one action as Pacemaker's executor does: parameters in the environment, an exit code back."""
    known = {
        "OCF_ROOT": "/usr/lib/ocf",
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RESOURCE_INSTANCE": "vip",
        "OCF_RESOURCE_TYPE": "vip",
        "OCF_RESOURCE_PROVIDER": "mirror-vip",
        "OCF_RESKEY_config": str(node.config),
        "OCF_RESKEY_agent": str(AGENT),
        "OCF_RESKEY_python": sys.executable,
        "OCF_RESKEY_CRM_meta_timeout": "25000",
        "HA_RSCTMP": str(node.folder / "rsctmp"),
    }
    return call(node, "pacemaker-vip", action, **(known | environment)).returncode


def test_pacemaker_starts_monitors_and_stops(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The probe says "not running", start claims in the foreground, stop leaves Azure alone; each may be repeated."""
    controller = serve([moved(), moved(outcome="confirmed")])
    node = make_node(tmp_path, controller.url)

    actions = ["monitor", "start", "monitor", "start", "monitor", "stop", "monitor", "stop", "validate-all"]

    assert [ocf(node, action) for action in actions] == [7, 0, 0, 0, 0, 0, 7, 0, 0]
    assert evidence(controller) == [("NotifyBecomePrimary", "pacemaker")] * 2


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(200, {"outcome": "planned", "holder": "MIRRORA"}), 0),
        (Reply(200, {"outcome": "planned", "holder": "MIRRORB"}), 1),
        (Reply(200, {"outcome": "planned", "holder": None}), 0),
        (Reply(200, {"outcome": "planned"}), 0),
        (problem(403, "key-not-for-member"), 0),
    ],
    ids=["here", "elsewhere", "unknown", "untold", "refused"],
)
def test_pacemaker_asks_the_controller_at_level_10(serve: Serve, tmp_path: pathlib.Path, reply: Reply, code: int) -> None:
    """Only a definite "another member" is a failure: what could not be looked at restarts nothing."""
    node = make_node(tmp_path, serve([moved(), reply]).url)
    ocf(node, "start")

    assert ocf(node, "monitor", OCF_CHECK_LEVEL="10") == code
    assert ocf(node, "monitor") == 0


@pytest.mark.parametrize(
    ("reply", "timeout", "code"),
    [
        (problem(409, "claim-superseded"), "25000", 1),
        (problem(403, "key-not-for-member"), "25000", 4),
        (problem(503, "busy"), "5500", 1),
    ],
)
def test_pacemaker_learns_why_a_start_failed(serve: Serve, tmp_path: pathlib.Path, reply: Reply, timeout: str, code: int) -> None:
    """A soft error where a retry may help, a hard one for this node where the key is wrong; before Pacemaker's own timeout."""
    node = make_node(tmp_path, serve([reply]).url)

    assert ocf(node, "start", OCF_RESKEY_CRM_meta_timeout=timeout) == code
    assert ocf(node, "monitor") == 7


@pytest.mark.parametrize("action", ["validate-all", "start"])
@pytest.mark.parametrize(("parameter", "code"), [("OCF_RESKEY_python", 5), ("OCF_RESKEY_agent", 5), ("OCF_RESKEY_config", 2)])
def test_pacemaker_learns_what_is_missing(node: Node, action: str, parameter: str, code: int) -> None:
    """Not installed, or not configured, on this node: Pacemaker goes to another."""
    assert ocf(node, action, **{parameter: "/nowhere"}) == code


def test_pacemaker_reads_the_metadata(node: Node) -> None:
    """XML whose actions are those that the agent knows, whose parameters have defaults; another action is "unimplemented"."""
    root = ET.fromstring(call(node, "pacemaker-vip", "meta-data").stdout)

    assert root.tag == "resource-agent"
    assert [one.tag for one in root] == ["version", "longdesc", "shortdesc", "parameters", "actions"]
    assert {action.get("name") for action in root.iter("action")} == {"start", "stop", "monitor", "validate-all", "meta-data"}
    for parameter in root.iter("parameter"):
        assert [one.tag for one in parameter] == ["longdesc", "shortdesc", "content"]
        assert parameter[2].get("default")
    assert ocf(node, "promote") == 3
