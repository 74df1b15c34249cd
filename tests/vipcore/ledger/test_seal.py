"""The seal: rows under an audit key, a key that was rotated, and keys that nobody sees."""

from tests.vipcore.ledger.trails import KEY, OLD_KEY, OTHER_KEY, chain, judged, stored
from vipcore.ledger.audit import Entry
from vipcore.ledger.chain import Broken, Link
from vipcore.ledger.seal import Seal, fingerprint


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
