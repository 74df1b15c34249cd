"""Which tests cite which promise: `python -m tests.repository.cites` writes the lists into docs/INVARIANTS.md."""

import ast
import functools
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "INVARIANTS.md"
PROMISES: Final = tuple(f"I{number}" for number in range(1, 11))


@functools.cache
def functions(path: Path) -> dict[str, str]:
    """The functions and methods of a file, by name, each with its docstring. The file is read once per process."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = ast.get_docstring(node) or ""
    return found


def cited() -> dict[str, list[str]]:
    """Promise -> `file::test` of every test whose docstring cites it."""
    found: dict[str, list[str]] = {promise: [] for promise in PROMISES}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, docstring in functions(path).items():
            if name.startswith("test_"):
                for group in re.findall(r"\(((?:I\d+(?:, )?)+)\)", docstring):
                    for promise in group.split(", "):
                        found[promise].append(f"{path.relative_to(ROOT)}::{name}")
    return found


def page(text: str) -> str:
    """The page with its lists made anew."""
    for promise, tests in cited().items():
        mark = f"<!-- {promise} -->\n"
        before, after = text.split(mark)
        text = before + mark + "".join(f"- `{test}`\n" for test in tests) + re.sub(r"\A(- .*\n)*", "", after)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
