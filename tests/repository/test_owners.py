"""The parts of a drive have one owner each: nobody but a part's own file changes what the part holds."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SWAP: Final = ROOT / "vipcore" / "swap"
PARTS: Final = {
    "lease": "lease.py",
    "in_flight": "in_flight.py",
    "observed": "plan.py",
    "report": "report.py",
    "attempts": "drive.py",
}
"""Attribute of `Drive` -> the file that owns the part."""

MUTATORS: Final = {"add", "append", "clear", "discard", "extend", "insert", "pop", "remove", "setdefault", "update"}
"""Methods that change a built-in collection."""


def chain(node: ast.expr) -> list[str]:
    """`drive.report.waiting` as its names; subscripts and calls in between end it."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else names


def changed(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """(line, names) of what a file assigns, deletes, or changes through a method of a built-in collection."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        match node:
            case ast.Assign():
                targets = node.targets
            case ast.AugAssign() | ast.AnnAssign():
                targets = [node.target]
            case ast.Delete():
                targets = node.targets
            case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in MUTATORS:
                targets = [ast.Attribute(value=value, attr="()")]
        while targets:
            target = targets.pop()
            if isinstance(target, ast.Tuple | ast.List):
                targets += target.elts
            elif isinstance(target, ast.Subscript):
                targets.append(ast.Attribute(value=target.value, attr="[]"))
            elif isinstance(target, ast.Attribute):
                yield node.lineno, chain(target)  # type: ignore[attr-defined]  # every node above has a line


def offences(path: Path) -> list[str]:
    """What a file changes of parts that it does not own: `x.part.field = ...`, `x.part.field.append(...)`, `x.part = ...`."""
    found = []
    for line, names in changed(ast.parse(path.read_bytes(), filename=str(path))):
        for index, name in enumerate(names[1:-1], 1):
            below = names[index + 1 :]
            # `part.method()` is the part's own business; `part.field.method()` of a built-in is not.
            if name in PARTS and PARTS[name] != path.name and below != ["()"]:
                found.append(f"{path.relative_to(ROOT)}:{line}: {'.'.join(names)}")
    return found


@pytest.mark.parametrize(
    "path", sorted(SWAP.glob("*.py")) + sorted((ROOT / "vipcore" / "decision").glob("*.py")), ids=lambda p: p.name
)
def test_nobody_changes_another_parts_attributes(path: Path) -> None:
    """Outside its own file a part is changed by its methods only."""
    assert offences(path) == []


def test_the_rule_sees_what_it_forbids() -> None:
    """The rule is no empty one: each of these lines breaks it, and none of the allowed ones does."""
    forbidden = [
        "drive.lease.head = x",
        "drive.report.waiting.append(x)",
        "drive.attempts.writes[m] += 1",
        "del drive.report.notes[0]",
    ]
    allowed = ["drive.report.add(x)", "x = drive.lease.head", "found.append(drive.report.notes)"]

    def broken(line: str) -> bool:
        return any(
            name in PARTS and names[index + 1 :] != ["()"]
            for _, names in changed(ast.parse(line))
            for index, name in enumerate(names[1:-1], 1)
        )

    assert [line for line in forbidden if not broken(line)] == []
    assert [line for line in allowed if broken(line)] == []


def test_a_drive_is_never_reassigned() -> None:
    """`Drive` is frozen: its parts change, the drive does not."""
    tree = ast.parse((SWAP / "drive.py").read_bytes())
    drive = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Drive")

    assert "frozen=True" in ast.unparse(drive.decorator_list[0])
    assert {
        node.target.id for node in drive.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    } >= set(PARTS)
