"""One pass of the timer over all mirrors: finish what is unfinished, judge recorded claims again, end freezes, look for drift.

Which mirrors: those on the worklist (work left behind), those that follow their pages, and a slice of all, so that every head is
seen within ten minutes. How far that sweep has come stands in the table, so that it goes on where another process stopped.

Each mirror has a task of its own, and the pass is over after `PASS_S`, whatever hangs: a mirror that waits for Azure keeps no
other waiting. Tasks that are still under way go on, each bounded by its own times; later passes of this process leave their
mirrors alone. If we die, they are drivers that died.

Every five minutes the log has one line of what the passes saw (`timer.pass`); its silence means that the timer stands still.

Order of effects: worklist and sweep are read, then the heads, then the sweep's new place is written, then the mirrors have their
turns. If we die in a pass, the slice's next turn comes with the next round; work that was begun is on the worklist. An item is
dropped only under the etag read before the head, only where that head shows no work, and only where it was so old, when the head
was read, that no request which wrote it could still commit. So whatever is decided while a pass runs keeps the item that was
written for it.

A mirror whose turn it is to be looked at has its trail verified after that, once a day and after each start (ledger/verify.py):
so these looks are as spread as the sweep.
"""

import asyncio
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from vipcore import VERSION
from vipcore.arm.rate_limit import BACKGROUND, ORDER
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.reconcile import Done, reconcile
from vipcore.decision.request import HeadChanged
from vipcore.errors import Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.ledger import verify
from vipcore.ledger.audit import RECONCILER, Caller
from vipcore.ledger.head import LEASE_MARGIN_S, Head
from vipcore.ledger.port import Sweep, WorkItem
from vipcore.limits import PLATFORM_S_MAX
from vipcore.model import Json, Mirror

PASS_S: Final = 25.0
"""How long a pass lasts at most: less than the timer's 30 s, so that nothing which hangs keeps new work waiting for a pass."""

ATTEND_S: Final = 240.0
"""How long a task may be at one mirror. What it does is bounded by less (`LOOK_S`, `DRIVE_S`); this is for reads of a preflight
that wait for Azure's throttle to end."""

ITEM_S_MIN: Final = PLATFORM_S_MAX + LEASE_MARGIN_S
"""How long a work item stays at least after a pass first saw it: its request may commit until the platform cuts it off."""

SWEEP_S: Final = 540.0
SWEEP_MIN: Final = 10
FIRST_SWEEP_S: Final = 30.0
FAILED_S: Final = 3600.0
TELL_S: Final = 285.0
"""The log has a line of the passes every five minutes: a pass may end some seconds earlier than the tenth one before it."""

STARTS_PER_S: Final = 100.0
"""Turns that a pass begins: claims get their share of the event loop."""


class Turn(NamedTuple):
    """What a pass knows of a mirror.

    `outlived`: its work item, if no request that wrote it could still commit when `head` was read. `look`: whether it is its turn
    to have its placement compared with desired. `in_vain`: when Azure's limit of reads last left it no turn (seconds since 1970).
    """

    mirror: Mirror
    head: Head
    outlived: WorkItem | None
    look: bool
    in_vain: float

    @property
    def due(self) -> float:
        """Since when it has waited for the timer (seconds since 1970): who has waited longest is read first.

        What was tried in vain before counts as later: among many that hang, one that may end is not kept waiting.
        """
        swap = self.head.swap
        failed = swap.retry_at.timestamp() if swap and swap.failures else 0.0
        return max([self.head.began.timestamp(), *(at + FAILED_S for at in (failed, self.in_vain) if at)])


class Passed(NamedTuple):
    """What a pass did, in mirrors. `left`: still attended to when it was over, those of earlier passes included."""

    attended: int = 0
    driven: int = 0
    refused: int = 0
    left: int = 0


class Timer:
    """The passes of one process, and what it remembers between them."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self._attending: dict[str, asyncio.Task[Done | None]] = {}
        """The mirrors that this process attends to now."""
        self._running = False
        self._seen: dict[WorkItem, float] = {}
        """The items that the last pass read, and when (loop seconds) this process first saw each."""
        self._marks: dict[str, frozenset[str]] = {}
        """Mirror -> what its head said when a pass last read it."""
        self._in_vain: dict[str, float] = {}
        """Mirror -> when a turn of it last ended for want of reads; only those whose last turn did."""
        self._told_at = float("-inf")

    async def run_pass(self, correlation_id: str) -> Passed:
        """One pass. Errors of one mirror are logged and leave the others alone; Unreachable ends the pass quietly.

        Raises what a defect of ours raises, after all mirrors have had their turn.
        """
        if self.controller.config.fatal or self._running:
            return Passed()
        try:
            return await self._pass(correlation_id)
        except Unreachable as exc:
            said = f"No mirror was looked at, for want of the table: {exc}"
            self.controller.log("timer.skipped", correlation=correlation_id, detail=said)
            return Passed(left=len(self._attending))

    async def run_now(self, correlation_id: str) -> Json:
        """`POST /reconcile`: a pass over what has work left and all that is decided; what it did. Raises Refusal."""
        if self._running:
            raise Refusal("busy", "A pass of the timer is running; it ends within half a minute. Then ask again.", status=409)
        with storage_needed():
            return (await self._pass(correlation_id, whole=True))._asdict()

    async def _pass(self, correlation_id: str, *, whole: bool = False) -> Passed:
        """One pass, the only one of this process. Raises Unreachable, and what a defect raises."""
        self._running = True
        try:
            return await self._attend_all(correlation_id, whole=whole)
        finally:
            self._running = False
            self._tell(correlation_id)

    def _tell(self, correlation_id: str) -> None:
        """The line of the passes, and each fault of the configuration once more: what was logged at start may be lost."""
        now, controller = asyncio.get_running_loop().time(), self.controller
        if now - self._told_at < TELL_S:
            return
        self._told_at, config = now, controller.config
        health = "degraded" if controller.clock.is_off else config.status
        counts = Counter(mark for name, marks in self._marks.items() if name in config.mirrors for mark in marks)
        seen = {mark: counts[mark] for mark in ("unfinished", "recorded", "frozen", "drift", "not_ready")}
        told = {"mirrors": len(config.mirrors), "seen": len(self._marks), "faults": len(config.faults), **seen}
        controller.log(
            "timer.pass", correlation=correlation_id, version=VERSION, health=health, **told, left=len(self._attending)
        )
        for fault in config.faults:
            controller.log("configuration.fault", where=fault.where, detail=fault.what)

    async def _attend_all(self, correlation_id: str, *, whole: bool) -> Passed:
        controller, loop = self.controller, asyncio.get_running_loop()
        ends = loop.time() + PASS_S
        try:
            async with asyncio.timeout_at(ends):
                await controller.admission.flush()
                turns = await self._turns(whole=whole)
        except TimeoutError:
            raise Unreachable(f"the table did not answer within {PASS_S:g} s") from None
        caller, begun = Caller(RECONCILER, correlation_id), []
        for index, turn in enumerate(sorted(turns, key=lambda turn: turn.due)):
            task = loop.create_task(self._have_turn(turn, caller, index / STARTS_PER_S))
            self._attending[turn.mirror.name] = task
            task.add_done_callback(partial(self._attended, turn.mirror.name))
            begun.append(task)
        done = (await asyncio.wait(begun, timeout=ends - loop.time()))[0] if begun else set()
        results = [task.result() for task in done]  # the host logs a defect with its stack
        driven, refused = sum(result is not None and result.driven for result in results), results.count(None)
        return Passed(attended=len(results), driven=driven, refused=refused, left=len(self._attending))

    async def _turns(self, *, whole: bool) -> list[Turn]:
        """Whose turn it is, in the order of effects that the module names. `whole`: every mirror's that is decided.

        Raises Unreachable.
        """
        controller, ledger = self.controller, self.controller.ledger
        mirrors = controller.config.mirrors
        worklist, sweep = await asyncio.gather(ledger.load_worklist(), ledger.load_sweep())
        items = {item.mirror: item for item in worklist}
        now = asyncio.get_running_loop().time()
        self._seen = {item: self._seen.get(item, now) for item in items.values()}
        outlived = {item.mirror: item for item, seen in self._seen.items() if now - seen >= ITEM_S_MIN}
        swept, reached = slice_of(sorted(mirrors), sweep, controller.clock.now())
        following = {mirror.name for mirror in mirrors.values() if mirror.follow_primary and mirror.has_pages}
        chosen = {*swept, *items, *following} - set(self._attending)
        names = [name for name in mirrors if name in chosen or (whole and name not in self._attending)]
        heads = await ledger.load_heads(names)
        self._marks |= {name: frozenset(_marks(head)) for name, head in heads.items()}
        await ledger.save_sweep(reached)
        for name in set(names) - set(heads):
            controller.log("head.damaged", mirror=name, detail="Delete this mirror's head row: it is rebuilt from the trail.")
        looked = {name for name, head in heads.items() if name in swept or (whole and head.desired is not None)}
        turns = {name: head for name, head in heads.items() if name in chosen or name in looked}
        return [
            Turn(mirrors[name], head, outlived.get(name), name in looked, self._in_vain.get(name, 0.0))
            for name, head in turns.items()
        ]

    async def _have_turn(self, turn: Turn, caller: Caller, after_s: float) -> Done | None:
        """What was done. The trail is looked at afterwards, whatever came of it: no repair waits for that."""
        done = await self._attend(turn, caller, after_s)
        if turn.look:
            await self._verify(turn.head)
        return done

    async def _verify(self, head: Head) -> None:
        """Where it is time: look whether the newest rows of the mirror's trail are intact, and say so in the log."""
        store, log, name = self.controller.store, self.controller.log, head.mirror
        now, known = store.clock.now(), store.verified.get(name)
        if not verify.is_due(known, now) or (known is None and head.seq == 0):
            return
        try:
            found = await verify.newest(store.ledger, store.seal, head, known, now)
        except Unreachable as exc:
            log("timer.later", mirror=name, detail=f"Its trail is verified later: {exc}")
            return
        store.verified[name] = found
        if found.broken:
            log("audit.broken", mirror=name, seq=found.broken.seq, detail=found.broken.detail)
        elif not found.more:
            log("audit.verified", mirror=name, first=found.first, seq=found.reached.seq, hash=found.reached.hash)

    async def _attend(self, turn: Turn, caller: Caller, after_s: float) -> Done | None:
        """What was done; None where it was refused, or could not be done now."""
        ORDER.set((BACKGROUND, turn.due))
        name = turn.mirror.name
        self._in_vain.pop(name, None)
        log = partial(self.controller.log, mirror=name, correlation=caller.correlation_id)
        try:
            await asyncio.sleep(after_s)
            async with asyncio.timeout(ATTEND_S):
                done = await reconcile(self.controller, turn.mirror, turn.head, caller, look=turn.look)
            if turn.outlived is not None and not done.stays:
                await self.controller.ledger.drop_work_item(turn.outlived)
            return done
        except Refusal as refusal:
            log("timer.refused", to=turn.head.desired, code=refusal.code, detail=refusal.detail)
        except HeadChanged:
            log("timer.overtaken", detail="Somebody else decided meanwhile; a later pass looks again.")
        except TimeoutError:
            self._in_vain[name] = self.controller.clock.now().timestamp()
            log("timer.later", detail="Azure's limit of reads left this mirror no turn; a later pass looks again.")
        except Unreachable as exc:
            log("timer.later", detail=f"The table did not serve this mirror; a later pass looks again: {exc}")
        return None

    def _attended(self, name: str, task: asyncio.Task[Done | None]) -> None:
        """The mirror's turn is over, in its pass or later."""
        del self._attending[name]
        if not task.cancelled() and (defect := task.exception()):
            self.controller.log("timer.failed", mirror=name, detail=f"A defect of the controller: {defect!r}")


def _marks(head: Head) -> Iterator[str]:
    """What the line of the passes counts."""
    yield from ["unfinished"] if head.swap is not None else []
    yield from ["recorded"] if head.recorded_claim is not None else []
    yield from ["frozen"] if head.frozen is not None else []
    yield from ["drift"] if head.drift is not None else []
    yield from ["not_ready"] if head.readiness is not None and any(head.readiness.told.values()) else []


def slice_of(names: Sequence[str], sweep: Sweep | None, now: Instant) -> tuple[list[str], Sweep]:
    """The mirrors whose turn it is, and how far the sweep has come then.

    All of them come once in SWEEP_S, however long passes take and whoever makes them, and at least SWEEP_MIN a pass.
    """
    elapsed = min(SWEEP_S, (now - sweep.at).total_seconds()) if sweep else FIRST_SWEEP_S
    count = min(len(names), max(SWEEP_MIN, math.ceil(len(names) * elapsed / SWEEP_S)))
    first = bisect_right(names, sweep.after) if sweep else 0
    swept = [names[(first + index) % len(names)] for index in range(count)]
    return swept, Sweep(after=swept[-1] if swept else "", at=now)
