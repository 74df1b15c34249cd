"""`python -m demo.record [FILE]`: run the demo in a terminal, and write what was seen there as a picture that moves.

The SVG (default docs/demo.svg) needs no script, so it works as an <img>. It plays at the speed of the run, and again. Where
nothing may move (prefers-reduced-motion) or can, it shows the end. Every text is placed on a grid, whatever the font's width.
"""

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from demo.show import CODES, COLUMNS

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "docs" / "demo.svg"
PROMPT: Final = "$ make demo"
TYPED_S: Final = 1.0  # how long the prompt stands alone
HOLD_S: Final = 10.0  # how long the end stays, to be read
FRAME_S: Final = 0.5  # the line that moves is redrawn so often at most
CELL: Final = 8.4
LINE: Final = 20
EDGE: Final = 16
_TOKEN: Final = re.compile(r"\r\x1b\[K|\r?\n|\x1b\[(?P<code>\d+)m|(?P<text>[^\x1b\r\n]+)")
_STYLE: Final = """
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;fill:#1f2328}
.b{fill:#f6f8fa;stroke:#d0d7de}.bold{font-weight:700}.dim{fill:#d0d7de}.red{fill:#cf222e}.green{fill:#1a7f37}.yellow{fill:#8a5a00}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#0d1117;stroke:#30363d}.dim{fill:#30363d}.red{fill:#ff7b72}
.green{fill:#3fb950}.yellow{fill:#d8a52c}}
.m{opacity:0}g{animation:DURATIONs step-end infinite}
@media(prefers-reduced-motion:reduce){g{animation:none}}
"""

Segment = tuple[str, str]
"""Text and its colour; the colour may be empty."""


@dataclass(slots=True)
class Row:
    """A line of the terminal: what it showed since when (seconds), one after the other; the last stays."""

    states: list[tuple[float, list[Segment]]] = field(default_factory=list)


def run(command: list[str]) -> Iterator[tuple[float, str]]:
    """What a command writes to a terminal of 80 columns, each piece with its second. Raises CalledProcessError if it fails."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", "PYTHONIOENCODING": "utf-8"}
    began, decoder = time.monotonic(), codecs.getincrementaldecoder("utf-8")()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        while piece := _read(ours):
            yield time.monotonic() - began, decoder.decode(piece)
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: nobody has it open any more
        return b""


def rows(pieces: Iterator[tuple[float, str]]) -> list[Row]:
    """The lines of the terminal. It knows what the demo prints: colours, new lines, and a last line that is replaced."""
    found, now, colour, rest = [Row()], [list[Segment]()], "", ""
    names = {code: name for name, code in CODES.items()}
    for at_s, piece in pieces:
        text = rest + piece
        cut = text.rfind("\x1b") if re.search(r"\x1b[^mK]*$", text) else len(text)
        cut -= text[:cut].endswith("\r")
        text, rest = text[:cut], text[cut:]
        for token in _TOKEN.finditer(text):
            if token["text"]:
                now[-1].append((token["text"], colour))
            elif token["code"]:
                colour = names.get(token["code"], "")
            elif token[0].endswith("\n"):
                if not found[-1].states or found[-1].states[-1][1] != now[-1]:
                    found[-1].states.append((at_s, now[-1]))
                found.append(Row())
                now.append([])
            else:
                now[-1] = []
        if now[-1]:
            _redraw(found[-1], at_s, now[-1])
    return [row for row in found if row.states]


def _redraw(row: Row, at_s: float, segments: list[Segment]) -> None:
    if not row.states or at_s - row.states[-1][0] >= FRAME_S:
        row.states.append((at_s, list(segments)))


def picture(terminal: list[Row]) -> str:
    """The SVG."""
    ends_s = max(row.states[-1][0] for row in terminal) + TYPED_S
    lasts_s = ends_s + HOLD_S
    body, frames = [_line([(PROMPT, "bold")], 0)], list[str]()
    for number, row in enumerate(terminal, 1):
        for index, (at_s, segments) in enumerate(row.states):
            stays = index + 1 == len(row.states)
            until = "" if stays else f"{(row.states[index + 1][0] + TYPED_S) / lasts_s:.2%}{{opacity:0}}"
            name = f"k{len(frames)}"
            frames.append(f"@keyframes {name}{{0%{{opacity:0}}{(at_s + TYPED_S) / lasts_s:.2%}{{opacity:1}}{until}}}")
            moving = "" if stays else ' class="m"'
            body.append(f'<g{moving} style="animation-name:{name}">{_line(segments, number)}</g>')
    width, height = round(COLUMNS * CELL + 2 * EDGE), (len(terminal) + 1) * LINE + 2 * EDGE
    said = escape("\n".join("".join(text for text, _ in row.states[-1][1]) for row in terminal))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="t"><title id="t">A recording of make demo: a failover from start to end</title><desc>{said}</desc>\n'
        f"<style>{_STYLE.replace('DURATION', f'{lasts_s:.1f}')}{''.join(frames)}</style>\n"
        f'<rect class="b" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _line(segments: list[Segment], row: int) -> str:
    """Words as texts, bars as rectangles, each at its column."""
    shown, column = "", 0
    top = EDGE + row * LINE
    for text, colour in segments:
        style = f' class="{colour}"' if colour else ""
        for part in re.finditer(r"[█░]+|(?:(?! {2,}|[█░]).)+", text):
            word = part[0].strip()
            if not word:
                continue
            at = column + part.start() + part[0].index(word)
            x, long = f"{EDGE + at * CELL:.1f}", f"{len(word) * CELL:.1f}"
            if word[0] in "█░":
                shown += f'<rect{style} x="{x}" y="{top + 3}" width="{long}" height="13"/>'
            else:
                grid = f'x="{x}" y="{top + 15}" textLength="{long}" lengthAdjust="spacingAndGlyphs"'
                shown += f"<text{style} {grid}>{escape(word)}</text>"
        column += len(text)
    return shown


def main(words: list[str]) -> int:
    """Run, and write the picture."""
    file = Path(words[0]) if words else FILE
    try:
        file.write_text(picture(rows(run([sys.executable, "-m", "demo"]))), encoding="utf-8")
    except subprocess.CalledProcessError as failed:
        print(f"demo.record: the demo ended with {failed.returncode}, so nothing is written", file=sys.stderr)
        return 1
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
