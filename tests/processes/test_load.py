"""Load: a fleet that claims at once under Azure's rate limits, and claims at a steady rate. The long versions are `soak`."""

from pathlib import Path

import pytest

from tests.processes import load
from tests.processes.stage import number

GROWTH_MAX_MIB = 30.0
"""In the short run, start-up included; the long one shows whether memory is flat."""

SLOPE_MAX_MIB = 0.5


def test_forty_mirrors_claimed_at_once(tmp_path: Path) -> None:
    """Forty mirrors claimed at once through two instances are all placed, and each claim has its row. (I1, I3, I8)"""
    result = load.at_once(tmp_path, mirrors=40, latency="fixed:1.5")

    assert result.faults == [], result.figures


def test_steady_claims(tmp_path: Path) -> None:
    """Claims at a steady rate are all answered 200. (I1, I8)"""
    result = load.steady(tmp_path, mirrors=40, per_s=25, seconds=8)

    assert result.faults == [], result.figures
    assert result.memory[-1][1] - result.memory[0][1] < GROWTH_MAX_MIB, result.figures


@pytest.mark.soak
def test_thousand_mirrors_claimed_at_once(tmp_path: Path) -> None:
    """A zone outage that hits a thousand mirrors: all placed, none starved, no claim lost. (I1, I3, I8)"""
    result = load.at_once(tmp_path, mirrors=round(number("PROCESSES_MIRRORS", 1000)), latency="2022")

    assert result.faults == [], result.figures


@pytest.mark.soak
def test_memory_is_flat_under_steady_claims(tmp_path: Path) -> None:
    """Fifty claims a second for ten minutes leave the app's memory as it is."""
    seconds = number("PROCESSES_STEADY_S", 600)
    result = load.steady(tmp_path, mirrors=200, per_s=number("PROCESSES_CLAIMS_PER_S", 50), seconds=seconds)

    assert result.faults == [], result.figures
    assert load.per_minute(result.memory) < SLOPE_MAX_MIB, result.figures
