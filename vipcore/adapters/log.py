r"""The log: every event that a line may tell, how serious it is, and the one form of a line.

    swap.completed mirror=PROD from=MIRRORA to=MIRRORB ms=12034 claim=4b1f... correlation=9c2d... detail="Swap ... in 12 s."

The event's name, then `name=value` pairs: those of `FIRST` in that order, then the others, `detail` last. A value of anything
but plain ASCII without space, quote, backslash and `=` is a JSON string in which `=` is written `\u003d`. So `name=` stands in
a line for nothing but a field, and no value that a caller sends can begin a line, a field or a terminal's escape sequence.

WARNING and ERROR mean that somebody should look: at a WARNING today, at an ERROR now. docs/operations.md has a row for each
event: what it means, and what to do. Nothing but this module writes to the log.
"""

import json
import logging
from collections.abc import Mapping
from logging import ERROR, INFO, WARNING
from typing import Any, Final

from vipcore.errors import NEEDS_SOMEBODY

_NEEDS: Final = NEEDS_SOMEBODY | {"not-ready"}
_LOG: Final = logging.getLogger("mirror_vip")

BY_CODE: Final = 0
"""WARNING where the line's `code` needs somebody (`errors.NEEDS_SOMEBODY`, or a member that is not ready any more), else INFO."""

EVENTS: Final[Mapping[str, int]] = {
    "app.started": INFO,
    "configuration.fault": ERROR,
    "request.answered": INFO,
    "request.refused": BY_CODE,
    "request.failed": ERROR,
    "authentication.failed": INFO,
    # Rows of the trail (vipcore/ledger/story.py):
    "claim.accepted": INFO,
    "claim.confirmed": INFO,
    "claim.recorded": INFO,
    "claim.refused": BY_CODE,
    "move.accepted": INFO,
    "move.confirmed": INFO,
    "move.refused": BY_CODE,
    "nic.write": INFO,
    "swap.completed": INFO,
    "swap.failed": BY_CODE,
    "swap.resumed": INFO,
    "drift.found": WARNING,
    "drift.repaired": INFO,
    "readiness.changed": BY_CODE,
    "frozen": INFO,
    "unfrozen": INFO,
    "head.rebuilt": WARNING,
    # A swap:
    "nic.refused": INFO,
    "nic.differs": WARNING,
    "one-call.refused": INFO,
    "operation.ended": INFO,
    "swap.unrecorded": WARNING,
    "lease.kept": INFO,
    # The timer:
    "timer.pass": INFO,
    "timer.refused": BY_CODE,
    "timer.overtaken": INFO,
    "timer.later": INFO,
    "timer.skipped": WARNING,
    "timer.failed": ERROR,
    "desired.unknown": WARNING,
    "document.old": INFO,
    # What the app stands on:
    "audit.head": INFO,
    "audit.verified": INFO,
    "audit.broken": ERROR,
    "audit.key": ERROR,
    "head.damaged": ERROR,
    "clock.off": WARNING,
    "clock.right": INFO,
    "page.unknown": INFO,
}
"""Event -> level."""

FIRST: Final = ("mirror", "member", "from", "to", "ms", "claim", "correlation", "code")
VALUE_CHARS_MAX: Final = 4000
"""What is longer is cut. Application Insights takes 32,768 characters a line."""


def log(event: str, /, **fields: Any) -> None:
    """Write one line. `from_` is the field `from`; fields that are None are left out."""
    level = level_of(event, fields)
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "%s", line(event, fields))


def level_of(event: str, fields: Mapping[str, Any]) -> int:
    """The level of a line; an event that is not in the table is a defect, and somebody should look."""
    level = EVENTS.get(event, WARNING)
    return level if level != BY_CODE else WARNING if fields.get("code") in _NEEDS else INFO


def line(event: str, fields: Mapping[str, Any]) -> str:
    """The text of a line."""
    given = {name.rstrip("_"): value for name, value in fields.items() if value is not None}
    names = [*(name for name in FIRST if name in given), *(name for name in given if name not in (*FIRST, "detail")), "detail"]
    return " ".join([event, *(f"{name}={_text(given[name])}" for name in names if name in given)])


def _text(value: Any) -> str:
    text = str(value)[:VALUE_CHARS_MAX]
    plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if plain else json.dumps(text).replace("\x7f", "\\u007f").replace("=", "\\u003d")
