"""A command of the demo's as a process of its own, with all that it leaves behind in view."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_S: Final = 90.0


class Place:
    """A folder for temporary files, and a PATH that every process started from here inherits: so they are found again."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._mark = str(folder / "no-programs-here")
        self.environment: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM")},
            "PATH": f"{os.environ['PATH']}:{self._mark}",
            "TMPDIR": str(self.temporary),
        }

    def left(self) -> list[str]:
        """What is still there: files, and processes that run."""
        return [str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")] + [*self._processes()]

    def kill(self, words: str) -> None:
        """Kill the process that was started from here with these words."""
        (pid,) = [int(one.split()[0]) for one in self._processes() if words in one]
        os.kill(pid, signal.SIGKILL)

    def _processes(self) -> Iterator[str]:
        for found in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in (found / "environ").read_bytes():
                    yield f"{found.name} {(found / 'cmdline').read_bytes().decode().replace(chr(0), ' ')}"


@contextlib.contextmanager
def started(place: Place, *words: str, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Run `python -m WORDS`; interrupted, and as a last resort killed, when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, env=options.pop("env", place.environment), stdin=subprocess.DEVNULL,
        text=True, **options,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT_S)
        process.kill()
        process.wait()


def until(read: Iterator[str], words: str) -> str:
    """What is printed until a line has these words."""
    found = ""
    for line in read:
        found += line
        if words in line:
            return found
    raise AssertionError(f"not printed: {words}, but\n{found}")


def in_a_terminal(place: Place, *words: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of `python -m WORDS` in a terminal of 80 columns, and all that it wrote there."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    env = {**place.environment, "TERM": "xterm-256color", **(environment or {})}
    written = b""
    with started(place, *words, env=env, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        deadline = time.monotonic() + LIMIT_S
        # Linux says EIO where the last process has closed the terminal.
        with contextlib.suppress(OSError):
            while (read := os.read(ours, 65536)) and time.monotonic() < deadline:
                written += read
        process.wait(LIMIT_S)
    os.close(ours)
    return process.returncode, written.decode().replace("\r\n", "\n")
