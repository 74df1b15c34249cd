"""Reads of NICs in a drive: a NIC that cannot be read is unknown, never empty."""

from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Fault, Match, Status
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.harness import Harness
from tests.promises.helpers import (
    ALWAYS,
    ATTACH,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    cured,
    document,
    events,
    other_content,
    refused,
    timer,
    virtual,
)
from tests.vipcore.swap.azure import READ_A, READ_B
from tests.vipcore.swap.repertoire import (
    CHANGED,
    CODES,
    SILENT,
    SYNC,
    says_what_to_do,
)
from vipcore.entry import status


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
    assert refusal.code == ("azure-failed" if name in SILENT | CHANGED else CODES[name])
    if missing and nic == NIC_A:
        # MIRRORA's NIC does not exist, says Azure, and yet somebody holds the address: the read may lie.
        assert f"{NIC_A} does not exist, and that 10.0.0.254 is in use" in refusal.detail
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


INCOMPLETE = {
    "no configurations": b'{"etag": "e", "properties": {"provisioningState": "Succeeded"}}',
    "empty configurations": b'{"etag": "e", "properties": {"ipConfigurations": [], "provisioningState": "Succeeded"}}',
    "a configuration without subnet": (
        b'{"etag": "e", "properties": {"provisioningState": "Succeeded", "ipConfigurations": '
        b'[{"name": "ipconfig1", "properties": {"primary": true, "privateIPAddress": "10.0.0.4"}}]}}'
    ),
}
NOT_THERE: dict[str, Fault] = {
    **{what: Status(status=200, body=body) for what, body in INCOMPLETE.items()},
    "404": Answer(name="ResourceNotFound"),
}


@pytest.mark.parametrize("what", NOT_THERE)
@pytest.mark.parametrize("holder", ["MIRRORA", "MIRRORB"])
@virtual
async def test_a_nic_that_is_not_shown_as_it_is(holder: str, what: str) -> None:
    """An incomplete document, or a passing 404, of the holder is no look: no claim is refused for good, nothing drifts. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    await node.claim(holder)
    events_before = await events(harness)
    other = "MIRRORB" if holder == "MIRRORA" else "MIRRORA"
    match = READ_A if holder == "MIRRORA" else READ_B
    harness.cloud.script(match, fault=NOT_THERE[what], times=ALWAYS)

    shown = await status.mirror(node.controller, "PROD", "cid")
    await timer(node, 90.0)
    events_after = await events(harness)
    refusal = await refused(node.claim(other, claim_id="c2"))
    cured(harness)
    outcome, _ = await agent(node, other, claim_id="c2")

    assert (shown["placement"]["state"], shown["members"][other == "MIRRORA"]["ready"]) == ("unknown", None)
    assert events_after == events_before
    assert (refusal.code, "could not be read" in refusal.detail) == ("azure-failed", True)
    assert outcome.outcome == "moved"


@pytest.mark.parametrize("what", NOT_THERE)
@virtual
async def test_a_target_that_is_not_shown_for_a_moment(what: str) -> None:
    """After the detach a passing 404 or an incomplete document of the target is looked at again, in one drive. (I1, I9)"""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(READ_B, fault=NOT_THERE[what], times=2, skip=1)
    harness.cloud.script(ATTACH, fault=Answer(name="PreconditionFailed"))

    assert (await node.claim("MIRRORB")).outcome == "moved"

    await assert_kept(harness, on=NIC_B)
