"""The stage of a simulation: one cloud, one table, and instances of the controller that can die, pause and lose replies.

Every effect (an ARM request, a table call) passes three points: before it is sent, after it took effect, after the reply arrived.
A `Fate` decides at each point what happens; an instance that died never returns from its effect and never starts another.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from simulator import worlds
from simulator.arm import handle
from simulator.cloud import Cloud
from simulator.switches import Switches
from simulator.wire import Request
from simulator.world import World
from tests.sim.ledger import MemoryLedger
from vipcore import document
from vipcore.arm import Arm
from vipcore.ask import Ask
from vipcore.audit import Row
from vipcore.config import Config
from vipcore.controller import Controller
from vipcore.decide import carry_out
from vipcore.errors import CommitUnknown, NoReply, Stale, Unreachable
from vipcore.head import Head
from vipcore.instants import Instant
from vipcore.model import Claim, Member, Mirror, Move, Outcome, Page
from vipcore.ports import ArmReply, ArmRequest, Hint, Ports
from vipcore.reconcile import run_pass

_T = TypeVar("_T")
START = datetime(2026, 1, 1, tzinfo=UTC)
SUB = "00000000-0000-0000-0000-000000000000"
DOCUMENT: dict[str, Any] = {
    "defaults": {"subscription_id": SUB, "resource_group": "rg"},
    "mirrors": {
        "PROD": {
            "members": {"MIRRORA": {"nic": "mirrora290_z1"}, "MIRRORB": {"nic": "mirrorb280_z2"}},
            "vips": [{"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"}],
        }
    },
}


class Fate:
    """What happens at each point of each effect. This one lets everything happen; the sweeps and seeds subclass it."""

    async def before(self, node: "Node", label: str) -> None:
        """Before it is sent. May raise, sleep, or kill the node."""

    async def between(self, node: "Node", label: str) -> None:
        """It took effect; the reply is not there yet."""

    async def after(self, node: "Node", label: str) -> None:
        """The reply arrived."""


async def forever() -> None:
    """What an effect of a dead instance does."""
    await asyncio.get_running_loop().create_future()


@dataclass
class Stage:
    """One world on one virtual clock."""

    world: World = field(default_factory=worlds.default)
    document: dict[str, Any] = field(default_factory=lambda: DOCUMENT)
    seed: int = 0
    switches: Switches = field(default_factory=lambda: Switches(latency="fixed:3"))
    fate: Fate = field(default_factory=Fate)
    config: Config | None = None
    table_s: float = 0.008
    arm_s: float = 0.03

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rng = random.Random(self.seed)
        self.cloud = Cloud(self.world, seed=self.seed, now=lambda: START.timestamp() + self.loop.time(), switches=self.switches)
        self.ledger = MemoryLedger()
        self.nodes: list[Node] = []
        if self.config is None:
            parsed = document.read(json.dumps(self.document))
            assert not parsed.faults, parsed.faults
            self.config = Config(mirrors=parsed.mirrors)
        self.pages: dict[str, Page] = {}

    def node(self, name: str, *, skew_s: float = 0.0) -> "Node":
        """A new instance of the controller."""
        node = Node(self, name, skew_s)
        self.nodes.append(node)
        return node

    def mirror(self, name: str = "PROD") -> Mirror:
        """A mirror of the document."""
        assert self.config is not None
        return self.config.mirrors[name]

    async def head(self, mirror: str = "PROD") -> Head:
        """The head as the table has it."""
        return await self.ledger.load_head(mirror)

    async def trail(self, mirror: str = "PROD") -> list[Row]:
        """All rows, oldest first."""
        return await self.ledger.rows_from(mirror, 1, limit=100_000)

    def holders(self, address: str = "10.0.0.254") -> list[str]:
        """The names of the NICs whose document carries the address."""
        return sorted(self.cloud.shown_on(address))


class Node:
    """One instance of the controller, with its own skewed clock and its own life."""

    def __init__(self, stage: Stage, name: str, skew_s: float) -> None:
        self.stage, self.name, self.skew_s = stage, name, skew_s
        self.rng = random.Random(f"{stage.seed}/{name}")
        self.dead = False
        self.ids = 0
        assert stage.config is not None
        self.log: list[tuple[str, dict[str, Any]]] = []
        ports = Ports(
            config=stage.config,
            ledger=_Ledger(self),
            transport=_Transport(self),
            probes=_Probes(self),
            clock=self,
            instance=name,
            log=lambda event, **fields: self.log.append((event, fields)),
        )
        self.controller = Controller(ports=ports, arm=Arm(ports.transport))

    # -- Clock ---------------------------------------------------------------------------------------------------------
    def now(self) -> Instant:
        """This instance's wall clock."""
        return START + timedelta(seconds=self.stage.loop.time() + self.skew_s)

    def new_id(self) -> str:
        """Names that tell who made them."""
        self.ids += 1
        return f"{self.name}-{self.ids:04d}"

    def jitter(self) -> float:
        """Seeded."""
        return self.rng.random()

    # -- life ----------------------------------------------------------------------------------------------------------
    def kill(self) -> None:
        """Die now: no effect of this instance starts or returns any more."""
        self.dead = True

    async def effect(self, label: str, do: Callable[[], Awaitable[_T]], latency_s: float) -> _T:
        """Do something to the outside, through the three points."""
        await self.alive()
        await self.stage.fate.before(self, label)
        await self.alive()
        await asyncio.sleep(latency_s * (0.3 + 0.4 * self.rng.random()))
        result = await do()
        await self.stage.fate.between(self, label)
        await self.alive()
        await asyncio.sleep(latency_s * (0.3 + 0.4 * self.rng.random()))
        await self.alive()
        await self.stage.fate.after(self, label)
        await self.alive()
        return result

    async def alive(self) -> None:
        """Returns only to the living."""
        if self.dead:
            await forever()

    # -- use cases -----------------------------------------------------------------------------------------------------
    async def claim(
        self,
        member: str,
        *,
        claim_id: str = "c",
        age_s: float = 0.0,
        event: str = "NotifyBecomePrimary",
        mirror: str = "PROD",
        key_id: str | None = None,
        deadline_s: float = 190.0,
    ) -> Outcome:
        """A verified claim of now, of that age."""
        now = self.now()
        key_id = key_id or f"key-{member}"
        claim = Claim(
            mirror=mirror,
            member=member,
            claim_id=claim_id,
            key_id=key_id,
            issued_at=now,
            began=now - timedelta(seconds=age_s),
            event=event,
        )
        ask = Ask(
            mirror=self.stage.mirror(mirror),
            member=member,
            began=claim.began,
            actor=f"key:{key_id}",
            correlation_id=self.new_id(),
            claim=claim,
            deadline_s=deadline_s,
        )
        return await carry_out(self.controller, ask)

    async def move(self, to: str, *, force: bool = False, mirror: str = "PROD", deadline_s: float = 190.0) -> Outcome:
        """An operator's move."""
        move = Move(mirror=mirror, to=to, reason="test", operator="op", began=self.now(), force=force)
        ask = Ask(
            mirror=self.stage.mirror(mirror),
            member=to,
            began=move.began,
            actor="operator:op",
            correlation_id=self.new_id(),
            move=move,
            deadline_s=deadline_s,
        )
        return await carry_out(self.controller, ask)

    async def tick(self) -> None:
        """One timer pass."""
        await run_pass(self.controller, self.new_id())


class _Transport:
    """ARM in process."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def send(self, request: ArmRequest) -> ArmReply:
        cloud = self.node.stage.cloud
        loop = self.node.stage.loop
        label = f"arm {request.method} {request.url.split('?')[0].rsplit('/', 2)[-1]}"
        deadline = loop.time() + request.timeout_s

        async def do() -> ArmReply:
            headers = {"authorization": cloud.bearer(), "host": "management.azure.com", **request.headers}
            body = json.dumps(request.body).encode() if request.body is not None else b""
            if body:
                headers["content-type"] = "application/json"
            response = handle(cloud, Request(request.method, request.url, headers, body))
            if response.lost or loop.time() + response.delay_s > deadline:
                await asyncio.sleep(min(response.delay_s, max(0.0, deadline - loop.time())))
                raise NoReply(label)
            await asyncio.sleep(response.delay_s)
            return ArmReply(
                status=response.status,
                headers=response.headers,
                body=json.loads(response.body) if response.body else None,
            )

        return await self.node.effect(label, do, self.node.stage.arm_s)


class _Ledger:
    """The table as one instance reaches it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.table = node.stage.ledger

    async def _call(self, label: str, do: Callable[[], Awaitable[_T]]) -> _T:
        return await self.node.effect(f"table {label}", do, self.node.stage.table_s)

    async def load_head(self, mirror: str) -> Head:
        return await self._call("load_head", lambda: self.table.load_head(mirror))

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        try:
            return await self._call("commit", lambda: self.table.commit(head, rows))
        except TimeoutError as exc:
            raise CommitUnknown("lost") from exc

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        return await self._call("load_row", lambda: self.table.load_row(mirror, seq))

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        return await self._call("newest_rows", lambda: self.table.newest_rows(mirror, before=before, limit=limit))

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        return await self._call("rows_from", lambda: self.table.rows_from(mirror, seq, limit=limit))

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        return await self._call("load_heads", lambda: self.table.load_heads(mirrors))

    async def put_hint(self, mirror: str) -> None:
        await self._call("put_hint", lambda: self.table.put_hint(mirror))

    async def load_hints(self) -> list[Hint]:
        return await self._call("load_hints", self.table.load_hints)

    async def drop_hint(self, hint: Hint) -> None:
        await self._call("drop_hint", lambda: self.table.drop_hint(hint))

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        await self._call("count_failures", lambda: self.table.count_failures(instance, counts, at))


class _Probes:
    """Pages and paths as the stage has them."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def page(self, member: Member) -> Page:
        await self.node.alive()
        await asyncio.sleep(0.01)
        return self.node.stage.pages.get(member.name, Page.UNKNOWN)

    async def path(self, target: str, *, within_s: float) -> float | None:
        await self.node.alive()
        await asyncio.sleep(0.01)
        return 0.01


__all__ = ["DOCUMENT", "START", "SUB", "Fate", "Node", "Stage", "Stale", "Unreachable", "forever"]
