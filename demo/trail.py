"""An auditor's reader of the trail: azure-data-tables and the chain's definition, and nothing of the app's code.

Hash = SHA-256 over the canonical JSON (RFC 8785) of all columns but Hash and the service's Timestamp; PrevHash of row 1
is 64 zeros. For what a trail holds (text and whole numbers under names in ASCII) Python's own JSON, with sorted names
and no spaces, is that canonical form.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from azure.data.tables import EntityProperty, TableClient

FIRST_PREVIOUS: Final = "0" * 64


def read(connection: str, table: str, mirror: str) -> list[dict[str, Any]]:
    """The audit rows of a mirror, oldest first, as plain columns."""
    query = "PartitionKey eq @mirror and RowKey ge 'audit-' and RowKey lt 'audit.'"
    with TableClient.from_connection_string(connection, table) as client:
        found = client.query_entities(query, parameters={"mirror": mirror})
        rows = [{name: _plain(value) for name, value in entity.items()} for entity in found]
    return sorted(rows, key=lambda row: int(row["Seq"]))


def fault(rows: Sequence[dict[str, Any]]) -> str:
    """The first thing that is wrong with the trail, as a sentence; empty if it is gapless and its chain holds."""
    previous = FIRST_PREVIOUS
    for number, row in enumerate(rows, 1):
        if row["Seq"] != number:
            return f"row {number} is missing: the next one is {row['Seq']}"
        if row["PrevHash"] != previous:
            return f"row {number} does not follow row {number - 1}"
        if row["Hash"] != digest(row):
            return f"row {number} is not what was written: its hash differs"
        previous = row["Hash"]
    return ""


def digest(row: dict[str, Any]) -> str:
    """A row's hash, recomputed (rows of a site that sets VIP_AUDIT_KEY would need that key: HMAC-SHA-256)."""
    columns = {name: value for name, value in row.items() if name != "Hash"}
    canonical = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """An int64 column comes wrapped, with its type beside it."""
    return value.value if isinstance(value, EntityProperty) else value
