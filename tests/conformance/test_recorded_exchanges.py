"""The simulated Azure answers recorded requests as the real one did, field by field and header by header."""

import pytest

from tests.conformance.replay import Replay
from tests.conformance.scenarios import scenarios
from tests.conformance.tapes import load

SCENARIOS = scenarios()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_answer_of_the_tape_is_the_recorded_one(name: str) -> None:
    """Sent the recorded requests at the recorded times, the simulator answers like Azure, but for listed reasons."""
    scenario = SCENARIOS[name]

    differences = list(Replay(load(name), scenario).run())

    unexplained = [str(d) for d in differences if not any(a.covers(d) for a in scenario.allowances)]
    assert not unexplained, "\n".join(unexplained)
    stale = [a for a in scenario.allowances if not any(a.covers(d) for d in differences)]
    assert not stale, f"these no longer differ: {stale}"
