"""A fate that writes down every effect: when it was sent, and what it was."""

from collections import Counter
from typing import Any

from tests.promises.harness import Fate, Harness, Node

PUT = "arm PUT networkInterfaces"
GET = "arm GET networkInterfaces"
POLLS = "arm GET operations"


class Effects(Fate):
    """Writes down every effect: when it was sent, by whom, what."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []

    async def before(self, node: Node, label: str) -> None:
        self.seen.append((node.harness.loop.time(), label))

    def count(self) -> Counter[str]:
        """How often each was sent; table calls by kind."""
        return Counter(label for _, label in self.seen)

    def until(self, label: str) -> list[str]:
        """What was sent before the first of that label."""
        labels = [seen for _, seen in self.seen]
        return labels[: labels.index(label)]


def watched(**harness: Any) -> tuple[Harness, Node, Effects]:
    """A harness whose effects are written down."""
    effects = Effects()
    found = Harness(fate=effects, **harness)
    return found, found.node("n1"), effects
