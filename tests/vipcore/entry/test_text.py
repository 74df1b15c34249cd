"""Status and dry runs for a terminal: what is said first, how wide it is, and when it is text at all."""

import asyncio
import json
import subprocess
import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from simulator.core.faults import Answer, Match, Status
from simulator.core.switches import Denial
from tests.promises.harness import Harness, Node
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, document, fleet_document, refused, switch, virtual
from tests.vipcore.decision.pages import N, P, paged
from tests.vipcore.manual_changes import by_hand, drop, failed
from vipcore.entry import events, freezes, text
from vipcore.entry.bodies import Text
from vipcore.entry.text import Form
from vipcore.errors import Refusal

AS_TEXT = Form("text")


async def shown(node: Node) -> list[str]:
    """The lines of `GET /mirrors/PROD?format=text`."""
    return lines_of(await text.mirror(node.controller, "PROD", AS_TEXT, "cid"))


def lines_of(answer: Any) -> list[str]:
    """The lines of a text, all of which fit."""
    assert isinstance(answer, Text)
    assert answer.media_type.startswith("text/plain")
    assert answer.text.endswith("\n")
    lines = answer.text.splitlines()
    assert max(map(columns, lines)) <= 100, lines
    return lines


def columns(line: str) -> int:
    """How many columns of a terminal the line takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form(), False),
        (Form("text"), True),
        (Form("json", "text/plain"), False),
        (Form("", "text/plain"), True),
        (Form("", "text/plain; charset=utf-8"), True),
        (Form("", "*/*"), False),
        (Form("", "application/json, text/plain, */*"), False),
        (Form("", "application/json;q=0.5, text/plain"), True),
        (Form("", "text/plain;q=0"), False),
        (Form("", "text/html,application/xhtml+xml"), False),
    ],
)
def test_when_text_is_wanted(form: Form, expected: bool) -> None:
    """`?format=` decides; else an Accept header that likes text/plain better than JSON. curl's own `*/*` means JSON."""
    assert text.wanted(form) is expected


def test_an_unknown_format_is_refused() -> None:
    """A format that does not exist is no JSON by chance."""
    with pytest.raises(Refusal, match="must be one of json, text"):
        text.wanted(Form("xml"))


@virtual
async def test_the_text_of_a_mirror_at_rest() -> None:
    """Who has the VIP and since when, whether a failover would work, what is under way, what happened last."""
    _, node = paged(N, P)
    await node.claim("MIRRORB")
    await asyncio.sleep(120.0)
    node.controller.admission.hear("PROD", "MIRRORA", node.now())

    assert await shown(node) == [
        "PROD: MIRRORB has the VIP since 2026-01-01 00:00:06 UTC (2 min ago).",
        "Primary by the status pages: MIRRORB.",
        "",
        "Would a failover work now?",
        "  to MIRRORA: yes; NIC mirrora290_z1; its agent was heard 2026-01-01 00:02:06 UTC (0 s ago)",
        "  to MIRRORB (has it): yes; NIC mirrorb280_z2; its agent was never heard",
        "",
        "Nothing is under way.",
        "",
        "Last events, the newest first:",
        "  2026-01-01 00:00:06 UTC (2 min ago): swap.completed MIRRORA -> MIRRORB moved 6.3 s",
        "        by key:key-MIRRORB: Every VIP is on the NIC of MIRRORB, shown by a read after the last",
        "        write.",
        "  2026-01-01 00:00:03 UTC (2 min ago): nic.write MIRRORB accepted 0.0 s",
        "        by key:key-MIRRORB: Azure accepted the attach of vip to the NIC of MIRRORB.",
        "  2026-01-01 00:00:00 UTC (2 min ago): nic.write MIRRORA accepted 0.0 s",
        "        by key:key-MIRRORB: Azure accepted the detach of vip from the NIC of MIRRORA.",
        "  2026-01-01 00:00:00 UTC (2 min ago): claim.accepted MIRRORA -> MIRRORB decided",
        "        by key:key-MIRRORB: It is the mirror's first decision.",
    ]


@virtual
async def test_what_to_do_is_a_line_to_paste() -> None:
    """A frozen mirror, a VIP that somebody moved by hand, and one on no NIC: each with the line that mends it."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await by_hand(harness, NIC_A)
    await node.tick()
    moved = await shown(node)
    assert moved[:2] == ["PROD: MIRRORA has the VIP.", "It should be on MIRRORB."]
    body = '{"to":"MIRRORB","operator":"YOU","reason":"WHY"}'
    assert f'  curl -H "$KEY" "$API/mirrors/PROD/moves" -d \'{body}\'' in moved

    await node.freeze()
    drop(harness, NIC_A)
    await asyncio.sleep(5.0)
    frozen = await shown(node)
    assert frozen[0] == "PROD: the VIP is on NO NIC; clients cannot connect."
    assert '  curl -H "$KEY" -X DELETE "$API/mirrors/PROD/freeze?operator=YOU&reason=WHY"' in frozen
    await node.unfreeze()
    assert """  curl -H "$KEY" "$API/reconcile" -d ''""" in await shown(node)


@virtual
async def test_a_placement_that_nobody_could_see() -> None:
    """What could not be looked at is said so, and why. (I9)"""
    harness = Harness()
    harness.cloud.script(Match(method="GET", kind="nic", name=NIC_B), fault=Status(status=503), times=ALWAYS)
    drop(harness, NIC_A)

    lines = await shown(harness.node("n1"))

    assert lines[0] == "PROD: NOBODY KNOWS where the VIP is: a NIC could not be read."
    assert "  to MIRRORB: UNKNOWN; NIC mirrorb280_z2; its agent was never heard" in lines


@virtual
async def test_the_text_without_the_table() -> None:
    """The placement is told, and that no claim can be carried out; no event is made up."""
    harness = Harness()
    node = harness.node("n1")
    await node.tick()
    harness.table_away_until = harness.loop.time() + 60.0

    lines = await shown(node)

    assert lines[0] == "PROD: MIRRORA has the VIP."
    assert lines[1].startswith("The table is away, so only what Azure shows is known")
    assert not any("event" in line or "under way" in line for line in lines)


@virtual
async def test_what_came_from_outside_moves_no_cursor() -> None:
    """Names of 64 characters, reasons of 256, and control characters of a message fit, and reach no terminal."""
    long = "M" * 60
    members = {f"{long}{n:04d}": {"nic": name} for n, name in enumerate((NIC_A, NIC_B))}
    harness = Harness(document=document(members=members))
    node = harness.node("n1")
    await node.freeze()
    head = await harness.head()
    assert head.frozen is not None
    nasty = "\x1b[2J\u202e" + "w" * 150 + "\n\r\x07 and more"
    await harness.ledger.commit(replace(head, frozen=head.frozen._replace(reason=nasty), drift=nasty), [])

    lines = [*await shown(node), *lines_of(await text.mirrors(node.controller, AS_TEXT))]

    assert all(line.isprintable() for line in lines)
    assert "w" * 90 in " ".join(lines)


@virtual
async def test_characters_of_two_columns_fit() -> None:
    """Names, reasons and operators in a script whose characters are twice as wide take no more columns than others."""
    wide = "\u93e1" * 64
    found = document(members={f"{wide[1:]}{n}": {"nic": name} for n, name in enumerate((NIC_A, NIC_B))})
    harness = Harness(document=found)
    node = harness.node("n1")
    frozen = json.dumps({"reason": wide * 4, "operator": wide * 4}).encode()
    await freezes.put(node.controller, "PROD", frozen, "cid")

    lines = [*await shown(node), *lines_of(await text.mirrors(node.controller, AS_TEXT))]

    assert "".join(line.strip() for line in lines).count("\u93e1") > 500


def arguments(lines: list[str]) -> list[str]:
    """What a shell gives to curl for these lines."""
    script = 'curl() { printf "%s\\0" "$@"; }\n' + "\n".join(lines)
    said = subprocess.run(["/bin/sh", "-c", script], env={"KEY": "k: v", "API": "http://a/api"}, capture_output=True, check=True)
    return said.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("member", ["MIRRORB", "O'BRIEN/IRIS", 'a "b" \\c', "a\u202eb  c", "$(id)`id`", "B" * 64])
@pytest.mark.parametrize("name", ["PROD", "P" * 63])
@virtual
async def test_lines_to_paste_mean_the_same_to_a_shell(name: str, member: str) -> None:
    """However long or odd a name is, the lines fit, and a shell makes of them the request that is meant."""
    found = document(members={"A": {"nic": NIC_A}, member: {"nic": NIC_B}})
    found["mirrors"] = {name: found["mirrors"]["PROD"]}
    found["keys"] = {}
    harness = Harness(document=found)
    node = harness.node("n1")
    for _ in range(events.EVENTS + 1):
        await freezes.put(node.controller, name, b'{"reason": "x", "operator": "y"}', "cid")
    head = await node.controller.ledger.load_head(name)
    await harness.ledger.commit(replace(head, desired=member, drift="d"), [])

    lines = lines_of(await text.mirror(node.controller, name, AS_TEXT, "cid"))

    first = next(n for n, line in enumerate(lines) if line.startswith("  curl"))
    second = next(n for n, line in enumerate(lines) if n > first and line.startswith("  curl"))
    end = next(n for n, line in enumerate(lines) if n > second and line.startswith("No status page"))
    drift = next(n for n, line in enumerate(lines) if line.startswith("DRIFT"))
    thaw = arguments(lines[first:drift])
    assert thaw == ["-H", "k: v", "-X", "DELETE", f"http://a/api/mirrors/{name}/freeze?operator=YOU&reason=WHY"]
    *curl, body = arguments(lines[second:end])
    assert curl == ["-H", "k: v", f"http://a/api/mirrors/{name}/moves", "-d"]
    assert json.loads(body) == {"to": member, "operator": "YOU", "reason": "WHY", "force": True}  # as the mirror is frozen
    every = arguments(lines[lines.index("All of them:") + 1 :])
    assert every == ["-H", "k: v", f"http://a/api/mirrors/{name}/audit?format=text"]


@pytest.mark.parametrize("forged", [{"DurationMs": "long"}, {"DurationMs": 1.5}, {"At": 5, "Event": True}, {"Detail": b"x"}])
@virtual
async def test_a_forged_row_keeps_nobody_from_the_status(forged: dict[str, Any]) -> None:
    """Whatever somebody writes into the newest row of the table, the text tells who has the VIP."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    rows = harness.ledger.rows["PROD"]
    rows[min(rows)].update(forged)

    assert (await shown(node))[0].startswith("PROD: MIRRORB has the VIP")


@virtual
async def test_the_text_of_all_mirrors_begins_with_those_in_need() -> None:
    """One line for a mirror that is well; those that need somebody come first, each with what is wrong."""
    harness = Harness(document=fleet_document(2))
    node = harness.node("n1")
    await node.tick()
    await node.freeze()

    lines = lines_of(await text.mirrors(node.controller, AS_TEXT))

    assert lines[0] == "Mirrors: 2, in need of somebody: 2. It is 2026-01-01 00:00:00 UTC."
    assert [line for line in lines if line.startswith("RISK ")] == [
        "RISK M0001: nobody has looked yet where the VIP is; A, B could perhaps take over.",
        "RISK PROD: MIRRORA has the VIP; MIRRORB could NOT take over, except by hand.",
    ]
    await node.unfreeze()
    lines = lines_of(await text.mirrors(node.controller, AS_TEXT))
    assert "  PROD: MIRRORA has the VIP; MIRRORB could take over." in lines


@virtual
async def test_a_dry_run_as_text() -> None:
    """Whether the move would work, why not, what it would write, and what was looked at; a real move answers JSON."""
    harness = Harness()
    node = harness.node("n1")
    asked = {"to": "MIRRORB", "reason": "drill", "operator": "op"}

    async def move(**more: Any) -> Any:
        return await text.move(node.controller, "PROD", json.dumps({**asked, **more}).encode(), AS_TEXT, "cid")

    lines = lines_of(await move(dry_run=True))
    assert lines[:5] == [
        "A move of PROD to MIRRORB would work now.",
        "",
        "What it would write:",
        "  1. detach vip from MIRRORA (networkInterfaces/mirrora290_z1)",
        "  2. attach vip to MIRRORB (networkInterfaces/mirrorb280_z2)",
    ]
    assert lines[7] == "  ok  freeze: the mirror is not frozen"
    switch(harness, denied=(Denial(action="Microsoft.Network/networkInterfaces/write"),))
    await asyncio.sleep(70.0)
    lines = lines_of(await move(dry_run=True))
    assert lines[0] == "A move of PROD to MIRRORB would NOT work now."
    assert "grant Microsoft.Network/networkInterfaces/write" in lines[1]
    switch(harness, denied=())
    await asyncio.sleep(70.0)
    assert (await move())["outcome"] == "moved"
    assert lines_of(await move(dry_run=True))[0] == "A move of PROD to MIRRORB would change nothing."


@virtual
async def test_a_member_that_the_vip_cannot_be_brought_to_is_not_called_ready() -> None:
    """Checks that find nothing do not outweigh tries that failed; the text of a VIP on no NIC says that nothing mends itself."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))

    lines = " ".join(await shown(node))

    assert "to MIRRORB: NO" in lines
    assert "The last try to bring the VIP here ended with azure-denied" in lines
    assert "It will not mend itself" in lines
    assert "attaches it within a minute" not in lines
    harness.cloud.scripts.clear()
    await asyncio.sleep(600.0)
    await node.tick()
    await asyncio.sleep(60.0)
    assert "to MIRRORB (has it): yes" in " ".join(await shown(node))


@virtual
async def test_a_vip_on_no_nic_comes_before_everything_else() -> None:
    """Where clients cannot connect is counted in the first line and shown first, whatever the mirror's name."""
    harness = Harness(document=fleet_document(2))
    node = harness.node("n1")
    await node.freeze()
    drop(harness, NIC_A)
    await node.tick()

    lines = lines_of(await text.mirrors(node.controller, AS_TEXT))

    assert lines[0] == "Mirrors: 2, in need of somebody: 2 (outages: 1). It is 2026-01-01 00:00:00 UTC."
    assert [line.partition(":")[0] for line in lines if line.startswith(("OUTAGE ", "RISK "))] == ["OUTAGE PROD", "RISK M0001"]


@virtual
async def test_a_holder_whose_nic_is_failed_is_not_called_well() -> None:
    """The first line says so, and the line that mends it stands whole on a line of its own."""
    harness = Harness()
    failed(harness, NIC_A)

    lines = await shown(harness.node("n1"))

    assert lines[0] == "PROD: MIRRORA has the VIP, but its NIC is FAILED in Azure: clients may not reach it."
    assert any(f"(az network nic update -g rg -n {NIC_A})" in line for line in lines)


@virtual
async def test_where_a_claim_would_be_refused_and_a_move_would_not_the_move_is_told() -> None:
    """A freeze and a lost key stop claims, not an operator: the line to paste is there, with force where the mirror is frozen."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    kept = {key_id: key for key_id, key in node.controller.config.keys.items() if key.member != "MIRRORA"}
    node.controller.config = replace(node.controller.config, keys=kept)
    lines = await shown(node)
    at = lines.index("      By hand it would work, once IRIS has made MIRRORA primary (`iris qlist` on it tells):")
    assert lines[at + 1].endswith("""-d '{"to":"MIRRORA","operator":"YOU","reason":"WHY"}'""")

    await node.freeze()
    lines = await shown(node)
    assert sum("By hand" in line for line in lines) == 1, "the holder needs no move"
    at = next(index for index, line in enumerate(lines) if "By hand, past the freeze (ask" in line)
    asked = arguments(lines[at + 2 : at + 4])[-1]
    assert json.loads(asked)["force"] is True

    failed(harness, NIC_A)
    await asyncio.sleep(70.0)
    assert not any("By hand" in line for line in await shown(node))


@virtual
async def test_retries_of_one_swap_are_one_event() -> None:
    """Five events tell more than the last five rows of a swap that is tried again and again."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    for _ in range(20):
        await asyncio.sleep(30.0)
        await node.tick()

    lines = await shown(node)

    told = " ".join(" ".join(lines).partition("Last events")[2].split())
    tries = sum(row.columns["Event"] == "swap.failed" for row in await harness.trail())
    assert tries > 3
    assert told.count("swap.failed") == 1
    assert f"swap.failed MIRRORA -> MIRRORB azure-denied 0.1 s, {tries} times since 2026-01-01 00:00:03 UTC" in told
    assert "claim.accepted" in told
    assert "swap.resumed" not in told


@virtual
async def test_a_vip_on_no_nic_without_a_decision_waits_for_somebody() -> None:
    """Nobody has said where it belongs, so the text promises nothing of the timer."""
    harness = Harness()
    drop(harness, NIC_A)

    lines = await shown(harness.node("n1"))

    assert lines[1] == "Nothing was ever decided for this mirror, so nothing attaches it. Name the member that is primary:"
    assert not any("within a minute" in line for line in lines)
