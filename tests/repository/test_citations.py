"""Whatever code, docs and agent cite stands in this repository, so that every reader can look it up."""

from pathlib import Path

import pytest

from tests.repository import citations
from tests.repository.citations import Source


def test_cited_sections_exist() -> None:
    """`docs/facts/azure.md section 7`, with its item and with a quoted heading, names a heading of a page that exists."""
    assert citations.missing_sections() == []


def test_cited_pages_and_decisions_exist() -> None:
    """`docs/api.md` and `docs/adr/0003` are files."""
    assert citations.missing_pages() == []


def test_relative_links_lead_somewhere() -> None:
    """Each relative link of a page names a file, and its anchor is a heading of it."""
    assert citations.missing_links() == []


def test_files_tests_and_modules_that_pages_name_exist() -> None:
    """`swap/write.py`, `tests/...::test_x`, `python -m tests.promises.mutants`: what a page names is there."""
    assert citations.missing_files() == []


def test_no_citation_leads_outside_the_repository() -> None:
    """No fact page without its folder, no contract, no promise but by its number with an I, no section of nothing."""
    assert citations.bare_citations() == []


@pytest.mark.parametrize(
    "text",
    [
        "as azure.md section 7 says",
        "see iris.md",
        "facts/iris.md section 1",
        "in the contract's order",
        "contract section 6",
        "The contract names it",
        "(promise 3)",
        "promises 1 to 10",
        "../shared/recordings",
        "no answer says which (section 7)",
        "its columns, as section 8 has them",
    ],
)
def test_bare_citation_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form that leads nowhere is reported."""
    _only(monkeypatch, text)

    assert citations.bare_citations() != []


@pytest.mark.parametrize(
    "text",
    [
        "as docs/facts/azure.md section 7 says",
        "docs/facts/azure.md sections 6 and 12",
        "docs/facts/azure.md\n# section 7",
        "(I3)",
        "RFC 9530 section 2",
        "the port's contract",
        "docs/api.md section 6",
        "`docs/api.md` section 6",
    ],
)
def test_citation_that_can_be_followed_is_not_bare(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a checkout holds, and public standards, may be cited."""
    _only(monkeypatch, text)

    assert citations.bare_citations() == []


@pytest.mark.parametrize(
    "text",
    [
        "docs/facts/azure.md section 99",
        "docs/facts/azure.md sections 3 to 99",
        "docs/facts/azure.md section 17 item 99",
        "docs/facts/none.md section 1",
        "`docs/api.md` section 99",
        'docs/api.md, "No such heading"',
    ],
)
def test_section_that_does_not_exist_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page, section, item or heading that is missing is reported."""
    _only(monkeypatch, text)

    assert citations.missing_sections() != []


@pytest.mark.parametrize(
    "text", ["tests/repository/test_none.py", "`tests/repository/test_citations.py::test_none`", "`none.py`"]
)
def test_file_that_does_not_exist_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, or a test in a file that exists, that is missing is reported."""
    _only(monkeypatch, text)

    assert citations.missing_files() != []


def _only(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the repository consist of this text, as code and as a page."""
    monkeypatch.setattr(citations, "code", lambda: (Source("vipcore/made_up.py", text),))
    monkeypatch.setattr(citations, "pages", lambda: (Source("docs/made-up.md", text),))


def test_this_repository_is_what_is_read() -> None:
    """The lists are not empty: code, pages, and what git knows of both."""
    assert Path(citations.ROOT / "function_app.py").exists()
    assert len(citations.code()) > 100
    assert len(citations.pages()) > 20
