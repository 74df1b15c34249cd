"""The Ledger port on Azure Table storage: a partition per mirror, one each for what concerns all of them; key ranges only."""

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from vipcore import instants
from vipcore.adapters.table import Conflict, Table
from vipcore.errors import Unreachable
from vipcore.instants import Instant
from vipcore.ledger.audit import Row, row_key
from vipcore.ledger.head import ROW_KEY, Head
from vipcore.ledger.port import Granted, Sweep, WorkItem

WORK: Final = ".work"
SWEEP: Final = ".sweep"
AUTH: Final = ".auth"
HEARD: Final = ".heard"
WRITES: Final = ".writes"
"""Partitions beside the mirrors': a mirror's name never begins with a dot."""

SIDE_BY_SIDE: Final = 64
_FIRST: Final = "audit-"
_END: Final = "audit."
"""Where the audit rows of a partition begin and end, in the order of keys (`.` comes right after `-`)."""


class _Damaged(Unreachable):
    """The head is there and cannot be read."""


@dataclass(slots=True)
class TableLedger:
    """`vipcore.ledger.port.Ledger` on one table; what each method promises is said there."""

    table: Table

    async def load_head(self, mirror: str) -> Head:
        """See the port. A damaged head is Unreachable too, since nothing can be decided on it."""
        entity = await self.table.get(mirror, ROW_KEY)
        try:
            return Head.from_entity(entity.columns, entity.etag) if entity else Head(mirror=mirror)
        except ValueError as exc:
            raise _Damaged(str(exc)) from exc

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        etag = await self.table.transact(head.to_entity(), head.etag, [row.to_entity() for row in rows])
        return replace(head, etag=etag)

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        entity = await self.table.get(mirror, row_key(seq))
        return Row.from_entity(entity.columns) if entity else None

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        above = _FIRST if before is None else row_key(before)
        entities = await self.table.query(mirror, f"RowKey gt '{above}' and RowKey lt '{_END}'", limit)
        return [Row.from_entity(entity.columns) for entity in entities]

    async def rows_from(self, mirror: str, seq: int, *, limit: int) -> list[Row]:
        """See the port. The service reads from new to old only, so this queries the keys of `limit` seqs."""
        # Up to the key of the row before: a forged key between two rows is part of the page too, and breaks its chain.
        end = row_key(seq - 1) if seq > 1 else _END
        between = f"RowKey ge '{row_key(seq + limit - 1)}' and RowKey lt '{end}'"
        entities = await self.table.query(mirror, between, limit)
        return [Row.from_entity(entity.columns) for entity in reversed(entities)]

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        """See the port. The first failure ends it: without the service, thousands of tries would take minutes."""
        found: dict[str, Head] = {}
        waiting = iter(mirrors)

        async def load_some() -> None:
            for mirror in waiting:
                with contextlib.suppress(_Damaged):
                    found[mirror] = await self.load_head(mirror)

        tasks = [asyncio.create_task(load_some()) for _ in range(SIDE_BY_SIDE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return {mirror: found[mirror] for mirror in mirrors if mirror in found}

    async def put_work_item(self, mirror: str) -> None:
        await self.table.put({"PartitionKey": WORK, "RowKey": mirror})

    async def load_worklist(self) -> list[WorkItem]:
        entities = await self.table.query(WORK)
        return [WorkItem(mirror=str(entity.columns["RowKey"]), etag=entity.etag) for entity in entities]

    async def drop_work_item(self, item: WorkItem) -> None:
        with contextlib.suppress(Conflict):
            await self.table.delete(WORK, item.mirror, item.etag)

    async def load_sweep(self) -> Sweep | None:
        entity = await self.table.get(SWEEP, SWEEP)
        with contextlib.suppress(KeyError, ValueError):
            if entity:
                return Sweep(after=str(entity.columns["After"]), at=instants.from_text(str(entity.columns["At"])))
        return None

    async def save_sweep(self, sweep: Sweep) -> None:
        await self.table.put({"PartitionKey": SWEEP, "RowKey": SWEEP, "After": sweep.after, "At": instants.to_text(sweep.at)})

    async def put_heard(self, mirror: str, member: str, at: Instant) -> None:
        key = f"{mirror} {quote(member, safe='')}"
        await self.table.put({"PartitionKey": HEARD, "RowKey": key, "Member": member, "At": instants.to_text(at)})

    async def load_heard(self, mirror: str) -> Mapping[str, Instant]:
        found: dict[str, Instant] = {}
        for entity in await self.table.query(HEARD, f"RowKey gt '{mirror} ' and RowKey lt '{mirror}!'"):
            with contextlib.suppress(KeyError, ValueError):
                found[str(entity.columns["Member"])] = instants.from_text(str(entity.columns["At"]))
        return found

    async def load_granted(self, subscription: str) -> Granted:
        """See the port. A damaged row counts as an empty one, and is replaced: a wrong count costs time, and nothing else."""
        entity = await self.table.get(WRITES, subscription)
        if entity is None:
            return Granted({}, None)
        with contextlib.suppress(KeyError, ValueError, TypeError, AttributeError):
            found = json.loads(entity.columns["Granted"])
            return Granted({name: {int(at): int(n) for at, n in one.items()} for name, one in found.items()}, entity.etag)
        return Granted({}, entity.etag)

    async def save_granted(self, subscription: str, granted: Granted) -> None:
        text = json.dumps(granted.by_instance, separators=(",", ":"))
        await self.table.transact({"PartitionKey": WRITES, "RowKey": subscription, "Granted": text}, granted.etag, [])

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        """See the port. No other process writes this row, so it is read and replaced."""
        key = re.sub(r"[^A-Za-z0-9_.-]", "_", instance)
        entity = await self.table.get(AUTH, key)
        columns = dict(entity.columns) if entity else {}
        for code, count in counts.items():
            name = code.title().replace("-", "")
            columns[name] = columns.get(name, 0) + count
        await self.table.put({**columns, "PartitionKey": AUTH, "RowKey": key, "At": at})
