"""Simulated time with a queue of events. There are no timers: whoever asks for the state runs the due events first."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class EventClock:
    """A clock with a queue of events.

    now: returns seconds since 1970. at: the time of the event being processed (the arrival of a request, or the end of
    an operation); unlike `now()` it does not advance while one event is processed.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.at = now()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def later(self, at: float, event: Callable[[], None]) -> None:
        """Queue an event. It runs in the first call of `settle` after the clock has reached `at`."""
        heapq.heappush(self._events, (at, next(self._order), event))

    def settle(self) -> float:
        """Run all due events in order; returns the current time."""
        now = self.now()
        while self._events and self._events[0][0] <= now:
            at, _, event = heapq.heappop(self._events)
            self.at = max(at, self.at)
            event()
        self.at = max(now, self.at)
        return self.at

    def next_event_at(self) -> float | None:
        """The time of the next event, so that a virtual clock can jump to it; None if the queue is empty."""
        return self._events[0][0] if self._events else None
