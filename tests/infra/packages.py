"""Packages for the tests: what is in one, and what comes up when one is started."""

import json
import re
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from infra import package

ROOT: Final = Path(__file__).resolve().parents[2]
START: Final = ROOT / "tests" / "infra" / "start_of_package.py"
WORKER: Final = ROOT / "serve" / "worker.py"
SETTINGS: Final = {
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "VIP_TABLE": "https://account.table.core.windows.net",
    "VIP_MIRRORS": json.dumps({"mirrors": {}, "keys": {}}),
}


def distributions(names: Sequence[str]) -> dict[str, str]:
    """Name -> version of what lies below .python_packages, by its dist-info folders."""
    found = {match[1] for name in names if (match := re.match(r"\.python_packages/lib/site-packages/([^/]+)\.dist-info/", name))}
    parts = [folder.rpartition("-") for folder in found]
    return {normalized(name): version for name, _, version in parts}


def normalized(name: str) -> str:
    """A distribution's name as locks spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: Path) -> dict[str, str]:
    """Name -> version of a lock's pins."""
    return {normalized(pin.name): pin.version for pin in package.pins(lock)}


def unpacked(archive: Path, folder: Path) -> Path:
    """The package as Azure mounts it."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def started(command: Sequence[str], folder: str, *, start: str = str(START), worker: str = str(WORKER)) -> Any:
    """What the package in the folder says when this Python starts it."""
    done = subprocess.run([*command, "-I", start, folder, worker], env=SETTINGS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
