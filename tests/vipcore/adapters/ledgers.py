"""Ledgers that are held to the port's rules, and helpers that write into them."""

import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

from azure.core.credentials_async import AsyncTokenCredential

from vipcore.adapters.connections import Connections
from vipcore.adapters.ledger import TableLedger
from vipcore.adapters.table import Table
from vipcore.ledger import audit
from vipcore.ledger.audit import Entry, Seal
from vipcore.ledger.head import Head
from vipcore.ledger.port import Ledger

AT = "2026-11-23T00:29:00.000000Z"


@contextlib.asynccontextmanager
async def table_ledger(where: str, credential: AsyncTokenCredential | None = None) -> AsyncIterator[TableLedger]:
    """A ledger on a table of its own, which is not there yet."""
    connections = Connections()
    yield TableLedger(Table(where=where, name=f"T{uuid.uuid4().hex}", credential=credential, connections=connections))
    await connections.close()


def behind(where: str, port: int) -> str:
    """The connection string with another port."""
    return re.sub(r"(TableEndpoint=http://127\.0\.0\.1:)\d+", rf"\g<1>{port}", where)


def port_of(where: str) -> int:
    """The port of a connection string's endpoint."""
    found = re.search(r"TableEndpoint=http://127\.0\.0\.1:(\d+)", where)
    assert found
    return int(found[1])


def extended(head: Head, *drafts: Entry) -> tuple[Head, tuple[audit.Row, ...]]:
    """The head moved on by these rows, and the rows, sealed."""
    rows = audit.append(head.mirror, head.seq, head.head_hash, drafts, at=AT, epoch=head.epoch, seal=Seal())
    return (replace(head, seq=rows[-1].seq, head_hash=rows[-1].hash) if rows else head), rows


async def grown(ledger: Ledger, mirror: str, count: int) -> Head:
    """The mirror's trail made `count` rows longer, 99 to a transaction."""
    head = await ledger.load_head(mirror)
    while count > 0:
        drafts = [Entry(event="nic.write", actor="reconciler", duration_ms=n) for n in range(min(99, count))]
        head = await ledger.commit(*extended(head, *drafts))
        count -= len(drafts)
    return head
