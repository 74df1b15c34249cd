"""Every line with `az` in our documents, and every call of it in our scripts, is one that the real az's parser takes."""

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.interop.azurecli import AZ, ROOT

pytestmark = pytest.mark.interop

PARSER: Final = ROOT / "tests" / "interop" / "az_parser.py"
EXTENSIONS: Final = ("monitor log-analytics query",)
"""Commands of extensions, which the documents tell to install."""
_BEGIN: Final = re.compile(r"(?:^|\$\(|[;&|`\"])\s*az (?=[a-z])", re.MULTILINE)


def written(text: str) -> Iterator[list[str]]:
    """The words of each az line of a document: in blocks, in `code`, and within `$(...)`."""
    text = text.replace("\\|", "|").replace("\\\n", " ")
    for found in _BEGIN.finditer(text):
        line = _until_end(text[found.end() :])
        while (inner := re.sub(r"\$\([^()]*\)", "X", line)) != line:
            line = inner
        yield shlex.split(re.sub(r"\$\{?\w+\}?", "X", line), comments=True)


def _until_end(text: str) -> str:
    """A command's text: to the end of its line, of its code, of its `$(...)`, or to the next command."""
    quote, depth = "", 0
    for at, one in enumerate(text):
        if quote:
            quote = "" if one == quote else quote
        elif one in "'\"":
            quote = one
        elif one == "(":
            depth += 1
        elif one == ")" and depth:
            depth -= 1
        elif one in ")`|;&>\n" and not depth:
            return text[:at]
    return text


def called(source: str) -> Iterator[list[str]]:
    """The words of each `az(...)` of a script; X is what is known when it runs."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "az":
            yield [str(one.value) if isinstance(one, ast.Constant) else "X" for one in node.args]


def lines() -> dict[str, list[str]]:
    """`file: line` -> its words."""
    pages = subprocess.run(
        ["git", "ls-files", "*.md", "*.sample", ":!docs/facts"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = dict[str, list[str]]()
    for name in pages.stdout.split():
        found |= {f"{name}: {shlex.join(words)}": words for words in written((ROOT / name).read_text(encoding="utf-8"))}
    for path in sorted((ROOT / "infra").glob("*.py")):
        found |= {f"{path.name}: {shlex.join(words)}": words for words in called(path.read_text(encoding="utf-8"))}
    return {line: words for line, words in found.items() if not " ".join(words).startswith(EXTENSIONS)}


def test_az_takes_every_line(tmp_path: Path) -> None:
    """Commands and options are known and complete; a command that is only named, without options, need not be complete."""
    found = lines()
    wrong = {"wrong option": ["group", "create", "-n", "x", "-l", "y", "--colour", "red"], "no command": ["group", "make"]}
    asked = json.dumps([*found.values(), *wrong.values()])
    environment = {"PATH": "/usr/bin:/bin", "AZURE_CONFIG_DIR": str(tmp_path), "AZURE_CORE_COLLECT_TELEMETRY": "false"}
    command = [str(AZ.parent / "python"), str(PARSER)]
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    objections = dict(zip([*found, *wrong], json.loads(done.stdout), strict=True))

    # Before az runs a line, --ids stands for the names in it; its parser alone asks for them.
    named = [line for line, words in found.items() if "--ids" in words or not any(word.startswith("-") for word in words)]
    for line in named:
        if "are required" in objections[line]:
            objections[line] = ""
    assert {line: said for line, said in objections.items() if said} == {line: objections[line] for line in wrong}
    assert all(objections[line] for line in wrong)
    assert len(found) > 50
