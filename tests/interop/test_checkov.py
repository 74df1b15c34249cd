"""Checkov, by other people than our own rules, on what infra/*.bicep deploys; each finding that stays has a reason."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from infra.check import arm
from infra.check.cases import CASES, deployed
from tests.interop.azurecli import ROOT

pytestmark = pytest.mark.interop

CHECKOV: Final = ROOT / ".venv-checkov" / "bin" / "checkov"
EVERY: Final = frozenset(CASES)
PRIVATE: Final = frozenset({"network", "usgov"})
PUBLIC: Final = EVERY - PRIVATE
PUBLIC_SITE: Final = EVERY - {"network"}
ONE_ZONE: Final = frozenset({"lean", "usgov"})
PLANTED: Final = "planted"
KEPT: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "CKV_AZURE_17": (EVERY, "client certificates: members sign their claims, and operators have function keys"),
    "CKV_AZURE_35": (PUBLIC, "firewall of storage: needs the virtual network; Entra and a role are needed all the same"),
    "CKV_AZURE_36": (PRIVATE, "trusted services past the firewall: nothing but the app has to reach these accounts"),
    "CKV_AZURE_59": (PUBLIC, "public endpoint of storage: as CKV_AZURE_35"),
    "CKV_AZURE_109": (PUBLIC, "firewall of the vault: as CKV_AZURE_35"),
    "CKV_AZURE_189": (PUBLIC, "public endpoint of the vault: as CKV_AZURE_35"),
    "CKV_AZURE_206": (EVERY, "copies in another region: zones, or one; docs/azure.md section 7 says what the other region needs"),
    "CKV_AZURE_212": (EVERY, "number of workers: Flex Consumption has alwaysReady in its place"),
    "CKV_AZURE_213": (EVERY, "health check path: Flex Consumption has none; the alert timer-silent and /health are there"),
    "CKV_AZURE_222": (PUBLIC_SITE, "public endpoint of the app: members in other networks call it; allowedAddresses narrows it"),
    "CKV_AZURE_225": (ONE_ZONE, "zones: tests and regions without them"),
}
"""Check -> the deployments in which it fails, and why that stays."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Checkov says of every deployment, and of one with a fault made on purpose."""
    if not CHECKOV.exists():
        pytest.fail(f"{CHECKOV.relative_to(ROOT)} is missing; `make interop` installs it")
    folder = tmp_path_factory.mktemp("arm")
    for case in CASES:
        (folder / f"{case}.json").write_text(json.dumps(arm.template(deployed(case)), indent=1))
    whole = (folder / "standard.json").read_text()
    (folder / f"{PLANTED}.json").write_text(whole.replace('"TLS1_2"', '"TLS1_0"'))
    command = [str(CHECKOV), "-d", str(folder), "--framework", "arm", "--skip-download", "--compact", "-o", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout)


def failed(report: Any) -> set[tuple[str, str]]:
    """(check, deployment) of every finding."""
    return {(one["check_id"], Path(one["file_path"]).stem) for one in report["results"]["failed_checks"]}


def test_checkov_finds_what_is_kept_and_nothing_else(report: Any) -> None:
    """A new finding fails, and so does a reason whose finding is gone."""
    wanted = {(check, case) for check, (cases, _) in KEPT.items() for case in cases}

    assert {one for one in failed(report) if one[1] != PLANTED} == wanted
    assert all(reason for _, reason in KEPT.values())


def test_checkov_reads_every_resource(report: Any) -> None:
    """No file that it could not read, and a fault that was made on purpose is found."""
    summary = report["summary"]

    assert summary["parsing_errors"] == 0
    assert summary["passed"] > 200
    assert summary["resource_count"] > 400
    assert ("CKV_AZURE_44", PLANTED) in failed(report)
