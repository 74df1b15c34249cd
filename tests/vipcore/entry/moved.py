"""A controller whose mirror has moved there and back."""

from typing import Any

from tests.promises.harness import Harness
from tests.promises.helpers import agent


async def moved(harness: Harness) -> Any:
    """A controller after two swaps, with a trail of several rows."""
    node = harness.node("one")
    await agent(node, "MIRRORB")
    await agent(node, "MIRRORA", claim_id="d")
    return node.controller
