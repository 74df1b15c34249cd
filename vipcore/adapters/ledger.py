"""The Ledger port on Azure Table storage: a partition per mirror, one each for worklist, sweep and counters; key ranges only."""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vipcore import instants
from vipcore.adapters.table import Conflict, NotFound, Table
from vipcore.errors import CommitUnknown, NoReply, NotSent, Stale, Unreachable
from vipcore.ledger import columns
from vipcore.ledger.audit import Row, row_key
from vipcore.ledger.head import Head
from vipcore.ledger.port import Sweep, WorkItem

WORK: Final = ".work"
SWEEP: Final = ".sweep"
AUTH: Final = ".auth"
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
        try:
            entity = await self.table.get(mirror, columns.ROW_KEY)
            return columns.from_entity(entity.columns, entity.etag)
        except NotFound:
            return Head(mirror=mirror)
        except ValueError as exc:
            raise _Damaged(str(exc)) from exc

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        """See the port."""
        try:
            etag = await self.table.transact(columns.to_entity(head), head.etag, [row.to_entity() for row in rows])
        except Conflict as exc:
            raise Stale(f"another writer was first at the head of mirror {head.mirror}") from exc
        except NoReply as exc:
            raise CommitUnknown(str(exc)) from exc
        except NotSent as exc:
            raise Unreachable(str(exc)) from exc
        return replace(head, etag=etag)

    async def load_row(self, mirror: str, seq: int) -> Row | None:
        """See the port."""
        try:
            return Row.from_entity((await self.table.get(mirror, row_key(seq))).columns)
        except NotFound:
            return None

    async def newest_rows(self, mirror: str, *, before: int | None, limit: int) -> list[Row]:
        """See the port."""
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
        """See the port."""
        await self.table.put({"PartitionKey": WORK, "RowKey": mirror})

    async def load_worklist(self) -> list[WorkItem]:
        """See the port."""
        entities = await self.table.query(WORK)
        return [WorkItem(mirror=str(entity.columns["RowKey"]), etag=entity.etag) for entity in entities]

    async def drop_work_item(self, item: WorkItem) -> None:
        """See the port."""
        with contextlib.suppress(Conflict):
            await self.table.delete(WORK, item.mirror, item.etag)

    async def load_sweep(self) -> Sweep | None:
        """See the port."""
        try:
            entity = await self.table.get(SWEEP, SWEEP)
            return Sweep(after=str(entity.columns["After"]), at=instants.from_text(str(entity.columns["At"])))
        except (NotFound, KeyError, ValueError):
            return None

    async def save_sweep(self, sweep: Sweep) -> None:
        """See the port."""
        await self.table.put({"PartitionKey": SWEEP, "RowKey": SWEEP, "After": sweep.after, "At": instants.to_text(sweep.at)})

    async def count_failures(self, instance: str, counts: Mapping[str, int], at: str) -> None:
        """See the port. No other process writes this row, so it is read and replaced."""
        key = re.sub(r"[^A-Za-z0-9_.-]", "_", instance)
        columns: dict[str, Any] = {}
        with contextlib.suppress(NotFound):
            columns = dict((await self.table.get(AUTH, key)).columns)
        for code, count in counts.items():
            name = code.title().replace("-", "")
            columns[name] = columns.get(name, 0) + count
        await self.table.put({**columns, "PartitionKey": AUTH, "RowKey": key, "At": at})
