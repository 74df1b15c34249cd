"""Bodies of requests: any bytes are a checked value or a refusal, and nothing that could lie in a row gets through."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipcore import strictjson
from vipcore.entry import bodies
from vipcore.entry.signatures import Signed
from vipcore.errors import Refusal
from vipcore.model import Claim, Key, Move

NOW = datetime(2026, 11, 23, 0, 29, 0, 250_000, tzinfo=UTC)
CREATED = int(NOW.timestamp())
SIGNED = Signed(key=Key(key_id="a-1", mirror="PROD", member="MIRRORA", secret=bytes(32)), created=CREATED, expires=CREATED + 60)
CLAIM: Mapping[str, Any] = {
    "mirror": "PROD",
    "member": "MIRRORA",
    "claim_id": "0F8FAD5B-D9CB-469F-A165-70867728950E",
    "issued_at": "2026-11-23T00:29:00.123456Z",
    "age_ms": 1500,
    "event": "NotifyBecomePrimary",
    "evidence": {"journal": 12, "guid": "x"},
}
MOVE: Mapping[str, Any] = {"to": "MIRRORB", "reason": "upgrade", "operator": "ann"}
FREEZE: Mapping[str, Any] = {"reason": "upgrade", "operator": "ann", "until": "2026-11-23T02:00:00+01:00"}


def code(body: bytes) -> str:
    """What becomes of a claim's body: `taken`, or the refusal's code."""
    try:
        bodies.claim(body, SIGNED, NOW)
    except Refusal as refusal:
        return refusal.code
    return "taken"


def encoded(**changes: Any) -> bytes:
    """The good claim with these fields changed; a field set to ... is left out."""
    return json.dumps({name: value for name, value in {**CLAIM, **changes}.items() if value is not ...}).encode()


def test_good_claim_is_taken() -> None:
    """A claim began at its arrival less its age; its id is kept in lower case."""
    claim = bodies.claim(encoded(), SIGNED, NOW)

    assert claim == Claim(
        mirror="PROD",
        member="MIRRORA",
        claim_id="0f8fad5b-d9cb-469f-a165-70867728950e",
        key_id="a-1",
        issued_at=datetime(2026, 11, 23, 0, 29, 0, 123456, tzinfo=UTC),
        began=NOW - timedelta(milliseconds=1500),
        event="NotifyBecomePrimary",
        evidence='{"journal":12,"guid":"x"}',
        dry_run=False,
    )


WRONG: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "null": b"null",
    "byte order mark": b"\xef\xbb\xbf" + encoded(),
    "not UTF-8": encoded().replace(b"PROD", b"\xff"),
    "UTF-16": encoded().decode().encode("utf-16"),
    "half a surrogate pair": encoded(evidence={"a": "?"}).replace(b'"?"', b'"\\ud800"'),
    "NaN": encoded(evidence={"a": 0}).replace(b'"a": 0', b'"a": NaN'),
    "a number too large to be written again": encoded(evidence={"a": 0}).replace(b'"a": 0', b'"a": 1e999'),
    "a number of 5000 digits": encoded(age_ms=0).replace(b'"age_ms": 0', b'"age_ms": ' + b"9" * 5000),
    "nested too deeply": b"[" * 16000,
    "nested too deeply, closed": b"[" * 900 + b"]" * 900,
    "a name twice": encoded().replace(b"{", b'{"member": "X", ', 1),
    "unknown field": encoded(extra=1),
    **{f"no {name}": encoded(**{name: ...}) for name in CLAIM if name != "evidence"},
    "mirror no text": encoded(mirror=1),
    "member with a newline": encoded(member="A\n"),
    "member too long": encoded(member="A" * 65),
    "claim id no UUID": encoded(claim_id="x"),
    "claim id and a newline": encoded(claim_id=CLAIM["claim_id"] + "\n"),
    "issued without a zone": encoded(issued_at="2026-11-23T00:29:00.123456"),
    "issued in milliseconds": encoded(issued_at="2026-11-23T00:29:00.123Z"),
    "issued in other digits": encoded(issued_at="２０２６-11-23T00:29:00.123456Z"),
    "issued on no day": encoded(issued_at="2026-02-30T00:29:00.123456Z"),
    "issued in another second": encoded(issued_at="2026-11-23T00:29:01.000000Z"),
    "age below zero": encoded(age_ms=-1),
    "age a fraction": encoded(age_ms=0.5),
    "age a truth": encoded(age_ms=True),
    "age beyond what is counted": encoded(age_ms=2**53),
    "event unknown": encoded(event="other"),
    "evidence no object": encoded(evidence=[]),
    "evidence not flat": encoded(evidence={"a": {}}),
    "evidence too large": encoded(evidence={"a": "x" * 1024}),
    "evidence too large in bytes": encoded(evidence={"a": "ä" * 600}),
    "dry run a text": encoded(dry_run="yes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_claim_that_is_not_as_the_contract_needs_it(name: str) -> None:
    """Not JSON, wrong types, unknown or missing fields, over-long values: `body-invalid`, never anything else."""
    assert code(WRONG[name]) == "body-invalid"


RIGHT: dict[str, bytes] = {
    "no evidence": encoded(evidence=...),
    "dry run": encoded(dry_run=True),
    "age in another spelling": encoded(age_ms=0).replace(b'"age_ms": 0', b'"age_ms": 1.5e3'),
    "evidence of every kind": encoded(evidence={"a": 1, "b": "=1+1", "c": None, "d": True, "e": 1.5}),
    "evidence of many fields": encoded(evidence={f"{n:02}": n for n in range(90)}),
    "evidence of 1 KiB": encoded(evidence={"a": "x" * 1016}),
    "a member of 64 characters": encoded(member="ä" * 64),
    "the oldest age": encoded(age_ms=2**53 - 1),
}


@pytest.mark.parametrize("name", RIGHT)
def test_claim_at_the_edge_of_what_is_taken(name: str) -> None:
    """What is allowed is taken, up to its limits."""
    assert code(RIGHT[name]) == "taken"


def test_oldest_age_is_never() -> None:
    """A claim that says it is older than time began at the first instant we know, and loses every comparison."""
    assert bodies.claim(encoded(age_ms=2**53 - 1), SIGNED, NOW).began == datetime(1970, 1, 1, tzinfo=UTC)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_claim_or_a_refusal(body: bytes) -> None:
    """Any bytes as a claim's body: a Claim or a Refusal, nothing else."""
    assert code(body) in {"taken", "body-invalid"}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)


@given(st.dictionaries(st.sampled_from([*CLAIM, "dry_run", "x"]), VALUES))
def test_any_fields_are_a_claim_or_a_refusal(changes: dict[str, Any]) -> None:
    """Any value in any field; what is taken can be written as a row and read back as it came."""
    body = json.dumps({**CLAIM, **changes}).encode()
    if code(body) != "taken":
        assert code(body) == "body-invalid"
        return
    claim = bodies.claim(body, SIGNED, NOW)
    if claim.evidence is not None:
        assert strictjson.parse_strict(claim.evidence) == json.loads(body)["evidence"]
    assert claim.began <= NOW


CONTROLS = ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("field", ["reason", "operator"])
def test_texts_hold_no_control_characters(field: str, control: str) -> None:
    """A text that goes into rows and the log cannot begin a new line or move a terminal's cursor."""
    with pytest.raises(Refusal, match="body-invalid"):
        bodies.move("PROD", json.dumps({**MOVE, field: f"a{control}"}).encode(), NOW)
    with pytest.raises(Refusal, match="body-invalid"):
        bodies.freeze(json.dumps({**FREEZE, field: f"{control}b"}).encode())
    with pytest.raises(Refusal, match="body-invalid"):
        bodies.text(field, f"a{control}b")


def test_texts_have_a_length() -> None:
    """A text is at most 256 characters; one that is missing from the query is refused like one that is too long."""
    assert bodies.text("reason", "ä" * 256)
    for text in ("ä" * 257, None):
        with pytest.raises(Refusal, match="body-invalid"):
            bodies.text("reason", text)


def test_move_is_read() -> None:
    """A move begins on its arrival; dry_run and force are off unless said."""
    assert bodies.move("PROD", json.dumps(MOVE).encode(), NOW) == Move(
        mirror="PROD", to="MIRRORB", reason="upgrade", operator="ann", began=NOW
    )


@pytest.mark.parametrize("changes", [{"mirror": "X"}, {"began": "2026-11-23T00:29:00.000000Z"}, {"force": 1}, {"to": ""}])
def test_move_takes_its_own_fields_only(changes: dict[str, Any]) -> None:
    """A body cannot set what the route or the clock sets."""
    with pytest.raises(Refusal, match="body-invalid"):
        bodies.move("PROD", json.dumps({**MOVE, **changes}).encode(), NOW)


def test_freeze_takes_any_offset() -> None:
    """`until` is RFC 3339 with any offset, as operators type it."""
    assert bodies.freeze(json.dumps(FREEZE).encode()) == ("upgrade", "ann", datetime(2026, 11, 23, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "until", ["tomorrow", "2026-11-23", "2026-11-23T02:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+01:00", 5, ""]
)
def test_freeze_until_no_instant(until: Any) -> None:
    """What is no instant that can be kept in UTC is refused, not raised."""
    with pytest.raises(Refusal, match="body-invalid"):
        bodies.freeze(json.dumps({**FREEZE, "until": until}).encode())


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from([*MOVE, *FREEZE, "force"]), VALUES).map(lambda d: json.dumps(d).encode())
)
def test_any_bytes_are_a_move_a_freeze_or_a_refusal(body: bytes) -> None:
    """Operators' bodies too: a value or a Refusal, nothing else."""
    codes = set()
    for read in (lambda: bodies.move("PROD", body, NOW), lambda: bodies.freeze(body)):
        try:
            read()
        except Refusal as refusal:
            codes.add(refusal.code)

    assert codes <= {"body-invalid"}


def test_size_is_checked_before_anything_is_parsed() -> None:
    """16 KiB are taken, one byte more is `body-too-large`, whatever is in it."""
    bodies.check_size(bytes(16 * 1024))
    for check in (bodies.check_size, bodies.freeze, lambda body: bodies.move("PROD", body, NOW)):
        with pytest.raises(Refusal, match="body-too-large"):
            check(bytes(16 * 1024 + 1))


def test_refusal_does_not_repeat_what_was_sent() -> None:
    """A refusal names the place and the rule; the value, which may be a secret or a line of log, is not in it."""
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
    for changes in (
        {"event": secret},
        {"claim_id": secret},
        {"evidence": {"a": {secret: 1}}},
        {secret: 1},
        {"mirror": secret * 9},
    ):
        with pytest.raises(Refusal) as caught:
            bodies.claim(encoded(**changes), SIGNED, NOW)

        assert secret not in caught.value.detail
