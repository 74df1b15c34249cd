"""The machine's clock, and names and jitter from its random source."""

import random
import uuid
from datetime import UTC, datetime

from vipcore.instants import Instant


class SystemClock:
    """`vipcore.ports.Clock`: the machine's."""

    def now(self) -> Instant:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """A fresh UUID text."""
        return str(uuid.uuid4())

    def jitter(self) -> float:
        """A number from [0, 1)."""
        return random.random()
