"""How a command that has started servers ends: by Ctrl-C, by a signal, or because nobody reads what it prints."""

import os
import signal
import sys
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
NOBODY_READS: Final = 128 + signal.SIGPIPE
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_signals() -> None:
    """Let the first signal that asks for the end raise KeyboardInterrupt. Later ones do not disturb the cleaning up."""
    for number in _SIGNALS:
        signal.signal(number, _first)


def _first(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        # Not SIG_IGN: of two signals that come together Python would complain about the second.
        signal.signal(number, _later)
    raise KeyboardInterrupt


def _later(_number: int, _frame: FrameType | None) -> None:
    """The end is under way."""


def drop_output() -> None:
    """Print to nowhere from now on, so that Python's own flush at the end does not fail as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
