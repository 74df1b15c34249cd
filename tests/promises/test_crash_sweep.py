"""A driver may die at every effect: whoever goes on, the promises hold. Figures are printed (pytest -rP shows them)."""

import pytest

from tests.promises import crashes

SHARE = 29
"""`make test` runs one schedule in so many, others for each scenario; `make soak` all of them."""


def _swept(scenario: crashes.Scenario, every: int) -> int:
    schedules = 0
    for name, violations in crashes.sweep(scenario, every=every):
        schedules += 1
        assert not violations, f"{name}: {violations[:5]}"
    print(f"{scenario.name}: {schedules} schedules")
    return schedules


@pytest.mark.parametrize("scenario", crashes.SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_share_of_all_crashes_ends_well(scenario: crashes.Scenario) -> None:
    """Whatever effect a driver dies at, retry, other decision and timer each end with the promises kept (I1 to I10)."""
    assert _swept(scenario, SHARE) > 1


@pytest.mark.soak
@pytest.mark.parametrize("scenario", crashes.SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_crash_ends_well(scenario: crashes.Scenario) -> None:
    """The same for every effect, every point and every way to go on."""
    assert _swept(scenario, 1) > 50
