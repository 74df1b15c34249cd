"""The end of a drive: what its last row tells, whether it completes, fails or hands over."""

import asyncio

import pytest

from simulator.core.faults import Answer
from tests.promises.harness import Harness
from tests.promises.helpers import ATTACH, NIC_A, NIC_B, agent, assert_kept, details, document, puts, refused, virtual
from vipcore.model import Member, Page


@virtual
async def test_a_foreign_change_after_our_write_is_reported() -> None:
    """What somebody else changes on a NIC while we write it is left alone and named in the swap's row. (I5)"""
    harness = Harness()
    node = harness.node("n1")
    harness.loop.call_later(2.0, lambda: harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "changes-tag"))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    assert "touched" in harness.cloud.nic_named(NIC_A).doc.top["tags"]
    assert "also changed at /tags" in (await details(harness, "swap.completed"))[0]
    await assert_kept(harness, on=NIC_B)


class Path:
    """Probes whose path answers after that long, or never."""

    def __init__(self, took_s: float | None) -> None:
        self.took_s = took_s
        self.asked: list[str] = []
        self.unread: dict[str, str] = {}

    async def page(self, member: Member) -> Page:
        """No member has one."""
        raise AssertionError(member)

    async def path(self, target: str, *, within_s: float) -> float | None:
        """As it was told."""
        self.asked.append(target)
        await asyncio.sleep(within_s if self.took_s is None else self.took_s)
        return self.took_s


@pytest.mark.parametrize("took_s", [0.4, None])
@virtual
async def test_the_path_is_a_phase_of_its_own(took_s: float | None) -> None:
    """The path probe is reported as a phase of its own, and one that is not answered undoes nothing."""
    harness = Harness(document=document(path_probe="tcp://10.0.0.254:1972"))
    node = harness.node("n1")
    node.controller.probes = path = Path(took_s)

    outcome = await node.claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert path.asked == ["tcp://10.0.0.254:1972"]
    took = {phase.name: phase.ms for phase in outcome.phases}["path"]
    assert took == pytest.approx(3000 if took_s is None else 400, abs=5)
    said = (await details(harness, "swap.completed"))[0]
    assert ("did not answer within 3 s" if took_s is None else "answered after 400 ms") in said
    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_refused_write_is_told_by_a_driver_that_is_superseded() -> None:
    """Whoever hands over tells of the writes that Azure had refused it: those were answered too. (I3)"""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(ATTACH, fault=Answer(name="SubscriptionRequestsThrottled", retry_after=4), times=3)
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    while not any(sent.status == 429 for sent in puts(harness)):
        await asyncio.sleep(0.1)

    await agent(other, "MIRRORA", claim_id="back")

    assert (await first).code == "claim-superseded"
    known = " ".join(str(row.columns.get("ArmRequestIds", "")) for row in await harness.trail())
    assert [sent.status for sent in puts(harness) if sent.request_id not in known] == []
    await assert_kept(harness, on=NIC_A)
