"""Mutants break something that exists, and each that no seed shows has a test that fails under it."""

import ast

import pytest

from tests.promises import line_mutants, plant, unseen


def test_every_mutant_changes_something_that_exists() -> None:
    """A mutant that sets an attribute which the core does not have would break nothing, and prove nothing."""
    patches = [(name, patch) for name, mutant in plant.all_mutants().items() for patch in mutant.make()]

    assert [(name, attribute) for name, (owner, attribute, _) in patches if not hasattr(owner, attribute)] == []


def test_every_mutant_that_no_seed_shows_names_a_test() -> None:
    """Each value of `UNSEEN` is a test that exists, and each key is a line mutant."""
    missing = []
    for cited in line_mutants.UNSEEN.values():
        path, _, name = cited.partition("::")
        file = unseen.ROOT / path
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.exists() else ast.Module([], [])
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}:
            missing.append(cited)

    assert missing == []
    assert line_mutants.UNSEEN.keys() <= {slip[0] for slip in line_mutants.SLIPS}


@pytest.mark.soak
@pytest.mark.parametrize("name", line_mutants.UNSEEN)
def test_every_mutant_that_no_seed_shows_is_caught_by_its_test(name: str) -> None:
    """Planted in a process of its own, it makes the test fail that `UNSEEN` names."""
    assert unseen.survives(name) is None
