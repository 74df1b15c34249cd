"""Reads of NICs in a drive: a NIC that cannot be read is unknown, never empty."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Match, Status
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Harness
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, assert_kept, cured, document, other_content, refused, timer, virtual
from tests.vipcore.swap.azure import READ_A, READ_B
from tests.vipcore.swap.repertoire import (
    CHANGED,
    CODES,
    SILENT,
    SYNC,
    says_what_to_do,
)


@pytest.mark.parametrize("name", SYNC)
@pytest.mark.parametrize("nic", [NIC_A, NIC_B])
@virtual
async def test_an_error_that_strikes_the_look_at_a_nic(nic: str, name: str) -> None:
    """A NIC that cannot be read is unknown: nothing is written, the claim is recorded, and the timer carries it out. (I9)"""
    harness = Harness()
    node, before = harness.node("n1"), other_content(harness)
    harness.cloud.script(Match(method="GET", kind="nic", name=nic), fault=Answer(name=name), times=ALWAYS)

    refusal = await refused(node.claim("MIRRORB"))

    missing = ERRORS[name].status == 404
    if missing:
        # MIRRORA's NIC does not exist, says Azure, and yet somebody holds the address: the read lies, and nothing happens.
        assert refusal.code == ("address-taken" if nic == NIC_A else "azure-failed")
    else:
        assert refusal.code == ("azure-failed" if name in SILENT | CHANGED else CODES[name])
    assert missing or ERRORS[name].layer == "empty" or says_what_to_do(name, refusal.detail) or name in CHANGED
    assert "Nothing was changed" in refusal.detail
    assert harness.holders() == [NIC_A]
    assert (await harness.head()).recorded_claim is not None
    assert (await harness.head()).epoch == 0
    cured(harness)
    await timer(node, 120.0)

    await assert_kept(harness, on=NIC_B)
    assert other_content(harness) == before


@virtual
async def test_an_unreadable_bystander_stops_nothing() -> None:
    """Where every VIP is seen, a third NIC that cannot be read does not matter: an address is on one NIC only. (I9)"""
    found = worlds.default()
    third = WorldNic(name="third", vm="", configs=(WorldConfig(name="ipconfig1", address="10.0.0.6"),))
    members = {"MIRRORA": {"nic": NIC_A}, "MIRRORB": {"nic": NIC_B}, "DR": {"nic": "third"}}
    harness = Harness(world=replace(found, nics=(*found.nics, third)), document=document(members=members))
    node = harness.node("n1")
    harness.cloud.script(Match(method="GET", name="third"), fault=Status(status=503), times=ALWAYS)

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)


@pytest.mark.parametrize("match", [READ_A, READ_B], ids=["holder", "target"])
@virtual
async def test_a_nic_that_becomes_unreadable_in_the_middle(match: Match) -> None:
    """A NIC that can no longer be read during the swap is looked at again; no answer says more than was read. (I4, I9)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(match, fault=Status(status=503), times=ALWAYS, skip=1)

    first = await agent_once(node)
    cured(harness)
    await timer(node, 120.0)

    assert first in {"moved", "azure-failed"}
    if match is READ_B:
        assert first == "azure-failed"
    await assert_kept(harness, on=NIC_B)


async def agent_once(node: Any) -> str:
    """The outcome or the code of one claim."""
    try:
        return str((await node.claim("MIRRORB")).outcome)
    except Exception as exc:
        return str(getattr(exc, "code", exc))
