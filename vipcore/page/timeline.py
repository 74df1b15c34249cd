"""The geometry of the swaps' timeline: bars to one scale, in percent of the drawing's width. Pure.

Percent, since the drawing is as wide as the screen and its text must not shrink with it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

LABEL_PERCENT_MIN: Final = 14.0
"""A bar at least this wide has its phase's name in it."""

TICKS_MAX: Final = 6
_STEPS: Final = (1, 2, 5)


class Span(NamedTuple):
    """A phase of a swap and how long it took."""

    name: str
    ms: int


class Bar(NamedTuple):
    """A phase as it is drawn, from `x` on; both in percent."""

    name: str
    ms: int
    x: float
    width: float

    @property
    def has_label(self) -> bool:
        """Whether its name fits into it."""
        return self.width >= LABEL_PERCENT_MIN

    @property
    def middle(self) -> float:
        """Where its label is centred."""
        return self.x + self.width / 2


class Tick(NamedTuple):
    """A mark of the axis."""

    ms: int
    x: float


def longest(swaps: Sequence[Sequence[Span]]) -> int:
    """What the whole width stands for, in milliseconds; never 0."""
    return max([1, *(sum(max(span.ms, 0) for span in spans) for spans in swaps)])


def bars(spans: Sequence[Span], whole_ms: int) -> list[Bar]:
    """One swap's bars, one after the other. Phases that took no time are left out."""
    found, past = [], 0
    for name, ms in spans:
        if ms > 0:
            found.append(Bar(name, ms, 100 * past / whole_ms, 100 * ms / whole_ms))
            past += ms
    return found


def ticks(whole_ms: int) -> list[Tick]:
    """The axis: round numbers from 0 on, at most TICKS_MAX, none behind the end."""
    power = 1
    while True:
        for factor in _STEPS:
            step = factor * power
            if whole_ms // step < TICKS_MAX:
                return [Tick(ms, 100 * ms / whole_ms) for ms in range(0, whole_ms + 1, step)]
        power *= 10


def told(ms: int) -> str:
    """A length of time for people: `840 ms`, `6.3 s`, `1 min 5 s`."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
