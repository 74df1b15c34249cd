"""The collaborators of every use case, and what one process keeps between requests. All memory may be lost without harm."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from vipcore.arm.client import Arm
from vipcore.decision.admission import FailureCount, KeyRates
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger
from vipcore.ledger.store import Store
from vipcore.model import Mirror, Page
from vipcore.ports import Clock, Log, Probes
from vipcore.settings.config import Config
from vipcore.swap.observed import Observed
from vipcore.swap.preflight import PreflightCache


class Controller:
    """Built once per process. `instance`: a name for this process, in leases."""

    __slots__ = ("arm", "config", "failures", "instance", "preflight_cache", "primary_seen", "probes", "rates", "store")

    def __init__(self, config: Config, store: Store, arm: Arm, probes: Probes, instance: str) -> None:
        self.config, self.store, self.arm, self.probes, self.instance = config, store, arm, probes, instance
        self.preflight_cache = PreflightCache(arm)
        self.rates = KeyRates()
        self.failures = FailureCount(store, instance)
        self.primary_seen: dict[str, tuple[str, int]] = {}
        """Mirror -> (member whose page turned primary, how many looks in a row said so)."""

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

    async def read_all(self, mirror: Mirror) -> Observed:
        """The NICs of all members, read side by side."""
        return Observed(mirror, await self.arm.read_nics(mirror, [member.name for member in mirror.members], {}))

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
