"""`python -m demo`: MIRRORA holds the VIP and dies; MIRRORB becomes primary; its agent claims; the VIP moves.

Exit code 0 if the VIP moved and the audit trail holds, 1 otherwise.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from demo import harness, show
from demo.harness import MEMBERS, MIRROR, Harness
from serve.azurite import AzuriteError
from serve.process import ProcessError
from trail import chain, sources

AGENT: Final = Path(__file__).resolve().parent.parent / "agent" / "vip_agent.py"
SEED: Final = 5  # two operations of ordinary length
DEADLINE_S: Final = 300
PROGRESS_EVERY_S: Final = 5.0


class DemoError(RuntimeError):
    """Something did not come out as promised; the message says what."""


def main(words: list[str]) -> int:
    """Play it, and say where the logs are if it fails."""
    asked = arguments(words)
    # SIGTERM ends it like Ctrl-C does: everything it started is ended first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="mirror-vip-demo-"))
    try:
        show.heading("Setting up")
        with harness.standing(folder, seed=asked.seed, latency=asked.latency, say=show.line) as standing:
            play(standing)
    except (DemoError, ProcessError, AzuriteError, urllib.error.URLError) as fault:
        print(f"\ndemo: {fault}\nThe logs are in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    shutil.rmtree(folder)
    return 0


def arguments(words: list[str]) -> argparse.Namespace:
    """The seed of the simulated Azure, and how long its NIC operations take."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="another one gives other times (default %(default)s)")
    parser.add_argument("--latency", default="modern", help="modern, 2022, 2019 or fixed:SECONDS (default %(default)s)")
    return parser.parse_args(words)


def play(standing: Harness) -> None:
    """The story. Raises DemoError where it ends otherwise than it should."""
    show.heading("MIRRORA is primary; its agent claims what it has")
    show.line(f"VIP 10.0.0.254 before: {show.holder(standing.status())}")
    answer = claim(standing, "MIRRORA", "startup")
    show.line(f"answer: {answer['outcome']} in {answer['total_ms'] / 1000:.2f} s, and no NIC was written")

    show.heading("MIRRORA dies; MIRRORB becomes primary; ^ZMIRROR starts its agent")
    standing.set_page("MIRRORA", "refuse")
    standing.set_page("MIRRORB", "primary")
    began = time.monotonic()
    answer = claim(standing, "MIRRORB", "NotifyBecomePrimary")
    elapsed_s = time.monotonic() - began
    after = standing.status()
    show.line(f"answer: {answer['outcome']} from {answer['from']} to {answer['holder']}, epoch {answer['epoch']}")
    show.line(f"VIP 10.0.0.254 after:  {show.holder(after)}")
    show.line(f"the network delivers it to {standing.carrier()}")

    show.heading(f"Phases ({elapsed_s:.1f} s from the agent's start to its end)")
    show.table(("phase", "ms"), [(phase["name"], phase["ms"]) for phase in answer["phases"]])

    show.heading("NIC writes that the simulated Azure received")
    show_writes(standing)

    show.heading("Audit trail, read with azure-data-tables")
    with sources.open_table(harness.TABLE_NAME, connection=standing.table) as client:
        rows = [*sources.rows(client, MIRROR)][::-1]
    show.table(("seq", "at (UTC)", "event", "epoch", "member", "took", "outcome"), [show.event(row) for row in rows])
    check(answer, after, standing, rows)
    show.line(f"{len(rows)} rows, none missing; every hash recomputed and equal, the last one {rows[-1]['Hash'][:16]}...")


def claim(standing: Harness, member: str, event: str) -> dict[str, Any]:
    """Run the real agent as `^ZMIRROR` does; the controller's answer. Raises DemoError unless the VIP is there."""
    command = [sys.executable, str(AGENT), "--config", str(standing.agents[member])]
    command += ["claim", "--event", event, "--deadline", str(DEADLINE_S)]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as agent:
        try:
            said = wait(agent, began)
        finally:
            agent.kill()
    if agent.returncode:
        raise DemoError(f"the agent of {member} ended with {agent.returncode}: {said.strip()}")
    answer: dict[str, Any] = json.loads(said)["answer"]
    return answer


def wait(agent: "subprocess.Popen[str]", began: float) -> str:
    """What the agent prints, with a line of progress every few seconds until then."""
    while True:
        try:
            return agent.communicate(timeout=PROGRESS_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            show.line(f"... {time.monotonic() - began:3.0f} s, the agent waits for the VIP")


def show_writes(standing: Harness) -> None:
    """Each PUT on a NIC: when, which, what it carried, and how it was answered."""
    rows = []
    for asked in standing.writes():
        at = datetime.fromtimestamp(asked["at"], UTC).strftime("%H:%M:%S.%f")[:12]
        nic = asked["target"].partition("?")[0].rpartition("/")[2]
        sent = json.loads(asked["request_body"])["properties"]["ipConfigurations"]
        carried = ", ".join(configuration["name"] for configuration in sent)
        rows.append((at, nic, carried, f"{asked['status']} {asked['code']}".strip(), asked["request_id"]))
    show.table(("at (UTC)", "NIC", "ip configurations sent", "answer", "ARM's request id"), rows)


def check(answer: dict[str, Any], after: dict[str, Any], standing: Harness, rows: list[dict[str, Any]]) -> None:
    """Hold what was shown against what is promised. Raises DemoError."""
    placed = {"state": "placed", "members": ["MIRRORB"]}
    if answer["outcome"] != "moved" or after["placement"] != placed:
        raise DemoError(f"the VIP did not move: {answer['outcome']}, {after['placement']}")
    if standing.carrier() != MEMBERS["MIRRORB"]:
        raise DemoError("the simulated network does not deliver the VIP to MIRRORB's NIC")
    if fault := chain.check(reversed(rows)).fault:
        raise DemoError(f"the audit trail is broken: {fault}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
