"""Cold start in Microsoft's worker runtime: from the process's start to the first answered claim, beside an app with one empty
function in the same host, with compiled bytecode and without.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import client, harness, others, share
from bench.numbers import Goal, Section, p50
from bench.swaps import Say
from serve import azurite

ROOT: Final = Path(__file__).resolve().parent.parent
EMPTY_APP: Final = """import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="empty", methods=["GET"])
async def empty(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("")
"""
IMPORTS: Final = {
    "interpreter": "pass",
    "rules and triggers (function_app)": "import function_app",
    "adapters and SDKs (vipcore.adapters.wiring)": "from vipcore.adapters import wiring",
}


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the process's start until it listens and until the first answer, and its CPU time until then."""

    ready_s: float
    answer_s: float
    cpu_s: float


async def measure(folder: Path, *, runs: int, bare_runs: int, seed: int, say: Say) -> Section:
    """`runs` starts of each app with bytecode, `bare_runs` without, turn by turn."""
    section = Section(name="cold")
    empty = folder / "empty"
    empty.mkdir()
    (empty / "function_app.py").write_text(EMPTY_APP)
    (empty / "host.json").write_text('{"version": "2.0"}')
    found: dict[str, list[Start]] = {}
    async with standing(folder, "cold", seed=seed) as (ours, name):
        for compiled, times in ((True, runs), (False, bare_runs)):
            words = "with bytecode" if compiled else "without bytecode"
            say(f"cold start {words}: {times} starts of each app")
            for _ in range(times):
                for app_name, environment in (("empty", {**harness.plain(), "PORT": "0", "APP_DIR": str(empty)}), ("ours", ours)):
                    start = await asyncio.to_thread(start_once, environment, app_name, name, compiled=compiled)
                    found.setdefault(f"{app_name}, {words}", []).append(start)
    _report(section, found)
    say("cold start: imports")
    parts = {what: _import_s(code, ours) for what, code in IMPORTS.items()}
    section.tables.append(
        (
            "What is imported, seconds of a fresh interpreter (p50 of 5)",
            ("what", "s"),
            [(k, f"{v:.3f}") for k, v in parts.items()],
        )
    )
    section.raw["imports_s"] = parts
    return section


@contextlib.asynccontextmanager
async def standing(folder: Path, label: str, *, seed: int) -> AsyncIterator[tuple[dict[str, str], str]]:
    """The environment of an app with one mirror, and the mirror's name. Table and head are there, so a start is no first use."""
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(azurite.running())
        azure = stack.enter_context(harness.azure(folder, harness.fleet(1), seed=seed, switches={}, name=f"azure-{label}"))
        name = others.mirror(0, azure).name
        with harness.app(folder, azure, table, harness.document([0], 1), name=label) as app:
            async with client.session() as session:
                await client.claim(session, app.url, name, f"{name}-A")
        yield harness.app_environment(azure, table, folder / f"{label}.json", label), name


def start_once(environment: Mapping[str, str], app: str, name: str, *, compiled: bool, held: share.Held | None = None) -> Start:
    """One start of `python -m serve`, its first answer, and its end; `held` is the share of a core that it gets."""
    with tempfile.TemporaryDirectory() as nowhere, _spawned({**environment, **_bytecode(nowhere, compiled=compiled)}) as process:
        began = process_began = time.perf_counter()
        if held:
            held.hold(process)
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        ready_s = time.perf_counter() - process_began
        if not line.startswith("ready "):
            raise RuntimeError(f"the app did not start: {line!r}")
        url = line.split()[1]
        if app == "ours":
            target, data, headers = client.signed(url, name, f"{name}-A")
            request = urllib.request.Request(target, data=data, headers=headers, method="POST")  # noqa: S310  # our own http
        else:
            request = urllib.request.Request(f"{url}/empty")  # noqa: S310  # as above
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            answer.read()
        return Start(ready_s, time.perf_counter() - began, _cpu_s(process.pid))


def _bytecode(nowhere: str, *, compiled: bool) -> dict[str, str]:
    # Without: the interpreter looks for bytecode in an empty folder and writes none.
    return {} if compiled else {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": nowhere}


@contextlib.contextmanager
def _spawned(environment: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        [sys.executable, "-m", "serve"],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(45)


def _cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _import_s(code: str, environment: Mapping[str, str]) -> float:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=dict(environment), check=True, stderr=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return p50(took)


def _report(section: Section, found: Mapping[str, list[Start]]) -> None:
    rows = []
    for what, starts in found.items():
        section.raw[what] = [{"ready_s": s.ready_s, "answer_s": s.answer_s, "cpu_s": s.cpu_s} for s in starts]
        middle = [p50([getattr(s, part) for s in starts]) for part in ("ready_s", "answer_s", "cpu_s")]
        rows.append((what, str(len(starts)), *(f"{value:.2f}" for value in middle)))
    header = ("app", "starts", "listening s", "first answer s", "CPU s")
    section.tables.append(("Cold start, p50 seconds from the process's start", header, rows))
    for words in ("with bytecode", "without bytecode"):
        ours, empty = found[f"ours, {words}"], found[f"empty, {words}"]
        ratio = p50([s.answer_s for s in ours]) / p50([s.answer_s for s in empty])
        own = p50([s.cpu_s for s in ours]) - p50([s.cpu_s for s in empty])
        why = "" if words == "with bytecode" else "an app is shipped with its bytecode for this reason"
        section.goals += [
            Goal(what=f"first claim of a fresh process over an empty app's, {words}", limit=3.0, measured=ratio, why=why),
            Goal(what=f"our own CPU time until then, {words}", limit=1.0, measured=own, unit="s", why=why),
        ]
