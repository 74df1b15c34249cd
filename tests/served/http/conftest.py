"""One served app for the whole folder: it takes a second to start, and its mirrors are enough for every test."""

from collections.abc import Iterator

import pytest

from tests.served.http import http_client
from tests.served.http.http_client import HttpClient


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory, azurite: str) -> Iterator[HttpClient]:
    """The app as it is served, on a fleet of mirrors. At its end, no key stands in its log, and every line has the one form."""
    with http_client.opened(tmp_path_factory.mktemp("client"), azurite) as opened:
        yield opened
        leaked, odd = http_client.leaks(opened), http_client.odd_lines(opened.log)
    assert leaked == []
    assert odd == []
