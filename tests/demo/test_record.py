"""The recording that the README shows, and how a terminal becomes a picture."""

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from demo import record
from demo.timeline import STAGES

SVG = "{http://www.w3.org/2000/svg}"


def test_the_recording_is_of_the_demo_as_it_is_now() -> None:
    """A sentence that the demo no longer prints, or a word that it has got, makes the picture an old one."""
    text = record.FILE.read_text(encoding="utf-8")
    said = ET.fromstring(text).findtext(f"{SVG}desc") or ""

    assert [stage.sentence for stage in STAGES if stage.sentence not in said] == []
    assert "PASSED" in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_recording_works_as_an_image() -> None:
    """Small, well-formed, named, without scripts, links or anything from elsewhere."""
    data = record.FILE.read_bytes()
    tree = ET.fromstring(data)

    assert len(data) < 60_000
    assert tree.findtext(f"{SVG}title")
    assert {one.tag.removeprefix(SVG) for one in tree.iter()} == {"svg", "title", "desc", "style", "rect", "g", "text"}
    assert not re.search(rb"url\(|href|@import|\son\w+=", data)
    assert b"prefers-color-scheme:dark" in data


def test_a_line_that_moves_is_seen_until_the_next_one_takes_its_place() -> None:
    """What the terminal showed last stays; what was overwritten is shown from its second to the next one's."""
    pieces = [
        (0.0, "\x1b[1mbold\x1b[0m\r\n"),
        (1.0, "  one █"),
        (2.0, "\r\x1b[K  two █"),
        (3.0, "\r\x1b[K  <done>\r\nend\r"),
        (4.0, "\n"),
    ]

    terminal = record.rows(iter(pieces))

    assert [[(at_s, "".join(text for text, _ in words)) for at_s, words in row.states] for row in terminal] == [
        [(0.0, "bold")],
        [(1.0, "  one █"), (2.0, "  two █"), (3.0, "  <done>")],
        [(3.0, "end")],
    ]
    drawn = ET.fromstring(record.picture(terminal))
    assert [one.text for one in drawn.iter(f"{SVG}text")] == ["$ make demo", "bold", "one", "two", "<done>", "end"]
    assert len([one for one in drawn.iter(f"{SVG}g") if one.get("class") == "m"]) == 2


def test_a_command_is_seen_as_a_terminal_shows_it_and_must_succeed() -> None:
    """The command believes in its terminal of 80 columns; one that fails makes no picture."""
    asks = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns)"

    assert "".join(text for _, text in record.run([sys.executable, "-c", asks])) == "True 80\r\n"
    with pytest.raises(subprocess.CalledProcessError):
        list(record.run([sys.executable, "-c", "raise SystemExit(1)"]))
