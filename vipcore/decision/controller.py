"""The collaborators of every use case, and what one process keeps between requests. All memory may be lost without harm."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

from vipcore import instants
from vipcore.arm.client import Arm
from vipcore.decision.glances import Glances
from vipcore.decision.shared_writes import SharedWrites
from vipcore.errors import NoIdentity, Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.ledger.head import Head
from vipcore.ledger.known import KnownHeads
from vipcore.ledger.store import Store
from vipcore.model import Mirror, Page
from vipcore.ports import Log, Probes
from vipcore.settings.environment import Config
from vipcore.swap.plan import Observed
from vipcore.swap.preflight import PreflightCache

BURST: Final = 30.0
PER_S: Final = 1.0
FLUSH_S: Final = 60.0

AT_ONCE: Final = 30
"""So many claims are begun without a look at the event loop (docs/adr/0022)."""

LOOK_S: Final = 0.001
LATE_S_MAX: Final = 0.2
"""A loop that comes back later than this has enough to do: whatever is begun now makes calls under way miss their time."""

QUEUE_S_MAX: Final = 100.0


async def late_s() -> float:
    """How much later than asked for the event loop comes back."""
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(LOOK_S)
    return asyncio.get_running_loop().time() - began - LOOK_S


class Admission:
    """What this process knows of those who ask: the turns of each key, who was heard, and failed authentications by code.

    The failures are written down at most once a minute, in a row of this instance.
    """

    __slots__ = (
        "_buckets",
        "_counts",
        "_door",
        "_flushed_at",
        "_instance",
        "_late_s",
        "_store",
        "_under_way",
        "_writing",
        "heard",
    )

    def __init__(self, store: Store, instance: str, late_s: Callable[[], Awaitable[float]] = late_s) -> None:
        self._store, self._instance, self._late_s = store, instance, late_s
        self._buckets: dict[str, tuple[float, float]] = {}
        """Key id -> (how many requests it still has, at which loop second). Bounded by the number of configured keys."""
        self._counts: Counter[str] = Counter()
        self._writing: set[asyncio.Task[None]] = set()
        self._door = asyncio.Lock()
        self._under_way = 0
        self.heard: dict[tuple[str, str], Instant] = {}
        """(mirror, member) -> when its agent was last heard from and that was written down, a dry claim included."""
        self._flushed_at = float("-inf")

    def take_turn(self, key_id: str) -> None:
        """One request of a key: a burst of 30, then one a second. Raises Refusal `too-many-requests`."""
        now = asyncio.get_running_loop().time()
        level, at = self._buckets.get(key_id, (BURST, now))
        level = min(BURST, level + (now - at) * PER_S)
        if level < 1.0:
            raise Refusal("too-many-requests", f"More than {PER_S:g} request a second with key {key_id}; wait a moment.")
        self._buckets[key_id] = (level - 1.0, now)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Around the work of a claim: waits in the order of arrival while the process has more to do than it can.

        On a quarter of a core a thousand claims at once would each be so slow that their calls time out, are made again, and
        none comes to its end. Raises Refusal `busy` after QUEUE_S_MAX.
        """
        if self._under_way >= AT_ONCE:
            try:
                async with asyncio.timeout(QUEUE_S_MAX), self._door:
                    while await self._late_s() > LATE_S_MAX:
                        pass
            except TimeoutError as exc:
                raise Refusal("busy", "More claims are here than this instance can begin; try the same again.") from exc
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def hear(self, mirror: str, member: str, at: Instant) -> None:
        """A signed request of this member came. It is written down at most once a minute, and nobody waits for that."""
        before = self.heard.get((mirror, member), instants.NEVER)
        if at - before < instants.seconds(FLUSH_S):
            return
        self.heard[mirror, member] = at
        task = asyncio.ensure_future(self._write_heard(mirror, member, at))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_heard(self, mirror: str, member: str, at: Instant) -> None:
        with suppress(Unreachable):
            await self._store.ledger.put_heard(mirror, member, at)

    async def count(self, code: str) -> None:
        """One more failure, in the log too."""
        self._counts[code] += 1
        self._store.log(
            "authentication.failed", code=code, detail="A claim was not signed with a usable key; nothing was read for it."
        )
        await self.flush()

    async def flush(self) -> None:
        """Write the counts down, if there are any and the last time is a minute ago."""
        now = asyncio.get_running_loop().time()
        if not self._counts or now - self._flushed_at < FLUSH_S:
            return
        self._flushed_at, counts = now, dict(self._counts)
        self._counts.clear()
        try:
            at = instants.to_text(self._store.clock.now())
            await self._store.ledger.count_failures(self._instance, counts, at)
        except Unreachable:
            self._counts.update(counts)


class Controller:
    """Built once per process. `instance`: a name for this process, in leases."""

    def __init__(self, config: Config, store: Store, arm: Arm, probes: Probes, instance: str) -> None:
        self.config, self.store, self.arm, self.probes, self.instance = config, store, arm, probes, instance
        self.ledger, self.clock = store.ledger, store.clock
        self.preflight_cache = PreflightCache(arm)
        self.glances = Glances(arm, KnownHeads(store.ledger))
        self.shared_writes = SharedWrites(store.ledger, store.clock, instance)
        self.admission = Admission(store, instance)
        self.primary_seen: dict[str, tuple[str, int]] = {}
        """Mirror -> (member whose page turned primary, how many looks in a row said so)."""

    @property
    def log(self) -> Log:
        """The log, as the store has it."""
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

    async def read_all(self, mirror: Mirror, *, within_s: float | None = None) -> Observed:
        """The NICs of all members, read side by side, for a decision. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            return Observed(mirror, await self.arm.read_nics(mirror, [member.name for member in mirror.members], {}))

    async def pages(self, mirror: Mirror) -> dict[str, Page]:
        """What the members' status pages say, asked side by side; members without one are left out."""
        paged = [member for member in mirror.members if member.status_url]
        said = await asyncio.gather(*(self.probes.page(member) for member in paged))
        found = {member.name: page for member, page in zip(paged, said, strict=True)}
        self.glances.said[mirror.name] = found, self.clock.now()
        return found


@contextmanager
def storage_needed() -> Iterator[None]:
    """Raises Refusal `storage-unavailable`, or `identity-unavailable`, where the table is away: nothing can be decided then."""
    try:
        yield
    except Unreachable as exc:
        detail = f"The Table service cannot be used now, so nothing can be decided: {str(exc)[:300]}"
        raise Refusal("identity-unavailable" if isinstance(exc, NoIdentity) else "storage-unavailable", detail) from exc
