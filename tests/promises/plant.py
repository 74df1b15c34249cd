"""A pytest plugin that plants one mutant for a whole run: `pytest -p tests.promises.plant --plant "NAME" TEST`.

The mutant is planted before pytest collects, so that test modules import the changed core. It needs a process of its own:
nothing is put back.
"""

import pytest

from tests.promises import line_mutants, mutants


def all_mutants() -> dict[str, mutants.Mutant]:
    """Every mutant by its name, those that no seed shows among them."""
    return {mutant.name: mutant for mutant in (*mutants.MUTANTS, *(mutants.Mutant(*slip) for slip in line_mutants.SLIPS))}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--plant`."""
    parser.addoption("--plant", metavar="NAME", help="the name of the mutant to plant")


def pytest_configure(config: pytest.Config) -> None:
    """Plant the mutant."""
    name = config.getoption("--plant")
    if name is None:
        return
    if name not in all_mutants():
        raise pytest.UsageError(f"no mutant is called {name!r}; tests/promises/mutants.py and line_mutants.py have the names")
    for owner, attribute, value in all_mutants()[name].make():
        setattr(owner, attribute, value)
