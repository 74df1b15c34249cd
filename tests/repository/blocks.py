"""The code blocks and the commands of the pages. Text only: nothing is run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.repository import citations
from tests.repository.citations import ROOT

_FENCED: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"(?<=\n\n) {4,}(?![-*] |\d+\. )\S[^\n]*\n")
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_MODULE: Final = re.compile(r"(?:^|[\s;&|(/])python[\d.]* -m (?P<module>[\w.]+)(?P<rest>[^;&|\n]*)")
_AGENT: Final = re.compile(r"(?:^|[\s/])vip_agent\.py(?P<rest>[^;&|\n`]*)")
_MAKE: Final = re.compile(r"(?:^|[;&|(] *)make (?P<words>[\w=./ \"'$-]+)")
_FLAG: Final = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OF_OTHERS: Final = frozenset({"pytest", "venv", "compileall", "pip", "mypy", "ruff"})
"""Modules that are not ours."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `file:line` of its fence, the language that it names, and its text without the fence's indent."""

    at: str
    language: str
    text: str

    @property
    def page(self) -> str:
        """The page's path from the root."""
        return self.at.partition(":")[0]


def blocks() -> Iterator[Block]:
    """Every fenced block of every page."""
    for source in citations.pages():
        for found in _FENCED.finditer(source.text):
            text = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
            yield Block(source.at(found.start()), found["language"], text)


def without_a_language() -> list[str]:
    """Blocks that no test can judge: fenced without a language, or only indented."""
    found = [block.at for block in blocks() if not block.language]
    for source in citations.pages():
        text = _FENCED.sub(lambda one: "\n" * one[0].count("\n"), source.text)
        found += [source.at(one.start()) for one in _INDENTED.finditer(text)]
    return found


def commands() -> Iterator[tuple[str, str]]:
    """Each line for a shell, continuations joined, and each piece of inline code, with its place."""
    for block in blocks():
        if block.language in ("sh", "console", "powershell"):
            lines = re.sub(r"\\\n", " ", block.text).splitlines()
            yield from ((block.at, line.removeprefix("$ ").partition("  #")[0]) for line in lines if not line.startswith("#"))
    for source in citations.pages():
        text = _FENCED.sub(lambda one: "\n" * one[0].count("\n"), source.text)
        yield from ((source.at(one.start()), one[1]) for one in _INLINE.finditer(text))


@cache
def targets() -> frozenset[str]:
    """What `make` knows."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(word for found in re.finditer(r"^([\w -]+?) *:(?!=)", text, re.MULTILINE) for word in found[1].split())


@cache
def _source_of(module: str) -> str | None:
    """The text of a module of this repository, or of all files of a package; None where it does not exist."""
    path = ROOT / module.replace(".", "/")
    files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else sorted(path.glob("*.py"))
    runs = path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    return "".join(file.read_text(encoding="utf-8") for file in files) if runs else None


def unknown_commands() -> list[str]:
    """Targets of make, modules and their options, and the agent's commands and options, that this repository does not have."""
    wrong = []
    for at, command in commands():
        for found in _MAKE.finditer(command):
            named = [word for word in found["words"].split() if "=" not in word and not word.startswith(("-", "$", '"', "'"))]
            wrong += [f"{at}: make {word}" for word in named[:1] if word not in targets()]
        for found in _MODULE.finditer(command):
            if found["module"] not in OF_OTHERS:
                wrong += [f"{at}: -m {found['module']}{lacks}" for lacks in _lacks(_source_of(found["module"]), found["rest"])]
        for found in _AGENT.finditer(command):
            wrong += [f"{at}: vip_agent.py{lacks}" for lacks in _lacks(_agent(), found["rest"])]
            word = next(iter(found["rest"].split()), "")
            if re.fullmatch(r"[a-z]+", word) and word not in _commands_of_the_agent():
                wrong.append(f"{at}: vip_agent.py {word}")
    return wrong


@cache
def _agent() -> str:
    return Path(ROOT / "agent" / "vip_agent.py").read_text(encoding="utf-8")


@cache
def _commands_of_the_agent() -> frozenset[str]:
    (listed,) = re.findall(r'metavar="{([a-z,]+)}"', _agent())
    return frozenset(listed.split(","))


def _lacks(source: str | None, words: str) -> list[str]:
    if source is None:
        return [" does not exist"]
    return [f" {flag}" for flag in _FLAG.findall(words) if f'"{flag}"' not in source and flag != "--help"]


def programs(block: Block) -> Iterator[str]:
    """The first word of each line for a shell."""
    for line in re.sub(r"\\\n", " ", block.text).splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if words:
            yield words[0]
