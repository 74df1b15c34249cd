"""What one process of the controller keeps between requests, and the small services around it: rates, counters, looks, hints."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from vipcore import instants
from vipcore.arm.client import Arm
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger, WorkItem
from vipcore.ledger.store import Store
from vipcore.model import Mirror, Observation, Page
from vipcore.ports import Clock, Log, Probes
from vipcore.settings.config import Config
from vipcore.swap.preflight import PreflightCache

BURST: Final = 30.0
PER_S: Final = 1.0
FLUSH_S: Final = 60.0
REPEAT_S: Final = 60.0


@dataclass(slots=True)
class Rates:
    """One bucket per key id: a burst of 30, one a second. Bounded by the number of configured keys."""

    buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, key_id: str) -> None:
        """Raises Refusal `too-many-requests`."""
        now = asyncio.get_running_loop().time()
        level, at = self.buckets.get(key_id, (BURST, now))
        level = min(BURST, level + (now - at) * PER_S)
        if level < 1.0:
            raise Refusal("too-many-requests", f"More than {PER_S:g} request a second with key {key_id}; wait a moment.")
        self.buckets[key_id] = (level - 1.0, now)


@dataclass(slots=True, kw_only=True)
class Controller:
    """The collaborators and this process's memory. All of it may be lost at any moment without harm."""

    config: Config
    store: Store
    arm: Arm
    probes: Probes
    instance: str
    """A name for this process, in leases."""
    readings: PreflightCache = field(default_factory=PreflightCache)
    rates: Rates = field(default_factory=Rates)
    failures: Counter[str] = field(default_factory=Counter)
    flushed_at: float = float("-inf")
    swept_at: float = -1.0
    sweep_next: int = 0
    followed: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Mirror -> (member whose page turned primary, how many looks in a row)."""
    worklist_seen: dict[WorkItem, float] = field(default_factory=dict)
    """The hints that the last timer pass read, and when (loop seconds) this process first saw each."""

    @property
    def ledger(self) -> Ledger:
        """The Table service."""
        return self.store.ledger

    @property
    def clock(self) -> Clock:
        """The wall clock."""
        return self.store.clock

    @property
    def log(self) -> Log:
        """The log."""
        return self.store.log

    def mirror(self, name: str) -> Mirror:
        """The mirror of that name. Raises Refusal `configuration-invalid` or `mirror-unknown`."""
        config = self.config
        config.check_usable()
        if name in config.faulty:
            what = "; ".join(str(fault) for fault in config.faulty[name][:5])
            raise Refusal("configuration-invalid", f"Mirror {name} is not served, its configuration is faulty: {what}.")
        if name not in config.mirrors:
            raise Refusal("mirror-unknown", "The mirrors document defines no mirror of that name.")
        return config.mirrors[name]

    async def load_head(self, mirror: str) -> Head:
        """The head. Raises Refusal `storage-unavailable`."""
        try:
            return await self.ledger.load_head(mirror)
        except Unreachable as exc:
            raise storage_unavailable(exc) from exc

    async def read_all(self, mirror: Mirror) -> dict[str, Observation]:
        """The NICs of all members, read side by side."""
        found = await asyncio.gather(*(self.arm.read_nic(member.nic_id) for member in mirror.members))
        return {member.name: look for member, look in zip(mirror.members, found, strict=True)}

    async def pages(self, mirror: Mirror) -> dict[str, Page]:
        """What the members' status pages say, asked side by side; members without one are left out."""
        paged = [member for member in mirror.members if member.status_url]
        said = await asyncio.gather(*(self.probes.page(member) for member in paged))
        return {member.name: page for member, page in zip(paged, said, strict=True)}

    async def count_failure(self, code: str) -> None:
        """Count a request that failed authentication, and write the counters down at most once a minute."""
        self.failures[code] += 1
        self.log("authentication.failed", code=code)
        await self.flush_failures()

    async def flush_failures(self) -> None:
        """Write the counters of failed authentications, if there are any and the last time is a minute ago."""
        now = asyncio.get_running_loop().time()
        if not self.failures or now - self.flushed_at < FLUSH_S:
            return
        self.flushed_at, counts = now, dict(self.failures)
        self.failures.clear()
        try:
            at = instants.to_text(self.clock.now())
            await self.ledger.count_failures(self.instance, counts, at)
        except Unreachable:
            self.failures.update(counts)


def storage_unavailable(exc: Exception) -> Refusal:
    """The answer while the table is away."""
    return Refusal("storage-unavailable", f"The Table service cannot be used now, so nothing can be decided: {str(exc)[:300]}")


def left_out(draft_detail: str | None, count: int) -> str | None:
    """The detail with how many rows like it were left out before it."""
    if not count:
        return draft_detail
    note = f"{count} like the one before were left out."
    return f"{draft_detail} {note}" if draft_detail else note
