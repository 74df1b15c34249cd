"""Percentiles, goals, and what is written down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; nan of nothing. `percentile(x, 0.99)` of fewer than 100 values is their largest."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p50(values: Sequence[float]) -> float:
    """The median by nearest rank."""
    return percentile(values, 0.5)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile by nearest rank."""
    return percentile(values, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal of the table: what, the number to reach, what was measured. `at_least`: more is better."""

    what: str
    limit: float
    measured: float
    unit: str = ""
    at_least: bool = False
    why: str = ""

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        """As the table shows it."""
        sign = "at least" if self.at_least else "at most"
        unit = f" {self.unit}" if self.unit else ""
        verdict = "met" if self.met else "MISSED"
        return self.what, f"{sign} {self.limit:g}{unit}", f"{self.measured:.3g}{unit}", verdict


@dataclass(slots=True, kw_only=True)
class Section:
    """One part of the bench: its tables (title, header, rows), its goals, its raw values for the JSON file, and remarks."""

    name: str
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a page."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
