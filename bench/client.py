"""Claims over real HTTP, signed by the agent's own code: from the request to its answer, in seconds."""

import asyncio
import importlib.util
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from bench import harness

AGENT: Final = Path(__file__).resolve().parent.parent / "agent" / "vip_agent.py"
ANSWER_S: Final = 230.0


def _agent() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vip_agent", AGENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_SIGN: Final = _agent().sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, when its request was sent (seconds since 1970), and how long it took from the client's side."""

    status: int
    body: dict[str, Any]
    sent_at: float
    took_s: float


def signed(url: str, mirror: str, member: str, *, dry_run: bool = False) -> tuple[str, bytes, dict[str, str]]:
    """URL, body and headers of a fresh claim."""
    target = f"{url}/mirrors/{mirror}/claims"
    now = datetime.now(UTC)
    body: dict[str, Any] = {
        "mirror": mirror,
        "member": member,
        "claim_id": str(uuid.uuid4()),
        "issued_at": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "age_ms": 0,
        "event": "NotifyBecomePrimary",
    }
    if dry_run:
        body["dry_run"] = True
    data = json.dumps(body).encode()
    second, key_id = int(now.timestamp()), member.lower()
    headers = _SIGN(harness.secret_of(key_id), key_id, urlsplit(target).path, data, second, second + 60, f"nonce-{uuid.uuid4()}")
    return target, data, headers


async def claim(session: aiohttp.ClientSession, url: str, mirror: str, member: str) -> Answer:
    """One claim and its answer, whatever it is."""
    target, data, headers = signed(url, mirror, member)
    sent_at, began = time.time(), time.perf_counter()
    async with session.post(target, data=data, headers=headers) as response:
        answer = await response.read()
    took_s = time.perf_counter() - began
    return Answer(status=response.status, body=json.loads(answer) if answer else {}, sent_at=sent_at, took_s=took_s)


def session() -> aiohttp.ClientSession:
    """Connections to a server of ours, as many as are asked for."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=ANSWER_S), trust_env=False
    )


async def agent(config: Path, *, python: str) -> tuple[dict[str, Any], float]:
    """The real agent as `^ZMIRROR` starts it: what it printed, and seconds from its start to its exit."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        python,
        str(AGENT),
        "--config",
        str(config),
        "claim",
        "--event",
        "NotifyBecomePrimary",
        "--force",
        "--deadline",
        "200",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=harness.plain(),
    )
    said, _ = await process.communicate()
    took_s = time.perf_counter() - began
    printed: dict[str, Any] = json.loads(said)
    if process.returncode:
        raise RuntimeError(f"the agent ended with {process.returncode}: {printed}")
    return printed, took_s
