"""Fixtures for everybody: a real Table service, and the Function app as it is served."""

from collections.abc import Iterator

import pytest

from serve import azurite as azurite_service


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """A connection string for Azurite's Table service, one per test session; every test picks its own table name."""
    with azurite_service.running() as service:
        yield service.connection_string
