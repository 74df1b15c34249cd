"""Clocks for a cloud: real time at any speed, and a clock that a test moves by hand."""

from __future__ import annotations

import time


class ScaledClock:
    """Real time, `scale` times as fast. Changing the speed makes no jump."""

    def __init__(self, scale: float = 1.0) -> None:
        self._real, self._shown, self.scale = time.monotonic(), time.time(), 1.0
        self.set_scale(scale)

    def __call__(self) -> float:
        """Seconds since 1970, by this clock."""
        return self._shown + (time.monotonic() - self._real) * self.scale

    def set_scale(self, scale: float) -> None:
        """Run `scale` times as fast from now on. Raises ValueError unless it is positive."""
        if not scale > 0:
            raise ValueError(f"the clock's scale must be positive, not {scale}")
        self._shown, self._real = self(), time.monotonic()
        self.scale = scale


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: float = 1_780_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.at += seconds
