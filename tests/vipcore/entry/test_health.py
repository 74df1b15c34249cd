"""What a monitor is told: each incident of a night is in `/health/mirrors` and in the text, and nothing else is."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from simulator.core.faults import Answer, Match
from simulator.core.switches import Denial
from tests.promises.harness import START, Harness, Node
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, refused, switch, timer, virtual
from tests.vipcore.manual_changes import by_hand, drop, failed
from vipcore.entry import health, text
from vipcore.entry.bodies import Text
from vipcore.entry.text import Form
from vipcore.settings.document import Fault


async def wrong(node: Node, severity: str | None = None) -> list[tuple[str | None, str]]:
    """Member and reason of all that `/health/mirrors` calls wrong with PROD, of that severity."""
    answer = await health.mirrors(node.controller)
    body = json.loads(answer.text)
    assert (answer.status, body["status"]) == ((503, "failing") if body["wrong"] else (200, "ok"))
    assert answer.media_type == "application/json"
    return [(one["member"], one["reason"]) for one in body["wrong"] if severity in (None, one["severity"])]


@virtual
async def test_nothing_is_wrong_with_a_mirror_at_rest() -> None:
    """200: placed on desired, every member ready; also where nothing was ever decided, and the VIP is on one member."""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()
    assert await wrong(node) == []

    await node.claim("MIRRORB")
    await timer(node, 60.0)

    assert await wrong(node) == []


async def on_no_nic(harness: Harness, node: Node) -> None:
    """A VIP that somebody took off, of a mirror whose repair Azure refuses."""
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    drop(harness, NIC_B)


async def failed_nic(harness: Harness, node: Node) -> None:
    """The last operation on a NIC failed."""
    failed(harness, NIC_A)


async def missing_right(harness: Harness, node: Node) -> None:
    """A right was taken from the identity."""
    switch(harness, denied=(Denial(action="Microsoft.Network/networkInterfaces/write"),))


async def frozen(harness: Harness, node: Node) -> None:
    """Somebody forgot a freeze."""
    await node.freeze()


async def disabled_key(harness: Harness, node: Node) -> None:
    """A key's setting is gone."""
    kept = {key_id: key for key_id, key in node.controller.config.keys.items() if key.member != "MIRRORA"}
    node.controller.config = replace(node.controller.config, keys=kept)


async def stuck_swap(harness: Harness, node: Node) -> None:
    """Azure refuses the attach again and again."""
    harness.cloud.script(Match(method="PUT", name=NIC_A), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORA", claim_id="c2"))


async def moved_by_hand(harness: Harness, node: Node) -> None:
    """Somebody used a script of their own."""
    await by_hand(harness, NIC_A)


Incident = Callable[[Harness, Node], Awaitable[None]]
INCIDENTS: list[tuple[Incident, str | None, str, str]] = [  # that of the whole mirror is an outage, a member's a warning
    (on_no_nic, None, "on no NIC", "PROD: the VIP is on NO NIC"),
    (failed_nic, "MIRRORA", "is in state Failed. A claim first writes it back", "  to MIRRORA: NO"),
    (missing_right, "MIRRORA", "grant Microsoft.Network/networkInterfaces/write", "  to MIRRORA: NO"),
    (frozen, "MIRRORA", "until the freeze is lifted", "FROZEN by op"),
    (disabled_key, "MIRRORA", "No key of MIRRORA can be used", "  to MIRRORA: NO"),
    (stuck_swap, None, "The last try ended with azure-denied", "STUCK since"),
    (moved_by_hand, None, "somebody moved it by hand", "DRIFT: The VIP is on MIRRORA; desired is MIRRORB"),
]


@pytest.mark.parametrize(("incident", "member", "reason", "line"), INCIDENTS, ids=lambda one: getattr(one, "__name__", ""))
@virtual
async def test_each_incident_of_a_night_is_told(incident: Incident, member: str | None, reason: str, line: str) -> None:
    """Within ten minutes, by the timer alone: 503 with the reason, a line of the text, and a mark in the list of all."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await timer(node, 60.0)
    assert await wrong(node) == []

    await incident(harness, node)
    await timer(node, 600.0)

    told = await wrong(node, "outage" if member is None else "warning")
    assert any(one == member and reason in why for one, why in told), await wrong(node)
    shown = await text.mirror(node.controller, "PROD", Form("text"), "cid")
    every = await text.mirrors(node.controller, Form("text"))
    assert isinstance(shown, Text)
    assert isinstance(every, Text)
    assert any(one.startswith(line) for one in shown.text.splitlines()), shown.text
    assert f"\n{'OUTAGE' if member is None else 'RISK'} PROD: " in every.text


@virtual
async def test_a_timer_that_stopped_is_wrong() -> None:
    """Where nobody has looked for twenty minutes, nothing is called well any more."""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()
    await asyncio.sleep(1100.0)
    assert await wrong(node) == []

    await asyncio.sleep(200.0)

    assert [(member, "see whether the timer runs" in why) for member, why in await wrong(node)] == [(None, True)]


@virtual
async def test_a_mirror_that_nobody_has_looked_at_is_not_called_well() -> None:
    """Before the first look nothing is known, and that is said. (I9)"""
    harness = Harness()

    assert (None, "Nobody has looked yet where the VIP is.") in await wrong(harness.node("n1"))


@virtual
async def test_a_faulty_mirror_is_wrong() -> None:
    """A mirror with a faulty configuration is not served, so it is wrong; its fault is the reason."""
    harness = Harness()
    assert harness.config is not None
    harness.config = replace(harness.config, faulty={"BAD": (Fault("/mirrors/BAD/hold_s", "must be 0 or more"),)})
    node = harness.node("n1")
    await node.tick()

    assert await wrong(node) == [(None, "/mirrors/BAD/hold_s: must be 0 or more")]


@virtual
async def test_without_the_table_every_mirror_is_wrong() -> None:
    """The heads cannot be read: 503 in the form that a monitor knows, with the reason, and Azure is not asked instead."""
    harness = Harness()
    assert harness.config is not None
    harness.config = replace(harness.config, faulty={"BAD": (Fault("/mirrors/BAD/hold_s", "must be 0 or more"),)})
    node = harness.node("n1")
    harness.table_away_until = 60.0

    answer = await health.mirrors(node.controller)

    assert (answer.status, answer.media_type, len(harness.cloud.history)) == (503, "application/json", 0)
    found = json.loads(answer.text)["wrong"]
    assert [(one["mirror"], one["member"], one["severity"]) for one in found] == [
        ("BAD", None, "outage"), ("PROD", None, "outage"),
    ]  # fmt: skip
    assert all("The Table service cannot be used now" in one["reason"] for one in found)


def test_a_listed_mirror_with_everything_wrong_says_everything() -> None:
    """Nothing hides behind something else."""
    listed: dict[str, Any] = {
        "mirror": "M",
        "desired": "A",
        "drift": None,
        "recorded_claim": {"member": "B", "code": "flapping", "recorded_at": "2026"},
        "in_progress": {"to": "A", "since": "2026", "phase": "waiting", "last_error": None, "retry_at": None},
        "placement": {"state": "split", "members": ["A", "B"]},
        "ready": {"A": None, "B": False},
        "reasons": {"A": ["x"], "B": ["y", "z"]},
        "checked_at": None,
    }

    found = health.wrong(listed, START)

    assert [(one.member, one.severity, one.reason[:12]) for one in found] == [
        (None, "outage", "Not every VI"), (None, "warning", "A swap to A "), (None, "outage", "A claim of B"),
        ("A", "warning", "x"), ("B", "warning", "y"), ("B", "warning", "z"),
    ]  # fmt: skip
