"""Readiness: what is in the way of a member's claim, when it is looked at, which row tells of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from simulator.core.faults import Answer, Ends, Hangs, Match, Status
from simulator.core.switches import Denial, Switches
from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, cured, puts, refused, switch, timer, virtual
from tests.vipcore.manual_changes import by_hand, drop, failed
from vipcore.decision import readiness
from vipcore.entry import status
from vipcore.ledger.audit import Caller, Row
from vipcore.ledger.head import Failure, Head, Swap

READ_B = Match(method="GET", kind="nic", name=NIC_B)


async def told(harness: Harness) -> list[tuple[str, str]]:
    """Member and outcome of each row about readiness."""
    return [(str(row.columns["Member"]), str(row.columns["Outcome"])) for row in await rows(harness)]


async def rows(harness: Harness) -> list[Row]:
    """The rows about readiness."""
    return [row for row in await harness.trail() if row.columns["Event"] == "readiness.changed"]


async def listed(node: Node) -> dict[str, Any]:
    """What `GET /mirrors` tells of PROD."""
    found: dict[str, Any] = (await status.mirrors(node.controller))["mirrors"][0]
    return found


@virtual
async def test_a_mirror_that_is_ready_is_kept_without_a_row() -> None:
    """The first look is in the head with its time and placement; a row only tells of a change."""
    harness = Harness()
    node = harness.node("n1")
    assert (await listed(node))["ready"] == {"MIRRORA": None, "MIRRORB": None}

    await node.tick()

    shown = await listed(node)
    assert shown["placement"] == {"state": "placed", "members": ["MIRRORA"]}
    assert (shown["ready"], shown["reasons"]) == ({"MIRRORA": True, "MIRRORB": True}, {})
    assert await harness.trail() == []


@pytest.mark.parametrize("what", ["nic", "right", "gone", "denied"])
@virtual
async def test_what_azure_has_against_a_claim_is_found_by_the_timer(what: str) -> None:
    """A NIC that is Failed, gone or may not be read, and a missing right: not ready, with what to do, and ready again after."""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()
    match what:
        case "nic":
            failed(harness, NIC_B)
        case "right":
            switch(harness, denied=(Denial(action="Microsoft.Network/networkInterfaces/write"),))
        case "gone":
            harness.cloud.script(READ_B, fault=Answer(name="ResourceNotFound"), times=ALWAYS)
        case _:
            harness.cloud.script(READ_B, fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await timer(node, 570.0)
    shown = await listed(node)
    says = {
        "nic": f"(az network nic update -g rg -n {NIC_B})",
        "right": "grant Microsoft.Network/networkInterfaces/write",
        "gone": "name the right one in the mirrors document",
        "denied": "Grant",
    }[what]
    assert shown["ready"]["MIRRORB"] is False
    assert says in " ".join(shown["reasons"]["MIRRORB"])
    assert ("MIRRORB", "not-ready") in await told(harness)

    cured(harness)
    switch(harness, denied=())
    harness.cloud.nic_named(NIC_B).state = "Succeeded"
    harness.cloud.nic_named(NIC_B).bodies.clear()
    await timer(node, 600.0)

    assert (await listed(node))["ready"] == {"MIRRORA": True, "MIRRORB": True}
    assert (await told(harness))[-1] == ("MIRRORB", "ready")
    assert puts(harness) == []


@virtual
async def test_a_failed_nic_is_told_within_a_minute() -> None:
    """What a pass sees on the NICs is in the head and in a row after that pass."""
    harness = Harness()
    node = harness.node("n1")
    await timer(node, 60.0)
    failed(harness, NIC_B)

    await timer(node, 60.0)

    assert await told(harness) == [("MIRRORB", "not-ready")]


@pytest.mark.parametrize("fault", [Status(status=503), Answer(name="SubscriptionRequestsThrottled", retry_after=20)])
@virtual
async def test_what_could_not_be_looked_at_changes_nothing(fault: Any) -> None:
    """A NIC that did not answer is no NIC that is wrong: what was seen last stands, with its time, and no row is written. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()
    before = await listed(node)
    harness.cloud.script(READ_B, fault=fault, times=ALWAYS)
    await timer(node, 1200.0)

    shown = await listed(node)

    assert shown["ready"] == {"MIRRORA": True, "MIRRORB": True}
    assert shown["checked_at"] == before["checked_at"]
    assert await told(harness) == []


@virtual
async def test_a_look_that_saw_nothing_is_made_again_soon() -> None:
    """The end of a freeze is told once rights can be read, and not when the next look would have been due. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    await node.freeze()
    harness.cloud.script(Match(method="GET", kind="permissions"), fault=Status(status=503), times=ALWAYS)
    await timer(node, 60.0)
    await node.unfreeze()
    cured(harness)

    await timer(node, 60.0)

    assert [outcome for _, outcome in await told(harness)] == ["not-ready", "not-ready", "ready", "ready"]


@virtual
async def test_a_missing_right_that_cannot_be_looked_at_again_is_still_missing() -> None:
    """A reading that fails for a moment does not make a member ready whose right was seen to be missing. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    switch(harness, denied=(Denial(action="Microsoft.Network/networkInterfaces/write"),))
    await node.tick()
    switch(harness, denied=())
    harness.cloud.script(Match(method="GET", kind="permissions"), fault=Status(status=503), times=ALWAYS)
    await timer(node, 1200.0)
    assert (await listed(node))["ready"] == {"MIRRORA": False, "MIRRORB": False}

    cured(harness)
    await timer(node, 600.0)

    assert await told(harness) == [
        ("MIRRORA", "not-ready"), ("MIRRORB", "not-ready"), ("MIRRORA", "ready"), ("MIRRORB", "ready"),
    ]  # fmt: skip


@virtual
async def test_a_freeze_shows_at_once_and_has_its_rows_within_a_minute() -> None:
    """A frozen mirror's members are not ready from the freeze on; the timer writes it down, and the end of the freeze too."""
    harness = Harness()
    node = harness.node("n1")
    await timer(node, 90.0)
    await node.freeze()
    assert (await listed(node))["ready"] == {"MIRRORA": False, "MIRRORB": False}
    assert "until the freeze is lifted" in (await listed(node))["reasons"]["MIRRORB"][0]
    await timer(node, 60.0)
    assert await told(harness) == [("MIRRORA", "not-ready"), ("MIRRORB", "not-ready")]

    await node.unfreeze()
    await timer(node, 60.0)

    assert (await told(harness))[2:] == [("MIRRORA", "ready"), ("MIRRORB", "ready")]


@virtual
async def test_flapping_is_in_the_way_of_the_other_members() -> None:
    """Where claims are held as flapping, the member that has the VIP is ready, and no other one."""
    harness = Harness()
    node = harness.node("n1")
    for turn in range(6):
        await node.claim(["MIRRORB", "MIRRORA"][turn % 2], claim_id=f"c{turn}")
        await asyncio.sleep(1.0)
    await node.tick()

    shown = await listed(node)

    assert shown["ready"] == {"MIRRORA": True, "MIRRORB": False}
    assert "an operator must move the VIP or freeze the mirror" in shown["reasons"]["MIRRORB"][0]
    assert shown["changes"] == {"in_window": 6, "max": 6}


@virtual
async def test_a_member_without_a_usable_key_is_not_ready() -> None:
    """A member whose keys are all disabled, or that has none, cannot claim."""
    harness = Harness()
    assert harness.config is not None
    kept = {key_id: key for key_id, key in harness.config.keys.items() if key.member != "MIRRORB"}
    harness.config = replace(harness.config, keys=kept)
    node = harness.node("n1")
    await node.tick()

    shown = await listed(node)

    assert shown["ready"] == {"MIRRORA": True, "MIRRORB": False}
    assert "VIP_KEY_KEY_MIRRORB_PROD" in shown["reasons"]["MIRRORB"][0]
    assert await told(harness) == [("MIRRORB", "not-ready")]


@virtual
async def test_readiness_is_looked_at_after_every_swap() -> None:
    """Within a minute after a swap the head holds a look that was made after it."""
    harness = Harness()
    node = harness.node("n1")
    await timer(node, 90.0)
    outcome = await node.claim("MIRRORB")
    ended = node.now()
    await timer(node, 60.0)

    head = await harness.head()

    assert outcome.outcome == "moved"
    assert head.readiness is not None
    assert head.readiness.looked_at > ended
    assert min(found.at for found in head.readiness.members.values()) > ended
    assert head.readiness.holders == ("MIRRORB",)


@pytest.mark.parametrize("gone", [False, True])
@virtual
async def test_a_look_is_as_old_as_its_reads(gone: bool) -> None:
    """A process that stood still between its reads and what it says of them does not call them new."""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()
    if gone:
        harness.cloud.script(READ_B, fault=Answer(name="ResourceNotFound"), times=ALWAYS)
    head, began = await harness.head(), node.now()
    observed = await node.controller.read_all(harness.mirror())
    await asyncio.sleep(50.0)

    looks = await readiness.look(node.controller, head, observed)
    await readiness.keep(node.controller, head, Caller("reconciler", "c"), observed)

    kept = (await harness.head()).readiness
    assert kept is not None
    times = [*(look.at for look in looks.values()), *(found.at for found in kept.members.values()), kept.looked_at, kept.seen_at]
    assert max(times) - began < timedelta(seconds=10.0)
    assert (await listed(node))["ready"]["MIRRORB"] is not gone


@virtual
async def test_readiness_writes_nothing_where_nothing_changes() -> None:
    """An hour of passes over a mirror at rest costs a commit every ten minutes or so, and no row."""
    harness = Harness()
    node = harness.node("n1")
    await timer(node, 3600.0)

    assert 6 <= len(harness.journal.commits) <= 9
    assert await harness.trail() == []


@virtual
async def test_readiness_reads_and_commits_nothing_while_somebody_drives() -> None:
    """A pass during a swap leaves its head alone, so that no driver has to judge again."""
    harness = Harness()
    node, other = harness.node("n1"), harness.node("n2")
    harness.cloud.script(Match(method="PUT", name=NIC_A), fault=Ends(after_s=40.0))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(5.0)
    await other.tick()
    assert [commit.trace.kind for commit in harness.journal.commits if commit.trace.node is other] == []
    await claim


@virtual
async def test_a_decision_during_a_look_wins() -> None:
    """A look that began before a decision is not stored over it: it showed what was before."""

    class Meanwhile(Fate):
        moved = False

        async def before(self, node: Node, label: str) -> None:
            if label == "table commit" and node.name == "n1" and not self.moved:
                self.moved = True
                await harness.node("n2").claim("MIRRORB")

    harness = Harness()
    node = harness.node("n1")
    harness.fate = Meanwhile()
    failed(harness, NIC_B)

    await node.tick()

    assert [commit.trace.kind for commit in harness.journal.commits if commit.trace.node is node] == []
    assert await told(harness) == []
    head = await harness.head()
    assert readiness.last_seen(head) is not None
    assert (await listed(node))["placement"] == {"state": "placed", "members": ["MIRRORB"]}


@virtual
async def test_a_vip_that_is_lost_is_in_the_list_after_the_next_pass() -> None:
    """The placement that the timer saw last is told with its time, also where it may not repair it."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await node.freeze()
    drop(harness, NIC_B)
    await asyncio.sleep(10.0)
    await node.tick()

    assert (await listed(node))["placement"] == {"state": "unplaced", "members": []}
    await by_hand(harness, NIC_A)
    await node.tick()
    assert (await listed(node))["placement"] == {"state": "placed", "members": ["MIRRORA"]}


@virtual
async def test_a_swap_that_cannot_go_on_says_why() -> None:
    """What ended the last try of an unfinished swap is in the head: its code, its sentence, and when it is tried again."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    refusal = await refused(node.claim("MIRRORB"))

    progress = (await listed(node))["in_progress"]

    assert progress["last_error"] == {"code": refusal.code, "detail": refusal.detail}
    assert (progress["phase"], progress["driven"], progress["failures"]) == ("waiting", False, 1)
    assert progress["retry_at"] is not None


@virtual
async def test_a_preflight_that_stops_an_unfinished_swap_has_its_row_once() -> None:
    """A swap that a driver left and that reads now call impossible says so in the head and in one row per reason."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_A), fault=Hangs(for_s=5.0))
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    node.kill()
    claim.cancel()
    switch(harness, denied=(Denial(action="Microsoft.Network/networkInterfaces/write"),))
    other = harness.node("n2")
    await timer(other, 200.0)

    said = [row.columns for row in await harness.trail() if row.columns["Event"] == "swap.failed"]

    assert [columns["Outcome"] for columns in said] == ["azure-denied"]
    assert (await listed(other))["in_progress"]["last_error"]["code"] == "azure-denied"


def test_a_mirror_that_nobody_has_looked_at_has_no_placement() -> None:
    """Null, never empty. (I9)"""
    assert readiness.last_seen(Head(mirror="PROD")) is None


@pytest.mark.parametrize(
    ("operation_id", "code", "ready"),
    [("now", "azure-denied", False), ("now", "busy", True), ("before", "azure-denied", True)],
)
@virtual
async def test_only_a_last_try_that_somebody_must_mend_counts(operation_id: str, code: str, ready: bool) -> None:
    """What passes by itself says nothing of the next claim, and nor does how an earlier swap ended."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await node.tick()
    head = await harness.head()
    swap = Swap(operation_id="now", from_member="MIRRORA", started_at=node.now(), actor="key:a", begun=True)

    head = replace(head, swap=swap, failure=Failure(operation_id, code, "why"))

    verdict = readiness.verdict(node.controller, head, "MIRRORB", node.now())
    assert verdict.ready is ready
    assert readiness.verdict(node.controller, head, "MIRRORA", node.now()).ready is True


@virtual
async def test_a_try_that_failed_counts_after_the_vip_went_elsewhere() -> None:
    """What Azure refused to a write no read may show: the member is not ready until a swap to it worked, or for an hour."""
    harness = Harness()
    node = harness.node("n1")
    attach = Match(method="PUT", name=NIC_B)
    harness.cloud.script(attach, fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    await node.move("MIRRORA")
    await timer(node, 60.0)

    shown = await listed(node)
    assert shown["ready"] == {"MIRRORA": True, "MIRRORB": False}
    assert "ended with azure-denied" in shown["reasons"]["MIRRORB"][0]
    assert ("MIRRORB", "ready") not in await told(harness)

    cured(harness)
    assert (await node.move("MIRRORB")).outcome == "moved"
    await node.move("MIRRORA")
    await timer(node, 60.0)
    assert (await listed(node))["ready"] == {"MIRRORA": True, "MIRRORB": True}


@virtual
async def test_a_try_that_failed_counts_for_an_hour() -> None:
    """After that reads alone are believed, and a row says so."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    await node.move("MIRRORA")

    await timer(node, 3000.0)
    assert (await listed(node))["ready"]["MIRRORB"] is False
    await timer(node, 1200.0)

    assert (await listed(node))["ready"]["MIRRORB"] is True
    assert (await told(harness))[-1] == ("MIRRORB", "ready")


@virtual
async def test_a_try_that_wrote_nothing_does_not_count_afterwards() -> None:
    """Where a read was all that failed, the next read tells."""
    harness = Harness(switches=Switches(latency="fixed:30"))
    node = harness.node("n1")
    await node.tick()
    harness.cloud.script(READ_B, fault=Status(status=503), times=ALWAYS, skip=1)
    refusal = await refused(node.claim("MIRRORB"))
    assert (refusal.code, "Nothing was changed" in refusal.detail) == ("azure-failed", False)
    cured(harness)
    await node.move("MIRRORA")
    await timer(node, 60.0)
    assert (await listed(node))["ready"] == {"MIRRORA": True, "MIRRORB": True}


@virtual
async def test_a_try_that_failed_does_not_count_against_who_has_the_vip() -> None:
    """Somebody has brought it there by hand meanwhile."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    await node.move("MIRRORA")
    cured(harness)
    await by_hand(harness, NIC_B)
    assert (await node.claim("MIRRORB", claim_id="c2")).outcome == "confirmed"
    await timer(node, 60.0)
    assert (await listed(node))["ready"] == {"MIRRORA": True, "MIRRORB": True}
