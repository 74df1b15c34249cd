"""The host kills its worker, so nothing of the app may count on code that runs when a process ends (docs/facts/runtime.md).

What a kill leaves behind is tested from outside: tests/served/processes/test_kills.py, tests/promises/test_crash_sweep.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = [ROOT / "function_app.py", *sorted((ROOT / "vipcore").rglob("*.py"))]
AT_THE_END: Final = {"atexit", "signal", "weakref.finalize", "threading._register_atexit", "add_signal_handler", "__del__"}


def used(tree: ast.AST) -> Iterator[str]:
    """Names by which a file would ask for code at its process's end."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names):
                yield str(module)
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Attribute(value=ast.Name(id=of), attr=name):
                yield from (name, f"{of}.{name}")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name


@pytest.mark.parametrize(
    "text", ["import atexit", "from weakref import finalize", "class A:\n def __del__(self): ...", "import signal"]
)
def test_check_sees_what_it_looks_for(text: str) -> None:
    """The check below can fail."""
    assert AT_THE_END & set(used(ast.parse(text)))


def test_no_code_of_the_app_waits_for_the_end_of_its_process() -> None:
    """No atexit, no signal handler, no finalizer: a stop ends in a kill after 10 s, and so does a time-out of the host. (I1)"""
    found = {str(path.relative_to(ROOT)): AT_THE_END & set(used(ast.parse(path.read_text()))) for path in FILES}

    assert len(found) > 50
    assert not {path: names for path, names in found.items() if names}
