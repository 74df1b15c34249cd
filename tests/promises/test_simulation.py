"""A fixed and a fresh sample of seeds keep every promise, a seed replays exactly, and what breaks a promise is seen."""

import random

import pytest

from tests.promises import line_mutants, mutants
from tests.promises.simulation import run_seed

FIXED = range(1, 121)
FRESH = 60
SOAK = 20_000

ONCE_VIOLATED = [
    99316554583,  # a NIC that was put back as it was read kept its etag, so a dead driver's write still landed
    784379992,
]


def _kept(seed: int) -> None:
    violations, _ = run_seed(seed)
    assert not violations, f"python -m tests.promises.simulation --seeds 1 --from {seed}: {violations[:5]}"


def test_the_fixed_seeds_keep_every_promise() -> None:
    """The seeds that are always run keep I1 to I10."""
    for seed in FIXED:
        _kept(seed)


@pytest.mark.parametrize("seed", ONCE_VIOLATED)
def test_a_seed_that_once_broke_a_promise_keeps_it(seed: int) -> None:
    """What a long run found stays mended."""
    _kept(seed)


def test_fresh_seeds_keep_every_promise() -> None:
    """So do seeds that nobody has run before; a failing one is named with the command that replays it."""
    first = random.SystemRandom().randrange(10**6, 10**9)
    for seed in range(first, first + FRESH):
        _kept(seed)


def test_a_seed_replays_exactly() -> None:
    """The same seed gives the same history: the same rows with the same hashes, the same answers at the same times."""
    histories = []
    for _ in range(2):
        _, simulation = run_seed(7)
        answers = [(trace.asked, trace.answered, repr(trace.answer)) for trace in simulation.harness.journal.traces]
        histories.append((answers, simulation.harness.ledger.rows))
    assert histories[0] == histories[1]


QUICK = ("the fence is skipped", "audit after instead of with", "the mark is not spent", "the lease is ignored")


@pytest.mark.parametrize("name", QUICK)
def test_a_broken_promise_is_seen_soon(name: str) -> None:
    """The checker sees a defect within a few seeds: it is no decoration."""
    mutant = next(mutant for mutant in mutants.MUTANTS if mutant.name == name)
    assert mutants.hunt(mutant, most=30) is not None


@pytest.mark.parametrize("slip", line_mutants.SLIPS, ids=lambda slip: slip[0])
def test_every_slip_still_changes_the_core(slip: line_mutants.Slip) -> None:
    """The piece of source that a slip changes is where it was: otherwise it would break nothing, and prove nothing."""
    _, _, make = slip
    assert make()


@pytest.mark.soak
@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_every_broken_promise_is_seen(mutant: mutants.Mutant) -> None:
    """Each promise, broken on purpose, is caught; the seed that shows it is printed (pytest -rP)."""
    found = mutants.hunt(mutant)
    assert found is not None, f"{mutant.name} (promise {mutant.breaks}) was not caught in {mutants.SEEDS_MAX} seeds"
    print(f"[{mutant.breaks}] {mutant.name}: seed {found[0]}: {found[1][0]}")


@pytest.mark.soak
def test_many_seeds_keep_every_promise() -> None:
    """Tens of thousands of seeds, none of them run before."""
    first = random.SystemRandom().randrange(10**9, 10**12)
    for seed in range(first, first + SOAK):
        _kept(seed)
