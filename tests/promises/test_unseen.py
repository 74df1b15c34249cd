"""Mutants break something that exists, and each that no seed shows has a test that fails under it."""

import pytest

from tests.promises import line_mutants, plant, unseen
from tests.repository import cites


def test_every_mutant_changes_something_that_exists() -> None:
    """A mutant that sets an attribute which the core does not have would break nothing, and prove nothing."""
    patches = [(name, patch) for name, mutant in plant.all_mutants().items() for patch in mutant.make()]

    assert [(name, attribute) for name, (owner, attribute, _) in patches if not hasattr(owner, attribute)] == []


def test_every_mutant_that_no_seed_shows_names_a_test() -> None:
    """Each value of `UNSEEN` is a test that exists, and each key is a line mutant."""
    cited = [test.partition("::") for test in line_mutants.UNSEEN.values()]
    missing = [f"{path}::{name}" for path, _, name in cited if name not in cites.functions(unseen.ROOT / path)]

    assert missing == []
    assert line_mutants.UNSEEN.keys() <= {slip[0] for slip in line_mutants.SLIPS}


@pytest.mark.soak
@pytest.mark.parametrize("name", line_mutants.UNSEEN)
def test_every_mutant_that_no_seed_shows_is_caught_by_its_test(name: str) -> None:
    """Planted in a process of its own, it makes the test fail that `UNSEEN` names."""
    assert unseen.survives(name) is None
