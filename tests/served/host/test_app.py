"""Our app as it is served: Microsoft's runtime, Azurite, the simulated Azure, the real agent; from outside, over HTTP."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from demo import harness
from demo.harness import Harness
from serve import process
from trail import chain, sources

AGENT: Final = Path(__file__).resolve().parents[3] / "agent" / "vip_agent.py"
Answer = tuple[int, Mapping[str, str], Any]


def ask(url: str, method: str = "GET", *, key: str = "", body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Status, headers in lower case, and the JSON (or the bytes, if it is none) of an answer."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json", **({"x-functions-key": key} if key else {}), **(headers or {})}
    request = urllib.request.Request(url, data=data, method=method, headers=sent)
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        raw = answer.read()
        shown = {name.lower(): value for name, value in answer.headers.items()}
    try:
        return answer.status, shown, json.loads(raw)
    except ValueError:
        return answer.status, shown, raw


def operator(served: Harness, method: str, path: str, body: object = None) -> Answer:
    """An operator's request, with the function key."""
    return ask(f"{served.api}/{path}", method, key=served.function_key, body=body)


def claim(config: Path, member_event: str = "NotifyBecomePrimary", deadline_s: int = 120) -> dict[str, Any]:
    """What the real agent prints at the end of a claim, with its exit code as `exit`."""
    command = [sys.executable, str(AGENT), "--config", str(config), "claim", "--event", member_event]
    done = subprocess.run(
        [*command, "--deadline", str(deadline_s)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["exit"] == done.returncode
    return said


def primary(served: Harness, member: str) -> None:
    """Let the status pages say that this member is primary and the other is not."""
    for name in harness.MEMBERS:
        served.set_page(name, "primary" if name == member else "backup")


def test_claim_of_the_new_primary_moves_the_vip(served_app: Harness) -> None:
    """A 200 to the agent means that the VIP is there, as the network and a fresh read of the NICs say. (I4)"""
    primary(served_app, "MIRRORB")

    said = claim(served_app.agents["MIRRORB"])

    assert (said["exit"], said["outcome"]) == (0, "moved")
    assert served_app.carrier() == "mirrorb280_z2"
    assert served_app.status()["placement"] == {"state": "placed", "members": ["MIRRORB"]}
    assert len(served_app.writes()) == 2


def test_claim_where_the_vip_is_writes_no_nic(served_app: Harness) -> None:
    """A claim that finds the VIP in place is confirmed, and no NIC is written."""
    primary(served_app, "MIRRORB")
    claim(served_app.agents["MIRRORB"])
    before = len(served_app.writes())

    said = claim(served_app.agents["MIRRORB"], "manual")

    assert (said["exit"], said["outcome"]) == (0, "confirmed")
    assert len(served_app.writes()) == before


def read(connection: str) -> list[dict[str, Any]]:
    """The audit rows, oldest first, as an auditor reads them."""
    with sources.open_table(harness.TABLE_NAME, connection=connection) as client:
        return [*sources.rows(client, harness.MIRROR)][::-1]


def test_trail_verifies_for_the_app_and_for_an_auditor(served_app: Harness) -> None:
    """The chain holds by the app's own route and recomputed without its code; a changed row is found. (I8)"""
    claim(served_app.agents["MIRRORB"], "manual")

    rows = read(served_app.table)
    _, _, verdict = operator(served_app, "GET", "mirrors/PROD/audit/verify")

    assert chain.check(reversed(rows)).fault == ""
    assert verdict["intact"] is True
    assert (verdict["records"], verdict["head_hash"]) == (len(rows), rows[-1]["Hash"])
    assert chain.check([{**rows[-1], "Detail": "forged"}, *rows[-2::-1]]).fault != ""
    assert chain.check([*rows[:1:-1], rows[0]]).fault != ""


def test_operator_moves_freezes_and_reads(served_app: Harness) -> None:
    """The operator's routes do what the `curl` lines of docs/operations.md say."""
    move = {"to": "MIRRORA", "reason": "test", "operator": "pat", "force": True}
    frozen = {"reason": "test", "operator": "pat"}
    primary(served_app, "MIRRORA")

    assert operator(served_app, "POST", "mirrors/PROD/moves", {**move, "dry_run": True})[2]["outcome"] == "planned"
    assert operator(served_app, "POST", "mirrors/PROD/moves", move)[2]["holder"] == "MIRRORA"
    assert operator(served_app, "PUT", "mirrors/PROD/freeze", frozen)[2]["frozen"]["reason"] == "test"
    assert operator(served_app, "POST", "mirrors/PROD/moves", {**move, "force": False, "to": "MIRRORB"})[0] == 423
    assert operator(served_app, "DELETE", "mirrors/PROD/freeze?operator=pat&reason=done")[2]["frozen"] is None
    assert [mirror["mirror"] for mirror in operator(served_app, "GET", "mirrors")[2]["mirrors"]] == ["PROD"]
    assert len(operator(served_app, "GET", "mirrors/PROD/audit?limit=2")[2]["records"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "mirrors/NONE", None, 404, "mirror-unknown"),
        ("POST", "mirrors/PROD/moves", b"{", 400, "body-invalid"),
        ("POST", "mirrors/PROD/moves", {"to": "MIRRORB"}, 400, "body-invalid"),
        ("POST", "mirrors/PROD/moves", {"to": "X", "reason": "r", "operator": "o"}, 404, "member-unknown"),
        ("POST", "mirrors/PROD/moves", b" " * 16385, 413, "body-too-large"),
        ("POST", "mirrors/PROD/claims", {}, 401, "signature-missing"),
        ("POST", "mirrors/NONE/claims", {}, 401, "signature-missing"),
        ("GET", "mirrors/PROD/audit?limit=none", None, 400, "body-invalid"),
    ],
)
def test_refusal_is_a_problem_document(served_app: Harness, method: str, path: str, body: object, status: int, code: str) -> None:
    """Every error of the app is problem+json with its code and a correlation id."""
    answered, headers, problem = operator(served_app, method, path, body)

    assert (answered, problem["code"], problem["status"]) == (status, code, status)
    assert headers["content-type"].startswith("application/problem+json")
    assert headers["x-correlation-id"]
    assert {"type", "title", "detail", "instance"} <= problem.keys()


@pytest.mark.parametrize(("method", "path"), [("GET", "mirrors"), ("GET", "mirrors/PROD"), ("POST", "mirrors/PROD/moves")])
def test_operators_routes_want_a_function_key(served_app: Harness, method: str, path: str) -> None:
    """Without the key the host answers 401 with an empty body; the app is not asked."""
    status, headers, body = ask(f"{served_app.api}/{path}", method, key="wrong", body=None if method == "GET" else {})

    assert (status, body) == (401, b"")
    assert "x-correlation-id" not in headers


def test_health_tells_its_state_and_nothing_else(served_app: Harness) -> None:
    """`/health` is open to anyone and says ok."""
    assert ask(f"{served_app.api}/health")[::2] == (200, {"status": "ok"})


def test_broken_configuration_serves_only_health(tmp_path: Path, served_app: Harness) -> None:
    """A document that can't be parsed stops every route but `/health`; all faults are in the log, by name."""
    settings = {**served_app.settings, "VIP_MIRRORS": '{"mirrors": ', "VIP_CLOCK_SKEW_S": "soon"}
    log = tmp_path / "log"
    with process.running("serve", environment=settings, log=log) as broken:
        assert ask(f"{broken.url}/health")[::2] == (503, {"status": "misconfigured"})
        status, _, problem = ask(f"{broken.url}/mirrors", key=served_app.function_key)

    assert (status, problem["code"]) == (500, "configuration-invalid")
    assert "VIP_CLOCK_SKEW_S" in log.read_text()
    assert "VIP_MIRRORS" in log.read_text()


def wait_for_writes(served: Harness, count: int) -> None:
    """Until the simulated Azure has received so many NIC writes, at most 30 s."""
    give_up_at = time.monotonic() + 30
    while len(served.writes()) < count:
        assert time.monotonic() < give_up_at, "the write did not come"
        time.sleep(0.02)


def test_killed_driver_is_succeeded(tmp_path: Path) -> None:
    """Kill -9 between the two NIC writes loses nothing: the agent's next try ends with the VIP there. (I1, I3, I8)

    Two instances of the app share the table, as in Azure: the first is killed while its detach is under way, the agent
    tries again at the second one, which waits for the dead one's lease and goes on.
    """
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(harness.standing(tmp_path, seed=0, latency="fixed:2", say=lambda _: None))
        primary(served, "MIRRORB")
        first = stack.enter_context(process.running("serve", environment=served.settings, log=tmp_path / "first.log"))
        config = tmp_path / "first.ini"
        config.write_text(served.agents["MIRRORB"].read_text().replace(served.api, first.url))
        command = [sys.executable, str(AGENT), "--config", str(config), "claim", "--event", "NotifyBecomePrimary"]
        agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_writes(served, 1)
            first.process.send_signal(signal.SIGKILL)
        finally:
            agent.kill()
            agent.wait()

        said = claim(served.agents["MIRRORB"])

        assert said["exit"] == 0
        assert served.carrier() == "mirrorb280_z2"
        assert served.status()["placement"] == {"state": "placed", "members": ["MIRRORB"]}
        rows = read(served.table)
        assert chain.check(reversed(rows)).fault == ""
        assert [row["Event"] for row in rows][-1] in {"swap.completed", "claim.confirmed"}
