"""The fakes of the scripts, and a document to deploy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.check.cases import MIRRORS
from tests.infra.fakes import TOKEN, Fakes, running


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Fakes]:
    """Vault, deployment service, Resource Manager and `az`. At the end: no secret in what was printed, nor in any argument."""
    with running(tmp_path, lambda path: monkeypatch.setenv("PATH", path)) as opened:
        opened.read = lambda: "".join(capsys.readouterr())
        yield opened
        opened.printed()
        shown = opened.printed_so_far + json.dumps(opened.commands())
        assert [one for one in (TOKEN, *opened.secrets.values()) if one in shown] == []


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """infra/mirrors.json."""
    path = tmp_path / "mirrors.json"
    path.write_text(json.dumps(MIRRORS))
    return path
