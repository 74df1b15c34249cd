"""ZVIP.mac, run by a small interpreter: who sends, what is missing, and how the agent's claim ended, in messages.log."""

import pathlib
import re
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
import tree_sitter_objectscript_udl
from tree_sitter import Language, Parser

from tests.agent.objectscript.language import text
from tests.agent.objectscript.library import Iris
from tests.agent.scripted import Controller, Reply, make_node, moved, problem
from tests.agent.test_zvipsend import CONFIG, exit_of

Serve = Callable[..., Controller]
PYTHON, AGENT = "/usr/bin/python3", "/opt/mirror-vip/vip_agent.py"


def void(_: object) -> None:
    """Take a result that nobody wants."""


@pytest.fixture
def iris(tmp_path: pathlib.Path) -> Iris:
    """A member with Python, agent and configuration, and without ^ZVIPSend."""
    made = Iris("ZVIP", "ZMIRROR")
    for name in (PYTHON, AGENT, CONFIG):
        made.files[name] = str(tmp_path / pathlib.Path(name).name)
        pathlib.Path(made.files[name]).write_text("")
    return made


def test_agent_is_started_in_the_background(iris: Iris) -> None:
    """/ASYNC through env, without IRIS's libraries, with the entry point's name; one line in messages.log, severity 0."""
    assert iris.call("CheckBecomePrimaryOK^ZMIRROR") == 1

    words = f"/ASYNC /usr/bin/env -u LD_LIBRARY_PATH {PYTHON} -I -S {AGENT} claim --config {CONFIG} --event".split()
    assert iris.started == [[*words, "CheckBecomePrimaryOK", "--detach"]]
    assert iris.logged == [(0, "Mirror VIP: agent started, event CheckBecomePrimaryOK")]
    assert (iris.hung, iris.jobs) == ([], [])  # the agent keeps no log, so there is nothing to follow


@pytest.mark.parametrize("name", [PYTHON, AGENT, CONFIG])
def test_missing_file_is_an_alert(iris: Iris, name: str) -> None:
    """Env always starts, so what is missing would show nowhere: severity 2, and not "agent started". It is tried all the same."""
    iris.missing.add(name)

    assert iris.call("NotifyBecomePrimary^ZMIRROR") == 1

    assert [severity for severity, _ in iris.logged] == [2]
    assert name in iris.logged[0][1]
    assert "started" not in iris.logged[0][1]
    assert len(iris.started) == 1


def test_program_that_cannot_be_started_is_an_alert(iris: Iris) -> None:
    """$ZF(-100) says that it could not fork: severity 2, and the entry point returns 1."""
    iris.started_with = -1

    assert iris.call("NotifyBecomePrimary^ZMIRROR") == 1
    assert [severity for severity, _ in iris.logged] == [2]


@pytest.mark.parametrize("word", ["%File.", "%Stream.", "$zf(-100", "%SYS.System.", "$text(Launch^ZVIPSend)"])
def test_nothing_that_fails_reaches_iris(iris: Iris, word: str) -> None:
    """Whatever throws, even the log, the entry points return 1; and the agent is started if it can be."""
    source = (pathlib.Path(__file__).parents[2] / "agent" / "ZVIP.mac").read_text()
    broken = {"$zf(-100": "$piece(1/0", "$text(Launch^ZVIPSend)": "(1/0)"}.get(word, "%Gone.")
    iris.load("ZVIP", source.replace(word, broken))

    assert iris.call("CheckBecomePrimaryOK^ZMIRROR") == 1
    assert iris.call("NotifyBecomePrimary^ZMIRROR") == 1
    assert len(iris.started) == (0 if word == "$zf(-100" else 2)


def test_routine_that_is_gone_does_not_stop_a_failover() -> None:
    """^ZMIRROR without ^ZVIP: nothing is claimed, and the member becomes primary."""
    assert Iris("ZMIRROR").call("CheckBecomePrimaryOK^ZMIRROR") == 1


@pytest.mark.parametrize(
    ("reply", "exit_code", "severity", "said"),
    [
        (moved(), 0, 0, "VIP moved here after "),
        (moved(outcome="confirmed"), 0, 0, "VIP is here already, confirmed after "),
        (problem(409, "claim-superseded"), 3, 1, "claim ended with 3 (superseded) after "),
        (problem(403, "key-not-for-member"), 4, 2, "about key-not-for-member"),
    ],
)
def test_end_of_the_agents_claim_is_in_messages_log(
    serve: Serve, iris: Iris, tmp_path: pathlib.Path, reply: Reply, exit_code: int, severity: int, said: str
) -> None:
    """The real agent's own log, followed from where the claim began, beside an older claim and another entry point's."""
    node = make_node(tmp_path, serve([moved(), moved(), reply]).url)
    node.run("claim", "--event", "CheckBecomePrimaryOK")
    pathlib.Path(node.settings["log_file"]).write_text(re.sub("^20..", "2025", node.log, flags=re.MULTILINE))
    iris.files[CONFIG] = str(node.config)
    iris.now = iris.began = Decimal(str(time.time()))

    iris.call("Claim^ZVIP", "CheckBecomePrimaryOK")
    events = ["NotifyBecomePrimary", "CheckBecomePrimaryOK"]
    iris.while_hung = lambda: void(node.run("claim", "--event", events.pop(0)))
    iris.run_jobs()

    assert len(iris.logged) == 2
    assert (iris.logged[1][0], exit_of(iris)) == (severity, exit_code)
    assert said in iris.logged[1][1]
    assert iris.globals["^ZVIP"]["last", "seconds"] * 1000 == int(node.log.rpartition(" elapsed_ms=")[2].split()[0])
    assert "event CheckBecomePrimaryOK" in iris.logged[1][1]
    assert len(iris.hung) == 2


def test_claim_that_goes_on_is_followed_for_an_hour(iris: Iris, tmp_path: pathlib.Path) -> None:
    """Then the job ends, and says nothing."""
    (tmp_path / "agent.log").write_text("2099-01-01T00:00:00.000Z [7] claim.began event=manual deadline_s=0\n")
    pathlib.Path(iris.files[CONFIG]).write_text(f"[agent]\nlog_file = {tmp_path}/agent.log\n")

    iris.call("Claim^ZVIP", "manual")
    iris.run_jobs()

    assert sum(iris.hung) == 3600
    assert len(iris.logged) == 1


NAMES = {"url": "x", "mirror": "PROD", "member": "MIRRORA", "key_id": "x", "key_file": "x"}
PAGE = (pathlib.Path(__file__).parents[2] / "docs/iris.md").read_text()
HOOKS = (pathlib.Path(__file__).parents[2] / "agent" / "ZMIRROR.mac").read_text()
CALL = 'do Claim^ZVIP("{}")'


def doctor(iris: Iris, **settings: str) -> list[str]:
    """Run it on a member whose agent.ini is right, but for what is named; return its lines."""
    told = NAMES | settings
    pathlib.Path(iris.files[CONFIG]).write_text("".join(f"{name} = {value}\n" for name, value in told.items()))
    iris.call("Doctor^ZVIP")
    return iris.written.splitlines()


def test_doctor_is_content_with_a_right_member(iris: Iris) -> None:
    """It prints what docs/iris.md shows, and the agent's `status` is run in the foreground, where its output can be read."""
    shown = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()

    assert doctor(iris) == [line for line in shown if not line.startswith("{")]  # that line is the agent's
    assert all(line.startswith(("ok       ", "info     ", "{")) for line in shown)
    assert iris.started[0][0] == ""
    assert iris.started[0][-3:] == ["status", "--config", CONFIG]


@pytest.mark.parametrize("fault", ["CheckBecomePrimaryOK", "NotifyBecomePrimary", "mirror", "agent", "exit code 4", "10.0.0.254"])
def test_doctor_names_what_is_wrong(iris: Iris, fault: str) -> None:
    """One line that begins with FAIL for each fault, and none for the rest."""
    if fault == "agent":
        iris.missing.add(AGENT)
    if fault == "exit code 4":
        iris.started_with = 4
    if fault == "10.0.0.254":
        iris.own_vip = fault
    if "Become" in fault:
        iris.load("ZMIRROR", HOOKS.replace(f"{fault}() PUBLIC", "Misspelt() PUBLIC"))

    wrong = [line for line in doctor(iris, **({fault: ""} if fault in NAMES else {})) if line.startswith("FAIL")]

    assert len(wrong) == 1
    assert fault in wrong[0]


@pytest.mark.parametrize("instead", ["", "; {}", "// {}", "do ^OTHER"])
@pytest.mark.parametrize("event", ["CheckBecomePrimaryOK", "NotifyBecomePrimary"])
def test_doctor_sees_a_zmirror_that_does_not_call_us(iris: Iris, event: str, instead: str) -> None:
    """Both labels and no call: HealthShare's own, or one that an upgrade has put in the place of ours. A comment is no call."""
    call = CALL.format(event)
    iris.load("ZMIRROR", HOOKS.replace(call, instead.format(call)))

    wrong = [line for line in doctor(iris) if line.startswith("FAIL")]

    assert wrong == [f'FAIL     ^ZMIRROR does not call Claim^ZVIP("{event}")']


def test_doctor_says_that_a_zmirror_without_source_cannot_be_seen(iris: Iris) -> None:
    """That is no fault, and no "ok" either."""
    iris.without_source.add("ZMIRROR")

    said = [line for line in doctor(iris) if "ZMIRROR" in line]

    assert len(said) == 1
    assert said[0].startswith("info     cannot be seen: ^ZMIRROR has no source here")


def test_doctor_fails_where_there_is_no_zmirror(iris: Iris) -> None:
    """Then nothing claims."""
    del iris.routines["ZMIRROR"]

    assert [line for line in doctor(iris) if line.startswith("FAIL")] == [
        "FAIL     there is no ^ZMIRROR in %SYS, so nothing claims when IRIS fails over"
    ]


def test_doctor_goes_on_where_the_mirror_s_configuration_cannot_be_read(iris: Iris) -> None:
    """Without a mirror, or with a class that is another in this version of IRIS."""
    source = (pathlib.Path(__file__).parents[2] / "agent" / "ZVIP.mac").read_text()
    iris.load("ZVIP", source.replace("Config.Mirrors", "Config.Gone"))

    said = doctor(iris)

    assert "info     cannot be seen: whether IRIS's own virtual IP is off" in said
    assert said[-1] == "ok       the agent's status, exit code 0"


@pytest.mark.parametrize("ended", [False, True])
def test_metrics_tell_how_the_last_claim_ended(iris: Iris, ended: bool) -> None:
    """Numbers only, read from one global: -1 and zeros before the first claim."""
    source = (pathlib.Path(__file__).parents[2] / "agent" / "ZVIPMetrics.cls").read_text()
    assert (
        not Parser(Language(tree_sitter_objectscript_udl.language_objectscript_udl())).parse(source.encode()).root_node.has_error
    )
    assert "Class ZVIP.Metrics Extends %SYS.Monitor.SAM.Abstract" in source
    body = re.findall(r"^Method (GetSensors\(\)) As %Status\n(\{.*?^\})", source, re.MULTILINE | re.DOTALL)[0]
    iris.load("Metrics", f"{body[0]} PUBLIC {body[1]}\n")
    iris.this = sensors = Sensors()
    if ended:
        iris.call("Ended^ZVIP", 0, "moved", Decimal("16.4"), "manual", "")

    assert iris.call("GetSensors^Metrics") == 1

    found = {name: float(text(value)) for name, value in sensors.values.items()}
    expected = (0, 16.4, 1790000000, 1) if ended else (-1, 0, 0, 0)
    names = (("last_claim_exit",), ("last_claim_seconds",), ("last_claim_timestamp_seconds",), ("claims_total", "moved"))
    assert tuple(found[name] for name in names) == expected


class Sensors:
    """What %SYS.Monitor.SAM.Abstract gives a class."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], object] = {}

    def SetSensor(self, *given: str) -> None:  # noqa: N802
        """A name, a number, and a label if it has one."""
        name, value, *label = given
        self.values[name, *label] = value

    def SetSensorInfo(self, name: str, help_text: str, kind: str) -> None:  # noqa: N802
        """A comment for Prometheus."""
        assert name
        assert help_text
        assert kind in ("counter", "gauge")
