"""What is known of all heads without reading each: never older than what a hint told of, and never read twice for nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.promises.harness import Harness
from tests.promises.helpers import NIC_A, timer, virtual
from tests.promises.ledger import MemoryLedger
from tests.vipcore.manual_changes import by_hand
from vipcore.entry import status
from vipcore.errors import Unreachable
from vipcore.ledger.head import Head
from vipcore.ledger.known import AGAIN_MAX, GAP_S, KnownHeads

NAMES = [f"M{number:04d}" for number in range(200)]


class Counted(MemoryLedger):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[list[str]] = []
        self.slow_s = 0.0
        self.away = False

    async def load_heads(self, mirrors: Sequence[str]) -> Mapping[str, Head]:
        self.read.append(list(mirrors))
        if self.away:
            raise Unreachable("away")
        found = await super().load_heads(mirrors)
        await asyncio.sleep(self.slow_s)
        return found


async def decided(ledger: MemoryLedger, name: str, member: str) -> None:
    """Somebody decides, with a hint before."""
    await ledger.put_work_item(name)
    await ledger.commit(replace(await ledger.load_head(name), desired=member), [])


@virtual
async def test_heads_without_a_hint_are_read_once() -> None:
    """The first look reads all; the next ones, soon after, only what has a hint or had one at the look before."""
    ledger = Counted()
    known = KnownHeads(ledger)
    assert set(await known.all(NAMES)) == set(NAMES)
    await asyncio.sleep(15.0)
    await decided(ledger, "M0007", "A")

    assert (await known.all(NAMES))["M0007"].desired == "A"
    await ledger.drop_work_item((await ledger.load_worklist())[0])
    await asyncio.sleep(15.0)
    await known.all(NAMES)
    await asyncio.sleep(15.0)
    await known.all(NAMES)

    assert ledger.read == [NAMES, ["M0007"], ["M0007"]]


@virtual
async def test_a_change_whose_hint_has_gone_meanwhile_is_seen() -> None:
    """A head that was read beside its hint and changed before the hint went is read once more. (I9)"""
    ledger = Counted()
    known = KnownHeads(ledger)
    await ledger.put_work_item("M0001")
    await known.all(NAMES)
    await decided(ledger, "M0001", "A")
    await ledger.drop_work_item((await ledger.load_worklist())[0])

    assert (await known.all(NAMES))["M0001"].desired == "A"


@virtual
async def test_after_a_gap_in_which_a_hint_may_have_come_and_gone_all_are_read() -> None:
    """Whoever has not looked for longer than a hint stays knows nothing."""
    ledger = Counted()
    known = KnownHeads(ledger)
    await known.all(NAMES)
    await decided(ledger, "M0001", "A")
    await ledger.drop_work_item((await ledger.load_worklist())[0])
    await asyncio.sleep(GAP_S + 1.0)

    assert (await known.all(NAMES))["M0001"].desired == "A"
    assert ledger.read[1] == NAMES


@virtual
async def test_old_heads_are_read_again_after_the_answer() -> None:
    """What changes without a hint is seen within minutes, and nobody waits for those reads."""
    ledger = Counted()
    known = KnownHeads(ledger)
    await known.all(NAMES)
    await ledger.commit(Head(mirror="M0150", drift="x"), [])
    found: Mapping[str, Head] = {}
    for _ in range(12):
        await asyncio.sleep(15.0)
        found = await known.all(NAMES)
        await asyncio.sleep(0.1)

    assert found["M0150"].drift == "x"
    assert max(map(len, ledger.read[1:])) == AGAIN_MAX


@virtual
async def test_a_slow_read_of_before_takes_no_newer_one_s_place() -> None:
    """A head that was read again in the background and came late is dropped where a newer one is known."""
    ledger = Counted()
    known = KnownHeads(ledger)
    await known.all(NAMES)
    await asyncio.sleep(70.0)
    ledger.slow_s = 5.0
    await known.all(NAMES[:3])
    await asyncio.sleep(1.0)
    ledger.slow_s = 0.0
    await decided(ledger, "M0001", "A")
    assert (await known.all(NAMES))["M0001"].desired == "A"
    await ledger.drop_work_item((await ledger.load_worklist())[0])
    await known.all(NAMES)
    await asyncio.sleep(10.0)

    assert (await known.all(NAMES))["M0001"].desired == "A"


@virtual
async def test_what_could_not_be_read_is_read_the_next_time() -> None:
    """A look that failed leaves nothing behind that a later one would take for known."""
    ledger = Counted()
    known = KnownHeads(ledger)
    await known.all(NAMES)
    await decided(ledger, "M0001", "A")
    ledger.away = True
    with pytest.raises(Unreachable):
        await known.all(NAMES)
    ledger.away = False

    assert (await known.all(NAMES))["M0001"].desired == "A"


@pytest.mark.parametrize("what", ["freeze", "claim", "drift", "readiness"])
@virtual
async def test_every_change_that_a_list_tells_has_a_hint(what: str) -> None:
    """What another instance does is in this one's list at once, though it has read that mirror's head before."""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    await node.claim("MIRRORB")
    await timer(node, 400.0)
    assert harness.ledger.worklist == {}
    before = (await status.mirrors(node.controller))["mirrors"][0]
    match what:
        case "freeze":
            await other.freeze()
        case "claim":
            await other.claim("MIRRORA", claim_id="c2")
        case "drift":
            await by_hand(harness, NIC_A)
            await other.tick()
        case _:
            harness.cloud.nic_named(NIC_A).state = "Failed"
            harness.cloud.nic_named(NIC_A).bodies.clear()
            await other.tick()
    shown = (await status.mirrors(node.controller))["mirrors"][0]

    changed = {name for name in shown if shown[name] != before[name]}
    assert {"freeze": "frozen", "claim": "desired", "drift": "drift", "readiness": "ready"}[what] in changed
