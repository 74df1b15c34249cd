"""How often we ask Azure: one budget per process and subscription, learnt from its rate-limit headers and 429s.

ARM gives each subscription and principal a bucket of 250 reads (25 a second refilled) and 200 writes (10 a second); the network
provider 10,000 GETs and 1,000 writes in 5 minutes (azure.md section 8). Writes and the reads before them are never delayed
here: a 429 costs less than a queue in front of a lone swap. What gives way is polling, and reads that may be left out.
"""

import math
from dataclasses import dataclass
from typing import Final

from vipcore.arm_errors import retry_after
from vipcore.ports import ArmReply

READS_PER_S: Final = 20.0
"""Below ARM's refill of 25 reads a second, which other users of the identity share."""

FIRST_LOOK_S: Final = 0.35
LOOK_S_MAX: Final = 5.0
SCARCE: Final = 60
"""With fewer remaining reads than this, reads that may be left out are."""


@dataclass(slots=True)
class Pace:
    """One subscription's. Times are the event loop's seconds."""

    looking: int = 0
    """How many operations are being polled now."""
    remaining: float = 250.0
    throttled_until: float = 0.0
    read_at: float = 0.0

    def heard(self, reply: ArmReply, now: float) -> None:
        """Learn from an answer."""
        value = reply.headers.get("x-ms-ratelimit-remaining-subscription-reads", "")
        if value.isdecimal():
            self.remaining, self.read_at = float(value), now
        if reply.status == 429:
            self.throttled_until = max(self.throttled_until, now + (retry_after(reply.headers) or 2.0))

    def scarce(self, now: float) -> bool:
        """Whether reads that may be left out should be."""
        return now < self.throttled_until or self.remaining + (now - self.read_at) * 25.0 < SCARCE

    def look_after(self, elapsed_s: float, now: float, jitter: float) -> float:
        """Seconds until the next look at an operation that has run for `elapsed_s`.

        Half a second at first, then a tenth of what has passed (so a look comes at most 10% late), never more often than
        the number of operations polled at once leaves room for, and not before a throttle ends.
        """
        alone = FIRST_LOOK_S if elapsed_s < 4.0 else min(LOOK_S_MAX, max(0.5, elapsed_s * 0.05))
        shared = self.looking / READS_PER_S
        wait = max(alone, shared * (0.75 + 0.5 * jitter))
        return max(wait, self.throttled_until - now + jitter) if now < self.throttled_until else wait


def clamp(seconds: float, deadline: float, now: float) -> float:
    """`seconds`, or what is left until the deadline; never negative, never nan."""
    left = deadline - now
    return max(0.0, min(seconds, left)) if math.isfinite(seconds) else max(0.0, left)
