"""docs/adr/ has one short page per decision, and its list is complete."""

import re
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "adr"
PAGES: Final = sorted(FOLDER.glob("[0-9]*.md"))


def test_list_names_every_decision_in_order() -> None:
    """The table in docs/adr/README.md links each page once, by number, without gaps."""
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\1-[\w-]+\.md)\) \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert [name for _, name in listed] == [page.name for page in PAGES]
    assert [int(number) for number, _ in listed] == list(range(1, len(PAGES) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_decision_is_short_and_states_its_price(page: Path) -> None:
    """A page has its number in its title, says context, decision and price, and fits on one screen."""
    text = page.read_text(encoding="utf-8")

    assert text.startswith(f"# {page.name[:4]}. ")
    assert [part for part in ("Context", "Decision", "Price") if f"\n## {part}\n" not in text] == []
    assert len(text.splitlines()) <= 45
