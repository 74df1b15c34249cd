"""`python -m demo` as people run it: in a terminal, in a pipe, cut off by head, interrupted."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from demo import __main__ as demo
from demo.ending import NotAsPromisedError
from tests.demo import running
from tests.demo.running import Place

STAGES: Final = ["died", "claim", "detach", "released", "attach", "attached", "proven"]
SGR: Final = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where nothing may be left."""
    return Place(tmp_path)


def stages(text: str) -> list[tuple[float, str]]:
    """The seconds and words of the timeline."""
    return [(float(at), word) for at, word in re.findall(r"^ +([0-9.]+) s  ([a-z]+) ", text, re.MULTILINE)]


def test_a_terminal_gets_colours_and_a_line_that_moves_within_its_columns(place: Place) -> None:
    """The stages in order, then the verdict; files and processes are gone.

    What moves is rewritten in its place, and never as long as the terminal is wide, since a broken line stays.
    """
    code, written = running.in_a_terminal(place, "demo", "--latency", "fixed:0.3")

    moving = [SGR.sub("", part).partition("\n")[0] for part in written.split("\r\x1b[K")[1:]]
    plain = SGR.sub("", re.sub(r"[^\n]*\r\x1b\[K", "", written))
    times = [at for at, _ in stages(plain)]
    assert code == 0
    assert [word for _, word in stages(plain)] == STAGES
    assert times == sorted(times)
    assert plain.splitlines()[-1].startswith("PASSED")
    assert "az, measured" not in plain, "the bench has not measured operations of 0.3 s"
    assert {"starting: Function app", "Azure takes it off MIRRORA"} <= {re.split(r" {2,}", part)[-1] for part in moving}
    assert max(map(len, moving)) <= 80
    assert "\x1b[32mPASSED\x1b[0m" in written
    assert max(len(part) for part in re.split(r"\r\x1b\[K|\n", SGR.sub("", written))) <= 80
    assert place.left() == []


@pytest.mark.parametrize("lines", [3, 9], ids=["during the start", "while Azure works, when no further line comes"])
def test_head_ends_it_at_once_and_quietly(place: Place, lines: int) -> None:
    """`| head` takes what it wants: no traceback, no wait for the swap, nothing left; the exit code is that of SIGPIPE."""
    command = f"{sys.executable} -m demo --latency fixed:300 | head -n {lines}; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", command], cwd=running.ROOT, env=place.environment, capture_output=True, text=True, check=False,
        timeout=running.LIMIT_S,
    )  # fmt: skip

    assert ran.stderr == ""
    assert ran.stdout.splitlines()[lines:] == ["141"]
    assert lines == 3 or "detach" in ran.stdout.splitlines()[lines - 1]
    assert place.left() == []


def test_a_signal_in_the_middle_of_the_swap_ends_everything(place: Place) -> None:
    """Ctrl-C, while Azure works: the swap is not waited for, the exit code says it, and nothing is left.

    Until then a pipe got plain lines: no colour and none that moves.
    """
    with running.started(place, "demo", "--latency", "fixed:300", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        said = running.until(iter(process.stdout), "detach")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=30)

    assert process.returncode == 130
    assert [word for _, word in stages(said)] == STAGES[:3]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", said)
    assert complained.splitlines() == ["demo: ended, with everything that it had started"]
    assert place.left() == []


def test_a_server_that_dies_is_a_failure_that_names_its_logs(place: Place) -> None:
    """Exit code 1, a sentence and the folder of the logs, which alone stays."""
    with running.started(place, "demo", "--latency", "fixed:300", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        said = running.until(iter(process.stdout), "detach")
        place.kill("-m simulator")
        rest, complained = process.communicate(timeout=30)
        said += rest

    (folder,) = place.temporary.iterdir()
    assert process.returncode == 1
    assert "PASSED" not in said
    assert "FAILED  the simulated Azure ended with -9" in complained
    assert complained.rstrip().endswith(f"The logs are in {folder}")
    assert [path for path in place.left() if not path.startswith(folder.name)] == []


class Standing:
    """What the last check asks, as it is where all is well."""

    def __init__(self, **other: Any) -> None:
        self._told = {"placed": {"state": "placed", "members": ["MIRRORB"]}, "carrier": "mirrorb280_z2", "request": "1f", **other}

    def status(self) -> Any:
        return {"placement": self._told["placed"]}

    def carrier(self) -> Any:
        return self._told["carrier"]

    def writes(self) -> Any:
        return [{"status": 200, "target": "/nics/a?x", "request_id": self._told["request"]}]


@pytest.mark.parametrize(
    ("other", "outcome", "fault"),
    [
        ({}, "confirmed", "did not move"),
        ({"placed": {"state": "split", "members": ["MIRRORA", "MIRRORB"]}}, "moved", "did not move"),
        ({"carrier": "mirrora290_z1"}, "moved", "does not deliver"),
        ({"request": "2e"}, "moved", "no row of it"),
        ({}, "moved", "trail is broken"),
    ],
)
def test_it_fails_where_one_promise_does_not_hold(other: dict[str, Any], outcome: str, fault: str) -> None:
    """The verdict is no ornament: each thing that is wrong makes it fail."""
    rows = [{"Event": "nic.write", "ArmRequestIds": "1f", "Seq": 1, "Hash": "forged"}]

    with pytest.raises(NotAsPromisedError, match=fault):
        demo.check({"outcome": outcome}, Standing(**other), rows)  # type: ignore[arg-type]
