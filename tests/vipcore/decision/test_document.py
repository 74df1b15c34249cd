"""Documents that change: names, addresses, NICs; with the VIP in place, with two documents served at once, after a crash."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Answer, Match
from simulator.core.switches import Switches
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import DOCUMENT, Harness
from tests.promises.helpers import NIC_A, NIC_B, events, virtual
from vipcore.errors import Refusal
from vipcore.ledger.head import Swap

SPARE = "spare"


def harness_with_a_spare_nic() -> Harness:
    """The default world, and a third NIC that no document names yet."""
    world = worlds.default()
    spare = WorldNic(name=SPARE, configs=(WorldConfig(name="own", address="10.0.0.9"),))
    return Harness(world=replace(world, nics=(*world.nics, spare)), switches=Switches(latency="fixed:1"))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The document with PROD changed."""
    document = copy.deepcopy(DOCUMENT)
    change(document["mirrors"]["PROD"])
    return document


def renamed(mirror: dict[str, Any]) -> None:
    """The VIP has another name."""
    mirror["vips"][0]["name"] = "vip-prod"


def shown(harness: Harness, nic: str) -> list[tuple[str, str, str]]:
    """Name, address and public IP of what the NIC carries beside its primary configuration."""
    facts = harness.cloud.nic_named(nic).doc.facts
    return [(fact.name, fact.address, fact.pip.rsplit("/", 1)[-1]) for fact in facts if not fact.primary]


async def passes(*nodes: Any, times: int = 4) -> None:
    """The timer of each instance in turn, for a while."""
    for _ in range(times):
        for node in nodes:
            await node.tick()
            await asyncio.sleep(15.0)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], tuple[str, str, str]]] = {
    "another name": (renamed, ("vip-prod", "10.0.0.254", "my_vip_ip")),
    "another address": (lambda m: m["vips"][0].update(private_ip="10.0.0.253"), ("vip", "10.0.0.253", "my_vip_ip")),
    "no public IP": (lambda m: m["vips"][0].pop("public_ip"), ("vip", "10.0.0.254", "")),
}


@virtual
@pytest.mark.parametrize("what", CHANGES)
async def test_a_vip_that_the_document_changes_is_put_right_where_it_is(what: str) -> None:
    """A renamed VIP, a changed address, a public IP taken away: one write on the same NIC, nothing of the old stays. (I1)"""
    change, form = CHANGES[what]
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")

    harness.deploy(changed(change))
    await passes(harness.node("new"))

    assert shown(harness, NIC_A) == [form]
    assert (await events(harness))[-4:] == ["drift.found", "nic.write", "swap.completed", "drift.repaired"]
    assert "The mirrors document defines VIP" in str((await harness.trail())[-4].columns["Detail"])


@virtual
@pytest.mark.parametrize("what", CHANGES)
async def test_a_vip_that_the_document_changes_moves_as_it_is_defined_now(what: str) -> None:
    """A claim under the new document takes the old ip configuration away and puts the new one in place. (I1)"""
    change, form = CHANGES[what]
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")

    harness.deploy(changed(change))
    outcome = await harness.node("new").claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert (shown(harness, NIC_A), shown(harness, NIC_B)) == ([], [form])


@virtual
async def test_azure_refuses_an_address_that_changes_its_name_in_one_write() -> None:
    """Where Azure counts an address as used by the very NIC that gives it a new name, it is taken off and put on again. (I1)"""
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")
    own = {"address": "10.0.0.254", "other": f"{harness.cloud.nic_named(NIC_A).id}/ipConfigurations/vip"}
    answer = Answer(name="PrivateIPAddressIsAllocated", words=own)
    harness.cloud.script(Match(method="PUT", kind="nic", name=NIC_A), fault=answer)

    harness.deploy(changed(renamed))
    await passes(harness.node("new"))

    assert shown(harness, NIC_A) == [("vip-prod", "10.0.0.254", "my_vip_ip")]


@virtual
async def test_two_documents_do_not_take_turns() -> None:
    """While both are served, the newer one's form stays: an old instance changes it when it is asked, never by itself. (I1)"""
    harness = harness_with_a_spare_nic()
    old = harness.node("old")
    await old.claim("MIRRORA")
    await asyncio.sleep(5.0)
    harness.deploy(changed(renamed))
    new = harness.node("new")
    await passes(old, new)
    rows = len(await harness.trail())

    await passes(old, new, times=30)

    assert shown(harness, NIC_A) == [("vip-prod", "10.0.0.254", "my_vip_ip")]
    assert len(await harness.trail()) == rows
    await old.claim("MIRRORB")
    assert shown(harness, NIC_B)[0][0] == "vip"
    await passes(old, new)
    assert shown(harness, NIC_B)[0][0] == "vip-prod"


@virtual
async def test_an_older_process_does_not_undo_what_the_newer_one_placed_first() -> None:
    """Which document is in force goes by when processes were started, not by who decided first. (I1)"""
    harness = harness_with_a_spare_nic()
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "drops-config")
    old = harness.node("old")
    await asyncio.sleep(5.0)
    harness.deploy(changed(CHANGES["another address"][0]))
    await harness.node("new").claim("MIRRORB")

    await passes(old)

    assert shown(harness, NIC_B) == [("vip", "10.0.0.253", "my_vip_ip")]


@virtual
async def test_what_is_left_of_a_vip_at_its_former_address_is_taken_away() -> None:
    """A NIC that could not be read when the VIP moved may have it still, at its former address: the timer takes it off. (I1)"""
    harness = harness_with_a_spare_nic()
    harness.deploy(changed(lambda mirror: mirror.update(vips=[{"name": "vip", "private_ip": "10.0.0.253"}])))
    node = harness.node("n1")
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_A), fault=Answer(name="ResourceNotFound"), times=100)
    await node.claim("MIRRORB")
    assert [name for name, *_ in shown(harness, NIC_A)] == ["vip"]
    harness.cloud.scripts.clear()

    await passes(node)

    assert shown(harness, NIC_A) == []
    assert shown(harness, NIC_B) == [("vip", "10.0.0.253", "")]
    assert (await harness.head()).drift is None


@virtual
async def test_a_document_that_is_rolled_back_is_in_force_again() -> None:
    """A process that starts later has the newer document, whatever it says. (I1)"""
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")
    harness.deploy(changed(renamed))
    new = harness.node("new")
    await passes(new)

    await asyncio.sleep(5.0)
    harness.deploy(DOCUMENT)
    await passes(harness.node("back"), new)

    assert shown(harness, NIC_A)[0][0] == "vip"


@virtual
async def test_a_renamed_member_inherits_desired_through_its_nic() -> None:
    """Desired follows the NIC under a new epoch, with a row; a VIP that is lost then comes back to that member. (I1)"""
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")
    before = await harness.head()

    harness.deploy(changed(lambda mirror: mirror["members"].update(PRIMARY=mirror["members"].pop("MIRRORA"))))
    new = harness.node("new")
    await passes(new)

    head, row = await harness.head(), (await harness.trail())[-1]
    assert (head.desired, head.epoch) == ("PRIMARY", before.epoch + 1)
    assert (row.columns["Event"], row.columns["Outcome"], row.columns["Member"]) == ("drift.repaired", "renamed", "PRIMARY")
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "drops-config")
    await passes(new)
    assert harness.holders() == [NIC_A]


@virtual
async def test_a_write_in_flight_is_known_under_the_members_new_name() -> None:
    """A NIC that a dead driver may still write is rewritten, whatever its member is called now. (I2)"""
    harness = harness_with_a_spare_nic()
    old = harness.node("old")
    driving = asyncio.ensure_future(old.claim("MIRRORB"))
    while not harness.journal.puts:
        await asyncio.sleep(0.01)
    old.kill()
    await asyncio.sleep(60.0)

    harness.deploy(changed(lambda mirror: mirror["members"].update(SECOND=mirror["members"].pop("MIRRORA"))))
    await harness.node("new").claim("MIRRORB")

    written = [str(row.columns["Detail"]) for row in await harness.trail() if row.columns["Event"] == "nic.write"]
    assert any("the NIC of SECOND" in detail for detail in written)
    assert harness.holders() == [NIC_B]
    driving.cancel()


@virtual
async def test_a_replaced_member_gets_the_vip_from_its_former_nic() -> None:
    """The NIC that left the document still has the VIP: that is no stranger's, and a claim takes it from there. (I1)"""
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")

    harness.deploy(changed(lambda mirror: mirror["members"]["MIRRORA"].update(nic=SPARE)))
    new = harness.node("new")
    await passes(new)
    assert "MIRRORA (former)" in str((await harness.head()).drift)
    await new.claim("MIRRORA", claim_id="c2")

    assert harness.holders() == [SPARE]
    assert set((await harness.head()).nics) == {"MIRRORA"}
    assert harness.mirror().nic_id("MIRRORA") == (await harness.head()).nics["MIRRORA"]


@virtual
async def test_an_unfinished_swap_of_a_mirror_that_was_away_is_given_up() -> None:
    """A day without anybody: what is in place stays, and the row says so; what is on no NIC is attached all the same. (I1)"""
    harness = harness_with_a_spare_nic()
    node = harness.node("n1")
    await node.claim("MIRRORA")
    head = await harness.head()
    swap = Swap(operation_id="x", from_member="MIRRORA", started_at=node.now(), actor="key:k", begun=True)
    await harness.ledger.commit(replace(head, desired="MIRRORB", swap=swap, wrote_at=node.now()), [])

    await asyncio.sleep(90_000.0)
    await passes(node)

    assert harness.holders() == [NIC_A]
    abandoned = [row for row in await harness.trail() if row.columns.get("Outcome") == "abandoned"]
    assert len(abandoned) == 1
    harness.cloud.stranger(harness.cloud.nic_named(NIC_A), "drops-config")
    await passes(node)
    assert harness.holders() == [NIC_B]


@virtual
async def test_another_mirrors_primary_address_is_still_a_strangers() -> None:
    """A document that gives the VIP a member's own address takes nothing from that member. (I10)"""
    harness = harness_with_a_spare_nic()
    await harness.node("old").claim("MIRRORA")
    harness.deploy(changed(lambda mirror: mirror["vips"][0].update(private_ip="10.0.0.5")))

    with pytest.raises(Refusal, match="which is no VIP of this mirror"):
        await harness.node("new").claim("MIRRORB")

    assert shown(harness, NIC_A) == [("vip", "10.0.0.254", "my_vip_ip")]
