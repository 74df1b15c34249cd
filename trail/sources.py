"""Where rows come from: the table itself, or a copy of it. Each row is a dict of the table's columns, newest first."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EntityProperty, TableClient

from trail.chain import TOP

WHOLE: Final = ("Seq", "Epoch", "DurationMs")
"""The columns of whole numbers; a CSV has them as text."""


def open_table(table: str, *, connection: str = "", account: str = "") -> TableClient:
    """The table, by a connection string, or by an account's name or endpoint and whoever is logged in here."""
    if connection:
        return TableClient.from_connection_string(connection, table)
    from azure.identity import DefaultAzureCredential  # takes half a second to import

    endpoint = account if "://" in account else f"https://{account}.table.core.windows.net"
    return TableClient(endpoint, table, credential=DefaultAzureCredential())


def head(client: TableClient, mirror: str) -> dict[str, Any]:
    """The mirror's head; empty where there is none."""
    try:
        return plain(client.get_entity(mirror, "head"))
    except ResourceNotFoundError:
        return {}


def rows(client: TableClient, mirror: str) -> Iterator[dict[str, Any]]:
    """The audit rows of a mirror, a page at a time."""
    query = "PartitionKey eq @mirror and RowKey ge 'audit-' and RowKey lt 'audit.'"
    for entity in client.query_entities(query, parameters={"mirror": mirror}):
        yield plain(entity)


def plain(entity: Mapping[str, Any]) -> dict[str, Any]:
    """The columns without their types; what no trail holds (dates, bytes) as it is."""
    return {name: value.value if isinstance(value, EntityProperty) else value for name, value in entity.items()}


def copied(names: Iterable[str], mirror: str) -> list[dict[str, Any]]:
    """The mirror's rows of copies: `-` is standard input. Raises OSError, ValueError.

    CSV: of `GET .../audit?format=csv`, or as Storage Explorer exports it. JSON: of `GET .../audit`, or of
    `az storage entity query`. A row that several copies have counts once.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        try:
            entities = _entities(data.decode("utf-8-sig"), mirror)
        except (ValueError, TypeError, AttributeError, csv.Error) as exc:
            raise ValueError(f"{name} is no copy of a trail: {exc}") from exc
        for one in entities:
            key = str(one.get("RowKey"))
            ours = key.startswith("audit-") and one.get("PartitionKey") == mirror
            if ours and found.setdefault(key, one) != one:
                raise ValueError(f"{name}: another copy has the row {one.get('Seq')} with other columns")
    return [found[key] for key in sorted(found)]


def _entities(text: str, mirror: str) -> list[dict[str, Any]]:
    if text.lstrip()[:1] in ("{", "["):
        data = json.loads(text)
        listed = data if isinstance(data, list) else data.get("records", data.get("items", data.get("value", [])))
        return [_from_api(one, mirror) if "seq" in one else _from_json(one) for one in listed]
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    return [_from_api(_unmarked(one), mirror) if "seq" in one else _from_csv(one) for one in lines]


def _from_api(record: Mapping[str, Any], mirror: str) -> dict[str, Any]:
    """A record of the app's answer: its columns in snake_case, the keys left out."""
    columns = {name.title().replace("_", ""): value for name, value in record.items() if name != "mirror"}
    columns |= {name: _whole(columns[name]) for name in WHOLE if name in columns}
    seq = columns.get("Seq")
    key = f"audit-{TOP - seq:019d}" if isinstance(seq, int) else "audit-"
    return {"PartitionKey": record.get("mirror", mirror), "RowKey": key, **columns}


def _unmarked(cells: Mapping[str, str]) -> dict[str, str]:
    """The cells of the app's CSV, without the apostrophe that keeps a spreadsheet from calculating; empty ones left out."""
    return {name: cell.removeprefix("'") for name, cell in cells.items() if cell}


def _from_csv(cells: Mapping[str, str]) -> dict[str, Any]:
    """A line of Storage Explorer's export: beside each column its type."""
    found = {name: cell for name, cell in cells.items() if cell and "@" not in name and name != "Timestamp"}
    return {name: _whole(cell) if name in WHOLE else cell for name, cell in found.items()}


def _from_json(entity: Mapping[str, Any]) -> dict[str, Any]:
    """An entity as az or the REST API prints it; az shows an Edm.Int64 with its type."""
    found = {name: one for name, one in entity.items() if name not in ("etag", "Timestamp") and not set(name) & set("@.")}
    bare = {name: one.get("value") if isinstance(one, dict) else one for name, one in found.items()}
    return {name: _whole(one) if name in WHOLE else one for name, one in bare.items()}


def _whole(value: Any) -> Any:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else value
