"""The head: its pure changes; its form in the table: whatever it holds comes back, and it always fits."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vipcore.instants import NEVER, to_text
from vipcore.ledger import head as heads
from vipcore.ledger import readiness
from vipcore.ledger.head import Failure, Frozen, Head, LastSwap, LateWrites, Lease, RecordedClaim, Repeat, Swap
from vipcore.ledger.readiness import Found, Readiness
from vipcore.model import Epoch

# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
PROPERTIES_MAX, NAME_CHARS_MAX, TEXT_BYTES_MAX, ENTITY_BYTES_MAX = 252, 255, 64 * 1024, 1024 * 1024
NOW = datetime(2026, 11, 23, 0, 29, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = texts.filter(bool)
instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is beside it
epochs = st.integers(0, 2**53).map(Epoch)
phases = st.lists(st.tuples(names, st.integers(0, 10**6)), max_size=3).map(tuple)
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts | st.lists(texts, max_size=2)
leases = st.builds(Lease, owner=names, until=instants)


swaps = st.builds(
    Swap,
    operation_id=names,
    from_member=st.none() | names,
    started_at=instants,
    actor=names,
    maybe_in_flight=st.lists(names, max_size=2).map(tuple),
    failures=st.integers(0, 100),
    retry_at=instants,
)


last_swaps = st.builds(
    LastSwap,
    operation_id=names,
    from_member=st.none() | names,
    to=names,
    at=instants,
    total_ms=st.integers(0, 10**9),
    phases=phases,
)


pendings = st.builds(
    RecordedClaim, member=names, key_id=names, claim_id=names, event=names, began=instants, recorded_at=instants, code=names
)
frozens = st.builds(Frozen, reason=texts, operator=texts, at=instants, until=st.none() | instants)
repeats = st.builds(Repeat, what=names, at=instants, left_out=st.integers(0, 10**6))


looks = st.builds(
    Readiness,
    looked_at=instants,
    seen_at=instants,
    placement=texts,
    holders=st.lists(names, max_size=2).map(tuple),
    members=st.dictionaries(names, st.builds(Found, instants, st.dictionaries(names, texts, max_size=2)), max_size=2),
    told=st.dictionaries(names, texts, max_size=2),
)
any_head = st.builds(
    Head,
    mirror=names,
    desired=st.none() | texts,
    epoch=epochs,
    began=instants,
    claim_id=st.none() | texts,
    seq=st.integers(0, 2**53),
    head_hash=texts,
    alg=st.none() | texts,
    replay_marks=st.dictionaries(names, instants.map(to_text), max_size=3),
    lease=st.none() | leases,
    swap=st.none() | swaps,
    last_swap=st.none() | last_swaps,
    wrote_at=instants,
    late_writes=st.builds(LateWrites, until=instants, members=st.lists(names, max_size=2).map(tuple)),
    recorded_claim=st.none() | pendings,
    frozen=st.none() | frozens,
    holds=st.dictionaries(names, instants, max_size=3),
    changes=st.lists(instants, max_size=3).map(tuple),
    repeats=st.dictionaries(names, repeats, max_size=3),
    overlap_memory=st.dictionaries(names, scalars, max_size=3),
    drift=st.none() | texts,
    backup_seen=st.dictionaries(names, scalars, max_size=3),
    failure=st.none() | st.builds(Failure, texts, texts, texts, texts, instants),
    readiness=st.none() | looks,
)


def assert_fits(entity: dict[str, Any]) -> None:
    """The limits of the Table service."""
    assert len(entity) <= PROPERTIES_MAX
    assert all(name.isidentifier() and name.isascii() and len(name) <= NAME_CHARS_MAX for name in entity)
    assert all(type(value) in (str, int) for value in entity.values())
    assert max(len(str(value).encode("utf-16-le")) for value in entity.values()) <= TEXT_BYTES_MAX
    assert sum(2 * len(name) + len(str(value).encode("utf-16-le")) for name, value in entity.items()) <= ENTITY_BYTES_MAX


@pytest.mark.slow
@settings(max_examples=40)
@given(any_head)
def test_any_head_comes_back_as_it_was(head: Head) -> None:
    """What is written to the table is read back equal, with the etag that the service gave."""
    entity = head.to_entity()

    assert_fits(entity)
    assert Head.from_entity({**entity, "Timestamp": NOW}, 'W/"1"') == head
    assert Head.from_entity(entity, 'W/"1"').etag == 'W/"1"'


WRONG = {f"permissions on {number}" + "ä" * 80: "ä" * 1000 for number in range(20)}


def largest() -> Head:
    """A head of a mirror of 32 members with everything at its bound, in characters that cost the most."""
    member = "ä" * 60
    head = Head(
        mirror="M" * 63,
        desired=member,
        lease=Lease(owner="i" * 64, until=NOW),
        swap=Swap(
            operation_id="o" * 36,
            from_member=member,
            started_at=NOW,
            actor="operator:" + "ä" * 256,
            maybe_in_flight=(member,) * 32,
        ),
        last_swap=LastSwap(
            operation_id="o" * 36, from_member=member, to=member, at=NOW, total_ms=10**6, phases=(("phase" * 4, 10**6),) * 40
        ),
        recorded_claim=RecordedClaim(
            member=member,
            key_id="k" * 64,
            claim_id="c" * 36,
            event="CheckBecomePrimaryOK",
            began=NOW,
            recorded_at=NOW,
            code="x" * 20,
        ),
        frozen=Frozen(reason="ä" * 256, operator="ä" * 256, at=NOW, until=NOW),
        holds={f"{member}{number:02d}": NOW for number in range(32)},
        changes=tuple(NOW + timedelta(microseconds=n) for n in range(1000)),
        overlap_memory={"strategy": "atomic", "swaps": 10**6},
        backup_seen={"backup": [f"{member}{number:02d}" for number in range(32)]},
        failure=Failure("o" * 36, "x" * 20, "ä" * 1000, member, NOW),
        readiness=Readiness(
            looked_at=NOW,
            seen_at=NOW,
            placement="unplaced",
            holders=(member,) * 32,
            members={f"{member}{number:02d}": Found(NOW, readiness.cut(WRONG, 32)) for number in range(32)},
            told={f"{member}{number:02d}": readiness.names(WRONG) for number in range(32)},
        ),
    )
    for number in range(1000):
        head = heads.use_issued_at(head, f"{number:064d}", NOW + timedelta(microseconds=number))
        head = heads.repeated(head, f"key:{number:064d}", Repeat(what=f"claim.refused too-many {member}", at=NOW, left_out=10**6))
    return head


def test_largest_head_fits() -> None:
    """A head with everything in it fits the service's limits, however many keys have come and gone."""
    assert_fits(largest().to_entity())


FULL = largest().to_entity()


@given(
    st.sampled_from(sorted(FULL)),
    st.none() | st.integers() | texts | st.sampled_from(["[]", "{}", "null", "5", '"x"', '{"a": 5}', "[5]"]),
)
def test_damaged_head_is_one_kind_of_error(column: str, value: Any) -> None:
    """Whatever stands in a column, or is missing from it: a head, or a ValueError that names the mirror."""
    entity = {**FULL, column: value} if value is not None else {name: kept for name, kept in FULL.items() if name != column}
    try:
        found = Head.from_entity(entity, "x")
    except ValueError as exc:
        assert "is damaged" in str(exc)  # noqa: PT017  # either outcome is right
        return
    assert isinstance(found, Head)


def test_columns_are_those_that_people_look_at() -> None:
    """The head's columns have the names that people look for in the table; what is unset is left out."""
    assert Head(mirror="M").to_entity() == {
        "PartitionKey": "M", "RowKey": "head", "Seq": 0, "HeadHash": "0" * 64, "Epoch": 0,
        "Began": to_text(NEVER), "WroteAt": to_text(NEVER), "WatchUntil": to_text(NEVER),
    }  # fmt: skip
    assert {"Desired", "Epoch", "ClaimId", "Seq", "HeadHash", "LeaseOwner", "LeaseUntil", "FrozenReason", "FrozenUntil"} <= {
        *FULL,
        "ClaimId",
    }
    assert json.loads(FULL["Holds"])
    assert FULL["LeaseUntil"] == to_text(NOW)


def test_marks_never_go_back() -> None:
    """A mark moves forward only; of very many keys the ones used last are kept, the one being used always. (I6)"""
    head = heads.use_issued_at(heads.use_issued_at(Head(mirror="M"), "k", NOW), "k", NOW - timedelta(hours=1))
    assert head.replay_marks == {"k": to_text(NOW)}

    for number in range(heads.REPLAY_MARKS_MAX):
        head = heads.use_issued_at(head, f"other-{number}", NOW + timedelta(seconds=number + 1))
    assert "k" not in head.replay_marks
    assert len(head.replay_marks) == heads.REPLAY_MARKS_MAX
    assert "k" in heads.use_issued_at(head, "k", NOW).replay_marks


def test_last_refusals_of_few_actors_are_kept() -> None:
    """What counts repeated refusals is bounded; the actor that spoke last is in it."""
    head = Head(mirror="M")
    for number in range(heads.REPEATS_MAX + 1):
        head = heads.repeated(head, f"key:{number}", Repeat(what="x", at=NOW + timedelta(seconds=number)))

    assert len(head.repeats) == heads.REPEATS_MAX
    assert "key:0" not in head.repeats


@pytest.mark.parametrize(("later_s", "leased"), [(-1e-6, True), (0.0, True), (2.0 - 1e-6, True), (2.0, False)])
def test_lease_ends_with_a_margin_for_other_clocks(later_s: float, leased: bool) -> None:
    """A lease holds until its instant, and 2 s longer: whoever looks may take the time to be another than its owner does. (I2)"""
    head = Head(mirror="M", lease=Lease(owner="i", until=NOW))

    assert head.lease_live(NOW + timedelta(seconds=later_s)) is leased
    assert not Head(mirror="M").lease_live(NOW)
