"""The sitting of infra/README.md as far as the simulated Azure goes: its own lines, with the real az, from a fresh checkout."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from infra import mirrors
from infra.check import rules
from infra.check.evaluate import evaluate
from tests.interop.azurecli import ROOT, Cli

pytestmark = pytest.mark.interop


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What steps 1 and 2 need of the repository, without anything that they make."""
    folder = tmp_path / "checkout"
    kept = shutil.ignore_patterns("__pycache__", "mirrors.json", "access.json", "*.bicepparam", "main.parameters.json")
    for name in ("infra", "vipcore"):
        shutil.copytree(ROOT / name, folder / name, ignore=kept)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    return folder


def step(number: int) -> str:
    """The block of a step."""
    page = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\*\*{number}\. .*?```sh\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_first_steps_lead_to_a_deployment_without_faults(az: Cli, checkout: Path) -> None:
    """Steps 1 and 2 on the sample document as it stands; what they write, main.bicep and azd take."""
    for number in (1, 2):
        done = az.run("sh", "-euc", f"cd {checkout}\n{step(number)}")
        assert done.code == 0, done.err
        assert "warning" not in done.out

    infra = checkout / "infra"
    sample = (infra / "main.bicepparam.sample").read_text()
    given = {
        name: json.loads((infra / file).read_text()) for name, file in re.findall(r"(\w+) = loadJsonContent\('(.+?)'\)", sample)
    }
    world = evaluate(infra / "main.bicep", {"environmentName": "mirror-vip", **given})
    assert set(given) == {"mirrors", "access"}
    assert world.faults == []
    assert list(rules.check(world)) == []
    assert given["mirrors"] == mirrors.read(infra / "mirrors.json.sample")

    hook = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]["preprovision"]["posix"]["run"]
    done = az.run("sh", "-euc", f"cd {checkout}\n{hook.replace('make setup && ', '')}")
    assert done.code == 0, done.err
    assert json.loads((infra / "main.parameters.json").read_text())["parameters"]["access"]["value"] == given["access"]
