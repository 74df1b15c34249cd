"""Load: a fleet that claims at once under Azure's rate limits, and claims at a steady rate. The long versions are `soak`."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.served.processes import harness, load
from tests.served.processes.harness import App, Harness, number

GROWTH_MAX_MIB = 30.0
"""In the short run; the long one shows whether memory is flat."""

SLOPE_MAX_MIB = 0.5


def test_forty_mirrors_claimed_at_once(stand: Harness, apps: tuple[App, App]) -> None:
    """Forty mirrors claimed at once through two instances are all placed, and each claim has its row. (I1, I3, I8)"""
    stand.ask("PUT", "switches", {"throttling": "both"})

    result = load.at_once(stand, apps, stand.mirrors[20:60])

    assert result.faults == [], result.figures


def test_steady_claims(stand: Harness, apps: tuple[App, App]) -> None:
    """Claims at a steady rate are all answered 200. (I1, I8)"""
    result = load.steady(stand, apps[0], stand.mirrors[60:100], per_s=25, seconds=8)

    assert result.faults == [], result.figures
    assert result.memory[-1][1] - result.memory[0][1] < GROWTH_MAX_MIB, result.figures


@pytest.mark.soak
def test_thousand_mirrors_claimed_at_once(tmp_path: Path) -> None:
    """A zone outage that hits a thousand mirrors: all placed, none starved, no claim lost. (I1, I3, I8)"""
    mirrors = round(number("PROCESSES_MIRRORS", 1000))
    with contextlib.ExitStack() as stack:
        stand = _standing(stack, tmp_path, mirrors=mirrors, switches={"latency": "2022", "throttling": "both"})
        apps = [stack.enter_context(harness.served(stand, name, VIP_RECONCILE_SCHEDULE=DEFAULT)) for name in ("app-1", "app-2")]
        result = load.at_once(stand, apps, stand.mirrors)

    assert result.faults == [], result.figures


@pytest.mark.soak
def test_memory_is_flat_under_steady_claims(tmp_path: Path) -> None:
    """Fifty claims a second for ten minutes leave the app's memory as it is."""
    seconds, per_s = number("PROCESSES_STEADY_S", 600), number("PROCESSES_CLAIMS_PER_S", 50)
    switches = {"latency": "fixed:2", "throttling": "both", "history_max": 1000}
    with contextlib.ExitStack() as stack:
        stand = _standing(stack, tmp_path, mirrors=200, subscriptions=8, switches=switches)
        app = stack.enter_context(harness.served(stand, VIP_RECONCILE_SCHEDULE=DEFAULT))
        result = load.steady(stand, app, stand.mirrors, per_s=per_s, seconds=seconds)

    assert result.faults == [], result.figures
    assert load.per_minute(result.memory) < SLOPE_MAX_MIB, result.figures


DEFAULT = "*/30 * * * * *"
"""The timer's own default."""


def _standing(
    stack: contextlib.ExitStack, folder: Path, *, mirrors: int, switches: Mapping[str, Any], subscriptions: int = 1
) -> Harness:
    load.many_files()
    scale = harness.Scale(mirrors=mirrors, seed=harness.seed(), subscriptions=subscriptions, switches=switches)
    return stack.enter_context(harness.standing(folder, scale))
