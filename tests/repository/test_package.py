"""What is shipped to Azure, and the files that its deployment and its operators start from."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from pathspec import GitIgnoreSpec

from serve.host import REQUEST_TIMEOUT_S
from simulator import worlds
from simulator.cloud import Cloud
from vipcore import limits
from vipcore.settings import environment

ROOT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = {"function_app.py", "host.json", "vipcore"}


def document(name: str) -> Any:
    """A JSON file at the repository's top."""
    return json.loads((ROOT / name).read_bytes())


def test_package_holds_the_app_and_nothing_else() -> None:
    """Of the repository's files, .funcignore lets the app through and nothing else."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())

    assert {path.partition("/")[0] for path in listed if path and not ignored.match_file(path)} == SHIPPED


def test_package_holds_what_the_page_is_made_of() -> None:
    """The templates, the style and the script are no Python, and go along all the same."""
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    folder = ROOT / "vipcore" / "page" / "templates"
    files = {path.name: str(path.relative_to(ROOT)) for path in folder.iterdir()}

    assert {"base.html", "page.css", "page.js"} <= files.keys()
    assert [path for path in files.values() if ignored.match_file(path)] == []


def test_package_holds_no_local_leftovers() -> None:
    """Environments, caches and local settings, which git never lists, stay out as well."""
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    leftovers = [".venv/x", ".venv-az/x", "node_modules/x", ".mypy_cache/x", "local.settings.json", ".git/config"]

    assert all(ignored.match_file(path) for path in leftovers)
    assert not ignored.match_file("vipcore/__pycache__/model.cpython-313.pyc")
    assert not ignored.match_file(".python_packages/lib/site-packages/azure/core/__init__.py")


def test_host_needs_no_extension_bundle() -> None:
    """HTTP and timers are built into the host; a bundle would be a download at every first start."""
    host = document("host.json")

    assert host["version"] == "2.0"
    assert "extensionBundle" not in host
    assert host["extensions"]["http"]["routePrefix"] == "api"


def test_limits_of_a_request_are_in_order() -> None:
    """The host that we run locally cuts a request off when Azure does, and the host's own limit is behind all others."""
    hours, minutes, seconds = map(int, document("host.json")["functionTimeout"].split(":"))

    assert limits.USE_CASE_S_MAX < limits.ANSWER_S_MAX < 200 < limits.PLATFORM_S_MAX < hours * 3600 + minutes * 60 + seconds
    assert REQUEST_TIMEOUT_S == limits.PLATFORM_S_MAX


def test_head_hashes_in_the_log_are_not_sampled_away() -> None:
    """The log is the audit chain's second place of trust, so traces are excluded from sampling. (I8)"""
    sampling = document("host.json")["logging"]["applicationInsights"]["samplingSettings"]

    assert "Trace" in sampling["excludedTypes"].split(";")


def test_sample_settings_lack_nothing_but_the_secrets() -> None:
    """With the sample settings the app serves; only the keys, whose secrets nobody may copy, are disabled."""
    values = document("local.settings.sample.json")["Values"]

    loaded = environment.load(values, ROOT)

    assert loaded.status == "degraded"
    assert sorted(fault.where for fault in loaded.faults) == ["VIP_KEY_MIRRORA_1", "VIP_KEY_MIRRORB_1"]


def test_sample_settings_point_to_the_simulator() -> None:
    """The sample is for `make simulator` as it starts by default: its identity header is the one of seed 0."""
    values = document("local.settings.sample.json")["Values"]
    cloud = Cloud(worlds.default(), seed=0, now=lambda: 0.0)

    assert values["IDENTITY_HEADER"] == cloud.identity_header


def test_lock_files_name_no_registry() -> None:
    """A lock serves whatever registry the machine is set up for."""
    locks = (
        "requirements-package.txt",
        "requirements-dev.txt",
        "requirements-az.txt",
        "requirements-node.txt",
        "requirements-runtime.txt",
    )

    assert [name for name in locks if "://" in (ROOT / name).read_text()] == []
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
