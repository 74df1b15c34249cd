"""What every ledger keeps: the port's sentences, over the one in memory and over the table on Azurite."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.promises.ledger import MemoryLedger
from tests.vipcore.adapters.ledgers import AT, extended, grown, table_ledger
from vipcore import instants
from vipcore.errors import Stale
from vipcore.ledger.audit import Broken, Entry, Link, Seal, check_chain
from vipcore.ledger.head import Failure, Frozen, Head, LastSwap, LateWrites, Lease, RecordedClaim, Repeat, Swap
from vipcore.ledger.port import Granted, Ledger, Sweep
from vipcore.ledger.readiness import Found, Readiness
from vipcore.model import Epoch

NOW = instants.from_text(AT)
FULL = Head(
    mirror="PROD",
    desired="MIRRORA",
    epoch=Epoch(2**31 + 5),
    began=NOW,
    claim_id="c1",
    alg="sha256",
    replay_marks={"mirrora-1": AT, "": AT},
    lease=Lease(owner="i1", until=NOW),
    swap=Swap(operation_id="o", from_member=None, started_at=NOW, actor="key:mirrora-1", maybe_in_flight=("MIRRORB", "MIRRORA")),
    last_swap=LastSwap(operation_id="p", from_member="MIRRORB", to="MIRRORA", at=NOW, total_ms=12, phases=(("look", 3),)),
    wrote_at=NOW,
    late_writes=LateWrites(until=NOW),
    recorded_claim=RecordedClaim(member="MIRRORB", key_id="k", claim_id="c", event="e", began=NOW, recorded_at=NOW, code="busy"),
    frozen=Frozen(reason='a "reason", äöü € 漢 \U0001f512', operator="op", at=NOW),
    holds={"MIRRORB": NOW},
    changes=(NOW, NOW),
    repeats={"mirrora-1": Repeat(what="claim.confirmed", at=NOW, left_out=3)},
    overlap_memory={"moves": {"atomic": False}},
    drift="unplaced",
    backup_seen={"MIRRORA": 1},
    failure=Failure(operation_id="o", code="azure-failed", detail='A "sentence", äöü.'),
    readiness=Readiness(NOW, NOW, "placed", ("MIRRORA",), {"MIRRORA": Found(NOW, {"nic": "It is Failed."})}, {"MIRRORA": "nic"}),
)


def every_column(member: str = "HOST/INSTANCE") -> Entry:
    """A row with every column."""
    return Entry(
        event="swap.completed",
        actor="operator:Zoë O'Neill",
        member=member,
        from_member="MIRRORB",
        claim_id="c",
        operation_id="o",
        correlation_id="x",
        arm_request_ids="a b",
        duration_ms=2**40,
        outcome="completed",
        detail="A sentence, äöü € 漢 \U0001f512\nand a second line.",
        evidence='{"a":[1,"--changeset","HTTP/1.1 500 no"],"etag: x":null}',
        issued_at=AT,
    )


EVERY_COLUMN = every_column()


@pytest.fixture(params=["memory", "table"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """An empty ledger."""
    if request.param == "memory":
        yield MemoryLedger()
    else:
        async with table_ledger(request.getfixturevalue("azurite")) as made:
            yield made


async def test_empty_ledger_has_no_rows_heads_or_hints(ledger: Ledger) -> None:
    """A mirror that was never written has a head without an etag, and no rows."""
    head = await ledger.load_head("PROD")

    assert head == Head(mirror="PROD")
    assert head.etag is None
    assert await ledger.load_row("PROD", 1) is None
    assert await ledger.newest_rows("PROD", before=None, limit=10) == []
    assert await ledger.rows_from("PROD", 1, limit=10) == []
    assert await ledger.load_heads(["PROD"]) == {"PROD": head}
    assert await ledger.load_worklist() == []


async def test_head_and_rows_come_back_as_they_were_written(ledger: Ledger) -> None:
    """Every field of the head and every column of a row survives, whole numbers as numbers whatever their size."""
    wanted, rows = extended(FULL, EVERY_COLUMN, EVERY_COLUMN)

    written = await ledger.commit(wanted, rows)
    loaded = await ledger.load_head("PROD")

    assert written == loaded == wanted
    assert written.etag == loaded.etag
    assert written.etag is not None
    assert await ledger.load_row("PROD", 2) == rows[1]
    assert [type(row.columns["DurationMs"]) for row in await ledger.rows_from("PROD", 1, limit=9)] == [int, int]


async def test_replacing_the_head_leaves_nothing_of_the_old_one(ledger: Ledger) -> None:
    """The head is replaced, not merged: what became None is gone."""
    before = await ledger.commit(FULL, [])

    await ledger.commit(Head(mirror="PROD", etag=before.etag), [])

    assert await ledger.load_head("PROD") == Head(mirror="PROD")


async def test_each_commit_changes_the_etag(ledger: Ledger) -> None:
    """A head as read stays valid for one commit only."""
    first = await ledger.commit(*extended(Head(mirror="PROD"), EVERY_COLUMN))
    second = await ledger.commit(first, [])

    assert first.etag != second.etag
    with pytest.raises(Stale):
        await ledger.commit(first, [])


@pytest.mark.parametrize("etag", [None, "old"])
async def test_commit_on_another_head_changes_nothing(ledger: Ledger, etag: str | None) -> None:
    """Another writer was first: Stale, and neither the head nor a row of the loser is there. (I8)"""
    old = await ledger.commit(*extended(Head(mirror="PROD"), EVERY_COLUMN))
    now = await ledger.commit(*extended(old, EVERY_COLUMN))
    loser, rows = extended(now, EVERY_COLUMN)

    with pytest.raises(Stale):
        await ledger.commit(replace(loser, etag=old.etag if etag else None), rows)

    assert await ledger.load_head("PROD") == now
    assert (await ledger.load_head("PROD")).etag == now.etag
    assert await ledger.load_row("PROD", 3) is None


async def test_commit_on_a_head_that_is_gone_is_stale(ledger: Ledger) -> None:
    """A head with an etag is never created anew."""
    stray, rows = extended(replace(Head(mirror="PROD"), etag="W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\""), EVERY_COLUMN)
    await ledger.commit(Head(mirror="OTHER"), [])

    with pytest.raises(Stale):
        await ledger.commit(stray, rows)

    assert (await ledger.load_head("PROD")).etag is None
    assert await ledger.load_row("PROD", 1) is None


async def test_a_row_is_never_overwritten(ledger: Ledger) -> None:
    """A row whose seq is taken makes the whole commit Stale; the old row and the old head stay."""
    first, rows = extended(Head(mirror="PROD"), EVERY_COLUMN)
    stored = await ledger.commit(first, rows)
    _, other = extended(Head(mirror="PROD"), Entry(event="frozen", actor="x"))

    with pytest.raises(Stale):
        await ledger.commit(replace(stored, desired="MIRRORB"), other)

    assert await ledger.load_row("PROD", 1) == rows[0]
    assert await ledger.load_head("PROD") == stored


@pytest.mark.parametrize("existing", [False, True])
async def test_of_many_commits_on_one_head_exactly_one_wins(ledger: Ledger, existing: bool) -> None:
    """64 writers at one etag: one commit, 63 Stale, and the rows there are the winner's."""
    start = await ledger.commit(Head(mirror="PROD"), []) if existing else await ledger.load_head("PROD")
    attempts = [extended(replace(start, desired=f"M{n}"), every_column(f"M{n}")) for n in range(64)]

    results = await asyncio.gather(*(ledger.commit(*attempt) for attempt in attempts), return_exceptions=True)

    winners = [result for result in results if isinstance(result, Head)]
    assert len(winners) == 1
    assert [type(result) for result in results].count(Stale) == 63
    assert await ledger.load_head("PROD") == winners[0]
    row = await ledger.load_row("PROD", 1)
    assert row is not None
    assert row.columns["Member"] == winners[0].desired


async def test_mirrors_do_not_share_anything(ledger: Ledger) -> None:
    """Each mirror has its own head and trail, also where one name begins like another."""
    await grown(ledger, "PROD", 3)
    await grown(ledger, "PROD-2", 1)

    assert [row.mirror for row in await ledger.newest_rows("PROD", before=None, limit=9)] == ["PROD"] * 3
    assert [row.seq for row in await ledger.rows_from("PROD-2", 1, limit=9)] == [1]
    assert (await ledger.load_head("PROD")).seq == 3


async def test_newest_rows_come_newest_first_and_stop_at_the_limit(ledger: Ledger) -> None:
    """`before` is exclusive; the head is no row; a trail crosses 9, 99 and so on without a break in the order."""
    await grown(ledger, "PROD", 120)

    async def seqs(before: int | None, limit: int) -> list[int]:
        return [row.seq for row in await ledger.newest_rows("PROD", before=before, limit=limit)]

    assert await seqs(None, 3) == [120, 119, 118]
    assert await seqs(101, 3) == [100, 99, 98]
    assert await seqs(3, 50) == [2, 1]
    assert await seqs(1, 50) == []
    assert await seqs(None, 500) == list(range(120, 0, -1))
    assert await seqs(10**18, 2) == [120, 119]


async def test_rows_from_come_in_rising_order(ledger: Ledger) -> None:
    """From `seq` on, inclusive, at most `limit`."""
    await grown(ledger, "PROD", 120)

    async def seqs(first: int, limit: int) -> list[int]:
        return [row.seq for row in await ledger.rows_from("PROD", first, limit=limit)]

    assert await seqs(1, 4) == [1, 2, 3, 4]
    assert await seqs(98, 5) == [98, 99, 100, 101, 102]
    assert await seqs(119, 100) == [119, 120]
    assert await seqs(121, 100) == []


async def test_a_chain_verifies_over_pages(ledger: Ledger) -> None:
    """What is read back page by page hashes to what was written. (I8)"""
    head = await grown(ledger, "PROD", 250)
    link: Link | Broken = Link()

    while isinstance(link, Link) and link.seq < 250:
        link = check_chain("PROD", await ledger.rows_from("PROD", link.seq + 1, limit=60), link, Seal())

    assert link == Link(seq=250, hash=head.head_hash)


async def test_heads_of_many_mirrors_are_read_at_once(ledger: Ledger) -> None:
    """Written and never-written ones, in any order, each once."""
    written = {f"M{n}": await ledger.commit(Head(mirror=f"M{n}", desired=f"D{n}"), []) for n in range(0, 200, 3)}
    names = [f"M{n}" for n in range(200)]

    heads = await ledger.load_heads(names)

    assert set(heads) == set(names)
    assert all(heads[name] == written.get(name, Head(mirror=name)) for name in names)
    assert all((heads[name].etag is None) == (name not in written) for name in names)
    assert await ledger.load_heads([]) == {}


async def test_a_hint_is_dropped_only_as_it_was_read(ledger: Ledger) -> None:
    """A hint that was written again since is not lost; dropping twice does no harm."""
    await ledger.put_work_item("PROD")
    (old,) = await ledger.load_worklist()
    await ledger.put_work_item("PROD")
    (new,) = await ledger.load_worklist()

    await ledger.drop_work_item(old)
    assert [item.mirror for item in await ledger.load_worklist()] == ["PROD"]
    assert old.etag != new.etag

    await ledger.drop_work_item(new)
    await ledger.drop_work_item(new)
    assert await ledger.load_worklist() == []


async def test_hints_are_apart_from_heads_and_rows(ledger: Ledger) -> None:
    """The worklist names each mirror once and shows in no trail."""
    await grown(ledger, "A", 2)
    for name in ("A", "B", "A", "C"):
        await ledger.put_work_item(name)

    assert sorted(item.mirror for item in await ledger.load_worklist()) == ["A", "B", "C"]
    assert len(await ledger.newest_rows("A", before=None, limit=9)) == 2


async def test_how_far_the_sweep_has_come_is_kept(ledger: Ledger) -> None:
    """The last place that was written is read back, by whoever asks; it is no hint."""
    assert await ledger.load_sweep() is None
    for after in ("M1", "M2"):
        await ledger.save_sweep(Sweep(after, instants.from_text(AT)))

    assert await ledger.load_sweep() == Sweep("M2", instants.from_text(AT))
    assert await ledger.load_worklist() == []


async def test_who_was_heard_is_kept_by_mirror(ledger: Ledger) -> None:
    """When each member of a mirror was last heard from, whatever its name looks like, and of no other mirror."""
    for member in ("HOST/INSTANCE", "a b?#%'é"):
        await ledger.put_heard("PROD", member, instants.NEVER)
        await ledger.put_heard("PROD", member, NOW)
    await ledger.put_heard("PROD2", "X", NOW)

    assert await ledger.load_heard("PROD") == {"HOST/INSTANCE": NOW, "a b?#%'é": NOW}
    assert await ledger.load_heard("PRO") == {}


async def test_granted_writes_are_replaced_only_as_they_were_read(ledger: Ledger) -> None:
    """Of two instances that read the same row, the second one to replace it is told, and loses nothing of the first."""
    assert await ledger.load_granted("sub") == Granted({}, None)
    await ledger.save_granted("sub", Granted({"a": {1767225600: 2}}, None))
    with pytest.raises(Stale):
        await ledger.save_granted("sub", Granted({"b": {1767225600: 4}}, None))

    first = await ledger.load_granted("sub")
    assert first.by_instance == {"a": {1767225600: 2}}
    await ledger.save_granted("sub", first._replace(by_instance={**first.by_instance, "b": {1767225601: 4}}))
    with pytest.raises(Stale):
        await ledger.save_granted("sub", first)
    assert (await ledger.load_granted("sub")).by_instance == {"a": {1767225600: 2}, "b": {1767225601: 4}}
    assert (await ledger.load_granted("other")).etag is None


async def test_counting_failures_touches_nothing_else(ledger: Ledger) -> None:
    """Counters have a place of their own, whatever the instance's name has in it."""
    await ledger.count_failures("host/1#?\\\u00e4", {"signature-invalid": 2}, AT)
    await ledger.count_failures("host/1#?\\\u00e4", {"signature-invalid": 1, "signature-expired": 1}, AT)

    assert await ledger.load_worklist() == []
    assert (await ledger.load_head("host")).etag is None
