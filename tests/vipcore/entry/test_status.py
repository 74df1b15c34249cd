"""Status answers: what was decided, and a placement from a fresh read."""

import asyncio

import pytest

from simulator.core.faults import Match, Status
from simulator.core.switches import Switches
from tests.promises.harness import Harness
from tests.promises.helpers import ALWAYS, NIC_A, stranger_puts, virtual
from tests.vipcore.decision.pages import P, U, paged
from tests.vipcore.entry.moved import moved
from vipcore import instants
from vipcore.entry import status, trail
from vipcore.errors import Refusal
from vipcore.settings import environment
from vipcore.settings.document import Fault


@virtual
async def test_status_of_a_mirror_at_rest() -> None:
    """Desired, epoch, a placement from a fresh read, readiness of every member, the last swap with its phases."""
    harness = Harness()
    controller = await moved(harness)

    shown = await status.mirror(controller, "PROD", "cid")

    assert (shown["mirror"], shown["desired"], shown["epoch"]) == ("PROD", "MIRRORA", 2)
    assert shown["placement"] == {"state": "placed", "members": ["MIRRORA"]}
    assert (shown["frozen"], shown["in_progress"], shown["recorded_claim"]) == (None, None, None)
    assert (shown["last_swap"]["from"], shown["last_swap"]["to"]) == ("MIRRORB", "MIRRORA")
    assert shown["last_swap"]["phases"]
    assert [(m["name"], m["provisioning_state"], m["vips"], m["ready"]) for m in shown["members"]] == [
        ("MIRRORA", "Succeeded", ["vip"], True),
        ("MIRRORB", "Succeeded", [], True),
    ]
    listed = (await status.mirrors(controller))["mirrors"][0]
    assert {name: listed[name] for name in shown if name != "members"} == {n: v for n, v in shown.items() if n != "members"}
    assert listed["seen_at"] == shown["last_swap"]["at"]


@virtual
async def test_status_reads_what_is_there_and_not_what_was_decided() -> None:
    """A NIC that lost the VIP by hand shows so at once, though the head says otherwise."""
    harness = Harness()
    controller = await moved(harness)
    stranger_puts(harness, NIC_A, drop="vip", seconds=1.0)
    await asyncio.sleep(5)

    shown = await status.mirror(controller, "PROD", "cid")
    assert (shown["placement"], shown["desired"]) == ({"state": "unplaced", "members": []}, "MIRRORA")


@virtual
async def test_faulty_mirror_is_listed_with_its_fault() -> None:
    """A mirror with a faulty configuration is in the list, with the fault and nothing else; its own routes answer 500."""
    harness = Harness(config=environment.Config(faulty={"PROD": (Fault("/mirrors/PROD/hold_s", "must be 0 or more"),)}))
    controller = harness.node("one").controller

    assert (await status.mirrors(controller))["mirrors"] == [
        {"mirror": "PROD", "fault": "/mirrors/PROD/hold_s: must be 0 or more"}
    ]
    for view in (
        status.mirror(controller, "PROD", "cid"),
        trail.audit(controller, "PROD", {}),
        trail.verify(controller, "PROD", {}),
    ):
        with pytest.raises(Refusal, match="configuration-invalid"):
            await view


@virtual
async def test_status_without_the_table() -> None:
    """Where the table is away, Azure's word on the placement is told all the same, and nothing else is made up."""
    harness = Harness()
    node = harness.node("one")
    await node.tick()
    harness.table_away_until = harness.loop.time() + 60.0

    shown = await status.mirror(node.controller, "PROD", "cid")

    assert (shown["head"], shown["head_detail"]) == ("unavailable", "the table is away")
    assert shown["placement"] == {"state": "placed", "members": ["MIRRORA"]}
    assert (shown["desired"], shown["epoch"], shown["frozen"]) == (None, None, None)
    assert [member["ready"] for member in shown["members"]] == [False, False]
    assert "until the table answers" in shown["members"][0]["reasons"][0]


@virtual
async def test_a_placement_that_nobody_could_see_is_null() -> None:
    """Which members carry a VIP is null where no NIC could be read, never empty. (I9)"""
    harness = Harness()
    harness.cloud.script(Match(method="GET", kind="nic"), fault=Status(status=503), times=ALWAYS)

    shown = await status.mirror(harness.node("one").controller, "PROD", "cid")

    assert shown["placement"] == {"state": "unknown", "members": None}


@virtual
async def test_status_names_who_is_primary_and_who_was_heard() -> None:
    """By its page a member is primary or not, or nobody knows; and when its agent was last heard from, by any instance."""
    harness, node = paged(P, U)
    at = node.now()
    node.controller.admission.hear("PROD", "MIRRORB", at)
    await asyncio.sleep(1.0)

    for instance in (node, harness.node("n2")):
        members = (await status.mirror(instance.controller, "PROD", "cid"))["members"]
        assert [member["primary"] for member in members] == [True, None]
        assert [member["last_heard_at"] for member in members] == [None, instants.to_text(at)]


@virtual
async def test_a_status_writes_a_row_where_readiness_has_changed() -> None:
    """What a fresh look shows is told at once, and in the trail; a look that shows nothing new writes nothing."""
    harness = Harness()
    node = harness.node("one")
    await status.mirror(node.controller, "PROD", "cid")
    assert harness.journal.commits == []
    harness.cloud.nic_named(NIC_A).state = "Failed"
    harness.cloud.nic_named(NIC_A).bodies.clear()
    await asyncio.sleep(4.0)
    shown = {}
    for _ in range(3):
        node.begin("status", "PROD", "", "cid")
        shown = await status.mirror(node.controller, "PROD", "cid")
        await asyncio.sleep(4.0)

    assert [member["ready"] for member in shown["members"]] == [False, True]
    rows = [row.columns for row in await harness.trail()]
    assert [(row["Event"], row["Member"], row["Outcome"]) for row in rows] == [("readiness.changed", "MIRRORA", "not-ready")]
    assert rows[0]["CorrelationId"] == "cid"


@virtual
async def test_the_phases_of_a_swap() -> None:
    """`phase` follows the swap, as the head tells it to whoever asks."""
    harness = Harness(switches=Switches(latency="fixed:3"))
    node = harness.node("one")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    seen: list[str] = []
    while not claim.done():
        progress = (await status.mirrors(node.controller))["mirrors"][0]["in_progress"]
        if progress and progress["phase"] not in seen[-1:]:
            seen.append(progress["phase"])
        await asyncio.sleep(0.01)

    assert seen == ["detach", "attach", "verify"]
