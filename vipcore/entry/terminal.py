"""Lines of a terminal: what came from outside made harmless, broken at COLUMNS, and lines that a shell takes. Pure."""

import json
import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterable
from typing import Final

from vipcore import instants
from vipcore.entry.bodies import Text
from vipcore.instants import Instant
from vipcore.model import brief

COLUMNS: Final = 100
_COMMAND: Final = re.compile(r"\(az [^()]+\)")
_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d{6}Z")
_KEPT: Final = "\0"
_GO_ON: Final = "\\\n"
_PAD: Final = "\ue000"
"""Stands behind a character of two columns while lines are broken; `plain` leaves none of its kind in a text."""


def answer(lines: Iterable[str]) -> Text:
    """These lines as an answer."""
    return Text("".join(f"{line}\n" for line in lines), "text/plain")


def plain(text: object) -> str:
    """What came from outside, on one line and without anything that a terminal would obey.

    Resource ids are shown by their last parts, instants as `when` shows them.
    """
    line = _STAMP.sub(r"\1 \2 UTC", " ".join(str(text).split()))
    return brief(line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line))


def wrapped(text: str, indent: str = "", first: str | None = None, most: int | None = None) -> list[str]:
    """The text in lines that fit, at most `most`; `first`: what the first one begins with, if that is not `indent`."""
    first = indent if first is None else first
    shown = plain(text)
    if shown.isascii() and len(first) + len(shown) <= COLUMNS:
        return [(first + shown).rstrip()]  # of a thousand mirrors nearly every line
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _KEPT), shown)  # a line to paste is not broken
    padded = "".join(c + _PAD * (width(c) - 1) for c in whole)
    columns = COLUMNS - (_PAD in padded)  # a line may end between a character and its pad
    wrapper = textwrap.TextWrapper(columns, first, indent, max_lines=most, placeholder=" ...", break_on_hyphens=False)
    lines = wrapper.wrap(padded)
    return [line.replace(_KEPT, " ").replace(_PAD, "") for line in lines] or [first.rstrip()]


def width(text: str) -> int:
    """How many columns of a terminal it takes; a combining character counts as one."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def curl(path: str, *, method: str = "", body: str | None = None) -> list[str]:
    """The line to paste that sends this request, where it fits; else in pieces that a shell puts together again.

    `$API` and `$KEY` are as in docs/operations.md. curl takes POST where there is a body; another method is named.
    """
    line, url = '  curl -H "$KEY"' + (f" -X {method}" if method else ""), f'"$API/{path}"'
    if body is None:
        forms = [f"{line} {url}", f"{line} \\\n    {url}", f"{line} \\\n    {url.replace('?', f'{_GO_ON}?')}"]
    else:
        quoted, pieces = shlex.quote(body), _GO_ON.join(map(shlex.quote, _pieces(body)))
        apart = f"{line} \\\n    {url} \\\n    -d "
        forms = [f"{line} {url} -d {quoted}", f"{line} {url} \\\n    -d {quoted}", f"{apart}{quoted}", f"{apart}{pieces}"]
    broken = [form.split("\n") for form in forms]
    return next((lines for lines in broken if all(width(line) <= COLUMNS for line in lines)), broken[-1])


def move_to(mirror: str, member: str, *, force: bool = False) -> list[str]:
    """The line to paste that moves the VIP to the member, whose name may be anything."""
    fields = {"to": member, "operator": "YOU", "reason": "WHY", **({"force": True} if force else {})}
    body = json.dumps(fields, ensure_ascii=not str(member).isprintable(), separators=(",", ":"))
    return curl(f"mirrors/{mirror}/moves", body=body)


def _pieces(text: str) -> list[str]:
    """The text in pieces that fit, each quoted for a shell."""
    pieces = [""]
    for c in text:
        if width(shlex.quote(pieces[-1] + c)) > COLUMNS - len("    -d \\"):
            pieces.append("")
        pieces[-1] += c
    return pieces


def when(at: str, now: Instant) -> str:
    """`2026-11-28 02:10:11 UTC (49 min ago)`, of what is to come `(in 49 min)`: the one form of a time in these texts."""
    past = int((now - instants.from_text(at)).total_seconds())
    age = f"in {instants.length(-past)}" if past < -1 else f"{instants.length(max(0, past))} ago"
    return f"{instants.clock(at)} UTC ({age})"
