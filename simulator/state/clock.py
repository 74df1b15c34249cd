"""Clocks for a cloud: the real one, maybe faster, and one that a test moves by hand."""

from __future__ import annotations

import time


class ScaledClock:
    """Real time, `scale` times as fast; also changes its speed without a jump. Called, it gives seconds since 1970."""

    def __init__(self, scale: float = 1.0) -> None:
        self._real, self._shown, self.scale = time.monotonic(), time.time(), 1.0
        self.set_scale(scale)

    def __call__(self) -> float:
        """Seconds since 1970, by this clock."""
        return self._shown + (time.monotonic() - self._real) * self.scale

    def set_scale(self, scale: float) -> None:
        """From now on run `scale` times as fast. Raises ValueError unless it is positive."""
        if not scale > 0:
            raise ValueError(f"the clock's scale must be positive, not {scale}")
        self._shown, self._real = self(), time.monotonic()
        self.scale = scale


class HandClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, at: float = 1_780_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        """Seconds, as last set."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.at += seconds
