"""vipcore's rooms import downwards only. The files are parsed, never imported, so a late import inside a function counts too."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
VIPCORE: Final = ROOT / "vipcore"
PAGE: Final = ROOT / "docs" / "architecture.md"

GROUND: Final = frozenset({"model", "errors", "instants", "strictjson", "ports", "limits"})
"""The files at vipcore's top: the words everybody speaks. Every room may import them."""

MATRIX: Final = {
    "ledger": set[str](),
    "arm": set[str](),
    "settings": {"ledger.audit"},
    "page": set[str](),
    "swap": {"ledger", "arm"},
    "decision": {"ledger", "arm", "settings", "swap"},
    "entry": {"ledger", "arm", "settings", "swap", "decision", "page"},
    "adapters": {"ledger", "arm"},
    "adapters/wiring.py": {"ledger", "arm", "settings", "decision"},
}
"""Room (or a single file of one) -> the rooms, or modules of rooms, that it may import besides its own and the ground."""


def modules() -> list[Path]:
    """Every module of vipcore."""
    return sorted(path for path in VIPCORE.rglob("*.py") if "__pycache__" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    """The dotted names below vipcore that a file imports, without `vipcore.`; the package's own VERSION is anybody's."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("vipcore.") for name in names if name.startswith("vipcore.") and name != "vipcore.VERSION")


def arrows() -> dict[tuple[str, str], list[str]]:
    """(room, room) -> the imports between them; the ground is left out as a target."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in modules():
        where = path.relative_to(VIPCORE)
        room = where.parts[0] if len(where.parts) > 1 else "ground"
        for name in imported(path):
            target = name.split(".")[0]
            if target in GROUND or target == room:
                continue
            found.setdefault((room, target), []).append(f"{where.as_posix()} imports {name}")
    return found


def test_rooms_import_downwards_only() -> None:
    """Each import between rooms is one that the matrix allows; there are no exceptions."""
    wrong = []
    for imports in arrows().values():
        for sentence in imports:
            where, _, name = sentence.partition(" imports ")
            allowed = MATRIX.get(where, MATRIX.get(where.split("/")[0], set()))
            if not any(name == target or name.startswith(f"{target}.") for target in allowed):
                wrong.append(sentence)

    assert wrong == []


def test_no_two_modules_import_each_other() -> None:
    """Inside a room, too, imports have one direction: there is no circle of modules."""
    names = {path.relative_to(VIPCORE).with_suffix("").as_posix().replace("/", ".") for path in modules()}
    graph = {
        path.relative_to(VIPCORE).with_suffix("").as_posix().replace("/", "."): {
            target for name in imported(path) for target in (name, name.rpartition(".")[0]) if target in names
        }
        for path in modules()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"a circle of imports: {' -> '.join((*trail, name))}"
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_vipcore_itself_holds_the_ground_alone() -> None:
    """Whoever opens the folder sees the rooms: at most eight files stand beside them."""
    files = [path.name for path in VIPCORE.iterdir() if path.is_file()]

    assert {Path(name).stem for name in files if name.endswith(".py")} - {"__init__"} == GROUND
    assert len(files) <= 8


@pytest.mark.parametrize("room", sorted(name for name in MATRIX if "/" not in name))
def test_each_room_says_what_it_is_for(room: str) -> None:
    """A room's `__init__.py` is one sentence and nothing else."""
    tree = ast.parse((VIPCORE / room / "__init__.py").read_bytes())

    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def drawn() -> set[tuple[str, str]]:
    """The arrows of the diagram in docs/architecture.md: `room --> room`."""
    diagram = re.search(r"```mermaid\nflowchart.*?```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert diagram, "docs/architecture.md has no flowchart of the rooms"
    return set(re.findall(r"^\s*(\w+) --> (\w+)$", diagram[0], re.MULTILINE))


def test_the_diagram_shows_the_real_imports() -> None:
    """The arrows in docs/architecture.md are the imports between rooms, no more and no fewer."""
    assert drawn() == set(arrows())
