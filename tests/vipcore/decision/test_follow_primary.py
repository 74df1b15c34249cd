"""`follow_primary`: the timer follows a status page that turned primary after the last decision."""

import asyncio

import pytest

from tests.promises.helpers import NIC_A, NIC_B, assert_kept, timer, virtual
from tests.vipcore.decision.pages import N, P, U, paged
from vipcore.model import Member, Page


@virtual
async def test_a_page_that_turned_primary_is_followed() -> None:
    """With follow_primary a member whose page turned primary after the last decision gets the VIP, after several looks."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    await node.tick()
    await asyncio.sleep(30.0)
    await node.tick()
    assert harness.holders() == [NIC_A]
    await timer(node, 90.0)

    await assert_kept(harness, on=NIC_B)
    row = (await harness.trail())[-1]
    assert row.columns["Actor"] == "reconciler"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((N, P), (N, P)),  # it said primary already when the decision was taken: it has not turned
        ((P, N), (P, P)),  # the holder's page says primary too
        ((P, N), (U, U)),  # nothing is known
        ((U, U), (U, P)),  # it was never seen to say anything else
    ],
)
@virtual
async def test_a_page_that_is_not_followed(before: tuple[Page, Page], after: tuple[Page, Page]) -> None:
    """Pages that did not turn since the last decision, or that contradict each other, are not followed."""
    harness, node = paged(*before, follow_primary=True)
    await node.move("MIRRORA", force=True)
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": after[0], "MIRRORB": after[1]}

    await timer(node, 600.0)

    await assert_kept(harness, on=NIC_A)


@virtual
async def test_pages_are_not_followed_unless_asked_for() -> None:
    """Without follow_primary the timer acts on no page."""
    harness, node = paged(P, N)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    await timer(node, 600.0)

    await assert_kept(harness, on=NIC_A)


@virtual
async def test_a_frozen_mirror_follows_no_page() -> None:
    """A freeze stops the following of pages too; after it the page's primary gets the VIP."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    await node.freeze()
    harness.pages = {"MIRRORA": N, "MIRRORB": P}
    await timer(node, 300.0)
    assert harness.holders() == [NIC_A]

    await node.unfreeze()
    await timer(node, 180.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_a_page_that_turns_is_followed_across_processes() -> None:
    """Which pages were seen to say not primary is in the head: the next process follows the turn as well."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    node.kill()
    harness.pages = {"MIRRORA": N, "MIRRORB": P}

    await timer(harness.node("n2"), 180.0)

    await assert_kept(harness, on=NIC_B)


@virtual
async def test_following_yields_to_a_decision_made_while_the_pages_were_asked() -> None:
    """A move that arrives during the timer's look at the pages is a later decision than the page that turned."""
    harness, node = paged(P, N, follow_primary=True)
    await node.claim("MIRRORA")
    await timer(node, 60.0)
    harness.pages = {"MIRRORA": N, "MIRRORB": P}
    await timer(node, 60.0)
    slowly = node.controller.probes.page

    async def page(member: Member) -> Page:
        shown = await slowly(member)
        await asyncio.sleep(2.0)
        return shown

    node.controller.probes.page = page  # type: ignore[method-assign]  # this instance's network is slow
    looking = asyncio.create_task(node.tick())
    await asyncio.sleep(1.0)
    await harness.node("n2").move("MIRRORA", force=True)
    await looking

    assert (await harness.head()).desired == "MIRRORA"
    await assert_kept(harness, on=NIC_A)
