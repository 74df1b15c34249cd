"""Rows at the edges: what was left out is told by the next row, and each head hash reaches the log."""

import asyncio
from typing import Any

from tests.promises.harness import Fate, Harness, Node
from tests.promises.helpers import details, refused, virtual
from vipcore.settings.config import Config


@virtual
async def test_an_accepted_claim_tells_what_was_left_out_before_it() -> None:
    """The next row says how many were left out, also where the claim goes through; the one after it does not say it again."""
    harness = Harness()
    node = harness.node("n1")
    await node.claim("MIRRORB")
    for _ in range(3):
        await asyncio.sleep(1)
        await refused(node.claim("MIRRORA", age_s=60))

    await node.claim("MIRRORA")
    await refused(node.claim("MIRRORB", age_s=60))
    await asyncio.sleep(70)
    await node.claim("MIRRORB")
    await refused(node.claim("MIRRORA", age_s=60))

    told = [*await details(harness, "claim.accepted"), *await details(harness, "claim.refused")]
    assert [detail for detail in told if "left out" in detail] == ["Desired was MIRRORB. 2 like the one before were left out."]


@virtual
async def test_the_first_change_of_holder_counts_as_one() -> None:
    """Where the VIP was on another member before anybody was desired, the first claim is a change of holder too."""
    harness = Harness()
    assert harness.config is not None
    node = harness.node("n1")
    node.controller.config = Config(mirrors=harness.config.mirrors, max_changes=2)

    await node.claim("MIRRORB")
    await node.claim("MIRRORA")

    assert (await refused(node.claim("MIRRORB"))).code == "flapping"


@virtual
async def test_a_head_hash_is_logged_though_the_answer_to_its_commit_was_lost() -> None:
    """The log is the second place of trust: it has every head hash that the table ever had."""

    class Lost(Fate):
        async def between(self, node: Node, label: str) -> None:
            if label == "table commit":
                raise TimeoutError

    harness = Harness()
    node = harness.node("n1")
    harness.fate = Lost()

    frozen = await node.freeze()

    logged: list[dict[str, Any]] = [fields for event, fields in node.log if event == "audit.head"]
    assert logged == [{"mirror": "PROD", "seq": 1, "hash": frozen.head_hash}]
