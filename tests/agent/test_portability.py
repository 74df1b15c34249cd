"""Python 3.6 to 3.14, standard library only: what SLES 15 and RHEL 8 ship."""

import ast
import subprocess
import sys

from tests.agent.scripted import AGENT


def test_agent_parses_as_python_3_6() -> None:
    """The syntax is that of Python 3.6."""
    ast.parse(AGENT.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_agent_needs_no_library_newer_than_python_3_6() -> None:
    """Vermin knows which version brought each module, function and keyword argument."""
    options = ["-t=3.6-", "--eval-annotations", "--violations", str(AGENT)]
    command = [sys.executable, "-c", "import vermin; vermin.main()", *options]

    checked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    assert checked.returncode == 0, checked.stdout


def test_agent_imports_the_standard_library_only() -> None:
    """Nothing has to be installed beside the one file."""
    imported = set()
    for statement in ast.walk(ast.parse(AGENT.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            imported.add((statement.module or "").partition(".")[0])

    assert imported <= sys.stdlib_module_names


def test_agent_runs_isolated_and_without_site() -> None:
    """The routine starts it with -I -S: no user packages, no site-packages."""
    subprocess.run([sys.executable, "-I", "-S", AGENT, "--version"], check=True, capture_output=True, timeout=20)
