"""How the pages are written: spelling, the length of sentences, phrases that say nothing, and one word for one thing."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from serve import azurite
from tests.repository import citations, prose
from tests.repository.citations import Source

FOLDER: Final = Path(__file__).parent
WORDS: Final = FOLDER / "words.txt"

NAMES_OF_RECORDINGS: Final = "tests/simulator/conformance/data/README.md"
"""A page of file names: nothing in it is to be spelt."""

SAYS_NOTHING: Final = (
    "simply", "obviously", "of course", "basically", "seamless", "robust", "powerful", "cutting-edge", "world-class",
    "blazing", "state of the art", "best practice", "we are proud", "easy to use", "note that", "in order to", "leverage",
    "utilize", "e.g.", "i.e.", "etc.", "and/or", "whitelist", "blacklist", "slave",
)  # fmt: skip

ONE_WORD_FOR_ONE_THING: Final = {
    "pending claim": "recorded claim",
    "mirror document": "mirrors document",
    "Function App": "Function app",
    "Azure function": "Function app",
    "fail-over": "failover",
    "network card": "NIC",
    "NIC card": "NIC",
    "IP configuration": "ip configuration",
    "ip-configuration": "ip configuration",
    "audit log": "audit trail",
    "time-out": "timeout",
    "work-around": "workaround",
    "cancelled": "canceled",
    "master key of a member": "member's key",
}
"""What is not written -> what docs/glossary.md, Azure or the other pages call it."""


def too_long() -> list[str]:
    """Sentences of more words than a reader keeps in mind."""
    found = (sentence for source in citations.pages() for sentence in prose.sentences(source))
    return [f"{one.at}: {one.words} words: {one.text}" for one in found if one.words > prose.SENTENCE_WORDS_MAX]


def phrases(wrong: tuple[str, ...], *, case: bool) -> list[str]:
    """Where the pages have one of these phrases, as whole words."""
    flags = 0 if case else re.IGNORECASE
    form = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, wrong))})(?:s(?!\w)|(?!\w))", flags)
    found = []
    for source in citations.pages():
        text = prose.plain(source.text)
        found += [f"{source.path}:{text.count(chr(10), 0, one.start()) + 1}: {one[0]!r}" for one in form.finditer(text)]
    return found


def misspelt() -> list[str]:
    """Words that neither the dictionary nor words.txt knows, each with the first place where it stands."""
    places: dict[str, str] = {}
    for source in citations.pages():
        if source.path != NAMES_OF_RECORDINGS:
            for at, word in prose.words(source):
                places.setdefault(word, at)
    return [f"{places[word]}: {word}" for word in _unknown(places, WORDS)]


def _unknown(words: dict[str, str], own: Path) -> list[str]:
    node, _ = azurite.node()
    command = [str(node), str(FOLDER / "spelling.cjs"), str(own)]
    ran = subprocess.run(command, input="\n".join(words), capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout.split()


def test_no_sentence_is_longer_than_forty_words() -> None:
    """A piece of code counts as one word; a semicolon and a colon end a sentence, too."""
    assert too_long() == []


def test_no_phrase_says_nothing() -> None:
    """Praise, filler and abbreviations of Latin are left out."""
    assert phrases(SAYS_NOTHING, case=False) == []


def test_one_thing_has_one_name() -> None:
    """The glossary's word, Azure's or the other pages', and no second one for the same thing."""
    assert phrases(tuple(ONE_WORD_FOR_ONE_THING), case=True) == []


def test_every_word_is_spelt_as_in_the_dictionary() -> None:
    """A new word of the trade goes into words.txt; a name of code is written as code."""
    assert misspelt() == []


def test_the_list_of_words_has_none_that_nobody_needs(tmp_path: Path) -> None:
    """What the dictionary knows by now is not kept in words.txt."""
    own = [word for word in WORDS.read_text(encoding="utf-8").splitlines() if word and not word.startswith("#")]
    empty = tmp_path / "empty"
    empty.touch()

    assert sorted(set(own)) == sorted(_unknown(dict.fromkeys(own, ""), empty))


def test_a_word_that_nobody_knows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a paragraph and in a cell of a table; not in code, in an address or in the name of something elsewhere."""
    text = "This is a sentense.\n\n| a `sentnce` | mispelled |\n\n```text\nsentnce\n```\n\nhttps://example.org/sentnce, [sentnce](https://x.org)"
    _only(monkeypatch, text)

    assert misspelt() == ["made-up.md:1: sentense", "made-up.md:3: mispelled"]


@pytest.mark.parametrize(
    "text", ["- " + "word " * 41, "| short | " + "word " * 41 + "|", "First one. " + "and `code` " * 21, "word\n" * 41]
)
def test_a_long_sentence_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an item of a list, in a cell of a table, with pieces of code, and over several lines."""
    _only(monkeypatch, text)

    assert len(too_long()) == 1


@pytest.mark.parametrize(
    "text", ["word " * 30 + ". " + "word " * 30, "word " * 30 + "\n\n" + "word " * 30, "word " * 30 + "\n- " + "word " * 30]
)
def test_two_sentences_are_not_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full stop, an empty line and an item of a list end one."""
    _only(monkeypatch, text)

    assert too_long() == []


@pytest.mark.parametrize("text", ["It simply works.", "See it, e.g. here.", "a pending claim", "two Function Apps"])
def test_phrases_are_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the plural, and before a full stop."""
    _only(monkeypatch, text)

    assert phrases(SAYS_NOTHING, case=False) + phrases(tuple(ONE_WORD_FOR_ONE_THING), case=True) != []


def _only(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the repository consist of this page."""
    monkeypatch.setattr(citations, "pages", lambda: (Source("made-up.md", text),))
