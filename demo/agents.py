"""The members' agents, each run as its node runs it: a claim at a failover, and the watch of the service."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from demo.ending import NotAsPromisedError
from demo.harness import Harness

AGENT: Final = Path(__file__).resolve().parent.parent / "agent" / "vip_agent.py"
DEADLINE_S: Final = 300


@contextlib.contextmanager
def claiming(standing: Harness, member: str, event: str) -> "Iterator[subprocess.Popen[str]]":
    """The agent of a member, as `^ZMIRROR` starts it; ended with the block."""
    command = [sys.executable, str(AGENT), "--config", str(standing.agents[member])]
    command += ["claim", "--event", event, "--deadline", str(DEADLINE_S)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def answered(running: "subprocess.Popen[str]", member: str) -> dict[str, Any]:
    """The controller's answer to an agent's claim. Raises NotAsPromisedError unless the VIP is there."""
    said, complained = running.communicate()
    if running.returncode:
        raise NotAsPromisedError(f"the agent of {member} ended with {running.returncode}: {(complained or said).strip()}")
    answer: dict[str, Any] = json.loads(said)["answer"]
    return answer


def claim(standing: Harness, member: str, event: str) -> dict[str, Any]:
    """Let a member's agent claim, and wait for the answer. Raises NotAsPromisedError unless the VIP is there."""
    with claiming(standing, member, event) as running:
        return answered(running, member)


@contextlib.contextmanager
def watching(config: Path, log: Path, every_s: float) -> Iterator[None]:
    """A member's agent that looks by itself, as its service does; ended with the block."""
    command = [sys.executable, str(AGENT), "--config", str(config), "watch", "--every", str(every_s)]
    with log.open("ab") as output:
        watch = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        watch.kill()  # at any instant: it remembers nothing
        watch.wait()
