"""A process held to a share of a core, as an instance of Azure is: by a cgroup where one can be made (root), else by stopping it.

The Linux scheduler gives a group its share of every tenth of a second and then lets it wait for the next one. Without rights a
thread here does the same with SIGSTOP and SIGCONT, which is coarser, and on a busy machine gives less than the share.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess

PERIOD_S: Final = 0.1
LOOK_S: Final = 0.002
V2: Final = Path("/sys/fs/cgroup")
V1: Final = Path("/sys/fs/cgroup/cpu")


class Held:
    """Holds processes to a share; `how` says by what."""

    def __init__(self, share: float, group: Path | None) -> None:
        self.share = share
        self.group = group
        self.how = f"cgroup {'v2' if group.parent == V2 else 'v1'}" if group else "SIGSTOP and SIGCONT"

    def hold(self, process: "subprocess.Popen[bytes]") -> None:
        """From now on, with all of its threads; call it right after the process's start."""
        if self.group:
            (self.group / "cgroup.procs").write_text(str(process.pid))
        elif self.share < 1:
            threading.Thread(target=_stop_and_go, args=(process, self.share), daemon=True).start()


@contextlib.contextmanager
def of_core(share: float, *, plain: bool = False) -> Iterator[Held]:
    """A share of one core, which all processes held have together. They must have ended when the block ends.

    `plain` does without a cgroup; then each process has the share for itself, and a whole core is not held at all.
    """
    group = None if plain else _group(share)
    try:
        yield Held(share, group)
    finally:
        if group:
            group.rmdir()


def _group(share: float) -> Path | None:
    """A new cgroup with this limit, or None where this user may make none."""
    period, quota = round(PERIOD_S * 1e6), round(PERIOD_S * 1e6 * share)
    # The weight keeps neighbours on a busy machine from taking what the share promises.
    v2 = {"cpu.max": f"{quota} {period}", "cpu.weight": 10_000}
    v1 = {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota, "cpu.shares": 262_144}
    for root, limits in ((V2, v2), (V1, v1)):
        if not (root / "cgroup.procs").exists():
            continue
        group = root / f"mirror-vip-bench-{os.getpid()}-{quota}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name, value in limits.items():
                (group / name).write_text(str(value))
        except OSError:
            group.rmdir()
            continue
        return group
    return None


def _stop_and_go(process: "subprocess.Popen[bytes]", share: float) -> None:
    """Let it run until it has used its share of a period, then stop it until the period's end."""
    # A Popen sends no signal to a process whose end it has seen, so a reused id is never hit.
    with contextlib.suppress(OSError, ValueError):
        while process.returncode is None:
            ends, enough = time.monotonic() + PERIOD_S, _used_s(process.pid) + share * PERIOD_S
            while time.monotonic() < ends and _used_s(process.pid) < enough:
                time.sleep(LOOK_S)
            if (left_s := ends - time.monotonic()) > 0:
                process.send_signal(signal.SIGSTOP)
                time.sleep(left_s)
                process.send_signal(signal.SIGCONT)


def _used_s(pid: int) -> float:
    """CPU time of all threads that live, to the nanosecond; `stat` counts in hundredths."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
