"""The Ledger port in memory: conditional transactions as the Table service has them, without a service."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence

from vipcore.errors import Stale
from vipcore.instants import Instant
from vipcore.ledger.audit import Row, row_key
from vipcore.ledger.head import Head
from vipcore.ledger.port import Granted, Sweep, WorkItem


class MemoryLedger:
    """One table. Entities are kept in their table form, so that what is read went through `to_entity` and back."""

    def __init__(self) -> None:
        self.heads: dict[str, tuple[dict[str, object], str]] = {}
        self.rows: dict[str, dict[str, dict[str, object]]] = {}
        self.worklist: dict[str, str] = {}
        self.sweep: Sweep | None = None
        self.heard: dict[str, dict[str, Instant]] = {}
        self.granted: dict[str, Granted] = {}
        self.failures: dict[str, dict[str, int]] = {}
        self._etags = itertools.count(1)
        self._parsed: dict[str, tuple[object, Head]] = {}
        self.on_commit: Callable[[Head, Sequence[Row]], None] = lambda head, rows: None

    def _etag(self) -> str:
        return f'W/"{next(self._etags)}"'

    async def load_head(self, mirror: str) -> Head:
        stored = self.heads.get(mirror)
        if stored is None:
            return Head(mirror=mirror)
        known = self._parsed.get(mirror)
        if known is None or known[0] is not stored:
            known = self._parsed[mirror] = (stored, Head.from_entity(*stored))
        return known[1]

    def set_head(self, mirror: str, entity: dict[str, object] | None) -> None:
        """Damage: an older copy takes the head's place, or none does."""
        self.heads.pop(mirror, None)
        if entity is not None:
            self.heads[mirror] = (entity, self._etag())

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        stored = self.heads.get(head.mirror)
        if (stored[1] if stored else None) != head.etag:
            raise Stale(head.mirror)
        partition = self.rows.setdefault(head.mirror, {})
        if any(row.row_key in partition for row in rows):
            raise Stale(head.mirror)
        etag = self._etag()
        self.heads[head.mirror] = (head.to_entity(), etag)
        partition.update({row.row_key: row.to_entity() for row in rows})
        after = await MemoryLedger.load_head(self, head.mirror)  # no read of the app's
        self.on_commit(after, rows)
        return after

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        entity = self.rows.get(mirror, {}).get(row_key(seq))
        return Row.from_entity(entity) if entity else None

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        above = row_key(before) if before is not None else ""
        keys = sorted(key for key in self.rows.get(mirror, {}) if key > above)
        return [Row.from_entity(self.rows[mirror][key]) for key in keys[:limit]]

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        keys = sorted((key for key in self.rows.get(mirror, {}) if key <= row_key(seq)), reverse=True)
        return [Row.from_entity(self.rows[mirror][key]) for key in keys[:limit]]

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        return dict(zip(mirrors, await asyncio.gather(*(self.load_head(name) for name in mirrors)), strict=True))

    async def put_work_item(self, mirror: str) -> None:
        self.worklist[mirror] = self._etag()

    async def load_worklist(self) -> list[WorkItem]:
        return [WorkItem(mirror=mirror, etag=etag) for mirror, etag in self.worklist.items()]

    async def drop_work_item(self, item: WorkItem) -> None:
        if self.worklist.get(item.mirror) == item.etag:
            del self.worklist[item.mirror]

    async def load_sweep(self) -> Sweep | None:
        return self.sweep

    async def save_sweep(self, sweep: Sweep) -> None:
        self.sweep = sweep

    async def put_heard(self, mirror: str, member: str, at: Instant) -> None:
        self.heard.setdefault(mirror, {})[member] = at

    async def load_heard(self, mirror: str) -> Mapping[str, Instant]:
        return self.heard.get(mirror, {})

    async def load_granted(self, subscription: str) -> Granted:
        return self.granted.get(subscription, Granted({}, None))

    async def save_granted(self, subscription: str, granted: Granted) -> None:
        stored = self.granted.get(subscription)
        if (stored.etag if stored else None) != granted.etag:
            raise Stale(subscription)
        self.granted[subscription] = granted._replace(etag=self._etag())

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        row = self.failures.setdefault(instance, {})
        for code, count in counts.items():
            row[code] = row.get(code, 0) + count
