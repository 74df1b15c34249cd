"""The very package that Azure gets, started under Python 3.13 from the unpacked zip alone."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from infra import package
from tests.infra import packages
from vipcore import VERSION

pytestmark = pytest.mark.interop

DEBIAN: Final = packages.ROOT / "build" / "debian-13"
MISSING: Final = (
    "NOT CHECKED: the package under Python 3.13. Put a python3.13 on PATH, or run this as root with debootstrap installed."
    " The test below it starts a package made for this Python."
)


def debian() -> Path | None:
    """A Debian 13 in a folder, which has Python 3.13; made once, as root, with debootstrap."""
    if os.geteuid() or shutil.which("debootstrap") is None:
        return None
    if not (DEBIAN / "made").exists():
        shutil.rmtree(DEBIAN, ignore_errors=True)
        DEBIAN.parent.mkdir(exist_ok=True)
        command = ["debootstrap", "--variant=minbase", "--include=python3", "trixie", str(DEBIAN)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        (DEBIAN / "made").touch()
    return DEBIAN


def compiled_and_started(folder: Path, root: Path | None, command: Sequence[str]) -> object:
    """Bytecode first, as `make package` does, then the start; paths are as the command sees them."""
    inside = folder / "app" if root is None else Path("/") / folder.relative_to(root) / "app"
    for source in (packages.START, packages.WORKER):
        shutil.copy(source, folder)
    tools = inside.parent
    subprocess.run([*command, "-m", "compileall", "-q", str(inside)], capture_output=True, check=False)
    return packages.started(
        command, str(inside), start=str(tools / packages.START.name), worker=str(tools / packages.WORKER.name)
    )


def test_package_starts_under_azures_python(tmp_path: Path) -> None:
    """Python 3.13, Microsoft's runtime 1.3.0 and every SDK come out of the zip, and the app answers."""
    own, root = package.interpreter(), None
    if own is None and (root := debian()) is None:
        warnings.warn(MISSING, stacklevel=1)
        pytest.skip(MISSING)
    folder = tmp_path if root is None else root / "package"
    shutil.rmtree(folder, ignore_errors=True)
    package.stage(folder / "staged")
    package.write_zip(folder / "staged", folder / "package.zip")
    shutil.rmtree(folder / "staged")
    packages.unpacked(folder / "package.zip", folder / "app")
    command = [own] if own else [shutil.which("chroot") or "chroot", str(root), "/usr/bin/python3.13"]

    found = compiled_and_started(folder, root, command)

    assert isinstance(found, dict)
    assert (found["python"], found["runtime"]) == ("3.13", "1.3.0")
    assert "/app/.python_packages/" in found["runtime_from"]
    assert (found["status"], found["health"], found["version"]) == (200, {"status": "ok"}, VERSION)
    assert {"post_claim", "reconcile_timer"} <= set(found["functions"])


def test_package_starts_from_itself_alone(tmp_path: Path) -> None:
    """A package made for this Python serves out of its own folder, with nothing else on the path: all but the wheels' Python."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    lock = tmp_path / "lock.txt"
    lock.write_text((packages.ROOT / "requirements-dev.txt").read_text())
    wanted = set(packages.locked(packages.ROOT / "requirements-package.txt")) - {"azure-functions-runtime"}
    blocks = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)
    lock.write_text("".join(block for block in blocks if packages.normalized(block.partition("==")[0]) in wanted))
    folder = tmp_path / "package"

    package.stage(folder / "app", python_version=here, locks=[lock])
    package.stage(folder / "runtime", locks=[packages.ROOT / "requirements-runtime.txt"])
    (folder / "runtime" / package.SITE_PACKAGES / "azure_functions_runtime").rename(
        folder / "app" / package.SITE_PACKAGES / "azure_functions_runtime"
    )
    for info in (folder / "runtime" / package.SITE_PACKAGES).glob("*.dist-info"):
        info.rename(folder / "app" / package.SITE_PACKAGES / info.name)
    package.write_zip(folder / "app", tmp_path / "package.zip")
    app = packages.unpacked(tmp_path / "package.zip", tmp_path / "unpacked")

    found = packages.started([sys.executable, "-S"], str(app))

    assert found["runtime_from"].startswith(str(app))
    assert found["app_from"].startswith(str(app))
    assert (found["status"], found["health"], found["version"]) == (200, {"status": "ok"}, VERSION)
    assert {"post_claim", "reconcile_timer"} <= set(found["functions"])
