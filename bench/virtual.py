"""A zone outage on a virtual clock: the production code of one process, a simulated Azure in memory, and an agent per mirror.

No sockets and no waiting: an hour of Azure's time costs seconds. ARM and the Table service answer after `arm_s` and `table_s`.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, TypeVar

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core import wire
from simulator.core.switches import Switches
from simulator.front.front import handle
from tests.promises.harness import keyed
from tests.promises.ledger import MemoryLedger
from vipcore.arm.client import Arm
from vipcore.arm.port import ArmReply, ArmRequest
from vipcore.decision.controller import Controller
from vipcore.decision.decide import carry_out
from vipcore.decision.request import Request
from vipcore.entry.timer import Timer
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Row
from vipcore.ledger.head import Head
from vipcore.ledger.port import Granted, Sweep, WorkItem
from vipcore.ledger.store import Store
from vipcore.model import Claim, Member, Page
from vipcore.settings import document

_T = TypeVar("_T")
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
TIMER_S: Final = 30.0
AGENT_RETRY_S: Final = (0.5, 15.0)
"""The agent's own backoff (agent/vip_agent.py): used where an answer names no Retry-After, a tenth of it beside one."""


def fleet_document(mirrors: int, subscriptions: int, *, public_ip: bool) -> dict[str, Any]:
    """The mirrors document of `simulator.worlds.fleet`."""
    found: dict[str, Any] = {}
    for number in range(mirrors):
        mirror = worlds.fleet_mirror(number, subscriptions)
        below = f"/subscriptions/{mirror.subscription}/resourceGroups/rg/providers/Microsoft.Network"
        vip = {"name": "vip", "private_ip": mirror.private_ip}
        if public_ip:
            vip["public_ip"] = f"{below}/publicIPAddresses/{mirror.public_ip}"
        found[mirror.name] = {
            "members": {
                f"{mirror.name}-A": {"nic": f"{below}/networkInterfaces/{mirror.nic_a}"},
                f"{mirror.name}-B": {"nic": f"{below}/networkInterfaces/{mirror.nic_b}"},
            },
            "vips": [vip],
        }
    return {"defaults": {"subscription_id": worlds.fleet_subscription(0), "resource_group": "rg"}, "mirrors": found}


@dataclass(slots=True)
class Swapped:
    """One mirror's failover as its agent saw it, in seconds of the virtual clock."""

    mirror: str
    asked_at: float
    placed_at: float = -1.0
    attempts: int = 0
    codes: Counter[str] = field(default_factory=Counter)


@dataclass
class Fleet:
    """The harness. Made inside a running loop; `claim_all` is the outage."""

    mirrors: int
    subscriptions: int = 1
    switches: Switches = field(default_factory=lambda: Switches(latency="fixed:8", throttling="both", history_max=1))
    seed: int = 0
    arm_s: float = 0.05
    table_s: float = 0.008
    timer: bool = True
    public_ip: bool = False
    instances: int = 1

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rng = random.Random(self.seed)
        world = worlds.fleet(self.mirrors, self.subscriptions, public_ip=self.public_ip)
        self.cloud = Cloud(world, seed=self.seed, now=lambda: START.timestamp() + self.loop.time(), switches=self.switches)
        parsed = document.read(json.dumps(fleet_document(self.mirrors, self.subscriptions, public_ip=self.public_ip)))
        assert not parsed.faults, parsed.faults[:3]
        self.calls: Counter[tuple[str, str]] = Counter()
        self.throttled = 0
        self.put_at: dict[str, float] = {}
        self.ids = 0
        self.ledger = MemoryLedger()
        self.config = keyed(parsed.mirrors)
        self.controllers = [self._controller(f"bench-{number}") for number in range(self.instances)]
        self.timers = [Timer(controller) for controller in self.controllers]

    def _controller(self, instance: str) -> Controller:
        store = Store(ledger=_Ledger(self, self.ledger), clock=_Clock(self), seal=self.config.seal, log=lambda *_, **__: None)
        return Controller(config=self.config, store=store, arm=Arm(_Transport(self)), probes=_Probes(), instance=instance)

    def dark_s(self) -> list[float]:
        """For how long each mirror's VIP was on its way: from the detach that Azure accepted to the attach that it accepted."""
        mirrors = (worlds.fleet_mirror(number, self.subscriptions) for number in range(self.mirrors))
        return [self.put_at[mirror.nic_b] - self.put_at[mirror.nic_a] for mirror in mirrors]

    async def claim_all(self, *, within_s: float = 36_000.0, only: int | None = None) -> list[Swapped]:
        """Every mirror's B side claims at the same moment (`only`: of so many); each agent goes on until its VIP is there."""
        ticking = asyncio.ensure_future(self._tick()) if self.timer else None
        try:
            async with asyncio.timeout(within_s):
                return list(await asyncio.gather(*(self._agent(number) for number in range(only or self.mirrors))))
        finally:
            if ticking:
                ticking.cancel()

    async def _agent(self, number: int) -> Swapped:
        """As agent/vip_agent.py: the same claim again after Retry-After and a tenth of its own backoff."""
        name = worlds.fleet_mirror(number, self.subscriptions).name
        await asyncio.sleep(self.rng.random())  # a zone does not die within one millisecond
        swapped = Swapped(name, self.loop.time())
        while True:
            swapped.attempts += 1
            try:
                outcome = await carry_out(self._any(), self._ask(name, swapped.asked_at))
            except Refusal as refusal:
                swapped.codes[refusal.code] += 1
                low, high = AGENT_RETRY_S
                backoff = min(high, low * 2 ** min(swapped.attempts - 1, 8)) * (0.5 + self.rng.random() / 2)
                asked = refusal.retry_after_s
                await asyncio.sleep(asked + backoff / 10 if asked else backoff)
                continue
            assert outcome.holder == f"{name}-B"
            swapped.placed_at = self.loop.time()
            return swapped

    def _ask(self, name: str, began_at: float) -> Request:
        mirror, member = self.config.mirrors[name], f"{name}-B"
        claim = Claim(
            mirror=name,
            member=member,
            claim_id=f"claim-{name}",
            key_id=f"key-{member}",
            issued_at=START + timedelta(seconds=self.loop.time()),
            began=START + timedelta(seconds=began_at),
            event="NotifyBecomePrimary",
        )
        return Request(
            mirror=mirror,
            member=member,
            began=claim.began,
            caller=Caller(f"key:{claim.key_id}", self.new_id()),
            claim=claim,
        )

    def new_id(self) -> str:
        """An id that no other has."""
        self.ids += 1
        return f"id-{self.ids:08d}"

    def _any(self) -> Controller:
        return self.controllers[0] if self.instances == 1 else self.rng.choice(self.controllers)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TIMER_S)
            timer = self.timers[0] if self.instances == 1 else self.rng.choice(self.timers)
            await timer.run_pass(self.new_id())


@dataclass(slots=True)
class _Clock:
    fleet: Fleet
    is_off: ClassVar[bool] = False
    is_known: ClassVar[bool] = True

    def now(self) -> Instant:
        return START + timedelta(seconds=self.fleet.loop.time())

    def new_id(self) -> str:
        return self.fleet.new_id()

    def jitter(self) -> float:
        return self.fleet.rng.random()


class _Transport:
    """ARM in process, after half of `arm_s`; the answer after the other half."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    async def send(self, request: ArmRequest) -> ArmReply:
        fleet = self.fleet
        await asyncio.sleep(fleet.arm_s * (0.3 + 0.4 * fleet.rng.random()))
        body = json.dumps(request.body).encode() if request.body is not None else b""
        headers = {"authorization": fleet.cloud.bearer(), "host": "management.azure.com", **request.headers}
        if body:
            headers["content-type"] = "application/json"
        response = handle(fleet.cloud, wire.Request(request.method, request.url, headers, body))
        fleet.calls[request.method, kind_of(request.url)] += 1
        fleet.throttled += response.status == 429
        if request.method == "PUT" and response.status < 300:
            fleet.put_at[request.url.partition("?")[0].rsplit("/", 1)[-1]] = fleet.loop.time()
        await asyncio.sleep(response.delay_s + fleet.arm_s * (0.3 + 0.4 * fleet.rng.random()))
        return ArmReply(
            status=response.status,
            headers=response.headers,
            body=json.loads(response.body) if response.body else None,
        )


def kind_of(url: str) -> str:
    """What a request is about: `nic`, `operation`, `permissions`, or the last but one part of its path."""
    path = url.partition("?")[0].lower()
    if "/operations/" in path:
        return "operation"
    if path.endswith("/permissions"):
        return "permissions"
    kind = path.rsplit("/", 2)[-2]
    return "nic" if kind == "networkinterfaces" else kind


class _Ledger:
    """The table in memory, after `table_s`."""

    def __init__(self, fleet: Fleet, table: MemoryLedger) -> None:
        self.fleet, self.table = fleet, table

    async def _call(self, do: Callable[[], Awaitable[_T]]) -> _T:
        self.fleet.calls["table", do.__name__] += 1
        await asyncio.sleep(self.fleet.table_s)
        return await do()

    async def load_head(self, mirror: str) -> Head:
        async def load_head() -> Head:
            return await self.table.load_head(mirror)

        return await self._call(load_head)

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        async def commit() -> Head:
            return await self.table.commit(head, rows)

        return await self._call(commit)

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        return await self.table.load_row(mirror, seq)

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        return await self.table.newest_rows(mirror, before=before, limit=limit)

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        return await self.table.rows_from(mirror, seq, limit=limit)

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        await asyncio.sleep(self.fleet.table_s * (1 + len(mirrors) / 64))
        return await self.table.load_heads(mirrors)

    async def put_work_item(self, mirror: str) -> None:
        async def put_work_item() -> None:
            await self.table.put_work_item(mirror)

        await self._call(put_work_item)

    async def load_worklist(self) -> list[WorkItem]:
        return await self._call(self.table.load_worklist)

    async def drop_work_item(self, item: WorkItem) -> None:
        await self.table.drop_work_item(item)

    async def load_sweep(self) -> Sweep | None:
        return await self._call(self.table.load_sweep)

    async def save_sweep(self, sweep: Sweep) -> None:
        await asyncio.sleep(self.fleet.table_s)
        await self.table.save_sweep(sweep)

    async def put_heard(self, mirror: str, member: str, at: Instant) -> None:
        await self.table.put_heard(mirror, member, at)

    async def load_heard(self, mirror: str) -> Mapping[str, Instant]:
        return await self.table.load_heard(mirror)

    async def load_granted(self, subscription: str) -> Granted:
        async def load_granted() -> Granted:
            return await self.table.load_granted(subscription)

        return await self._call(load_granted)

    async def save_granted(self, subscription: str, granted: Granted) -> None:
        async def save_granted() -> None:
            await self.table.save_granted(subscription, granted)

        await self._call(save_granted)

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        await self.table.count_failures(instance, counts, at)


class _Probes:
    """No pages and no paths."""

    unread: ClassVar[Mapping[str, str]] = {}

    async def page(self, member: Member) -> Page:  # noqa: ARG002  # the port's shape
        return Page.UNKNOWN

    async def path(self, target: str, *, within_s: float) -> float | None:  # noqa: ARG002  # the port's shape
        return None
