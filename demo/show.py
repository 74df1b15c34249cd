"""How the demo prints: aligned plain text, headings in bold where a terminal shows them."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def heading(text: str) -> None:
    """A new part of the story."""
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(f"\n\x1b[1m{text}\x1b[0m" if bold else f"\n{text}", flush=True)


def line(text: str) -> None:
    """A line of the part, at once, so that progress is seen."""
    print(f"  {text}", flush=True)


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows in columns as wide as their widest cell; numbers to the right."""
    texts = [list(names), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(names))]
    right = [bool(rows) and all(isinstance(row[column], int | float) for row in rows) for column in range(len(names))]
    for row in texts:
        cells = [
            cell.rjust(width) if at_right else cell.ljust(width) for cell, width, at_right in zip(row, widths, right, strict=True)
        ]
        line("  ".join(cells).rstrip())


def holder(status: Mapping[str, Any]) -> str:
    """Who holds the VIP, by a fresh read of the NICs."""
    placement = status["placement"]
    return f"{placement['state']}: {', '.join(placement['members']) or 'nobody'}"


def event(row: Mapping[str, Any]) -> tuple[object, ...]:
    """An audit row in one line."""
    outcome = row.get("Outcome") or row.get("Detail") or ""
    duration = f"{row['DurationMs'] / 1000:.3f} s" if "DurationMs" in row else ""
    who = row.get("Member") or ""
    return row["Seq"], str(row["At"])[11:23], row["Event"], row["Epoch"], who, duration, short(str(outcome), 44)


def short(text: str, length: int) -> str:
    """A text cut to a length, with dots where it was."""
    return text if len(text) <= length else text[: length - 3] + "..."
