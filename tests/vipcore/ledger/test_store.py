"""The store: a commit whose answer is lost is resolved by a read, and each head hash reaches the log."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.promises.harness import Fate, Harness, LandsLate, Node
from tests.promises.helpers import NIC_B, agent, assert_kept, events, refused, timer, virtual
from tests.promises.ledger import MemoryLedger
from tests.promises.loop import run
from vipcore.errors import CommitUnknown, Refusal, Unreachable
from vipcore.ledger.audit import Entry, Row, Seal
from vipcore.ledger.head import Head
from vipcore.ledger.store import OUTDATED


class Lossy(MemoryLedger):
    """Commits, then loses the answer of the first commit; `meanwhile` lets somebody else go on before we can look."""

    def __init__(self, *, lands: bool, meanwhile: bool) -> None:
        super().__init__()
        self.lands, self.meanwhile, self.lost = lands, meanwhile, False

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        if self.lost:
            return await super().commit(head, rows)
        self.lost = True
        if self.lands:
            stored = await super().commit(head, rows)
            if self.meanwhile:
                await super().commit(replace(stored, desired="B"), [])
        raise CommitUnknown("lost")


def decide(head: Head) -> tuple[Head, list[Entry]]:
    """A decision for A, with its row."""
    return replace(head, desired="A"), [Entry(event="claim.accepted", actor="key:a")]


@pytest.mark.parametrize(("lands", "meanwhile"), [(True, False), (True, True), (False, False)])
def test_lost_answer_of_a_commit(lands: bool, meanwhile: bool) -> None:
    """Our row is there once, whether the first try landed or not; what is returned is what we decided, never what others did."""

    async def main() -> None:
        ledger = Lossy(lands=lands, meanwhile=meanwhile)
        store = Harness().node("n").controller.store
        store.ledger = ledger

        stored = await store.commit(Head(mirror="PROD"), decide)

        assert stored.desired == "A"
        assert (stored.etag == OUTDATED) is meanwhile
        assert [row.columns["Event"] for row in await ledger.rows_from("PROD", 1, limit=9)] == ["claim.accepted"]

        again = await store.commit(stored, lambda head: (replace(head, drift="seen"), []))

        assert again.drift == "seen"
        assert again.desired == ("B" if meanwhile else "A")

    run(main())


def test_a_lost_commit_without_a_row_is_never_taken_for_ours() -> None:
    """Where the head is as a lost commit of ours wanted it, another may have made it so: the change is judged again. (I6)"""

    async def main() -> None:
        ledger = Lossy(lands=True, meanwhile=False)
        store = Harness().node("n").controller.store
        store.ledger = ledger
        seen: list[str | None] = []

        def use_issued_at(head: Head) -> tuple[Head, list[Entry]]:
            seen.append(head.drift)
            return replace(head, drift="spent"), []

        await store.commit(Head(mirror="PROD"), use_issued_at)

        assert seen == [None, "spent"]

    run(main())


def test_who_is_cut_off_knows_what_was_sent() -> None:
    """The rows of a transaction are told before it goes out, so that whoever is cut off can look for them. (I3)"""

    class Hanging(MemoryLedger):
        async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
            await super().commit(head, rows)
            await asyncio.Event().wait()
            raise AssertionError("it hangs")

    async def main() -> None:
        store = Harness().node("n").controller.store
        store.ledger = Hanging()
        sent: list[Row] = []

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await store.commit(Head(mirror="PROD"), decide, sent.extend)

        assert await store.ledger.rows_from("PROD", 1, limit=9) == sent

    run(main())


@virtual
async def test_a_head_hash_is_logged_though_the_answer_to_its_commit_was_lost() -> None:
    """The log is the second place of trust: it has every head hash that the table ever had."""

    class Lost(Fate):
        async def between(self, node: Node, label: str) -> None:
            if label == "table commit":
                raise TimeoutError

    harness = Harness()
    node = harness.node("n1")
    harness.fate = Lost()

    await node.freeze()

    logged: list[dict[str, Any]] = [fields for event, fields in node.log if event == "audit.head"]
    (line,) = [{name: value for name, value in fields.items() if value is not None} for fields in logged]
    assert line == {"mirror": "PROD", "seq": 1, "event": "frozen", "hash": (await harness.head()).head_hash}


@virtual
async def test_the_log_has_a_line_for_each_row() -> None:
    """Each line names its row's event, members, claim, time and hash, so that the log alone tells what was committed. (I8)"""
    harness = Harness()
    node = harness.node("n1")

    await node.freeze()
    await refused(node.claim("MIRRORB", claim_id="c41"))  # one commit of two rows
    await node.unfreeze()
    await agent(node, "MIRRORB", claim_id="c41")

    logged: list[dict[str, Any]] = [fields for event, fields in node.log if event == "audit.head"]
    rows = await harness.ledger.rows_from("PROD", 1, limit=99)
    assert [(line["seq"], line["event"], line["hash"]) for line in logged] == [
        (row.seq, row.columns["Event"], row.hash) for row in rows
    ]
    end = logged[-1]
    assert (end["event"], end["member"], end["from"], end["claim"]) == ("swap.completed", "MIRRORB", "MIRRORA", "c41")
    assert end["ms"] == rows[-1].columns["DurationMs"] > 0


class Delays(Fate):
    """The answer to an instance's first commit is lost, and it lands long after the read that looks for it.

    `overtakes`: it lands right before the next one, which conflicts; otherwise after it, and has no effect.
    """

    def __init__(self, *, overtakes: bool) -> None:
        self.overtakes, self.commits = overtakes, 0

    async def before(self, node: Node, label: str) -> None:
        self.commits += label == "table commit"
        if label == "table commit" and self.commits == 1:
            raise LandsLate(0.5)
        if label == "table commit" and self.commits == 2 and self.overtakes:
            await asyncio.wait(node.harness.on_their_way)


@pytest.mark.parametrize("overtakes", [True, False])
@virtual
async def test_a_commit_that_lands_after_the_read_that_looked_for_it(overtakes: bool) -> None:
    """The same claim goes on with it at once, and nothing is decided or written twice. (I1, I3, I6)"""
    harness = Harness(fate=Delays(overtakes=overtakes))
    node = harness.node("n1")
    began = harness.loop.time()

    outcome = await node.claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert harness.loop.time() - began < 10.0
    assert (await events(harness)).count("claim.accepted") == 1
    await assert_kept(harness, on="mirrorb280_z2")


OLD, NEW = b"o" * 32, b"n" * 32


@virtual
async def test_a_key_that_one_instance_has_first_breaks_no_chain() -> None:
    """The instance without the key stops writing once a row is keyed, also in the middle of a swap, and says why. (I8)"""
    harness = Harness()
    old, new = harness.node("old"), harness.node("new")
    harness.introduce_key(new)
    harness.config = replace(old.controller.config, seal=new.controller.store.seal)
    move = asyncio.ensure_future(refused(old.move("MIRRORB")))
    await asyncio.sleep(1.0)

    await new.freeze()
    refusal = await move

    assert refusal.code == "storage-unavailable"
    assert "Set VIP_AUDIT_KEY" in refusal.detail
    assert ("audit.key", "PROD") in [(event, fields.get("mirror")) for event, fields in old.log]
    with pytest.raises(Refusal, match="VIP_AUDIT_KEY"):
        await old.unfreeze()
    await timer(old, 60.0)
    await timer(new, 60.0)
    await assert_kept(harness, on=NIC_B, rows_of_writes=False)


@pytest.mark.parametrize(
    ("before", "after", "writes"),
    [
        (Seal(), Seal(NEW), True),
        (Seal(OLD), Seal(NEW, OLD), True),
        (Seal(NEW, OLD), Seal(NEW), True),
        (Seal(OLD), Seal(), False),
        (Seal(OLD), Seal(None, OLD), False),
        (Seal(OLD), Seal(NEW), False),
        (Seal(NEW, OLD), Seal(OLD), False),
    ],
)
@pytest.mark.parametrize("told", [True, False])
@virtual
async def test_who_may_write_after_a_row(before: Seal, after: Seal, writes: bool, told: bool) -> None:
    """After a keyed row only who has a key and knows that row's; where the head does not tell, the row does. (I8)"""
    harness = Harness()
    first, second = harness.node("n1"), harness.node("n2")
    first.controller.store.seal, second.controller.store.seal = before, after
    await first.freeze()
    head = await harness.head()
    assert head.alg == before.alg
    copy = harness.copy() or {}
    if not told:
        del copy["Alg"]
        harness.ledger.set_head("PROD", copy)

    if writes:
        await second.unfreeze()
        assert (await harness.head()).alg == after.alg
    else:
        for asked in (second.unfreeze(), second.freeze(), second.move("MIRRORB", force=True)):
            with pytest.raises(Refusal, match=r"storage-unavailable.*Set VIP_AUDIT_KEY"):
                await asked
        assert (await harness.head()).seq == head.seq


@virtual
async def test_a_commit_that_landed_before_its_head_was_lost_is_not_made_again() -> None:
    """Its answer is lost, and then its head: the row tells that it landed. (I3, I8)"""
    harness = Harness()

    class Lost(Fate):
        async def between(self, node: Node, label: str) -> None:
            if label == "table commit":
                harness.fate = Fate()
                harness.damage()
                raise CommitUnknown("lost")

    node = harness.node("n1")
    await node.freeze()
    harness.fate = Lost()

    stored = await node.controller.store.commit(await harness.head(), decide)
    await node.unfreeze()

    assert stored.desired == "A"
    assert await events(harness) == ["frozen", "claim.accepted", "head.rebuilt", "unfrozen"]


@virtual
async def test_a_wall_clock_that_nobody_has_checked_decides_nothing() -> None:
    """A process whose first question for the time is lost answers that the table is away; the next goes by the table's time."""

    class FirstIsLost(Fate):
        lost = False

        async def before(self, node: Node, label: str) -> None:
            if label == "table load_head" and not self.lost:
                self.lost = True
                raise Unreachable("lost")

    harness = Harness(fate=FirstIsLost())
    node = harness.node("n", skew_s=7_200.0)

    refusal = await refused(node.claim("MIRRORB"))

    assert (refusal.code, await harness.trail()) == ("storage-unavailable", [])
    await node.claim("MIRRORB")
    assert abs((await harness.head()).began - harness.now()) < timedelta(seconds=60)
