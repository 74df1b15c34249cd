"""docs/operations.md as a script: its commands with the answers that it prints, and what must be so before them.

A block that is fenced as `console` holds commands, each on a line that begins with `$ ` (a backslash at its end continues it),
and below each what it prints. A comment `<!-- given: words -->` before a block says what has happened. What differs from run to
run (times, ids, durations, ports) is the same to this comparison; a line `...` stands for any lines, and `…` for any words.

`python -m tests.served.runbooks.page` runs it all and writes the answers into the page.
"""

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.served.runbooks.site import Site, standing

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
_PART: Final = re.compile(
    r"<!-- given: (?P<given>.+?) -->|^```console\n(?P<block>.*?)^```$|^## (?P<section>[^\n]+)$", re.MULTILINE | re.DOTALL
)
_SAME: Final = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "TIME"),
    (r"(\b\d\d-\d\d )?\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"127\.0\.0\.1(:|', )\d+", "HOST"),
    (r'("(total_ms|ms|elapsed_ms|age_s)": )\d+(\.\d+)?', r"\1N"),
    (r"\b\d+(\.\d+)? ?(ms|s|seconds?|min|minutes?|hours?)\b( \d+ s\b)?", "AGE"),
)  # fmt: skip


@dataclass(slots=True)
class Step:
    """A command of the page, what it prints there, and where that stands in the text."""

    command: str
    printed: str
    span: tuple[int, int]


@dataclass(slots=True)
class Section:
    """The parts of one section in order: a text is what is given, a Step a command."""

    title: str
    parts: list[str | Step] = field(default_factory=list)


def written(text: str, site: Site) -> str:
    """The page with what the commands print now."""
    printed: list[tuple[tuple[int, int], str]] = []
    for part in (part for section in sections(text) for part in section.parts):
        if isinstance(part, str):
            site.given(part)
        else:
            answer = site.run(part.command)
            printed.append((part.span, part.printed if same(answer, part.printed) else answer))
    for (first, last), answer in reversed(printed):
        text = text[:first] + answer + text[last:]
    return text


def sections(text: str) -> list[Section]:
    """The sections that have commands."""
    found = [Section("")]
    for match in _PART.finditer(text):
        if match["section"]:
            found.append(Section(match["section"]))
        elif match["given"]:
            found[-1].parts.append(match["given"])
        else:
            found[-1].parts += _steps(match["block"], match.start("block"))
    return [section for section in found if any(isinstance(part, Step) for part in section.parts)]


def _steps(block: str, at: int) -> list[Step]:
    found: list[Step] = []
    continues = False
    for text in block.splitlines(keepends=True):
        end = at + len(text)
        if text.startswith("$ "):
            found.append(Step(text[2:], "", (end, end)))
        elif continues:
            found[-1].command += text
            found[-1].span = (end, end)
        else:
            found[-1].printed += text
            found[-1].span = (found[-1].span[0], end)
        continues = (text.startswith("$ ") or continues) and text.rstrip("\n").endswith("\\")
        at = end
    return found


def same(printed: str, expected: str) -> bool:
    """Whether a command printed what the page says. Where lines are broken does not count: that moves with what is in them."""
    pieces = re.split(r"^\.\.\.\n|…", expected, flags=re.MULTILINE)
    return re.fullmatch(".*?".join(re.escape(_plain(piece)) for piece in pieces), _plain(printed)) is not None


def _plain(text: str) -> str:
    for form, word in _SAME:
        text = re.sub(form, word, text)
    return re.sub(r"\s+", "", text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, standing(Path(folder)) as made:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
