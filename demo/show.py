"""How the demo prints: 80 columns at most; colour and a line that moves on a terminal only, plain lines everywhere else."""

import os
import select
import shutil
from collections.abc import Mapping
from typing import Final, TextIO

COLUMNS: Final = 80
CELLS: Final = 30
"""Of a bar, at most."""

CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class NobodyReadsError(Exception):
    """What is printed goes nowhere: `| head` has what it wants."""


class Screen:
    """Where the demo prints to. Each line goes out at once, so that progress is seen in a pipe too."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._terminal and not os.environ.get("NO_COLOR")
        self._full, self._empty = ("█", "░") if _can_print("█░", out) else ("#", ".")
        self._live = False

    def line(self, text: str = "") -> None:
        """A line that stays."""
        self._write(f"{self._clear()}{text}\n")

    def live(self, text: str, bar: str = "", after: str = "") -> None:
        """On a terminal: the line at the bottom, in the place of the one before. `bar`: one of `bar(room=True)`."""
        if not self._terminal:
            return
        # A line that is broken could not be taken away.
        room = min(COLUMNS, shutil.get_terminal_size().columns) - 1 - len(text) - (CELLS if bar else 0)
        clear, self._live = self._clear(), True
        self._write(f"{clear}{text}{bar if room > 0 else ''}{after[: max(0, room)]}")

    def end(self) -> None:
        """Take the moving line away."""
        self._write(self._clear())

    def paint(self, colour: str, text: str) -> str:
        """The text in a colour of CODES, where there is colour."""
        return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if self._coloured else text

    def bar(self, until_s: Mapping[str, float], cell_s: float, *, room: bool = False) -> str:
        """A bar whose colours follow each other, each until its second. `room`: as wide as the longest one."""
        shown, at = "", 0
        for colour, seconds in until_s.items():
            cells = max(0, min(CELLS, round(seconds / cell_s)) - at)
            shown += self.paint(colour, self._full * cells) if cells else ""
            at += cells
        return shown + (self.paint("dim", self._empty * (CELLS - at)) if room else "")

    def check_reader(self) -> None:
        """Raise NobodyReadsError where nobody reads any more, without printing anything to find out."""
        if self._terminal:
            return
        poll = select.poll()
        poll.register(self._out.fileno(), 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise NobodyReadsError

    def _clear(self) -> str:
        was, self._live = self._live, False
        return "\r\x1b[K" if was else ""

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError as gone:
            raise NobodyReadsError from gone


def cell_s(longest_s: float) -> float:
    """How many seconds a cell of a bar stands for, so that the longest bar fits: 0.5, 1, 2, 4 ..."""
    found = 0.5
    while longest_s / found > CELLS:
        found *= 2
    return found


def _can_print(text: str, out: TextIO) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
