"""An operator's dry run of a move: steps, checks and pages, and nothing changes."""

import asyncio
import json

import pytest

from simulator.core.faults import Match, Status
from simulator.core.switches import Switches
from tests.promises.harness import Harness
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, document, events, paged_document, puts, virtual
from tests.vipcore.effects import watched
from vipcore.entry import moves
from vipcore.model import Page


@virtual
async def test_the_dry_run_of_a_move() -> None:
    """A move's dry run says the steps and the checks, and changes neither Azure nor the table."""
    harness, node, effects = watched()
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(node.controller, "PROD", body, "correlation")

    assert answer["outcome"] == "planned"
    assert [(step["action"], step["member"]) for step in answer["steps"]] == [("detach", "MIRRORA"), ("attach", "MIRRORB")]
    assert all(check["ok"] is True for check in answer["checks"]), answer["checks"]
    assert not [label for label in effects.count() if label.startswith("table") and label != "table load_head"]
    assert (puts(harness), await events(harness)) == ([], [])


@virtual
async def test_the_dry_run_says_what_would_stop_the_move() -> None:
    """A dry run shows each check that would stop the move, with its reason."""
    harness, node, _ = watched()
    await node.freeze()
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_B), fault=Status(status=403), times=ALWAYS)
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(node.controller, "PROD", body, "correlation")

    wrong = {check["name"]: check["detail"] for check in answer["checks"] if check["ok"] is False}
    assert wrong.keys() == {"freeze", "placement"}
    assert "could not be read" in wrong["placement"]


@virtual
async def test_a_move_with_a_status_page_against_it_in_a_dry_run() -> None:
    """A dry run shows what the status pages say against the move."""
    members = {
        "MIRRORA": {"nic": NIC_A, "status_url": "http://10.0.0.4:52773/a"},
        "MIRRORB": {"nic": NIC_B, "status_url": "http://10.0.0.5:52773/b"},
    }
    harness = Harness(document=document(members=members), switches=Switches(latency="fixed:3"))
    harness.pages = {"MIRRORA": Page.PRIMARY}
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(harness.node("n1").controller, "PROD", body, "correlation")

    against = next(check for check in answer["checks"] if check["name"] == "status pages")
    assert (against["ok"], "MIRRORA says that it is primary" in against["detail"]) == (False, True)


@virtual
async def test_a_page_that_cannot_be_read_is_not_shown_as_agreeing() -> None:
    """A dry run says of a page that it could not be read; that is neither for the move nor against it. (I9)"""
    harness = Harness(document=paged_document())
    harness.pages = {"MIRRORB": Page.PRIMARY}
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(harness.node("n1").controller, "PROD", body, "correlation")

    pages = next(check for check in answer["checks"] if check["name"] == "status pages")
    assert (pages["ok"], pages["detail"]) == (None, "the page of MIRRORA could not be read; it stops nothing")


@pytest.mark.parametrize(("looked", "name", "ok"), [(False, "placement", False), (True, "preflight", None)])
@virtual
async def test_a_dry_run_does_not_wait_for_reads_that_swaps_need(looked: bool, name: str, ok: bool | None) -> None:
    """Where Azure leaves people no read, of the NICs or of the preflight, the dry run says so within seconds. (I9)"""
    harness = Harness()
    node = harness.node("n1")
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()
    if looked:
        await node.controller.glances.of(await harness.head(), harness.mirror())
    permits = node.controller.arm.limits_of(harness.mirror()).reads.permits

    async def swaps() -> None:
        while True:
            permits.take(permits.available(harness.loop.time()) - 150.0, harness.loop.time())
            await asyncio.sleep(0.1)

    using = asyncio.create_task(swaps())
    await asyncio.sleep(0.0)
    began = harness.loop.time()

    planned = await moves.move(node.controller, "PROD", body, "cid")

    assert harness.loop.time() - began < 12.0
    (check,) = [check for check in planned["checks"] if check["name"] == name]
    assert check["ok"] is ok
    assert "10 s" in check["detail"]
    using.cancel()
