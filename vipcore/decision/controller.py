"""The collaborators of every use case, and what one process keeps between requests. All memory may be lost without harm."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from vipcore.arm.client import Arm
from vipcore.decision.admission import FailureCount, KeyRates
from vipcore.decision.glances import Glances
from vipcore.errors import Refusal, Unreachable
from vipcore.instants import Instant, seconds
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger
from vipcore.ledger.store import Store
from vipcore.model import Mirror, Page
from vipcore.ports import Clock, Log, Probes
from vipcore.settings.config import Config
from vipcore.swap.plan import Observed
from vipcore.swap.preflight import PreflightCache

TIME_S_MAX: Final = 2.0
"""How long a process's first request may wait to hear what time it is."""


class Controller:
    """Built once per process. `instance`: a name for this process, in leases."""

    __slots__ = (
        "_time_asked",
        "arm",
        "config",
        "failures",
        "glances",
        "instance",
        "preflight_cache",
        "primary_seen",
        "probes",
        "rates",
        "store",
    )  # fmt: skip

    def __init__(self, config: Config, store: Store, arm: Arm, probes: Probes, instance: str) -> None:
        self.config, self.store, self.arm, self.probes, self.instance = config, store, arm, probes, instance
        self.preflight_cache = PreflightCache(arm)
        self.glances = Glances(arm)
        self.rates = KeyRates()
        self.failures = FailureCount(store, instance)
        self.primary_seen: dict[str, tuple[str, int]] = {}
        """Mirror -> (member whose page turned primary, how many looks in a row said so)."""
        self._time_asked: asyncio.Future[None] | None = None

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

    async def arrival(self) -> Instant:
        """When the request that begins with this call arrived. A process's first one asks the table what time it is."""
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        if self._time_asked is None:
            self._time_asked = asyncio.ensure_future(self._ask_time())
        await asyncio.shield(self._time_asked)
        return self.clock.now() - seconds(loop.time() - arrived)

    async def _ask_time(self) -> None:
        with suppress(Unreachable, TimeoutError):  # any answer tells the time; without one, nothing is decided anyway
            async with asyncio.timeout(TIME_S_MAX):
                await self.ledger.load_head(next(iter(self.config.mirrors), ""))

    def mirror(self, name: str) -> Mirror:
        """The mirror of that name. Raises Refusal `configuration-invalid` or `mirror-unknown`."""
        self.config.check_usable()
        if name in self.config.faulty:
            what = "; ".join(str(fault) for fault in self.config.faulty[name][:5])
            raise Refusal("configuration-invalid", f"Mirror {name} is not served, its configuration is faulty: {what}.")
        if name not in self.config.mirrors:
            raise Refusal("mirror-unknown", "The mirrors document defines no mirror of that name.")
        return self.config.mirrors[name]

    async def load_head(self, mirror: str) -> Head:
        """The head. Raises Refusal `storage-unavailable`."""
        with storage_needed():
            return await self.ledger.load_head(mirror)

    async def read_all(self, mirror: Mirror, *, within_s: float | None = None) -> Observed:
        """The NICs of all members, read side by side, for a decision. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            found = await asyncio.gather(*(self.arm.read_nic(member.nic_id) for member in mirror.members))
        return Observed(mirror, {member.name: shown for member, shown in zip(mirror.members, found, strict=True)})

    async def pages(self, mirror: Mirror) -> dict[str, Page]:
        """What the members' status pages say, asked side by side; members without one are left out."""
        paged = [member for member in mirror.members if member.status_url]
        said = await asyncio.gather(*(self.probes.page(member) for member in paged))
        return {member.name: page for member, page in zip(paged, said, strict=True)}


@contextmanager
def storage_needed() -> Iterator[None]:
    """Raises Refusal `storage-unavailable` where the table is away: without it nothing can be decided."""
    try:
        yield
    except Unreachable as exc:
        detail = f"The Table service cannot be used now, so nothing can be decided: {str(exc)[:300]}"
        raise Refusal("storage-unavailable", detail) from exc
