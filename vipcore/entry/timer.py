"""One pass of the timer over all mirrors: finish what is unfinished, judge recorded claims again, end freezes, look for drift.

Which mirrors: those on the worklist (work left behind), those that follow their pages, and a slice of all, so that every head is
seen within ten minutes. The worklist is read before the heads; an item is dropped only under the etag read then, only where the
head, read after it, shows no work, and only when it is so old that no request which wrote it can still be about to commit its
decision. So whatever is decided while a pass runs keeps the item that was written for it.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from vipcore.arm.rate_limit import BACKGROUND, ORDER
from vipcore.decision.controller import Controller
from vipcore.decision.reconcile import reconcile
from vipcore.decision.request import HeadChanged
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger.audit import Caller
from vipcore.ledger.head import LEASE_MARGIN_S, Head
from vipcore.ledger.port import WorkItem
from vipcore.limits import PLATFORM_S_MAX
from vipcore.model import Mirror

ACTOR: Final = "reconciler"
ATTEND_S: Final = 90.0
"""How long a pass may be at one mirror: reads that wait for Azure's throttle to end would keep it from all others."""

ITEM_S_MIN: Final = PLATFORM_S_MAX + LEASE_MARGIN_S
"""How long a work item stays at least after a pass first saw it: its request may commit until the platform cuts it off."""

SWEEP_S: Final = 540.0
SWEEP_MIN: Final = 10
SIDE_BY_SIDE: Final = 64


class Timer:
    """The passes of one process, and what it remembers between them."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self._swept_at: float | None = None
        self._next = 0
        self._seen: dict[WorkItem, float] = {}
        """The items that the last pass read, and when (loop seconds) this process first saw each."""

    async def run_pass(self, correlation_id: str) -> None:
        """One pass. Errors of one mirror are logged and leave the others alone; Unreachable ends the pass quietly.

        Raises what a defect of ours raises, after all mirrors have been attended to.
        """
        controller = self.controller
        if controller.config.fatal:
            return
        mirrors = controller.config.mirrors
        await controller.failures.flush()
        try:
            items = {item.mirror: item for item in await controller.ledger.load_worklist()}
            now = asyncio.get_running_loop().time()
            self._seen = {item: self._seen.get(item, now) for item in items.values()}
            swept = set(self._slice(sorted(mirrors)))
            following = {mirror.name for mirror in mirrors.values() if mirror.follow_primary and mirror.has_pages}
            names = [name for name in mirrors if name in items or name in swept or name in following]
            heads = await controller.ledger.load_heads(names)
        except Unreachable as exc:
            controller.log("timer.skipped", why=str(exc)[:200])
            return
        for name in set(names) - set(heads):
            controller.log("timer.skipped", mirror=name, why="its head row is damaged")
        gate, caller = asyncio.Semaphore(SIDE_BY_SIDE), Caller(ACTOR, correlation_id)

        async def one(name: str) -> None:
            async with gate:
                await self._attend(mirrors[name], heads[name], items.get(name), caller, look=name in swept)

        attended = [name for name in names if name in heads]
        results = await asyncio.gather(*(one(name) for name in attended), return_exceptions=True)
        defects = {name: result for name, result in zip(attended, results, strict=True) if isinstance(result, BaseException)}
        for name, defect in defects.items():
            controller.log("timer.failed", mirror=name, what=repr(defect)[:300])
        for defect in defects.values():
            raise defect  # the host logs it with its stack, when all other mirrors have had their turn

    def _slice(self, names: Sequence[str]) -> list[str]:
        """The mirrors whose turn it is: all of them once in SWEEP_S, however long passes take, and at least SWEEP_MIN a pass."""
        if not names:
            return []
        now = asyncio.get_running_loop().time()
        elapsed = min(SWEEP_S, max(30.0, now - self._swept_at)) if self._swept_at is not None else 30.0
        self._swept_at = now
        count = min(len(names), max(SWEEP_MIN, math.ceil(len(names) * elapsed / SWEEP_S)))
        first = self._next % len(names)
        self._next = first + count
        return [names[(first + index) % len(names)] for index in range(count)]

    async def _attend(self, mirror: Mirror, head: Head, item: WorkItem | None, caller: Caller, *, look: bool) -> None:
        ORDER.set((BACKGROUND, head.began.timestamp()))
        log = self.controller.log
        try:
            async with asyncio.timeout(ATTEND_S):
                busy = await reconcile(self.controller, mirror, head, caller, look=look)
            if item is not None and not busy and self._outlived(item):
                await self.controller.ledger.drop_work_item(item)
        except Refusal as refusal:
            log("timer.refused", mirror=mirror.name, code=refusal.code, detail=refusal.detail[:300])
        except HeadChanged:
            log("timer.overtaken", mirror=mirror.name)
        except TimeoutError:
            log("timer.skipped", mirror=mirror.name, why=f"its reads had no turn within {ATTEND_S:g} s")
        except Unreachable as exc:
            log("timer.skipped", mirror=mirror.name, why=str(exc)[:200])

    def _outlived(self, item: WorkItem) -> bool:
        """Whether no request that wrote this item can be under way any more. Another pass may have read the worklist since."""
        return asyncio.get_running_loop().time() - self._seen.get(item, math.inf) >= ITEM_S_MIN
