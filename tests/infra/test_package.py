"""`make package`: what is in it, that it is the same each time, and that it starts from itself alone."""

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from infra import package
from tests.infra import packages
from vipcore import VERSION

ROOT: Final = packages.ROOT
LOCK: Final = ROOT / "requirements-package.txt"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files."""
    folder = tmp_path_factory.mktemp("staged")
    package.stage(folder)
    return folder


@pytest.fixture(scope="module")
def archive(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip made of them."""
    path = tmp_path_factory.mktemp("zip") / "package.zip"
    package.write_zip(staged, path)
    return path


def test_two_builds_are_the_same_bytes(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second build, from the wheels to the zip, has the first one's SHA-256, and says it."""
    monkeypatch.setenv("UV_OFFLINE", "1")  # the first one has fetched the wheels

    assert package.main(["--out", str(tmp_path), "--python", ""]) == 0

    made = tmp_path / f"mirror-vip-{VERSION}.zip"
    assert made.read_bytes() == archive.read_bytes()
    sha256 = (tmp_path / f"mirror-vip-{VERSION}.zip.sha256").read_text().split()[0]
    assert sha256 in capsys.readouterr().out
    parts = json.loads((tmp_path / f"mirror-vip-{VERSION}.spdx.json").read_text())
    assert {part["name"]: part["versionInfo"] for part in parts["packages"]} == packages.locked(LOCK)


def test_package_holds_what_the_lock_says_and_nothing_else(archive: Path) -> None:
    """The app, and each locked distribution in its version; no requirements.txt, no tests, scripts or bytecode."""
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
    names = [entry.filename for entry in entries]

    assert {name.partition("/")[0] for name in names} == {".python_packages", "function_app.py", "host.json", "vipcore"}
    assert packages.distributions(names) == packages.locked(LOCK)
    assert [name for name in names if re.search(r"(^|/)(tests?|bin|__pycache__)/|\.pyi$|requirements", name)] == []
    assert {name for name in names if name.startswith("vipcore/")} == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vipcore").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {(entry.date_time, entry.external_attr >> 16) for entry in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644)}
    assert names == sorted(names, key=lambda name: Path(name).parts)
    assert sum(entry.file_size for entry in entries) < 800e6


def test_every_shared_object_is_for_azures_python_and_machine(archive: Path) -> None:
    """A C extension is of CPython 3.13 or of the stable ABI, for x86-64."""
    with zipfile.ZipFile(archive) as opened:
        objects = {name: opened.read(name)[:20] for name in opened.namelist() if name.endswith(".so")}

    assert len(objects) > 5
    assert [name for name in objects if not re.search(r"\.(cpython-313-x86_64-linux-gnu|abi3)\.so$", name)] == []
    assert {head[:5] + head[18:20] for head in objects.values()} == {b"\x7fELF\x02" + b"\x3e\x00"}


def test_lock_has_hashes_and_no_markers_and_the_tested_versions() -> None:
    """What Azure gets is what the tests run: every pin but those split by Python's version is in the development lock."""
    text = LOCK.read_text()
    pins = package.pins(LOCK)

    assert " ; " not in text
    assert all(pin.hashes for pin in pins)
    assert packages.locked(LOCK)["azure-functions-runtime"] == "1.3.0"
    development = (ROOT / "requirements-dev.txt").read_text()
    assert [pin for pin in pins if f"{pin.name}=={pin.version}" not in development] == []
    assert not (ROOT / "requirements.txt").exists()


@pytest.mark.parametrize("pin", [f"rfc8785==0.1.4 \\\n    --hash=sha256:{'0' * 64}\n", "rfc8785==0.1.4\n"], ids=["other", "none"])
def test_build_that_cannot_be_says_why(tmp_path: Path, pin: str) -> None:
    """A hash that does not fit, or none, is an error with uv's own words, and leaves no package."""
    lock = tmp_path / "lock.txt"
    lock.write_text(pin)

    with pytest.raises(package.PackageError, match="could not be installed"):
        package.stage(tmp_path / "out", locks=[lock])


def test_python_that_makes_no_bytecode_is_an_error(tmp_path: Path) -> None:
    """Of another version, or none at all: a package without bytecode is made on request alone."""
    (tmp_path / "function_app.py").write_text("")

    for python in (*([sys.executable] if sys.version_info[:2] != (3, 13) else []), "/bin/false"):
        with pytest.raises(package.PackageError, match="made no bytecode of Python 3"):
            package.compile_all(tmp_path, python)


def test_faulty_document_is_not_packed(tmp_path: Path, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--mirrors` takes what the app takes: else every fault is told at its place, and no zip is left."""
    whole = json.loads(document.read_text())
    whole["mirrors"]["PROD"]["vips"][0]["private_ip"] = "10.0.0.999"
    whole["keys"]["mirrora-1"]["member"] = "MIRRORX"
    document.write_text(json.dumps(whole))

    assert package.main(["--out", str(tmp_path / "out"), "--python", "", "--mirrors", str(document)]) == 1

    said = capsys.readouterr().err
    assert [word for word in ("no package was made: ", "/vips/0/private_ip: ", "/keys/mirrora-1") if word not in said] == []
    assert not (tmp_path / "out").exists()
