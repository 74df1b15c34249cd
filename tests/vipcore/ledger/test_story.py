"""What the log tells of each row."""

import asyncio
import re

import pytest

from simulator.core.switches import Switches
from tests.promises.harness import Harness
from tests.promises.helpers import agent, refused, timer, virtual
from vipcore.adapters.log import line
from vipcore.ledger import story
from vipcore.ledger.audit import EVENTS, Row


def lines(harness: Harness) -> list[str]:
    """The log as it is written, without the second place of trust."""
    return [line(event, fields) for _, event, fields in harness.lines if event != "audit.head"]


@virtual
async def test_one_line_tells_what_a_swap_did() -> None:
    """From whom, to whom, in how many milliseconds, for which claim, in which request: no other line is needed."""
    harness = Harness(switches=Switches(latency="fixed:6"))
    node = harness.node("n1")

    await agent(node, "MIRRORB", claim_id="c41")

    (told,) = [one for one in lines(harness) if one.startswith("swap.completed ")]
    row = (await harness.trail())[-1]
    assert row.columns["DurationMs"] > 10_000
    assert told.startswith(
        f"swap.completed mirror=PROD from=MIRRORA to=MIRRORB ms={row.columns['DurationMs']} claim=c41 "
        f"correlation={row.columns['CorrelationId']} "
    )
    assert re.search(r'detail="Swap MIRRORA to MIRRORB completed in 1\d s\. Every VIP is on the NIC of MIRRORB', told)


@virtual
async def test_every_row_of_the_trail_has_its_line() -> None:
    """Decisions, writes, outcomes, refusals and their ends: what the trail knows, the log tells in the same order."""
    harness = Harness()
    node = harness.node("n1")

    await agent(node, "MIRRORB")
    await node.freeze(for_s=60)
    await refused(node.claim("MIRRORA"))
    await asyncio.sleep(61)
    await timer(node, 60)

    rows = [str(row.columns["Event"]) for row in await harness.trail()]
    assert [one.split()[0] for one in lines(harness) if one.split()[0] in EVENTS] == rows
    assert {"claim.accepted", "nic.write", "swap.completed", "frozen", "claim.refused", "claim.recorded", "unfrozen"} <= set(rows)


@pytest.mark.parametrize(("ms", "took"), [(None, "0.0 s"), (38, "0.0 s"), (6_344, "6.3 s"), (12_034, "12 s"), (190_000, "190 s")])
def test_the_sentence_says_how_long_it_took(ms: int | None, took: str) -> None:
    """Tenths of a second below ten seconds, whole seconds from there on."""
    columns = {"Event": "swap.failed", "Outcome": "busy", "Member": "B", "Detail": "Azure is slow."}
    columns |= {} if ms is None else {"DurationMs": ms}  # type: ignore[dict-item]
    row = Row(mirror="PROD", row_key="", seq=1, columns=columns, hash="")

    fields = story.fields(row)

    assert fields["detail"] == f"Swap nobody to B failed after {took}. Azure is slow."
    assert (fields["code"], fields["ms"]) == ("busy", ms)
