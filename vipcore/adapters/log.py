"""The log port on Python's logging: one line per event, its fields as `key=value`."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

_LOG: Final = logging.getLogger("mirror_vip")
_WARNINGS: Final = ("failed", "refused", "skipped", "broken", "drift", "unknown", "degraded", "fault")
"""Words in an event's name that make its line a warning."""

VALUE_CHARS_MAX: Final = 1000


def log(event: str, /, **fields: Any) -> None:
    """One line: the event's name, then `key=value` in the order given, None left out."""
    level = logging.WARNING if any(word in event for word in _WARNINGS) else logging.INFO
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "%s", line(event, fields))


def line(event: str, fields: Mapping[str, Any]) -> str:
    """The text of a log line. Values with anything but plain ASCII become JSON strings: one line stays one."""
    return " ".join([event, *(f"{key}={_text(value)}" for key, value in fields.items() if value is not None)])


def _text(value: Any) -> str:
    text = str(value)[:VALUE_CHARS_MAX]
    plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if plain else json.dumps(text).replace("\x7f", "\\u007f")
