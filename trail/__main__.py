"""`python -m trail MIRROR`: say in one line whether the mirror's audit trail is intact, and print its newest rows.

  python -m trail PROD --account ACCOUNT                    whoever is logged in: az login, or a managed identity
  python -m trail PROD --connection-string "$CONNECTION"    default: AZURE_STORAGE_CONNECTION_STRING
  python -m trail PROD --copy audit.csv                     a copy, CSV or JSON; - reads standard input

The chain of hashes is recomputed here, and in the table its end is compared with the mirror's head. With VIP_AUDIT_KEY (and
VIP_AUDIT_KEY_PREVIOUS) in the environment rows that are sealed with them are verified too.
Exit code 0: intact; 1: broken; 2: it could not be looked at.
"""

import argparse
import base64
import binascii
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NoReturn

from azure.core.exceptions import AzureError

from trail import chain, sources
from trail.chain import Row, Verdict

COLUMNS: Final = ("Seq", "At", "Event", "Member", "FromMember", "Outcome", "DurationMs", "Actor", "Detail")
WIDTH: Final = 160
"""Columns of a line where no terminal tells how many it has."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, check, print. Returns the exit code."""
    asked = _parser().parse_args(arguments)
    newest: list[Row] = []
    try:
        known = chain.keys(*_secrets())
        if asked.copy:
            found = chain.check(_kept(sources.copied(asked.copy, asked.mirror), newest, asked.rows), known, whole=False)
        else:
            found = _in_table(asked, known, newest)
    except (AzureError, OSError, ValueError) as exc:
        said = str(exc).partition("\n")[0]
        if isinstance(exc, OSError) and exc.filename:
            said = f"{exc.filename}: {exc.strerror}"
        _stop(f"cannot look: {said or type(exc).__name__}")
    if not found.rows and not found.fault:
        _stop(f"no rows of a mirror {asked.mirror} are there; check the names of mirror, table and account")
    print(_sentence(asked.mirror, found, copy=bool(asked.copy), keyed=len(known) > 1))
    if newest:
        print()
        _print(newest)
    return 2 if found.unknown_key else 1 if found.fault else 0


def _parser() -> argparse.ArgumentParser:
    shown = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m trail", description=shown[0], epilog=shown[2], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mirror", help="its name in the mirrors document")
    source = parser.add_mutually_exclusive_group(required="AZURE_STORAGE_CONNECTION_STRING" not in os.environ)
    source.add_argument("--connection-string", metavar="TEXT", help="of the storage account")
    source.add_argument("--account", metavar="NAME", help="the storage account, or its table endpoint (https://...)")
    source.add_argument("--copy", metavar="FILE", nargs="+", help="a copy of the trail, or several parts of one")
    parser.add_argument("--table", default="MirrorVip", help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=20, metavar="N", help="how many rows are printed, default: %(default)s")
    return parser


def _secrets() -> Iterator[bytes]:
    for name in ("VIP_AUDIT_KEY", "VIP_AUDIT_KEY_PREVIOUS"):
        if text := os.environ.get(name, "").strip():
            try:
                yield base64.b64decode(text, validate=True)
            except binascii.Error as exc:
                raise ValueError(f"{name} is not base64") from exc


def _in_table(asked: argparse.Namespace, known: dict[str, bytes | None], newest: list[Row]) -> Verdict:
    """The verdict on the whole trail and its head."""
    connection = asked.connection_string or ("" if asked.account else os.environ["AZURE_STORAGE_CONNECTION_STRING"])
    with sources.open_table(asked.table, connection=connection, account=asked.account or "") as client:
        head = sources.head(client, asked.mirror)
        at_head: list[Row] = []
        rows = _kept(sources.rows(client, asked.mirror), newest, asked.rows)
        found = chain.check(_found(rows, head.get("Seq"), at_head), known)
        if found.fault:
            return found
        # Rows that came after the head was read are in a head that is read after them.
        later = sources.head(client, asked.mirror) if found.last > head.get("Seq", 0) else head
    return found._replace(fault=end_fault(head, later, found.last, str(at_head[0].get("Hash")) if at_head else ""))


def _found(rows: Iterable[Row], seq: int | None, into: list[Row]) -> Iterator[Row]:
    for row in rows:
        if row.get("Seq") == seq:
            into.append(row)
        yield row


def end_fault(head: Row, later: Row, last: int, hash_at_head: str) -> str:
    """What is wrong between the head, read before and after the rows, and the newest row, as a sentence."""
    says, says_later = head.get("Seq", 0), later.get("Seq", 0)
    if last < says:
        return f"the head says {says} rows, and the newest row is {last}: the tail was cut off"
    if says and hash_at_head != head.get("HeadHash"):
        return f"the Hash of row {says} is not the head's: the tail was replaced"
    if last > says_later:
        return f"the head says {says_later} rows, and the newest row is {last}: the head was set back or removed"
    return ""


def _kept(rows: Iterable[Row], newest: list[Row], count: int) -> Iterator[Row]:
    """The rows, of which the first `count` are kept to be printed. Says how far it has come where that takes long."""
    told = time.monotonic()
    for number, row in enumerate(rows, 1):
        if number <= count:
            newest.append(row)
        if time.monotonic() - told > 2:
            told = time.monotonic()
            print(f"{number} rows read ...", file=sys.stderr, flush=True)
        yield row


def _sentence(mirror: str, found: Verdict, *, copy: bool, keyed: bool) -> str:
    if found.unknown_key:
        return f"cannot tell: {mirror}, {found.fault}"
    if found.fault:
        return f"broken: {mirror}, {found.fault}"
    said = f"intact: {mirror}, rows {found.first} to {found.last}, newest hash {found.hash}"
    if found.keyed_from:
        said += f", keyed from row {found.keyed_from}"
    elif keyed:
        said += ", no row is sealed with an audit key"
    # A copy has no head beside it, so nobody can see where it should end.
    return f"{said} (a copy: compare its end with the log's audit.head lines)" if copy else said


def _print(rows: Sequence[Row]) -> None:
    """The rows as a table, cut to the width of the terminal."""
    lines = [list(COLUMNS), *([_cell(row.get(name, "")) for name in COLUMNS] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    width = max(80, shutil.get_terminal_size((WIDTH, 24)).columns)
    for line in lines:
        cells = [
            cell.rjust(wide) if name in sources.WHOLE else cell.ljust(wide)
            for name, cell, wide in zip(COLUMNS, line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip()[:width])


def _cell(value: object) -> str:
    """A value on one line; what would steer a terminal is shown as `?`."""
    return "".join(one if one.isprintable() else "?" for one in str(value))


def _stop(why: str) -> NoReturn:
    print(f"trail: {why}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
