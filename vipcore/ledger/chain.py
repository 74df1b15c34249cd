"""The check of a mirror's hash chain, row by row. Pure."""

import hmac
from collections.abc import Sequence
from typing import NamedTuple

from vipcore.ledger.audit import GENESIS, Row
from vipcore.ledger.seal import KEYED, Seal, digest


class Link(NamedTuple):
    """Where a check of the chain stands: the last seq it accepted, that row's hash, and the first keyed seq so far."""

    seq: int = 0
    hash: str = GENESIS
    keyed_from: int | None = None


class Broken(NamedTuple):
    """The first row that does not fit, and why, as a sentence."""

    seq: int
    detail: str


def verify(mirror: str, rows: Sequence[Row], link: Link, seal: Seal) -> Link | Broken:
    """Go along the rows (ascending from link.seq + 1) and return where the chain stands after them, or the first break."""
    for row in rows:
        if wrong := _wrong(mirror, row, link, seal):
            return Broken(seq=link.seq + 1, detail=wrong)
        keyed = link.keyed_from is None and str(row.columns["Alg"]).startswith(KEYED)
        link = Link(seq=row.seq, hash=row.hash, keyed_from=row.seq if keyed else link.keyed_from)
    return link


def _wrong(mirror: str, row: Row, link: Link, seal: Seal) -> str | None:
    """Why a row is not the next one of the chain, as a sentence, or None."""
    seq, alg = link.seq + 1, str(row.columns.get("Alg", ""))
    if row.seq != seq or row.mirror != mirror:
        return f"row {seq} is missing; the next row found says Seq {row.seq}"
    if row.columns.get("PrevHash") != link.hash:
        return f"PrevHash of row {seq} is not the hash of row {seq - 1}"
    if link.keyed_from is not None and not alg.startswith(KEYED):
        return f"row {seq} is plain although rows from {link.keyed_from} on are keyed"
    try:
        expected = digest(row.to_entity(), seal.key_for(alg))
    except KeyError:
        return f"row {seq} says Alg {alg[:64]!r}; no audit key with that fingerprint is set"
    except ValueError as exc:
        return f"row {seq} cannot be hashed: {exc}"
    intact = hmac.compare_digest(expected.encode(), row.hash.encode("utf-8", "surrogatepass"))
    return None if intact else f"the columns of row {seq} do not hash to its Hash: it was changed"
