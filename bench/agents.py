"""The agent from its start to its first byte on the wire (a TLS ClientHello), over `python3 -c 'import ssl, http.client'`."""

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import harness
from bench.client import AGENT
from bench.numbers import Goal, Section, p50, p99
from bench.swaps import Say
from simulator import tls


def measure(folder: Path, *, runs: int, say: Say) -> Section:
    """Turn by turn, so that both see the same machine."""
    say("the agent's start")
    section = Section(name="agent")
    here = folder / "agent"
    here.mkdir()
    tls.server_context(here)
    agent, imports, kib, plain_kib = [], [], [], []
    with _listening() as (listener, port):
        config = harness.agent_config(here, f"https://localhost:{port}/api", "M00000", "M00000-A")
        config.write_text(config.read_text() + f"ca_file = {here / 'ca.pem'}\n")
        for _ in range(runs + 2):
            took_s, rss = _first_byte(listener, config)
            agent.append(took_s)
            kib.append(rss)
            took_s, rss = _imports()
            imports.append(took_s)
            plain_kib.append(rss)
    agent, imports = agent[2:], imports[2:]
    rows = [
        ("agent, start to first byte", f"{p50(agent) * 1000:.0f}", f"{p99(agent) * 1000:.0f}", f"{p50(kib) / 1024:.1f}"),
        ("python3 -c 'import ssl, http.client'", f"{p50(imports) * 1000:.0f}", f"{p99(imports) * 1000:.0f}",
         f"{p50(plain_kib) / 1024:.1f}"),
    ]  # fmt: skip
    section.tables.append((f"The agent, {runs} runs", ("what", "ms p50", "ms p99", "memory MiB"), rows))
    section.raw |= {"agent_s": agent, "imports_s": imports, "agent_kib": kib, "imports_kib": plain_kib}
    ratio = p50(agent) / p50(imports)
    section.goals.append(
        Goal(what="agent: start to first byte over `python3 -c 'import ssl, http.client'`", limit=1.5, measured=ratio)
    )
    return section


@contextlib.contextmanager
def _listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(30)
        yield listener, listener.getsockname()[1]


def _first_byte(listener: socket.socket, config: Path) -> tuple[float, float]:
    """Seconds until the agent's first byte arrived, and its resident memory then, in KiB."""
    words = [sys.executable, str(AGENT), "--config", str(config), "claim", "--event", "manual", "--force", "--deadline", "60"]
    began = time.perf_counter()
    with subprocess.Popen(
        words, env=harness.plain(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                took_s = time.perf_counter() - began
                status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.kill()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return took_s, float(found[1]) if found else 0.0


def _imports() -> tuple[float, float]:
    """Seconds of an interpreter that imports what any https client imports; peak memory of a second one, in KiB."""
    words = [sys.executable, "-c", "import ssl, http.client"]
    began = time.perf_counter()
    subprocess.run(words, env=harness.plain(), stdin=subprocess.DEVNULL, check=True)
    took_s = time.perf_counter() - began
    words[-1] += "; print(open('/proc/self/status').read())"
    told = subprocess.run(
        words, env=harness.plain(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    found = re.search(r"VmHWM:\s+(\d+) kB", told)
    return took_s, float(found[1]) if found else 0.0
