"""The command `python -m simulator`."""

import asyncio
import json
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest


def _start(*words: str) -> Any:
    command = [sys.executable, "-m", "simulator", *words]
    return asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def test_the_command_serves_http_and_https_until_sigterm(tmp_path: Path) -> None:
    """`python -m simulator` prints the environment and `ready URL`; https works with its CA; SIGTERM ends it with exit code 0."""
    world = tmp_path / "world.json"
    world.write_text(json.dumps({"vnets": [{}], "nics": [{"name": "n", "configs": [{"name": "c"}]}]}))
    process = await _start("--port", "0", "--tls-port", "0", "--tls-dir", str(tmp_path / "tls"), "--world", str(world))
    try:
        word, url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        tls_url = await _tls_url(process)
        context = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))
        async with aiohttp.ClientSession() as session:
            for base, trust in ((url, True), (tls_url, context)):
                async with session.get(f"{base}/metadata/endpoints", ssl=trust) as answer:
                    assert (await answer.json())["resourceManager"] == base
    finally:
        process.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(process.wait(), 30)

    assert (word, ended) == ("ready", 0)


async def _errors_of(process: Any) -> bytes:
    """The stderr of a command that ends by itself; kills a command that does not."""
    try:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    except TimeoutError:
        process.kill()
        raise
    return bytes(errors)


async def _tls_url(process: Any) -> str:
    while line := (await asyncio.wait_for(process.stderr.readline(), 30)).decode():
        if line.startswith("# https:"):
            return str(line.split()[2])
    raise AssertionError("no https address was printed")


@pytest.mark.parametrize(
    "words",
    [("--switches", '{"latency": 3}'), ("--switches", "{"), ("--world", "/nowhere.json"), ("--tls-port", "0"), ("--scale", "0")],
)
async def test_unusable_arguments_are_one_clear_line_and_exit_code_2(words: tuple[str, ...]) -> None:
    """An invalid switch, world or option ends the command with exit code 2 and a message, without a traceback."""
    process = await _start("--port", "0", *words)
    errors = await _errors_of(process)

    assert process.returncode == 2
    assert b"Traceback" not in errors
    assert words[0].lstrip("-").rstrip("es").encode() in errors


async def test_a_taken_port_is_one_clear_line() -> None:
    """A port that is in use ends the command with exit code 2 and a message that says how to name another one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = await _start("--port", str(other.getsockname()[1]))
        errors = await _errors_of(process)

    assert process.returncode == 2
    assert b"Traceback" not in errors
    assert b"--port" in errors
