"""`make package`: the zip that Azure runs, the same bytes each time, from the locked wheels and this checkout alone.

It holds function_app.py, host.json, vipcore/ and, below .python_packages, every distribution of requirements-package.txt.
There is no requirements.txt in it: a remote build would then have nothing to install, and fail where it can be seen
(docs/adr/0020). Beside the zip lie its SHA-256 and a list of its parts (SPDX). It has no --dry-run, as it changes nothing outside
of build/.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra import mirrors

ROOT: Final = Path(__file__).resolve().parent.parent
SITE_PACKAGES: Final = Path(".python_packages/lib/site-packages")
PLATFORM: Final = "x86_64-manylinux2014"
PYTHON: Final = "3.13"
APP: Final = ("function_app.py", "host.json", "vipcore")
DROPPED: Final = ("tests", "test", "bin", "__pycache__", "*.pyi", "INSTALLER", "REQUESTED", "RECORD", "direct_url.json", ".lock")
"""Of no use at run time. RECORD goes since it lists them."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class PackageError(RuntimeError):
    """The package could not be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One line of a lock: a distribution, its version, and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]


def version() -> str:
    """`VERSION` of vipcore, without importing it."""
    found = re.search(r'^VERSION = "([^"]+)"$', (ROOT / "vipcore" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise PackageError("vipcore/__init__.py states no VERSION")
    return found[1]


def pins(lock: Path) -> list[Pin]:
    """What a lock without markers pins."""
    blocks = re.split(r"^(?=[a-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [(re.match(r"([a-z0-9.-]+)==([^ ;\\\n]+)", block), block) for block in blocks]
    return [
        Pin(name=match[1], version=match[2], hashes=tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
        for match, block in found
        if match
    ]


def stage(folder: Path, *, python_version: str = PYTHON, locks: Sequence[Path] = (), document: Path | None = None) -> None:
    """Lay the package's files out in the folder, without bytecode. Raises PackageError."""
    for lock in locks or (ROOT / "requirements-package.txt",):
        _install(lock, folder / SITE_PACKAGES, python_version)
    for name in APP:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source, folder / name)
    if document is not None:
        shutil.copy(document, folder / "mirrors.json")


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise PackageError("uv is missing; run `make package`, which installs the locked one")
    return uv


def _install(lock: Path, target: Path, python_version: str) -> None:
    where = ["--target", str(target), "--python-version", python_version, "--python-platform", PLATFORM]
    strict = ["--only-binary", ":all:", "--require-hashes", "--no-deps"]
    # The system's certificates, as pip uses them: a company's proxy may sign with its own.
    command = [_uv(), "pip", "install", "--quiet", "--system-certs", "--link-mode", "copy", *where, *strict, "-r", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(f"the locked packages could not be installed:\n{done.stderr.strip()}")
    for pattern in DROPPED:
        for path in sorted(target.rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()


def compile_all(folder: Path, python: str) -> None:
    """Put bytecode beside every file, for a Python 3.13; its paths are those that it has in Azure. Raises PackageError."""
    command = [
        python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
        "-s", str(folder), "-p", "/home/site/wwwroot", str(folder),
    ]  # fmt: skip
    # A package may carry a file that does not compile, so the exit code says little, and what was made is looked at instead.
    subprocess.run(command, env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    tag = PYTHON.replace(".", "")
    if not (folder / "__pycache__" / f"function_app.cpython-{tag}.pyc").exists():
        raise PackageError(f"{python} made no bytecode of Python {PYTHON}; name another with --python, or none with --python ''")


def write_zip(folder: Path, path: Path) -> str:
    """Zip the folder: sorted, with one time and one mode for all. Returns the zip's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
                entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
                archive.writestr(entry, file.read_bytes())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parts_list(found: Sequence[Pin], sha256: str) -> str:
    """The list of the package's parts, as SPDX 2.3. It names no time, so that it is reproducible too."""
    packages = [
        {
            "SPDXID": f"SPDXRef-{pin.name}",
            "name": pin.name,
            "versionInfo": pin.version,
            "downloadLocation": "NOASSERTION",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:pypi/{pin.name}@{pin.version}",
                }
            ],
        }
        for pin in found
    ]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"mirror-vip-{version()}",
        "documentNamespace": f"https://spdx.org/spdxdocs/mirror-vip-{sha256}",
        "creationInfo": {"created": "1980-01-01T00:00:00Z", "creators": ["Tool: infra/package.py"]},
        "packages": packages,
    }
    return json.dumps(document, indent=1) + "\n"


def interpreter() -> str | None:
    """A Python 3.13 on this machine that runs, or None."""
    command = [_uv(), "python", "find", "--no-python-downloads", "--offline", PYTHON]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None


def main(argv: Sequence[str] | None = None) -> int:
    """Make the package; 1 with a sentence where that fails."""
    parser = argparse.ArgumentParser(prog="make package", description="Make the zip that Azure runs.")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="where the zip goes (default: build/)")
    parser.add_argument("--python", help="a Python 3.13, for bytecode (default: one that is found here)")
    parser.add_argument("--mirrors", type=Path, help="a mirrors document over 32 kB, which then travels in the package")
    options = parser.parse_args(argv)
    path = options.out / f"mirror-vip-{version()}.zip"
    try:
        if options.mirrors is not None:
            mirrors.read(options.mirrors)
        with tempfile.TemporaryDirectory() as folder:
            stage(Path(folder), document=options.mirrors)
            python = interpreter() if options.python is None else options.python
            if python:
                compile_all(Path(folder), python)
            else:
                print("warning: no python3.13 here, so the package has no bytecode: each cold start takes about 3 s longer")
            sha256 = write_zip(Path(folder), path)
    except (PackageError, OSError, mirrors.DocumentError) as fault:
        print(f"no package was made: {fault}", file=sys.stderr)
        return 1
    path.with_suffix(".zip.sha256").write_text(f"{sha256}  {path.name}\n", encoding="utf-8")
    path.with_suffix(".spdx.json").write_text(parts_list(pins(ROOT / "requirements-package.txt"), sha256), encoding="utf-8")
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  sha256 {sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
