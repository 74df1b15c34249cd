"""Those who claim: the real agent as a process, and, for crowds, a coroutine that signs and retries as the agent does."""

import asyncio
import contextlib
import importlib.util
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import aiohttp

from serve import process
from simulator.worlds import FleetMirror
from tests.served.processes.harness import Harness, key_id, member

AGENT: Final = process.ROOT / "agent" / "vip_agent.py"
SUPERSEDED: Final = 3
ANSWER_LIMIT_S: Final = 210.0


def _agent_module() -> ModuleType:
    """The agent's own functions: it is one file, no package."""
    spec = importlib.util.spec_from_file_location("vip_agent", AGENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


vip_agent: Final[Any] = _agent_module()


@dataclass(frozen=True, slots=True)
class Ended:
    """How an agent ended: its exit code (negative: the signal that killed it) and its one line of JSON."""

    code: int
    result: Mapping[str, Any]


CLAIM: Final = ("claim", "--event", "NotifyBecomePrimary")


class Agent:
    """A real agent process that claims."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self.running = running

    @classmethod
    async def start(cls, config: Path, *, prefix: tuple[str, ...] = (), does: tuple[str, ...] = CLAIM) -> "Agent":
        """Start `vip_agent.py claim`, or another of its commands. `prefix`: a command that runs it."""
        command = [*prefix, sys.executable, str(AGENT), "--config", str(config), *does]
        running = await asyncio.create_subprocess_exec(
            *command,
            env={"PATH": os.environ["PATH"]},
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        return cls(running)

    async def end(self, within_s: float) -> Ended:
        """Wait for its end; killed if it takes longer, and that is a failure. Raises TimeoutError."""
        try:
            async with asyncio.timeout(within_s):
                out, _ = await self.running.communicate()
        except TimeoutError:
            await self.kill()
            raise
        return Ended(self.running.returncode or 0, json.loads(out) if out.strip() else {})

    async def kill(self) -> Ended:
        """SIGKILL, at once."""
        with contextlib.suppress(ProcessLookupError):
            self.running.kill()
        out, _ = await self.running.communicate()
        return Ended(self.running.returncode or 0, json.loads(out) if out.strip() else {})


@dataclass(slots=True)
class Claimant:
    """A member's claim over all its attempts, without a process: bodies and signatures are made by the agent's own code."""

    harness: Harness
    mirror: FleetMirror
    side: str
    claim_id: str = field(default_factory=lambda: str(vip_agent.new_claim_id()))
    began: float = field(default_factory=time.monotonic)
    attempts: int = 0
    answers: list[str] = field(default_factory=list)
    """What each attempt led to: a code, a status, or why there was no answer."""

    def request(self) -> tuple[str, bytes, dict[str, str]]:
        """Path below /api, body and headers of a fresh, signed attempt."""
        second, microsecond = divmod(time.time_ns() // 1000, 1_000_000)
        age_ms = int((time.monotonic() - self.began) * 1000)
        body = {
            "mirror": self.mirror.name,
            "member": member(self.mirror, self.side),
            "claim_id": self.claim_id,
            "issued_at": vip_agent.rfc3339(second, microsecond),
            "age_ms": age_ms if self.attempts else 0,
            "event": "NotifyBecomePrimary",
        }
        data = json.dumps(body).encode()
        path = f"/mirrors/{self.mirror.name}/claims"
        secret = vip_agent.base64.b64decode(self.harness.secret(self.mirror, self.side))
        nonce = os.urandom(12).hex()
        arguments = (secret, key_id(self.mirror, self.side), f"/api{path}", data, second, second + 60, nonce)
        return path, data, vip_agent.sign(*arguments)

    async def attempt(self, session: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, Any], float]:
        """One attempt: status (0 if there was no answer), the answer's JSON, and what Retry-After asks for, in seconds."""
        path, data, headers = self.request()
        self.attempts += 1
        try:
            timeout = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S, sock_connect=10)
            async with session.post(url + path, data=data, headers=headers, timeout=timeout) as answer:
                said = json.loads(await answer.read() or b"{}")
                self.answers.append(str(said.get("code") or answer.status))
                return answer.status, said, float(answer.headers.get("Retry-After", 0))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.answers.append(type(error).__name__)
            return 0, {}, 0.0

    async def claim(self, session: aiohttp.ClientSession, url_of: Callable[[], str], rng: random.Random) -> dict[str, Any]:
        """Go on until it is decided: the answer of the 200, or of a 409 `claim-superseded`."""
        failures = 0
        while True:
            status, said, after_s = await self.attempt(session, url_of())
            if status == 200 or said.get("code") == "claim-superseded":
                return said
            assert said.get("code") not in ("signature-invalid", "key-not-for-member", "internal"), said
            delay_s = min(15.0, 0.5 * 2.0 ** min(failures, 10)) * (0.5 + rng.random() / 2)
            failures += 1
            await asyncio.sleep(after_s + delay_s / 10 if after_s else delay_s)
