"""Upper limits for the files, functions and classes of the app and of the simulator."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = sorted([*(ROOT / "simulator").rglob("*.py"), *(ROOT / "vipcore").rglob("*.py"), ROOT / "function_app.py"])
LINES_MAX: Final = 320
PARAMETERS_MAX: Final = 7
FIELDS_MAX: Final = 12
# What users write or the table stores: one field per setting or column, however many there are.
DOCUMENTS: Final = {"Switches", "World", "Config", "Head"}


def fields_of(node: ast.ClassDef) -> set[str]:
    """The fields that a class declares or assigns to self; those of its bases are not counted."""
    declared = {one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)}
    assigned = {
        one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)
        if isinstance(one.value, ast.Name) and one.value.id == "self"
    }
    return declared | assigned


def oversized(path: Path) -> Iterator[str]:
    """What in a file exceeds a limit."""
    text = path.read_text(encoding="utf-8")
    if (lines := text.count("\n")) > LINES_MAX:
        yield f"{lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            parameters = [name for name in parameters if name not in ("self", "cls")]
            if len(parameters) > PARAMETERS_MAX:
                yield f"{node.name}: {len(parameters)} parameters"
        elif isinstance(node, ast.ClassDef) and node.name not in DOCUMENTS and len(fields_of(node)) > FIELDS_MAX:
            yield f"{node.name}: {len(fields_of(node))} fields"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_functions_and_classes_stay_small(path: Path) -> None:
    """A file has at most 320 lines, a function at most 7 parameters, a class at most 12 fields of its own."""
    assert list(oversized(path)) == []
