"""A server of ours as a child process that says `ready URL` on stdout: for the tests, the demo and the bench."""

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parent.parent
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 45.0


class ProcessError(RuntimeError):
    """The server ended, or said nothing in time, before it was ready; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers: its process and the url it named."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def pid(self) -> int:
        """For whoever wants to kill it."""
        return self.process.pid


@contextlib.contextmanager
def running(module: str, *, environment: Mapping[str, str], log: Path, arguments: Sequence[str] = ()) -> Iterator[Server]:
    """Run `python -m MODULE` from the repository's root until the block ends; then SIGTERM, by its pid.

    `environment` is all it gets. Its stderr goes to `log`. Raises ProcessError if it is not ready in START_TIMEOUT_S.
    """
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            # Out of the terminal's process group, so that Ctrl-C reaches us alone and the order of the end is ours.
            start_new_session=True,
        )
    try:
        output = _Output(process.stdout) if process.stdout else None
        if output is None or not output.wait_until_ready():
            tail = log.read_text(errors="replace").splitlines()[-15:]
            raise ProcessError(f"python -m {module} is not ready; its log {log} ends:\n" + "\n".join(tail))
        yield Server(process=process, url=output.url)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End it as an operator would; its exit code. Killed only if it does not end in STOP_TIMEOUT_S."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


class _Output(threading.Thread):
    """Reads a server's stdout to its end, since a full pipe would stop it, and keeps the url of the ready line."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.url = ""
        self.known = threading.Event()
        self.start()

    def run(self) -> None:
        """Until the output ends."""
        for line in self.stream:
            if line.startswith(b"ready ") and not self.url:
                self.url = line.decode().split()[1]
                self.known.set()
        self.known.set()

    def wait_until_ready(self) -> bool:
        """Whether the line came before the end and in time."""
        self.known.wait(START_TIMEOUT_S)
        return self.url != ""
