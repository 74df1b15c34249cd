"""Repeated refusals and confirmations: one row a minute, and the next row says how many were left out."""

import asyncio

from tests.promises.harness import Harness
from tests.promises.helpers import details, refused, virtual
from tests.vipcore.decision.pages import N, P, paged
from tests.vipcore.effects import watched


@virtual
async def test_confirmations_leave_one_row_a_minute() -> None:
    """Confirmations like the last one of that key write at most one row a minute; the next row says how many were left out."""
    harness, node, _ = watched()
    for turn in range(70):
        assert (await node.claim("MIRRORA", claim_id=f"c{turn}")).outcome == "confirmed"
        await asyncio.sleep(1.0)

    rows = await details(harness, "claim.confirmed")
    assert len(rows) == 2
    assert "earlier ones like this were counted and not written" in rows[1]


@virtual
async def test_a_refused_claim_leaves_one_row_a_minute() -> None:
    """A claim that is held again and again writes at most one row a minute, and the next one says how many were left out. (I7)"""
    harness, node = paged(P, N)
    for _ in range(61):
        await refused(node.claim("MIRRORB", event="manual"))
        await asyncio.sleep(1.0)

    rows = await details(harness, "claim.refused")
    assert len(rows) == 2
    assert "earlier ones like this were counted and not written" in rows[1]
    assert (await harness.head()).epoch == 0


@virtual
async def test_an_accepted_claim_tells_what_was_left_out_before_it() -> None:
    """The next row says how many were left out, also where the claim goes through; the one after it does not say it again."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    for _ in range(3):
        await asyncio.sleep(1)
        await refused(node.claim("MIRRORA", age_s=60))

    await node.claim("MIRRORA")
    await refused(node.claim("MIRRORB", age_s=60))
    await asyncio.sleep(70)
    await node.claim("MIRRORB")
    await refused(node.claim("MIRRORA", age_s=60))

    told = [*await details(harness, "claim.accepted"), *await details(harness, "claim.refused")]
    assert [detail for detail in told if "counted" in detail] == [
        "Until now MIRRORB was to have the VIP. 2 earlier ones like this were counted and not written."
    ]
