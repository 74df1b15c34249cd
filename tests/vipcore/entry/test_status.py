"""Status answers: what was decided, and a placement from a fresh read."""

import asyncio

import pytest

from tests.promises.harness import Harness
from tests.promises.helpers import NIC_A, stranger_puts, virtual
from tests.vipcore.entry.moved import moved
from vipcore.entry import status, trail
from vipcore.errors import Refusal
from vipcore.settings import environment
from vipcore.settings.document import Fault


@virtual
async def test_status_of_a_mirror_at_rest() -> None:
    """Desired, epoch, a placement from a fresh read, readiness of every member, the last swap with its phases."""
    harness = Harness()
    controller = await moved(harness)

    shown = await status.mirror(controller, "PROD")

    assert (shown["mirror"], shown["desired"], shown["epoch"]) == ("PROD", "MIRRORA", 2)
    assert shown["placement"] == {"state": "placed", "members": ["MIRRORA"]}
    assert (shown["frozen"], shown["in_progress"], shown["pending"]) == (None, None, None)
    assert (shown["last_swap"]["from"], shown["last_swap"]["to"]) == ("MIRRORB", "MIRRORA")
    assert shown["last_swap"]["phases"]
    assert [(m["name"], m["provisioning_state"], m["vips"], m["ready"]) for m in shown["members"]] == [
        ("MIRRORA", "Succeeded", ["vip"], True),
        ("MIRRORB", "Succeeded", [], True),
    ]
    head_only = {name: value for name, value in shown.items() if name not in ("placement", "members")}
    assert (await status.mirrors(controller))["mirrors"] == [head_only]


@virtual
async def test_status_reads_what_is_there_and_not_what_was_decided() -> None:
    """A NIC that lost the VIP by hand shows so at once, though the head says otherwise."""
    harness = Harness()
    controller = await moved(harness)
    stranger_puts(harness, NIC_A, drop="vip", seconds=1.0)
    await asyncio.sleep(5)

    shown = await status.mirror(controller, "PROD")
    assert (shown["placement"], shown["desired"]) == ({"state": "unplaced", "members": []}, "MIRRORA")


@virtual
async def test_faulty_mirror_is_listed_with_its_fault() -> None:
    """A mirror with a faulty configuration is in the list, with the fault and nothing else; its own routes answer 500."""
    harness = Harness(config=environment.Config(faulty={"PROD": (Fault("/mirrors/PROD/hold_s", "must be 0 or more"),)}))
    controller = harness.node("one").controller

    assert (await status.mirrors(controller))["mirrors"] == [
        {"mirror": "PROD", "fault": "/mirrors/PROD/hold_s: must be 0 or more"}
    ]
    for view in (status.mirror(controller, "PROD"), trail.audit(controller, "PROD", {}), trail.verify(controller, "PROD", {})):
        with pytest.raises(Refusal, match="configuration-invalid"):
            await view
