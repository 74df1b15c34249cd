"""A zone outage: all mirrors claim within a second, under ARM's buckets and Microsoft.Network's limits, on the virtual clock.

**The bound.** A swap needs two writes. For each subscription the earliest time at which the bucket (200, then 10 a second) and
the five minutes (1,000) allow its last write, plus the operation that this write starts. Reads: a safe swap needs four (both
NICs before, since a NIC is replaced as a whole; each once more when its operation has ended, which is also the proof that is
owed to the claim); the earliest time at which 250, then 25 a second, and 10,000 in five minutes allow the last of them. The
later of the two.
"""

import gc
import math
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from bench.numbers import Goal, Section
from bench.swaps import Say
from bench.virtual import Fleet
from simulator.core.switches import Switches
from tests.promises.loop import run

WRITES: Final = 2
READS: Final = 4
WINDOW_S: Final = 300.0
OPERATION_S: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """How one outage ended, in virtual seconds; `cpu_ms`: of this process per swap, the simulated Azure included.

    `dark`: from the detach that Azure accepted to the attach that it accepted.
    """

    mirrors: int
    subscriptions: int
    instances: int
    latency: str
    last_s: float
    bound_s: float
    median_s: float
    reads: float
    writes: float
    throttled: int
    attempts_max: int
    overtaken: int
    dark_median_s: float
    dark_max_s: float
    cpu_ms: float

    @property
    def ratio(self) -> float:
        """The last VIP's time over the bound."""
        return self.last_s / self.bound_s


def last_allowed_s(calls: int, *, bucket: float, per_s: float, window: int) -> float:
    """The earliest time of the last of so many calls, all wanted from 0 on."""
    sent: list[float] = []
    level, at = bucket, 0.0
    for number in range(calls):
        free = at + max(0.0, (1.0 - level) / per_s)
        if number >= window:
            free = max(free, sent[number - window] + WINDOW_S)
        level = min(bucket, level + (free - at) * per_s) - 1.0
        at = free
        sent.append(at)
    return sent[-1]


def bound_s(mirrors: int, subscriptions: int, operation_s: float) -> float:
    """See the module; of the fullest subscription."""
    most = math.ceil(mirrors / subscriptions)
    writes = last_allowed_s(WRITES * most, bucket=200.0, per_s=10.0, window=1_000)
    reads = last_allowed_s(READS * most, bucket=250.0, per_s=25.0, window=10_000)
    return max(writes + operation_s, reads, 2 * operation_s)


def outage(mirrors: int, subscriptions: int, *, seed: int, latency: str = "", instances: int = 1) -> Outage:
    """Run one in virtual time."""
    latency = latency or f"fixed:{OPERATION_S:g}"

    async def story() -> tuple[Fleet, list[Any]]:
        switches = Switches(latency=latency, throttling="both", history_max=1)
        harness = Fleet(mirrors, subscriptions, switches=switches, seed=seed, instances=instances)
        return harness, await harness.claim_all()

    gc.collect()
    began = time.process_time()
    harness, swaps = run(story())
    cpu_s = time.process_time() - began
    first = min(swap.asked_at for swap in swaps)
    took = sorted(swap.placed_at - swap.asked_at for swap in swaps)
    operation_s = float(latency.partition(":")[2] or 10.0)
    calls: Counter[str] = Counter()
    for (method, _), count in harness.calls.items():
        calls[method] += count
    # How many places in the order of asking the unluckiest mirror lost.
    by_asking = sorted(swaps, key=lambda swap: swap.asked_at)
    by_placing = {swap.mirror: place for place, swap in enumerate(sorted(swaps, key=lambda swap: swap.placed_at))}
    overtaken = max(by_placing[swap.mirror] - place for place, swap in enumerate(by_asking))
    return Outage(
        mirrors=mirrors,
        subscriptions=subscriptions,
        instances=instances,
        latency=latency,
        last_s=max(swap.placed_at for swap in swaps) - first,
        bound_s=bound_s(mirrors, subscriptions, operation_s),
        median_s=statistics.median(took),
        reads=calls["GET"] / mirrors,
        writes=calls["PUT"] / mirrors,
        throttled=harness.throttled,
        attempts_max=max(swap.attempts for swap in swaps),
        overtaken=overtaken,
        dark_median_s=statistics.median(harness.dark_s()),
        dark_max_s=max(harness.dark_s()),
        cpu_ms=cpu_s / mirrors * 1000,
    )


QUICK: Final = ((100, 1), (1_000, 1), (1_000, 10))
FULL: Final = (*QUICK, (100, 10), (100, 50), (1_000, 50), (10_000, 10), (10_000, 50))


def measure(*, full: bool, seed: int, say: Say) -> Section:
    """All sizes, and operations as long as lately recorded (lognormal, a few of minutes), for which there is no such bound."""
    section = Section(name="fleet")
    found = []
    for mirrors, subscriptions in FULL if full else QUICK:
        say(f"outage of {mirrors:,} mirrors over {subscriptions} subscriptions, virtual clock")
        found.append(outage(mirrors, subscriptions, seed=seed))
    say("outage of 900 mirrors, two instances that know of each other by Azure's counts alone")
    found.append(outage(900, 1, seed=seed, instances=2))
    say("outage of 1,000 mirrors, operations of random length")
    found.append(outage(1_000, 1, seed=seed, latency="modern"))
    header = ("mirrors", "subscriptions", "instances", "operations", "last VIP s", "bound s", "ratio", "median s", "on no NIC s",
              "reads", "writes", "429s", "requests of one agent", "places lost", "CPU ms")  # fmt: skip
    rows = []
    for one in found:
        bounded = one.latency != "modern"
        rows.append(
            (
                f"{one.mirrors:,}",
                str(one.subscriptions),
                str(one.instances),
                one.latency.replace("fixed:", "") + (" s" if bounded else ""),
                f"{one.last_s:.0f}",
                f"{one.bound_s:.0f}" if bounded else "",
                f"{one.ratio:.3f}" if bounded else "",
                f"{one.median_s:.0f}",
                f"{one.dark_median_s:.0f}, at most {one.dark_max_s:.0f}",
                f"{one.reads:.1f}",
                f"{one.writes:.2f}",
                str(one.throttled),
                f"at most {one.attempts_max}",
                f"at most {one.overtaken}",
                f"{one.cpu_ms:.1f}",
            )
        )
    section.tables.append(("Zone outage on the virtual clock, per swap", header, rows))
    section.raw["outages"] = [{"ratio": o.ratio, **{f: getattr(o, f) for f in Outage.__dataclass_fields__}} for o in found]
    goal = next(one for one in found if (one.mirrors, one.subscriptions) == (1_000, 1))
    what = "1,000 mirrors, one subscription: last VIP placed over what the buckets allow"
    section.goals.append(Goal(what=what, limit=1.10, measured=goal.ratio))
    section.remarks.append(f"The bound: {' '.join((__doc__ or '').split('**The bound.** ')[1].split())}")
    return section
