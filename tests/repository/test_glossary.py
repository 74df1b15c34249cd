"""docs/glossary.md stays short: a word that needs no explanation is better than one that has one."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TEXT: Final = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRIES: Final = re.findall(r"^- (.+?): (.+)$", TEXT, re.MULTILINE)
WORDS: Final = [word for entry, _ in ENTRIES for word in re.findall(r"\*\*([^*]+)\*\*", entry)]


def test_glossary_has_at_most_forty_words() -> None:
    """Each entry has its words in bold and a sentence; there are at most 40 words, each once."""
    assert 20 <= len(WORDS) <= 40
    assert len(set(WORDS)) == len(WORDS)
    assert len(ENTRIES) == len(re.findall(r"^- ", TEXT, re.MULTILINE))


def test_names_of_the_glossary_are_names_in_the_code() -> None:
    """A name in code form is one that the app uses, so that a reader can look for it."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "vipcore").rglob("*.py"))
    names = {name for name in re.findall(r"`(\w+)`", TEXT) if name != "code"}

    assert len(names) > 10
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} == set()
