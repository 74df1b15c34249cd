"""Rate limits of ARM (token buckets) and Microsoft.Network (five-minute windows); docs/facts/azure.md section 8."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from simulator.core.errors import Refused

if TYPE_CHECKING:
    from simulator.core.switches import Switches

Call: TypeAlias = Literal["reads", "writes", "deletes"]
CALLS: Final[dict[str, Call]] = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
_WINDOW_S: Final = 300.0


class _Bucket:
    __slots__ = ("at", "level")

    def __init__(self, size: float, at: float) -> None:
        self.level = size
        self.at = at

    def refill(self, size: float, per_s: float, now: float) -> float:
        """Refill the bucket up to `now`; returns its level."""
        if now > self.at:
            self.level = min(size, self.level + (now - self.at) * per_s)
            self.at = now
        return self.level


class Limits:
    """The state of all rate limits of one cloud."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], _Bucket] = {}
        self._windows: dict[tuple[str, str], deque[float]] = {}

    def arm(self, switches: Switches, subscription: str, principal: str, call: Call, now: float) -> dict[str, str]:
        """Take one call from ARM's buckets; returns the rate-limit headers. Raises Refused (429) if enforced and empty."""
        size, per_s = getattr(switches, f"arm_{call}")
        whole_size, whole_per_s = getattr(switches, f"arm_global_{call}")
        own = self._bucket((subscription, principal, call), size, now)
        whole = self._bucket((subscription, call), whole_size, now)
        level = own.refill(size, per_s, now)
        total = whole.refill(whole_size, whole_per_s, now)
        if switches.throttling in ("arm", "both") and (level < 1.0 or total < 1.0):
            # A refused call takes nothing from the bucket; a call before Retry-After is refused with a new value.
            wait = max((1.0 - level) / per_s, (1.0 - total) / whole_per_s)
            raise Refused(
                "SubscriptionRequestsThrottled",
                call=call.removesuffix("s"),
                subscription=subscription,
                limit=int(size),
                minutes=max(1, round(wait / 60)),
                seconds=max(1, int(wait + 0.999)),
            )
        own.level = max(0.0, level - 1.0)
        whole.level = max(0.0, total - 1.0)
        rates = {f"x-ms-ratelimit-remaining-subscription-{call}": str(int(own.level))}
        if switches.front_door:
            rates[f"x-ms-ratelimit-remaining-subscription-global-{call}"] = str(int(whole.level))
        return rates

    def nrp(self, switches: Switches, subscription: str, call: Call, now: float) -> None:
        """Count one call to Microsoft.Network. Raises Refused (429) if it exceeds the limit and the limit is enforced."""
        if switches.throttling not in ("nrp", "both"):
            return
        side = "reads" if call == "reads" else "writes"
        limit = switches.nrp_reads_per_5min if side == "reads" else switches.nrp_writes_per_5min
        window = self._windows.setdefault((subscription, side), deque())
        while window and window[0] <= now - _WINDOW_S:
            window.popleft()
        if len(window) >= limit:
            wait = window[0] + _WINDOW_S - now
            raise Refused("RetryableErrorDueToTooManyCalls", subscription=subscription, seconds=max(1, int(wait + 0.999)))
        window.append(now)

    def _bucket(self, key: tuple[str, ...], size: float, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(size, now)
        return bucket
