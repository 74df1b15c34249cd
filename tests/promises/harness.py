"""The harness of a simulation: one simulated Azure, one table, and controller instances that can die, pause and lose replies.

Every effect (an ARM request, a table call) passes three points: before it is sent, after it took effect, after the reply arrived.
A `Fate` decides at each point what happens; an instance that died never returns from its effect and never starts another.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core import wire
from simulator.core.switches import Switches
from simulator.front.front import handle
from simulator.state.world import World
from tests.promises.journal import CURRENT, WORKING_ON, Change, Commit, Drop, Get, Journal, Put, Trace
from tests.promises.ledger import MemoryLedger
from vipcore.adapters.clock import TableClock
from vipcore.arm.client import Arm
from vipcore.arm.port import ArmReply, ArmRequest
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.decide import carry_out
from vipcore.decision.request import Request
from vipcore.entry import freezes, status
from vipcore.entry.timer import Timer
from vipcore.errors import CommitUnknown, NoReply, NoToken, Stale, Unreachable
from vipcore.instants import Instant, to_text
from vipcore.ledger.audit import Caller, Row, Seal
from vipcore.ledger.head import Head
from vipcore.ledger.port import Granted, Sweep, WorkItem
from vipcore.ledger.store import Store
from vipcore.model import Claim, Json, Key, Member, Mirror, Move, Outcome, Page
from vipcore.settings import document
from vipcore.settings.environment import Config

_T = TypeVar("_T")
_PARSED: dict[str, Config] = {}
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


class LandsLate(CommitUnknown):
    """The answer to a commit is lost, and the commit lands so many seconds later, if it still can."""

    def __init__(self, after_s: float) -> None:
        super().__init__("lost, and late")
        self.after_s = after_s


def parsed(text: str) -> Config:
    """The configuration of a mirrors document; read once per process, as it never changes."""
    if text not in _PARSED:
        parsed = document.read(text)
        assert not parsed.faults, parsed.faults
        _PARSED[text] = keyed(parsed.mirrors)
    return _PARSED[text]


def keyed(mirrors: Mapping[str, Mirror]) -> Config:
    """The configuration of these mirrors, with a key for each member."""
    whose = {f"key-{member.name}-{name}": (name, member.name) for name, mirror in mirrors.items() for member in mirror.members}
    keys = {key_id: Key(key_id=key_id, mirror=of, member=by, secret=b"k" * 32) for key_id, (of, by) in whose.items()}
    return Config(mirrors=mirrors, keys=keys, keys_of={member: (key_id,) for key_id, member in whose.items()})


async def forever(graves: list[asyncio.Future[None]]) -> None:
    """What an effect of a dead instance does. `graves` keeps its tasks from the garbage collector, which would wake them."""
    graves.append(asyncio.get_running_loop().create_future())
    await graves[-1]


@dataclass
class Harness:
    """One world on one virtual clock."""

    world: World = field(default_factory=worlds.default)
    document: dict[str, Any] = field(default_factory=lambda: DOCUMENT)
    seed: int = 0
    switches: Switches = field(default_factory=lambda: Switches(latency="fixed:3"))
    fate: Fate = field(default_factory=Fate)
    config: Config | None = None
    table_s: float = 0.008
    arm_s: float = 0.03
    audit_key: bytes = b"k" * 32

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rng = random.Random(self.seed)
        self.cloud = Cloud(self.world, seed=self.seed, now=lambda: START.timestamp() + self.loop.time(), switches=self.switches)
        self.ledger = MemoryLedger()
        self.nodes: list[Node] = []
        if self.config is None:
            self.config = parsed(json.dumps(self.document))
        self.configs = [self.config]
        """The documents that have been in use, the newest last."""
        self.pages: dict[str, Page] = {}
        self.table_away_until = 0.0
        self.no_token_until = 0.0
        self.on_their_way: list[asyncio.Task[None]] = []
        self.graves: list[asyncio.Future[None]] = []
        self.lines: list[tuple[Instant, str, dict[str, Any]]] = []
        """The log of all instances."""
        self.journal = Journal(docs={nic.name: nic.doc for nic in self.cloud.nics.values()})
        self._genuine_record = self.cloud.record
        self.cloud.record = self._record  # type: ignore[method-assign]  # the one place where every change of a NIC passes

    def _record(self, nic: Any, cause: str, who: str = "", operation_id: str = "") -> None:
        put = self.journal.sending if cause == "put" else None
        before = self.journal.docs.get(nic.name)
        self.journal.changes.append(Change(self.loop.time(), nic.name, cause, who, before, nic.doc, operation_id, put))
        self.journal.docs[nic.name] = nic.doc
        self._genuine_record(nic, cause, who, operation_id)

    def now(self) -> Instant:
        """The true time: what the table and agents go by."""
        return START + timedelta(seconds=self.loop.time())

    def node(self, name: str, *, skew_s: float = 0.0) -> "Node":
        """A new instance of the controller."""
        node = Node(self, name, skew_s)
        self.nodes.append(node)
        return node

    def deploy(self, document: dict[str, Any]) -> None:
        """Instances that start from now on serve this document."""
        assert self.config is not None
        newer = parsed(json.dumps(document))
        self.config = replace(self.config, mirrors=newer.mirrors, keys=newer.keys, keys_of=newer.keys_of)
        self.configs.append(self.config)

    def carry(self, name: str, **settings: Any) -> None:
        """Somebody sets properties on the secondary ip configurations of this NIC: pools, rules, what is not known yet."""
        nic = self.cloud.nic_named(name)
        configs = tuple(
            replace(config, properties={**config.properties, **settings}) if not config.properties["primary"] else config
            for config in nic.doc.configs
        )
        nic.doc = nic.stable = replace(nic.doc, configs=configs)
        nic.etag = f'W/"{self.rng.getrandbits(64):016x}"'
        nic.bodies.clear()
        self.journal.docs[nic.name] = nic.doc

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

    async def by_hand(self, mirror: str, to: str) -> None:
        """What an operator's own script does: take the VIPs from the NIC that has them, and put them on another."""
        found, vips = self.mirror(mirror), {vip.name: vip for vip in self.mirror(mirror).vips}
        taken: list[Any] = []
        for member in sorted(found.members, key=lambda member: member.name == to):
            document = self._asked("GET", member.nic_id)
            if document is None:
                return
            configs = document["properties"]["ipConfigurations"]
            if member.name == to:
                document["properties"]["ipConfigurations"] = [*configs, *taken]
            else:
                taken += [config for config in configs if config["name"] in vips]
                document["properties"]["ipConfigurations"] = [config for config in configs if config["name"] not in vips]
            if document["properties"]["ipConfigurations"] != configs:
                self.journal.by_hand[mirror] = self.loop.time()
                self._asked("PUT", member.nic_id, document)
                await asyncio.sleep(4.0)

    def damage(self, mirror: str = "PROD", copy: dict[str, Any] | None = None) -> None:
        """The head is removed, or restored from a copy of its row."""
        self.journal.damaged.setdefault(mirror, []).append(self.loop.time())
        self.ledger.set_head(mirror, copy)

    def copy(self, mirror: str = "PROD") -> dict[str, Any] | None:
        """The head's row as it is now."""
        stored = self.ledger.heads.get(mirror)
        return dict(stored[0]) if stored else None

    def introduce_key(self, *nodes: "Node") -> None:
        """These instances are started with VIP_AUDIT_KEY set; the others, which run on, do not know it."""
        for node in nodes:
            node.controller.store.seal = Seal(self.audit_key)

    def _asked(self, method: str, nic_id: str, document: Any = None) -> Any:
        """One request of another client of Azure. None: refused."""
        headers = {"authorization": self.cloud.bearer(), "host": "management.azure.com"}
        if document is not None:
            headers["content-type"] = "application/json"
        body = json.dumps(document).encode() if document is not None else b""
        response = handle(self.cloud, wire.Request(method, f"{nic_id}?api-version=2026-03-01", headers, body))
        return json.loads(response.body) if response.status < 300 else None

    def holders(self, address: str = "10.0.0.254") -> list[str]:
        """The names of the NICs whose document carries the address."""
        return sorted(self.cloud.shown_on(address))


class Node:
    """One instance of the controller, with its own skewed clock and its own life."""

    def __init__(self, harness: Harness, name: str, skew_s: float) -> None:
        self.harness, self.name, self.skew_s = harness, name, skew_s
        self.rng = random.Random(f"{harness.seed}/{name}")
        self.dead = False
        self.died = asyncio.Event()
        self.died_at = -1.0
        self.paused_until = 0.0
        self.pauses: list[tuple[float, float]] = []
        """From when until when the process stood still."""
        self.ids = 0
        assert harness.config is not None
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.clock = TableClock(self.write_log, self.wall)
        self.controller = Controller(
            config=harness.config,
            store=Store(
                ledger=_Ledger(self),
                clock=self,
                seal=harness.config.seal,
                log=self.write_log,
            ),
            arm=Arm(_Transport(self)),
            probes=_Probes(self),
            instance=name,
        )
        self.timer = Timer(self.controller)

    # -- Clock ---------------------------------------------------------------------------------------------------------
    def wall(self) -> Instant:
        """This instance's wall clock."""
        return self.harness.now() + timedelta(seconds=self.skew_s)

    @property
    def is_known(self) -> bool:
        """Whether the table has told the instance the time."""
        return self.clock.is_known

    @property
    def is_off(self) -> bool:
        """What the instance believes of its wall clock."""
        return self.clock.is_off

    def now(self) -> Instant:
        """The time as this instance tells it: the table's, once the table has answered."""
        return self.clock.now()

    def new_id(self) -> str:
        """Names that tell who made them."""
        self.ids += 1
        return f"{self.name}-{self.ids:04d}"

    def jitter(self) -> float:
        """Seeded."""
        return self.rng.random()

    def write_log(self, event: str, /, **fields: Any) -> None:
        """Keep a line of the log."""
        self.log.append((event, fields))
        self.harness.lines.append((self.harness.now(), event, fields))

    # -- life ----------------------------------------------------------------------------------------------------------
    def kill(self) -> None:
        """Die now: no effect of this instance starts or returns any more."""
        if not self.dead:
            self.dead, self.died_at = True, self.harness.loop.time()
        self.died.set()

    def pause(self, for_s: float) -> None:
        """Stand still from now on, for so long."""
        now = self.harness.loop.time()
        self.paused_until = now + for_s
        self.pauses.append((now, self.paused_until))

    async def effect(self, label: str, do: Callable[[], Awaitable[_T]], latency_s: float) -> _T:
        """Do something to the outside, through the three points."""
        await self.alive()
        await self.harness.fate.before(self, label)
        await self.alive()
        await asyncio.sleep(latency_s * (0.3 + 0.4 * self.rng.random()))
        try:
            result = await do()
        except Exception:
            await self.alive()
            raise
        await self.harness.fate.between(self, label)
        await self.alive()
        await asyncio.sleep(latency_s * (0.3 + 0.4 * self.rng.random()))
        await self.alive()
        await self.harness.fate.after(self, label)
        await self.alive()
        return result

    async def alive(self) -> None:
        """Returns only to the living, and only while the process runs."""
        while self.harness.loop.time() < self.paused_until and not self.dead:
            await asyncio.sleep(self.paused_until - self.harness.loop.time())
        if self.dead:
            await forever(self.harness.graves)

    async def answered(self, trace: Trace, work: Coroutine[Any, Any, _T]) -> _T:
        """The answer of a use case, written down."""
        try:
            result = await work
        except Exception as exc:
            await self.alive()
            trace.answer, trace.answered = exc, self.harness.loop.time()
            raise
        await self.alive()
        trace.answer, trace.answered = (result if isinstance(result, Outcome) else None), self.harness.loop.time()
        return result

    def mirror(self, name: str) -> Mirror:
        """A mirror as this instance's document has it."""
        return self.controller.config.mirrors[name]

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
        issued_at: Instant | None = None,
        deadline_s: float = 190.0,
    ) -> Outcome:
        """A verified claim of now, of that age. `issued_at`: of a request that is sent a second time."""
        with storage_needed():
            now = await self.controller.store.arrival()
        key_id = key_id or f"key-{member}"
        claim = Claim(
            mirror=mirror,
            member=member,
            claim_id=claim_id,
            key_id=key_id,
            issued_at=issued_at or now,
            began=now - timedelta(seconds=age_s),
            event=event,
        )
        request = Request(
            mirror=self.mirror(mirror),
            member=member,
            began=claim.began,
            caller=Caller(f"key:{key_id}", self.new_id()),
            claim=claim,
            deadline_s=deadline_s,
        )
        trace = self.begin("claim", mirror, member, request.caller.correlation_id)
        trace.signed, trace.event = (key_id, to_text(claim.issued_at)), event
        return await self.answered(trace, carry_out(self.controller, request))

    async def move(self, to: str, *, force: bool = False, mirror: str = "PROD", deadline_s: float = 190.0) -> Outcome:
        """An operator's move."""
        with storage_needed():
            began = await self.controller.store.arrival()
        move = Move(mirror=mirror, to=to, reason="test", operator="op", began=began, force=force)
        request = Request(
            mirror=self.mirror(mirror),
            member=to,
            began=move.began,
            caller=Caller("operator:op", self.new_id()),
            move=move,
            deadline_s=deadline_s,
        )
        trace = self.begin("move", mirror, to, request.caller.correlation_id)
        trace.forced = force
        return await self.answered(trace, carry_out(self.controller, request))

    async def look(self, mirror: str) -> None:
        """What a monitor asks for: the list of all mirrors, and one of them."""
        trace = self.begin("status", mirror, "", self.new_id())
        listed = (await self.answered(trace, status.mirrors(self.controller)))["mirrors"]
        self.harness.journal.listed.append((trace.asked, {one["mirror"]: one["epoch"] for one in listed}))
        await self.answered(trace, status.mirror(self.controller, mirror, trace.correlation_id))

    async def tick(self) -> None:
        """One timer pass."""
        correlation_id = self.new_id()
        trace = self.begin("tick", "", "", correlation_id)
        await self.answered(trace, self.timer.run_pass(correlation_id))

    async def freeze(self, mirror: str = "PROD", *, for_s: float | None = None) -> Json:
        """An operator's stop sign."""
        ends = {} if for_s is None else {"until": to_text(self.now() + timedelta(seconds=for_s))}
        body = json.dumps({"reason": "test", "operator": "op", **ends}).encode()
        ids = self.new_id()
        trace = self.begin("freeze", mirror, "", ids)
        return await self.answered(trace, freezes.put(self.controller, mirror, body, ids))

    async def unfreeze(self, mirror: str = "PROD") -> Json:
        """Its end."""
        ids = self.new_id()
        trace = self.begin("unfreeze", mirror, "", ids)
        query = {"reason": "test", "operator": "op"}
        return await self.answered(trace, freezes.delete(self.controller, mirror, query, ids))

    def begin(self, kind: str, mirror: str, member: str, correlation_id: str) -> Trace:
        """Open the trace of a request."""
        at = self.harness.loop.time()
        return self.harness.journal.begin(self, kind, at, mirror=mirror, member=member, correlation_id=correlation_id)


class _Transport:
    """ARM in process."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def send(self, request: ArmRequest) -> ArmReply:
        harness, trace = self.node.harness, CURRENT.get()
        path = request.url.split("?")[0]
        if harness.loop.time() < harness.no_token_until:
            if trace and path.endswith("/permissions"):
                trace.denied_reads += 1  # stops nothing either, as nothing was looked at
            raise NoToken("the managed identity gave no token")
        label = f"arm {request.method} {path.rsplit('/', 2)[-2]}"
        nic = path.rsplit("/", 1)[-1] if path.rsplit("/", 2)[-2] == "networkInterfaces" else ""
        put = self._sent(request, nic, trace) if request.method != "GET" and trace else None
        deadline = harness.loop.time() + request.timeout_s
        shown: list[Get] = []

        async def do() -> ArmReply:
            return await self._exchange(request, nic, put, deadline, label, shown)

        try:
            reply = await self.node.effect(label, do, harness.arm_s)
        except Exception:
            self._unheard(trace, nic, request.method, path)
            raise
        now = harness.loop.time()
        if put is not None:
            put.status, put.heard = reply.status, now
            if reply.status < 300 and trace and nic:
                trace.looks[nic] = frozenset(f.name.lower() for f in put.after.facts) if put.after else None
        elif trace and nic and reply.status == 200 and shown:
            shown[0].heard = now
            trace.looks[nic] = frozenset(f.name.lower() for f in shown[0].doc.facts)
            trace.gone.discard(nic)
            trace.gets.append(shown[0])
            harness.journal.gets.append(shown[0])
        elif reply.status != 200 or (nic and request.method == "GET"):
            gone = bool(nic) and reply.status == 404
            if not (gone and trace and nic in trace.gone and trace.looks.get(nic) is not None):  # else nothing is new
                self._unheard(trace, nic, request.method, path)
            if trace and gone:
                trace.gone.add(nic)
        elif trace and path.endswith("/CheckIPAddressAvailability") and reply.body.get("available"):
            trace.looks |= dict.fromkeys(trace.gone, frozenset())  # it does not exist, and nobody has the address
        return reply

    def _unheard(self, trace: Trace | None, nic: str, method: str, path: str) -> None:
        if trace is None or method != "GET":
            return
        trace.unheard_at[nic] = self.node.harness.loop.time()
        if not nic:
            trace.denied_reads += path.endswith("/permissions")
        elif not any(put.nic == nic and put.status is not None and put.status < 300 for put in trace.puts):
            trace.looks[nic] = None

    def _sent(self, request: ArmRequest, nic: str, trace: Trace) -> Put:
        harness, mirror = self.node.harness, WORKING_ON.get() or trace.mirror or "PROD"
        before = [put for put in trace.puts if put.mirror == mirror]
        nics = {nic_name(member.nic_id) for member in harness.mirror(mirror).members}
        known_at = trace.known_at.get(mirror, -1.0)
        # A pass of the timer reads a shared NIC for several mirrors: one of the reads may fail beside another's.
        read = {get.nic for get in _just_now(trace, harness.loop.time())}
        put = Put(
            number=len(harness.journal.puts),
            trace=trace,
            nic=nic,
            if_match=request.headers.get("if-match", ""),
            sent=harness.loop.time(),
            clock=self.node.now(),
            mirror=mirror,
            head=trace.heads.get(mirror),
            head_known_at=known_at,
            heard_since_last=not before or known_at > before[-1].sent,
            unread=tuple(name for name, look in trace.looks.items() if look is None and name in nics - read),
            located=_located(trace, harness.loop.time()),
        )
        trace.puts.append(put)
        harness.journal.puts.append(put)
        return put

    async def _exchange(
        self, request: ArmRequest, nic: str, put: Put | None, deadline: float, label: str, shown: list[Get]
    ) -> ArmReply:
        harness, loop = self.node.harness, self.node.harness.loop
        cloud = harness.cloud
        headers = {"authorization": cloud.bearer(), "host": "management.azure.com", **request.headers}
        body = json.dumps(request.body).encode() if request.body is not None else b""
        if body:
            headers["content-type"] = "application/json"
        if put is not None:
            headers["x-ms-client-request-id"] = str(put.number)
        cloud.settle()  # what is due happens before this request, and is not its doing
        found = cloud.nics.get(path_of(request.url).lower()) if nic else None
        doc = found.doc if found else None
        harness.journal.sending = put
        response = handle(cloud, wire.Request(request.method, request.url, headers, body))
        harness.journal.sending = None
        if put is not None:
            put.request_id = response.headers.get("x-ms-request-id", "")
            if response.status < 300:
                put.before, put.after, put.landed = doc, found.doc if found else None, loop.time()
        elif found is not None and response.status == 200 and found.id.encode() in response.body and (trace := CURRENT.get()):
            shown.append(Get(loop.time(), -1.0, trace, nic, found.etag, found.state, found.doc))
        if response.lost or loop.time() + response.delay_s > deadline:
            await asyncio.sleep(min(response.delay_s, max(0.0, deadline - loop.time())))
            raise NoReply(label)
        if response.delay_s:
            await asyncio.sleep(response.delay_s)
        return ArmReply(
            status=response.status,
            headers=response.headers,
            body=json.loads(response.body) if response.body else None,
        )


_JUST_NOW_S = 1.0
"""Writes go out side by side, and each looks again at its own NIC: what all were planned on was seen a moment ago."""


def _located(trace: Trace, now: float) -> frozenset[str]:
    """What this trace has seen on a NIC, or has itself taken from where it saw it: an address is on one NIC at most."""
    seen = {name for look in trace.looks.values() if look for name in look}
    seen |= {fact.name.lower() for get in _just_now(trace, now) for fact in get.doc.facts}
    for put in trace.puts:
        if put.before is not None and put.status in (200, 201):
            seen |= {fact.name.lower() for fact in put.before.facts}
    return frozenset(seen)


def _just_now(trace: Trace, now: float) -> list[Get]:
    return [get for get in trace.gets[-8:] if now - get.heard <= _JUST_NOW_S]


def nic_name(nic_id: str) -> str:
    """The last part of a NIC's resource id."""
    return nic_id.rsplit("/", 1)[-1]


def path_of(url: str) -> str:
    """The path of an absolute or relative URL."""
    path = url.split("?", maxsplit=1)[0]
    return path if path.startswith("/") else "/" + path.partition("://")[2].partition("/")[2]


class _Ledger:
    """The table as one instance reaches it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.table = node.harness.ledger

    async def _call(self, label: str, do: Callable[[], Awaitable[_T]]) -> _T:
        loop, sent_at, date = self.node.harness.loop, self.node.harness.loop.time(), ""

        async def reached() -> _T:
            nonlocal date
            if loop.time() < self.node.harness.table_away_until:
                raise Unreachable("the table is away")
            date = format_datetime(self.node.harness.now(), usegmt=True)
            return await do()

        try:
            return await self.node.effect(f"table {label}", reached, self.node.harness.table_s)
        finally:
            self.node.clock.heard(date, sent_at)

    def _known(self, heads: Iterable[Head]) -> None:
        trace = CURRENT.get()
        for head in heads:
            if trace is not None:
                trace.knows(head, self.node.harness.loop.time())

    def _asks(self, *mirrors: str) -> None:
        if trace := CURRENT.get():
            trace.asked_heads.update(dict.fromkeys(mirrors, self.node.harness.loop.time()))

    async def load_head(self, mirror: str) -> Head:
        WORKING_ON.set(mirror)
        self._asks(mirror)
        head = await self._call("load_head", lambda: self.table.load_head(mirror))
        self._known([head])
        return head

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        async def do() -> Head:
            before = await MemoryLedger.load_head(self.table, head.mirror)  # no read of the app's
            stored = await self.table.commit(head, rows)
            if trace := CURRENT.get():
                unread = frozenset({nic for nic, look in trace.looks.items() if look is None} | trace.gone)
                entry = Commit(self.node.harness.loop.time(), trace, before, stored, rows, head.mirror in trace.hinted, unread)
                self.node.harness.journal.commits.append(entry)
                trace.commits.append(entry)
                owner = stored.lease.owner if stored.lease else ""
                if owner.startswith(f"{self.node.name}/") and (before.lease is None or before.lease.owner != owner):
                    trace.owners.add(owner)
            return stored

        async def late(after_s: float) -> None:
            await asyncio.sleep(after_s)
            with contextlib.suppress(Stale):
                await do()

        WORKING_ON.set(head.mirror)
        self._asks(head.mirror)
        try:
            stored = await self._call("commit", do)
        except LandsLate as exc:
            self.node.harness.on_their_way.append(asyncio.ensure_future(late(exc.after_s)))
            raise
        except TimeoutError as exc:
            raise CommitUnknown("lost") from exc
        self._known([stored])
        return stored

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        return await self._call("load_row", lambda: self.table.load_row(mirror, seq))

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        return await self._call("newest_rows", lambda: self.table.newest_rows(mirror, before=before, limit=limit))

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        return await self._call("rows_from", lambda: self.table.rows_from(mirror, seq, limit=limit))

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        self._asks(*mirrors)
        heads = await self._call("load_heads", lambda: self.table.load_heads(mirrors))
        self._known(heads.values())
        return heads

    async def put_work_item(self, mirror: str) -> None:
        async def do() -> None:
            await self.table.put_work_item(mirror)
            if (trace := CURRENT.get()) and mirror in self.table.worklist:
                trace.hinted.add(mirror)

        await self._call("put_hint", do)

    async def load_worklist(self) -> list[WorkItem]:
        found = await self._call("load_hints", self.table.load_worklist)
        if trace := CURRENT.get():
            for item in found:
                trace.worklist.setdefault(item.etag, self.node.harness.loop.time())
        return found

    async def drop_work_item(self, item: WorkItem) -> None:
        async def do() -> None:
            if (trace := CURRENT.get()) and self.table.worklist.get(item.mirror) == item.etag:
                now, known = self.node.harness.loop.time(), trace.heads.get(item.mirror)
                self.node.harness.journal.drops.append(Drop(now, trace, item.mirror, item.etag, known, self.node.now()))
            await self.table.drop_work_item(item)

        await self._call("drop_hint", do)

    async def load_sweep(self) -> Sweep | None:
        return await self._call("load_sweep", self.table.load_sweep)

    async def save_sweep(self, sweep: Sweep) -> None:
        await self._call("save_sweep", lambda: self.table.save_sweep(sweep))

    async def put_heard(self, mirror: str, member: str, at: Instant) -> None:
        await self._call("put_heard", lambda: self.table.put_heard(mirror, member, at))

    async def load_heard(self, mirror: str) -> Mapping[str, Instant]:
        return await self._call("load_heard", lambda: self.table.load_heard(mirror))

    async def load_granted(self, subscription: str) -> Granted:
        return await self._call("load_granted", lambda: self.table.load_granted(subscription))

    async def save_granted(self, subscription: str, granted: Granted) -> None:
        await self._call("save_granted", lambda: self.table.save_granted(subscription, granted))

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        await self._call("count_failures", lambda: self.table.count_failures(instance, counts, at))


class _Probes:
    """Pages and paths as the harness has them."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.unread: dict[str, str] = {}

    async def page(self, member: Member) -> Page:
        await self.node.alive()
        await asyncio.sleep(0.01)
        said = self.node.harness.pages.get(member.name, Page.UNKNOWN)
        if trace := CURRENT.get():
            trace.pages[member.name] = said
        return said

    async def path(self, target: str, *, within_s: float) -> float | None:
        await self.node.alive()
        await asyncio.sleep(0.01)
        return 0.01


__all__ = ["DOCUMENT", "START", "SUB", "Fate", "Harness", "Node", "Stale", "Unreachable", "forever"]
