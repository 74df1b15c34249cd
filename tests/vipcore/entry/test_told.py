"""What an operator who has only the list reads of each incident: an outage or a risk, who could take over, what to do."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from simulator.core.faults import Answer, Match
from tests.promises.harness import Harness, Node
from tests.promises.helpers import ALWAYS, NIC_A, NIC_B, fleet_document, refused, timer, virtual
from tests.vipcore.entry import test_health as incidents
from tests.vipcore.entry.test_health import Incident
from tests.vipcore.manual_changes import failed
from vipcore.entry import freezes, text
from vipcore.entry.bodies import Text
from vipcore.entry.text import Form
from vipcore.model import PHASES


async def pages(node: Node) -> tuple[str, str]:
    """The list of all mirrors, and the own page of PROD."""
    every = await text.mirrors(node.controller, Form("text"))
    one = await text.mirror(node.controller, "PROD", Form("text"), "cid")
    assert isinstance(every, Text)
    assert isinstance(one, Text)
    return every.text, one.text


async def listed(node: Node) -> str:
    """The list, on one line."""
    return " ".join((await pages(node))[0].split())


def commands(page: str) -> Iterator[list[str]]:
    """What a shell gives to curl for each line to paste."""
    for found in re.finditer(r"(?m)^ *curl (.*\\\n)*.*$", page):
        script = 'curl() { printf "%s\\0" "$@"; }\n' + found[0]
        env = {"KEY": "k: v", "API": "http://a/api"}
        said = subprocess.run(["/bin/sh", "-c", script], env=env, capture_output=True, check=True, text=True)
        yield said.stdout.split("\0")[:-1]


@pytest.mark.parametrize("incident", [one for one, *_ in incidents.INCIDENTS], ids=lambda one: str(one.__name__))
@virtual
async def test_both_pages_are_in_one_form(incident: Incident) -> None:
    """Each request is a whole curl line for `$API` and `$KEY`, each time has its age, and no word is one of the code's own."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await timer(node, 60.0)
    await incident(harness, node)
    await timer(node, 300.0)

    for page in await pages(node):
        asked = list(commands(page))
        assert len(asked) == page.count("curl")
        for header, key, *rest in asked:
            assert (header, key) == ("-H", "k: v")
            assert re.fullmatch(
                r"http://a/api/(mirrors/PROD(/moves|/freeze|/audit)?|reconcile)(\?\S*)?", rest[2 * (rest[0] == "-X")]
            )
        bare = page.partition("\n")[2] if page.startswith("Mirrors: ") else page  # its first line says what time it is
        bare = re.sub(r"\d{4}-\d\d-\d\d\s+\d\d:\d\d:\d\d\s+UTC\s+\((in\s)?\d+\s+\w+(\sago)?\)", "", bare)
        assert not re.search(r"\d\d:\d\d|\bago\b", bare), bare
        assert not re.search(rf"\((?:{'|'.join(PHASES)})\)|/api/|(DELETE|PUT|POST) (?!\"\$API)", page), page


@virtual
async def test_the_list_says_who_could_take_over() -> None:
    """Of a mirror that is well in its one line; else with what is in the way of whom, and what to do, as one cause."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await timer(node, 60.0)
    well = (await pages(node))[0].splitlines()
    assert well[0].startswith("Mirrors: 1, all are well. It is ")
    assert re.fullmatch(r"Each as the controller saw it last, at 2026-01-01 \S+ UTC \(\d+ s ago\) or later\.", well[1])
    assert re.fullmatch(r"  PROD: MIRRORB has the VIP since .* ago\); MIRRORA could take over\.", well[2])
    assert well[3:] == [
        "",
        "More of a mirror, here of PROD: how it is now, and its history:",
        '  curl -H "$KEY" "$API/mirrors/PROD?format=text"',
        '  curl -H "$KEY" "$API/mirrors/PROD/audit?format=text&limit=20"',
        'Lines to paste take API=https://NAME.azurewebsites.net/api and KEY="x-functions-key: ..."',
    ]

    await incidents.disabled_key(harness, node)

    shown = await listed(node)
    assert "or later. RISK: no outage was seen, but a failover could fail. RISK PROD: MIRRORB has the VIP since" in shown
    assert "; MIRRORA could NOT take over, except by hand. MIRRORA: No key of MIRRORA can be used" in shown


@virtual
async def test_the_list_says_what_ended_a_swap_and_when_it_is_tried_again() -> None:
    """Action, scope and the identity's object id are there for whoever grants the right; the other member is named."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    await node.tick()

    shown = await listed(node)

    assert "OUTAGE PROD: the VIP is on NO NIC; clients cannot connect; MIRRORA could take over; MIRRORB could NOT" in shown
    grant = "Grant Microsoft.Network/networkInterfaces/write on networkInterfaces/nic-b to the controller's identity"
    assert re.search(re.escape(grant) + r" \(object id [0-9a-f-]{36}\)\. It will not mend itself", shown), shown
    assert re.search(r"The timer tries again by itself after 2026-01-01 \S+ UTC \(in \d+ s\)\. To try at once: curl", shown)
    assert "..." not in shown.partition("More of a mirror")[0]
    await asyncio.sleep(400.0)
    assert "The timer tries again by itself within a minute. To try at once: curl" in await listed(node)


@virtual
async def test_an_error_of_azure_is_not_cut() -> None:
    """What nobody has put into fewer words stands there whole."""
    harness = Harness()
    node = harness.node("n1")
    harness.cloud.script(Match(method="PUT", name=NIC_B), fault=Answer(name="AuthorizationFailed"), times=ALWAYS)
    await refused(node.claim("MIRRORB"))
    head = await node.controller.ledger.load_head("PROD")
    assert head.failure is not None
    said = f"Azure says Odd: {'so it is, ' * 70}and this is the end"
    await harness.ledger.commit(replace(head, failure=head.failure._replace(detail=said)), [])

    assert said in await listed(node)


@virtual
async def test_a_swap_under_way_is_a_risk_in_words() -> None:
    """While it goes on its phase is a sentence, and nobody is told to wait for a timer."""
    harness = Harness()
    node = harness.node("n1")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(2.0)
    shown, told = await listed(node), await incidents.wrong(node)
    await claim

    assert any(re.search(r": the \w+ write is on its way\.$", reason) for _, reason in told), told
    assert re.search(
        r"A swap from MIRRORA to MIRRORB is under way since \S+ \S+ UTC \(\d s ago\): the \w+ write is on its way\.", shown
    )
    assert "The timer" not in shown


@virtual
async def test_a_holder_whose_nic_is_failed_is_an_outage_of_the_list() -> None:
    """Clients may not reach it; the mirror's own page says it in the same words."""
    harness = Harness()
    node = harness.node("n1")
    failed(harness, NIC_A)
    await node.tick()

    every, one = await pages(node)

    says = "PROD: MIRRORA has the VIP, but its NIC is FAILED in Azure: clients may not reach it"
    assert f"\nOUTAGE {says}" in every
    assert "\nOUTAGE: clients cannot reach the primary now, or may not.\n" in every
    assert one.startswith(says)


@virtual
async def test_a_frozen_mirror_is_asked_about_before_it_is_thawed() -> None:
    """Who froze it, when and why come before the line that lifts the freeze; a claim that waits makes it an outage."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    await timer(node, 60.0)
    await node.freeze()

    shown = await listed(node)
    assert "RISK PROD: MIRRORB has the VIP" in shown
    lift = 'curl -H "$KEY" -X DELETE "$API/mirrors/PROD/freeze?operator=YOU&reason=WHY"'
    assert re.search(rf"FROZEN by op since 2026-01-01 \S+ UTC \(\d+ s ago\): \w+ Ask op first: .* {re.escape(lift)}", shown), (
        shown
    )

    await refused(node.claim("MIRRORA", claim_id="c2"))
    shown = await listed(node)
    assert "OUTAGE PROD: MIRRORB has the VIP" in shown
    assert "Until it is carried out, clients do not reach MIRRORA. The timer judges it again by itself once the freeze" in shown


@virtual
async def test_the_end_of_a_freeze_is_in_the_form_of_all_times() -> None:
    """Sentences that programs read too have it in another form; the texts do not show that."""
    node = Harness().node("n1")
    body = b'{"reason": "r", "operator": "op", "until": "2026-01-01T02:00:00Z"}'
    await freezes.put(node.controller, "PROD", body, "cid")

    for page in await pages(node):
        shown = " ".join(page.split())
        assert re.search(r"FROZEN by op since .* ago\) until 2026-01-01 02:00:00 UTC \(in 1 h\): r ", shown)
        assert not re.search(r"\d\dT\d\d:", shown)


@virtual
async def test_outages_come_before_risks() -> None:
    """Whatever the mirrors' names are; each kind is explained where it occurs."""
    harness = Harness(document=fleet_document(2))
    node = harness.node("n1")
    failed(harness, NIC_A)
    await node.tick()

    every = (await pages(node))[0]

    kinds = re.findall(r"(?m)^(OUTAGE|RISK)( \w+)?:", every)
    assert kinds == [("OUTAGE", ""), ("RISK", ""), ("OUTAGE", " PROD"), ("RISK", " M0001")]
