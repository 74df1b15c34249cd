"""What people read in the pages, as sentences and words: without code, tables' bars, links' targets and marks. Text only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.repository.citations import Source

SENTENCE_WORDS_MAX: Final = 40
_FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE: Final = re.compile(r"``.+?``|`[^`\n]+(?:\n[^`\n]+)?`")
_NAME: Final = re.compile(r"\[[^\]\s]+\]\(https?:[^)]*\)")  # a link to elsewhere with a name as its text
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL: Final = re.compile(r"https?://\S+")
_TAG: Final = re.compile(r"</?[a-z]+[^>]*>")
_MARKS: Final = re.compile(r"\*\*|(?<![\w*])\*|\*(?![\w*])|~~")
_END: Final = re.compile(r"(?<=[.!?:;])[\")\]]*\s+|(?<=[.!?]\))\s+")
_BLOCK: Final = re.compile(r"^(?:#+ |[-*] |\d+\. |> )", re.MULTILINE)
_WORD: Final = re.compile(r"(?<![\w])[^\W\d_][\w'-]*")
CODE: Final = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for a piece of code: one word, and none to spell."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, or what stands between two semicolons or colons of one, with the line on which its paragraph begins."""

    at: str
    text: str

    @property
    def words(self) -> int:
        """Words, a piece of code counted as one."""
        return len(re.findall(rf"{CODE}|[^\W_][\w'’.,/%-]*", self.text))


def _blank(found: re.Match[str]) -> str:
    """As many lines, without their text, so that lines keep their numbers."""
    return "\n" * found[0].count("\n")


def plain(text: str) -> str:
    """The text without code and marks, line by line where it was."""
    for form in (_COMMENT, _FENCE):
        text = form.sub(_blank, text)
    text = _LINK.sub(r"\1", _NAME.sub(CODE, text))
    text = _CODE.sub(lambda found: CODE + _blank(found), text)
    return _TAG.sub(" ", _MARKS.sub("", _URL.sub(CODE, text)))


def sentences(source: Source) -> Iterator[Sentence]:
    """Every sentence of a page; a cell of a table, an item of a list and a heading end one."""
    text = plain(source.text)
    offset = 0
    for paragraph in re.split(r"(\n\s*\n|\n(?=(?:[-*>#|]|\d+\. )|\s+(?:[-*] |\d+\. )))", text):
        at = source.path + ":" + str(text.count("\n", 0, offset) + 1 + len(paragraph) - len(paragraph.lstrip("\n")))
        offset += len(paragraph)
        cells = paragraph.split("|") if paragraph.lstrip().startswith("|") else [paragraph]
        for cell in cells:
            flat = " ".join(_BLOCK.sub("", cell.strip()).split())
            for sentence in _END.split(flat):
                if sentence.strip():
                    yield Sentence(at, sentence.strip())


def words(source: Source) -> Iterator[tuple[str, str]]:
    """Each word to spell, with its line: not one with digits, underscores or inner capitals, which are names of code."""
    for number, line in enumerate(plain(source.text).split("\n"), 1):
        for found in _WORD.finditer(line):
            word = found[0].rstrip("'-").removesuffix("'s").removesuffix("'")
            before, after = line[: found.start()][-1:], line[found.end() :][:1]
            named = re.search(r"\d|_|[a-z][A-Z]|^[A-Z]{2,}", word) or before in tuple("./@$^_\\%") or after in tuple("/_@\\(")
            if not named and len(word) > 1:
                yield f"{source.path}:{number}", word
