"""What every room needs from outside, as Protocols. A Protocol's docstring is its contract; each one is faked in tests.

`ledger/port.py` and `arm/port.py` hold the ports of the Table service and of Azure Resource Manager.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from vipcore.instants import Instant
from vipcore.model import Member, Page


class Clock(Protocol):
    """The time that stamps are made of, and names. Steady time and waiting are the event loop's: a virtual loop moves both."""

    @property
    def is_off(self) -> bool:
        """Whether this machine's wall clock is wrong by more than `ledger.head.LEASE_MARGIN_S`."""

    @property
    def is_known(self) -> bool:
        """Whether the table service has told this process the time."""

    def now(self) -> Instant:
        """The table service's time, in UTC; until its first answer to this process the machine's wall clock."""

    def new_id(self) -> str:
        """A fresh UUID text."""

    def jitter(self) -> float:
        """A number from [0, 1)."""


class Probes(Protocol):
    """Looks at things outside Azure's API. Neither method raises; a hang is not an answer."""

    @property
    def unread(self) -> Mapping[str, str]:
        """URL of a status page -> why it said nothing when it was last asked."""

    async def page(self, member: Member) -> Page:
        """What the member's status page says, within its own short timeout."""

    async def path(self, target: str, *, within_s: float) -> float | None:
        """Seconds until the path probe's target answered, or None if it did not within `within_s`."""


class Log(Protocol):
    """One structured log line per call: the event's name, then its fields. Never a secret."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Write the line; fields that are None are left out."""
