"""Python 3.6 to 3.14, standard library only: what SLES 15 and RHEL 8 ship."""

import ast
import pathlib
import shutil
import subprocess
import sys

from tests.agent.authority import Authority
from tests.agent.scripted import AGENT, Controller, make_node, moved, planned, serving


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


def interpreters() -> dict[tuple[int, ...], str]:
    """Return every Python of this machine that the agent has to run under, by its version."""
    found = [shutil.which(f"python3.{minor}") for minor in range(6, 15)]
    if shutil.which("pyenv"):
        listed = subprocess.run(["pyenv", "versions", "--bare"], check=False, capture_output=True, text=True).stdout.split()
        root = subprocess.run(["pyenv", "root"], check=False, capture_output=True, text=True).stdout.strip()
        found += [f"{root}/versions/{version}/bin/python" for version in listed]
    versions: dict[tuple[int, ...], str] = {sys.version_info[:2]: sys.executable}
    for path in filter(None, found):
        script = "import sys, ssl; print(*sys.version_info[:2])"
        said = subprocess.run([path, "-c", script], check=False, capture_output=True, text=True)
        version = tuple(int(part) for part in said.stdout.split())
        if said.returncode == 0 and (3, 6) <= version <= (3, 14):
            versions.setdefault(version, path)
    return versions


def test_agent_runs_under_the_oldest_and_the_newest_python_of_this_machine(tmp_path: pathlib.Path) -> None:
    """Every command, over TLS, with each warning an error. Which Pythons there were stands in the output."""
    versions = interpreters()
    authority = Authority(tmp_path, "ours")
    for version in sorted({min(versions), max(versions)}):
        print(f"the agent under Python {'.'.join(map(str, version))}")
        folder = tmp_path / str(version[1])
        folder.mkdir()
        script = [planned(), planned("MIRRORB"), moved()]
        with serving(Controller(script), authority.server("127.0.0.1")) as controller:
            node = make_node(folder, controller.url, ca_file=str(authority.file), primary_check="true")
            pathlib.Path(node.settings["key_file"]).unlink()
            words = [versions[version], "-I", "-S", "-W", "error", str(AGENT), "--config", str(node.config)]
            for arguments, code in (
                (["keygen"], 0),
                (["doctor", "--vip", "192.0.2.1"], 1),
                (["status"], 0),
                (["claim", "--event", "startup"], 0),
                (["sign", "--curl"], 0),
            ):
                done = subprocess.run([*words, *arguments], check=False, capture_output=True, text=True, timeout=60)
                assert (done.returncode, done.stderr) == (code, ""), (version, arguments, done.stdout)
                assert arguments[0] != "doctor" or "\nfail vip-address " in done.stdout
            assert len(controller.requests) == 3
