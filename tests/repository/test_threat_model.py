"""The threat model names a test for each attack; a name that is none would be an empty promise."""

import re

from tests.repository import cites

TEXT = (cites.ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
CITED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_every_cited_test_exists() -> None:
    """Each test that the threat model names is a function of the file that it names."""
    missing = [f"{path}::{name}" for path, name in CITED if name not in cites.functions(cites.ROOT / path)]

    assert missing == []
    assert len(CITED) > 40


def test_every_attack_has_a_test() -> None:
    """Each row of the table names at least one test, or says that it is a measurement."""
    rows = [line for line in TEXT.splitlines() if re.match(r"\| [STRIDE] \|", line)]

    assert len(rows) >= 30
    assert [row for row in rows if "`tests/" not in row and "| measurement |" not in row] == []
