"""The table service's time, as the `Date` of its answers tells it; and names and jitter from the machine's random source.

Invariant: every stamp that two instances compare (leases, marks, beginnings, ends of freezes, At of rows) is of one clock, the
table service's. An instance's own wall clock decides nothing once the service has answered, so one that is an hour off can
neither hold a lease for an hour nor rule out later claims.

`Date` has whole seconds (RFC 9110 section 6.6.1). An answer says that the service's clock showed a time within that second at
some moment between sending and receiving; what we took for the time before is moved just far enough to agree. Two instances so
differ by little more than a second, which `LEASE_MARGIN_S` covers.
"""

import asyncio
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from vipcore.instants import NEVER, Instant, seconds
from vipcore.ledger.head import LEASE_MARGIN_S
from vipcore.ports import Log

FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""An earlier `Date` is no time at which this code ran."""


def wall_clock() -> Instant:
    """The machine's wall clock, in UTC."""
    return datetime.now(UTC)


class TableClock:
    """`vipcore.ports.Clock`: the table service's time, carried on by the event loop's steady clock between its answers."""

    def __init__(self, log: Log, wall: Callable[[], Instant] = wall_clock) -> None:
        self._log, self._wall = log, wall
        self._offset: float | None = None
        """Seconds from the loop's steady time to the service's time since 1970; None: no answer yet."""
        self.is_off = False
        """Whether the machine's wall clock was wrong by more than LEASE_MARGIN_S when the service last answered."""

    @property
    def is_known(self) -> bool:
        """Whether the service has answered yet."""
        return self._offset is not None

    def now(self) -> Instant:
        """The service's time, in UTC; until its first answer the wall clock's."""
        return self._wall() if self._offset is None else NEVER + seconds(_steady() + self._offset)

    def heard(self, date: str, sent_at: float) -> None:
        """An answer came just now to a request of `sent_at` (loop seconds). A `date` that cannot be right tells nothing."""
        try:
            shown = parsedate_to_datetime(date)
        except ValueError:
            return
        if shown.tzinfo is None or shown < FIRST:
            return
        since = (shown - NEVER).total_seconds()
        least, most = since - _steady(), since + 1.0 - sent_at
        wall = (self._wall() - NEVER).total_seconds() - _steady()
        known = wall if self._offset is None else self._offset
        self._offset = min(max(known, least), most)
        was_off, self.is_off = self.is_off, not least - LEASE_MARGIN_S <= wall <= most + LEASE_MARGIN_S
        if self.is_off != was_off:
            said = (
                "The table's time decides, not this machine's clock." if self.is_off else "This machine's clock is right again."
            )
            self._log("clock.off" if self.is_off else "clock.right", by_s=round(wall - self._offset, 1), detail=said)

    def new_id(self) -> str:
        """A fresh UUID text."""
        return str(uuid.uuid4())

    def jitter(self) -> float:
        """A number from [0, 1)."""
        return random.random()


def _steady() -> float:
    return asyncio.get_running_loop().time()
