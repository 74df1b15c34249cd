"""docs/INVARIANTS.md tells the truth about which tests hold which promise."""

from tests.repository import cites


def test_page_lists_the_tests_that_cite_each_promise() -> None:
    """The lists in docs/INVARIANTS.md are those of the tests' docstrings; `python -m tests.repository.cites` renews them."""
    text = cites.PAGE.read_text(encoding="utf-8")

    assert cites.page(text) == text


def test_every_promise_is_held_by_tests() -> None:
    """No promise stands on fewer than three tests, so that a forgotten one shows."""
    assert {promise: len(tests) for promise, tests in cites.cited().items() if len(tests) < 3} == {}
