"""Every code block of the pages is run by a test or at least parsed, and every command of ours that a page names is there."""

import ast
import configparser
import json
import re
import subprocess
from collections.abc import Callable
from typing import Final

import pytest
import tree_sitter_objectscript_routine
import yaml
from tree_sitter import Language, Parser

from tests.repository import blocks, citations
from tests.repository.blocks import Block
from tests.repository.citations import ROOT, Source

RUN: Final = {
    ("docs/operations.md", "console"): "tests/served/runbooks/test_page.py",
    ("docs/operations.md", "kusto"): "tests/infra/test_alerts.py",
    ("docs/nodes.md", "sh"): "tests/nodes/test_pages.py",
    ("docs/nodes.md", "powershell"): "tests/nodes/test_pages.py",
}
"""Blocks that a test runs, or holds to docs/unverified.md line by line."""

NOT_HERE: Final = frozenset({
    "az", "azd", "func", "iris", "docker", "write", "do", "pcs", "sysctl", "systemctl", "netsh", "/opt/mirror-vip/vip_agent.py",
})  # fmt: skip
"""Programs, and IRIS's own commands, that need what nobody here has. A page with one of them is named in docs/unverified.md."""


def _sh(text: str) -> str:
    ran = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=20, check=False)
    return ran.stderr


def _json(text: str) -> None:
    json.loads(f"{{{text}}}" if text.startswith('"') else text)  # some show the fields of an object


def _python(text: str) -> None:
    compile(text, "block", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def _ini(text: str) -> None:
    configparser.ConfigParser(interpolation=None).read_string(text if "[" in text else f"[agent]\n{text}")


def _objectscript(text: str) -> str:
    """A routine's labels, or lines to type in: these stand in a procedure of their own."""
    typed = not re.match(r"[%A-Z]\w*\(", text)
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    body = f"Typed() PUBLIC {{\n{lines}    quit\n}}\n" if typed else text
    parser = Parser(Language(tree_sitter_objectscript_routine.language_objectscript_routine()))
    return "does not parse" * parser.parse(f"ROUTINE X [Type=MAC]\n{body}".encode()).root_node.has_error


def _mermaid(text: str) -> str:
    return "" if re.match(r"(flowchart (TD|LR)|sequenceDiagram)\n", text) else "no diagram that is known here"


def _conf(text: str) -> str:
    return "" if text.count("{") == text.count("}") else "a bracket is missing"


PARSED: Final[dict[str, Callable[[str], str | None]]] = {
    "sh": _sh, "json": _json, "python": _python, "ini": _ini, "yaml": lambda text: yaml.safe_load(text) and None,
    "objectscript": _objectscript, "mermaid": _mermaid, "conf": _conf, "text": lambda _: None,
}  # fmt: skip
"""How a block of each language is judged where no test runs it. `text` is what a program prints."""


def fault(block: Block) -> str | None:
    """What is wrong with a block, or None."""
    judge = PARSED.get(block.language)
    if judge is None:
        return None if (block.page, block.language) in RUN else f"nobody runs or parses {block.language}"
    try:
        return judge(block.text) or None
    except (ValueError, SyntaxError, configparser.Error, yaml.YAMLError) as exc:
        return str(exc)


def test_every_block_names_its_language() -> None:
    """So that a test, and the reader's colours, know what it is. There are no indented blocks."""
    assert blocks.without_a_language() == []


def test_every_block_is_run_or_parses() -> None:
    """What no test runs is at least a sentence of its language."""
    faults = {block.at: fault(block) for block in blocks.blocks()}

    assert {at: told for at, told in faults.items() if told} == {}
    assert len(faults) > 80


def test_what_runs_blocks_is_there() -> None:
    """The tests that are said to run a page's blocks name that page."""
    for (page, language), test in RUN.items():
        folder = (ROOT / test).parent
        readers = [(ROOT / test).read_text(encoding="utf-8"), *(path.read_text() for path in folder.glob("page.py"))]
        assert any(page.rpartition("/")[2] in text for text in readers), (page, language)


def test_blocks_that_need_azure_or_iris_are_told() -> None:
    """A page with lines that nobody here could run is named in docs/unverified.md, which says how to check them."""
    unverified = (ROOT / "docs" / "unverified.md").read_text(encoding="utf-8")
    pages = {
        block.page
        for block in blocks.blocks()
        if (block.page, block.language) not in RUN and block.language in ("sh", "objectscript")
        if NOT_HERE & set(blocks.programs(block))
    }

    assert pages
    assert [
        page for page in sorted(pages) if f"({page.removeprefix('docs/')}" not in unverified and f"(../{page}" not in unverified
    ] == []


def test_every_command_of_ours_is_there() -> None:
    """Targets of make, `python -m`, the agent's commands, and their options."""
    assert blocks.unknown_commands() == []


def test_links_to_elsewhere_have_the_form_of_a_link() -> None:
    """https, a host with a dot, and no blank or bracket that Markdown would cut off. Nobody here asks whether they answer."""
    found = [
        source.at(one.start()) + ": " + one[1]
        for source in citations.pages()
        for one in re.finditer(r"\]\((https?:[^\s)]*|[^)\s]*:\S*)\)", source.text)
        if not re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[\w./%?=&;:@~+,!*'#-]*)?", one[1])
    ]

    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nif true\n```", "```json\n{1: 2}\n```", "```python\ndef\n```", "```ini\nno value\n```", "```yaml\na: [\n```",
        "```objectscript\nwrite )\n```", "```cobol\nx\n```", "```mermaid\nx\n```", "```console\n$ x\n```", "```conf\n{\n```",
    ],
)  # fmt: skip
def test_a_broken_block_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each language, and in one that nobody knows."""
    _only(monkeypatch, text)

    assert [fault(block) for block in blocks.blocks()] != [None]


@pytest.mark.parametrize(
    "text",
    [
        "`make nothing`", "```sh\nsleep 1; make nothing\n```", "`.venv/bin/python -m infra.nothing`", "`vip_agent.py nothing`",
        "`python -m infra.keys --nothing`", "`vip_agent.py claim --nothing`", "```sh\npython -m trail P \\\n  --nothing x\n```",
    ],
)  # fmt: skip
def test_a_command_that_is_not_there_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a block, over two lines, and in a sentence."""
    _only(monkeypatch, text)

    assert len(blocks.unknown_commands()) == 1


@pytest.mark.parametrize("text", ["text\n\n    indented code\n", "```\nx\n```\n"])
def test_a_block_without_a_language_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fenced, and indented."""
    _only(monkeypatch, text)

    assert len(blocks.without_a_language()) == 1


def _only(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the repository consist of this page."""
    monkeypatch.setattr(citations, "pages", lambda: (Source("made-up.md", text),))
