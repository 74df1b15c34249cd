"""Audit rows: their order in every viewer, how an answer shows them; the hash chain that an auditor recomputes; the audit key."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vipcore.ledger.trails import AT, KEY, OLD_KEY, OTHER_KEY, chain, judged, stored, texts, trails
from vipcore.ledger import audit
from vipcore.ledger.audit import Broken, Entry, Link, Row, Seal, fingerprint


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


def recomputed(entity: Mapping[str, Any], key: bytes | None) -> str:
    """The Hash by its definition, without our code: for our columns, RFC 8785 is JSON with sorted names and no spaces."""
    columns = {name: value for name, value in entity.items() if name not in ("Hash", "Timestamp")}
    data = json.dumps(columns, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return (hmac.new(key, data, hashlib.sha256) if key else hashlib.sha256(data)).hexdigest()


@pytest.mark.slow
@given(trails, st.sampled_from([None, KEY]))
def test_auditor_recomputes_the_chain_without_us(some: list[Entry], key: bytes | None) -> None:
    """Canonical form, hash, PrevHash, Seq and RowKey are as defined, computed without our code. (I8)"""
    previous = "0" * 64
    for number, entity in enumerate(stored(chain(some, Seal(key))), 1):
        assert entity["Seq"] == number
        assert entity["RowKey"] == f"audit-{9999999999999999999 - number:019d}"
        assert entity["PrevHash"] == previous
        assert entity["At"] == AT
        assert entity["Alg"] == ("sha256" if key is None else "hmac-sha256:" + hashlib.sha256(key).hexdigest()[:16])
        assert None not in entity.values()
        previous = recomputed(entity, key)
        assert entity["Hash"] == previous


@pytest.mark.slow
@given(trails, trails)
def test_chain_that_is_appended_to_verifies(first: list[Entry], second: list[Entry]) -> None:
    """Rows written in two transactions are one chain. (I8)"""
    one = chain(first)
    two = chain(second, after=Link(seq=len(one), hash=one[-1].hash))

    assert judged(stored([*one, *two])) == Link(seq=len(first) + len(second), hash=two[-1].hash)


TAMPERED: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "a row is gone": lambda rows: rows.pop(1),
    "the first row is gone": lambda rows: rows.pop(0),
    "two rows have changed places": lambda rows: rows.insert(0, rows.pop(1)),
    "a row stands twice": lambda rows: rows.insert(1, rows[0]),
    "a column is gone": lambda rows: rows[1].pop("Member"),
    "a column is new": lambda rows: rows[1].update(Extra="x"),
    "a number is a text": lambda rows: rows[1].update(Epoch="7"),
    "a number is a fraction": lambda rows: rows[1].update(Epoch=7.5),
    "a number is not one": lambda rows: rows[1].update(Epoch=float("nan")),
    "a number is beyond JSON": lambda rows: rows[1].update(Epoch=2**60),
    "a text is bytes": lambda rows: rows[1].update(Actor=b"x"),
    "a text is an instant": lambda rows: rows[1].update(At=datetime(2026, 1, 1, tzinfo=UTC)),
    "a text has half a surrogate pair": lambda rows: rows[1].update(Actor="\ud800"),
    "there is no Hash": lambda rows: rows[1].pop("Hash"),
    "there is no Seq": lambda rows: rows[1].pop("Seq"),
    "Seq is a text": lambda rows: rows[1].update(Seq="2"),
    "Seq is beyond every RowKey": lambda rows: rows[1].update(Seq=10**30),
    "the row is another mirror's": lambda rows: rows[1].update(PartitionKey="TEST"),
    "the row stands under another RowKey": lambda rows: rows[1].update(RowKey=rows[1]["RowKey"] + "x"),
    "PrevHash is another's": lambda rows: rows[1].update(PrevHash="0" * 64),
    "Alg is unknown": lambda rows: rows[1].update(Alg="md5"),
    "Alg is empty": lambda rows: rows[1].update(Alg=""),
}


@pytest.mark.parametrize("seal", [Seal(), Seal(KEY)], ids=["plain", "keyed"])
@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found(name: str, seal: Seal) -> None:
    """Any change of a row, of its place or of the order is found, at the first row that does not fit. (I8)"""
    entities = stored(chain([Entry(event="frozen", actor="operator:ann", member="A") for _ in range(3)], seal))
    TAMPERED[name](entities)

    found = judged(entities, seal)

    assert isinstance(found, Broken)
    assert found.seq in (1, 2)
    assert f"row {found.seq}" in found.detail


@pytest.mark.slow
@settings(max_examples=200)
@given(trails, st.data())
def test_any_change_of_any_column_is_found(some: list[Entry], data: st.DataObject) -> None:
    """Whichever column of whichever row is changed to whichever other value: the chain is broken at that row or the next."""
    entities = stored(chain(some))
    index = data.draw(st.integers(0, len(entities) - 1))
    column = data.draw(st.sampled_from(sorted(set(entities[index]) - {"Timestamp"})))
    value = data.draw((texts | st.integers() | st.booleans()).filter(lambda new: repr(new) != repr(entities[index][column])))
    entities[index][column] = value

    found = judged(entities)

    assert isinstance(found, Broken)
    assert found.seq == index + 1


def test_rewritten_tail_of_a_plain_chain_has_another_hash() -> None:
    """Who rewrites plain rows and their hashes gets a chain that fits itself, with another last hash: the log has the first."""
    rows = chain([Entry(event="frozen", actor="operator:ann"), Entry(event="unfrozen", actor="operator:ann")])
    forged = chain([Entry(event="frozen", actor="operator:bob"), Entry(event="unfrozen", actor="operator:ann")])

    found = judged(stored(forged))

    assert isinstance(found, Link)
    assert found.hash != rows[-1].hash


def test_rewritten_row_in_the_middle_does_not_fit_the_next() -> None:
    """A plain row that was rewritten together with its Hash fits itself; the row after it still names the old one. (I8)"""
    entities = stored(chain([Entry(event="frozen", actor="operator:ann") for _ in range(3)]))
    entities[1]["Actor"] = "operator:bob"
    entities[1]["Hash"] = recomputed(entities[1], None)

    assert judged(entities) == Broken(seq=3, detail="PrevHash of row 3 is not the hash of row 2")


def test_chain_of_another_mirror_is_not_this_ones() -> None:
    """A whole chain that is genuine elsewhere, brought into this mirror's partition, does not verify. (I8)"""
    foreign = audit.append("TEST", 0, "0" * 64, [Entry(event="frozen", actor="a")], at=AT, epoch=1, seal=Seal())

    assert isinstance(judged(stored(foreign)), Broken)
    assert isinstance(judged([{**entity, "PartitionKey": "PROD"} for entity in stored(foreign)]), Broken)


def test_rewritten_tail_of_a_keyed_chain_does_not_verify() -> None:
    """Without the audit key not even the owner of the table can rewrite a row, neither plain nor with a key of their own."""
    first = chain([Entry(event="frozen", actor="operator:ann")], Seal(KEY))
    after = Link(seq=1, hash=first[0].hash)
    for seal in (Seal(), Seal(OTHER_KEY)):
        forged = chain([Entry(event="unfrozen", actor="operator:bob")], seal, after=after)

        found = judged(stored([*first, *forged]), Seal(KEY))

        assert isinstance(found, Broken)
        assert found.seq == 2


def test_plain_row_after_a_keyed_one_is_a_broken_chain() -> None:
    """Rows that were keyed once stay keyed: a plain one is a forgery, or somebody took the key out of the settings."""
    plain = chain([Entry(event="frozen", actor="a")])
    keyed = chain([Entry(event="frozen", actor="b")], Seal(KEY), after=Link(seq=1, hash=plain[0].hash))
    again = chain([Entry(event="frozen", actor="c")], after=Link(seq=2, hash=keyed[0].hash))

    assert judged(stored([*plain, *keyed]), Seal(KEY)) == Link(seq=2, hash=keyed[0].hash, keyed_from=2)
    found = judged(stored([*plain, *keyed, *again]), Seal(KEY))
    assert found == Broken(seq=3, detail="row 3 is plain although rows from 2 on are keyed")


def test_previous_key_verifies_and_does_not_seal() -> None:
    """After a rotation rows of the previous key still verify, and new ones carry the new key's fingerprint."""
    old = chain([Entry(event="frozen", actor="a")], Seal(OLD_KEY))
    new = chain([Entry(event="unfrozen", actor="a")], Seal(KEY, OLD_KEY), after=Link(seq=1, hash=old[0].hash))

    assert isinstance(judged(stored([*old, *new]), Seal(KEY, OLD_KEY)), Link)
    assert new[0].columns["Alg"] == "hmac-sha256:" + fingerprint(KEY)
    assert judged(stored([*old, *new]), Seal(KEY)) == Broken(
        seq=1, detail=f"row 1 says Alg 'hmac-sha256:{fingerprint(OLD_KEY)}'; no audit key with that fingerprint is set"
    )


def test_keys_are_shown_nowhere() -> None:
    """An audit key is in no `repr`, and its fingerprint is not its beginning."""
    assert "kkk" not in repr(Seal(KEY, OLD_KEY))
    assert fingerprint(KEY) not in KEY.hex()
