"""The page of operations: its table of events is the code's, and nothing logs but through the one form."""

import ast
import re
from collections.abc import Iterator
from logging import getLevelName
from pathlib import Path
from typing import Final

from vipcore.adapters.log import BY_CODE, EVENTS
from vipcore.errors import NEEDS_SOMEBODY
from vipcore.ledger import audit

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
CODE: Final = [ROOT / "function_app.py", *sorted((ROOT / "vipcore").rglob("*.py"))]
WRITES: Final = {"log", "_log", "tell"}
"""How the code calls what writes a line."""

ROWS: Final = "str(row.columns['Event'])"
"""The one event that is no literal: a line for each row of the trail."""


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the code, with the name that is called."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                yield path, node, node.func.id if isinstance(node.func, ast.Name) else node.func.attr


def logged() -> set[str]:
    """The events that the code can log. A name that is no literal is returned as its source."""
    found = set()
    for path, call, name in calls():
        if name not in WRITES or not call.args or path.name == "log.py":
            continue
        first = call.args[0]
        for one in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
            found.add(str(one.value) if isinstance(one, ast.Constant) else ast.unparse(one))
    return found - {"event"}  # what passes a name on


def listed() -> dict[str, str]:
    """Event -> level, as the page has them."""
    table = PAGE.partition("## Events")[2]
    return dict(re.findall(r"^\| `([a-z.-]+)` \| (INFO|WARNING|ERROR|by code) \| .+ \| .+ \|$", table, re.MULTILINE))


def test_every_event_that_the_code_can_log_is_known() -> None:
    """What the code logs is what `EVENTS` lists: no event is without a level, and none is left over."""
    found = logged()

    assert ROWS in found
    assert (found - {ROWS}) | set(audit.EVENTS) == set(EVENTS)


def test_every_event_is_on_the_page() -> None:
    """An operator finds each event with its level, what it means and what to do."""
    assert listed() == {event: "by code" if level == BY_CODE else getLevelName(level) for event, level in EVENTS.items()}


def test_the_page_names_the_codes_that_need_somebody() -> None:
    """Which codes make a line a WARNING is said where the levels are."""
    sentence = re.search(r"need somebody: (.*?)\.", PAGE, re.DOTALL)
    assert sentence

    assert set(re.findall(r"`([a-z-]+)`", sentence[1])) == NEEDS_SOMEBODY


def test_nothing_logs_in_another_form() -> None:
    """The form of a line has one owner: no other file calls a logger, so no value can forge a line or a field."""
    loggers = {"debug", "info", "warning", "error", "exception", "critical"}

    assert [
        f"{path.name}:{call.lineno}" for path, call, name in calls() if name in loggers and call.args and path.name != "log.py"
    ] == []
