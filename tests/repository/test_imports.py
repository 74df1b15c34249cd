"""Who may import whom. The files are parsed, never imported, so a late import inside a function counts too."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
# Parts of this repository; the app is function_app.py and vipcore, everything else stays out of the package.
OURS: Final = {"vipcore", "function_app", "simulator", "serve", "demo", "bench", "trail", "tests", "agent"}
SIGNATURE_LIBRARIES: Final = {"http_message_signatures", "http_sf"}


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it; `from a import b` counts as `a` and as `a.b`."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(part: str) -> list[Path]:
    """The Python files of a part of the repository; none if it does not exist."""
    single = ROOT / f"{part}.py"
    found = [single] if single.exists() else sorted((ROOT / part).rglob("*.py"))
    return [path for path in found if "__pycache__" not in path.parts]


def offenders(paths: list[Path], forbidden: set[str]) -> list[str]:
    """`file: name` for each import of a forbidden top-level package, or of a forbidden dotted name."""
    return sorted(
        {
            f"{path.relative_to(ROOT)}: {name}"
            for path in paths
            for name in imported(path)
            if any(name == banned or name.startswith(f"{banned}.") for banned in forbidden)
        }
    )


def test_only_the_adapters_import_the_sdk() -> None:
    """Rules and use cases of vipcore import nothing of azure.* or aiohttp; vipcore/adapters alone does."""
    pure = [path for path in files("vipcore") if path.parent != ROOT / "vipcore" / "adapters"]

    assert pure
    assert offenders(pure, {"azure", "msal", "aiohttp"}) == []


def test_one_module_imports_the_signature_library() -> None:
    """Signatures are verified in one place: vipcore/entry/signatures.py is the only importer of its library."""
    others = [path for path in files("vipcore") + files("function_app") if path.name != "signatures.py"]

    assert offenders(others, SIGNATURE_LIBRARIES) == []


def test_one_module_imports_the_template_engine() -> None:
    """HTML is made in one place, which escapes all that it is given: vipcore/page/render.py."""
    others = [path for path in files("vipcore") + files("function_app") if path.name != "render.py"]

    assert offenders(others, {"jinja2", "markupsafe"}) == []


def test_app_imports_nothing_that_is_not_shipped() -> None:
    """What goes to Azure imports nothing of what stays here."""
    shipped = files("vipcore") + files("function_app")

    assert offenders(shipped, OURS - {"vipcore"}) == []


def test_agent_imports_the_standard_library_only() -> None:
    """The agent is one file that runs where nothing is installed."""
    names = {name.partition(".")[0] for path in files("agent") for name in imported(path)}

    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize("part", ["simulator", "serve"])
def test_surroundings_do_not_import_the_app(part: str) -> None:
    """The simulated Azure and the local host know the app from outside only, so that they can judge it."""
    assert offenders(files(part), OURS - {part}) == []


def test_the_auditors_reader_recomputes_the_chain_without_us() -> None:
    """The reader of the audit trail is independent: it shares no code with anything here, and the demo none with the app."""
    assert offenders(files("trail"), OURS - {"trail"}) == []
    assert offenders(files("demo"), {"vipcore", "function_app", "simulator", "tests"}) == []
