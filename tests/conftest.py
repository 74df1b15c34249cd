"""Fixtures for everybody: a real Table service, and the Function app as it is served."""

from collections.abc import Iterator

import pytest

from demo import harness
from demo.harness import Harness
from serve import azurite as azurite_service


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """A connection string for Azurite's Table service, one per test session; every test picks its own table name."""
    with azurite_service.running() as service:
        yield service.connection_string


@pytest.fixture(scope="module")
def served_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Our app in Microsoft's runtime, with a simulated Azure whose NIC operations take 0.3 s, Azurite, and two agents."""
    folder = tmp_path_factory.mktemp("served")
    with harness.standing(folder, seed=0, latency="fixed:0.3", say=lambda _: None) as standing:
        yield standing
