"""The very package that Azure gets, started under Python 3.13 from the unpacked zip alone."""

import os
import re
import shutil
import subprocess
import sys
import warnings
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
    """The Python 3.13 of a Debian 13 in a folder, with its own libraries; made once, as root, with debootstrap."""
    command = DEBIAN / "python3.13"
    if not command.exists():
        if os.geteuid() or shutil.which("debootstrap") is None:
            return None
        shutil.rmtree(DEBIAN, ignore_errors=True)
        DEBIAN.parent.mkdir(exist_ok=True)
        made = ["debootstrap", "--variant=minbase", "--include=python3", "trixie", str(DEBIAN)]
        if subprocess.run(made, capture_output=True, check=False).returncode:
            return None
        libraries = f"{DEBIAN}/usr/lib/x86_64-linux-gnu"
        loader = f"{libraries}/ld-linux-x86-64.so.2 --library-path {libraries}"
        command.write_text(f'#!/bin/sh\nexec {loader} {DEBIAN}/usr/bin/python3.13 "$@"\n')
        command.chmod(0o755)
    return command


@pytest.fixture(scope="module")
def python() -> str:
    """A Python 3.13, or a skip that nobody overlooks."""
    found = package.interpreter() or debian()
    if found is None:
        warnings.warn(MISSING, stacklevel=1)
        pytest.skip(MISSING)
    return str(found)


def test_package_starts_under_azures_python(python: str, tmp_path: Path) -> None:
    """Two builds with bytecode are the same; Microsoft's runtime 1.3.0 and every SDK come out of the zip; the app answers."""
    for out in ("first", "second"):
        assert package.main(["--out", str(tmp_path / out), "--python", python]) == 0
    archive = tmp_path / "first" / f"mirror-vip-{VERSION}.zip"
    app = packages.unpacked(archive, tmp_path / "app")

    found = packages.started([python], str(app))

    assert archive.read_bytes() == (tmp_path / "second" / archive.name).read_bytes()
    assert (found["python"], found["runtime"]) == ("3.13", "1.3.0")
    assert found["runtime_from"].startswith(str(app))
    assert found["app_from"].startswith(str(app))
    assert (found["status"], found["health"], found["version"]) == (200, {"status": "ok"}, VERSION)
    assert {"post_claim", "reconcile_timer"} <= set(found["functions"])
    sources = {path.relative_to(app) for path in app.rglob("*.py")}
    bytecode = {path.relative_to(app).parent.parent / f"{path.name.split('.')[0]}.py" for path in app.rglob("*.cpython-313.pyc")}
    assert bytecode <= sources
    assert sources - bytecode == set()


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
