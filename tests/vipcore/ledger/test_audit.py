"""Audit rows: their order in every viewer, and how an answer shows them."""

import json

from tests.vipcore.ledger.trails import AT, chain
from vipcore.ledger import audit
from vipcore.ledger.audit import Entry, Row


def test_newest_row_is_the_first_in_every_viewer() -> None:
    """RowKeys fall as Seq rises, at every number of digits."""
    keys = [audit.row_key(seq) for seq in (1, 2, 9, 10, 99, 100, 10**6, 10**12, 2**53 - 1)]

    assert keys == sorted(keys, reverse=True)
    assert {len(key) for key in keys} == {25}


def test_view_has_the_columns_in_snake_case() -> None:
    """`GET audit` shows the table's columns, named in snake_case; what JSON has no form for is shown as text."""
    row = chain([Entry(event="nic.write", actor="reconciler", arm_request_ids="r", duration_ms=5, from_member="A")])[0]

    assert row.view() == {
        "seq": 1, "at": AT, "epoch": 7, "alg": "sha256", "prev_hash": "0" * 64, "event": "nic.write", "actor": "reconciler",
        "arm_request_ids": "r", "duration_ms": 5, "from_member": "A", "hash": row.hash,
    }  # fmt: skip
    forged = Row.from_entity({**row.to_entity(), "Extra": b"x", "Epoch": float("nan")})
    assert json.loads(json.dumps(forged.view(), allow_nan=False))["extra"] == "b'x'"
