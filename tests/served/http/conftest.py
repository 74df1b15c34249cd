"""One served app for the whole folder: it takes a second to start, and its mirrors are enough for every test."""

from collections.abc import Iterator

import pytest

from tests.served.http import door as doors
from tests.served.http.door import Door


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory, azurite: str) -> Iterator[Door]:
    """The app as it is served, on a fleet of mirrors. At its end, no key may stand in its log."""
    with doors.opened(tmp_path_factory.mktemp("door"), azurite) as opened:
        yield opened
        leaked = doors.leaks(opened)
    assert leaked == []
