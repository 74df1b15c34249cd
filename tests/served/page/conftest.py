"""One served app and one browser for the folder."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.served.http import http_client
from tests.served.http.http_client import HttpClient
from tests.served.page import browser
from tests.served.page.browser import Tab


@pytest.fixture(scope="package")
def app(tmp_path_factory: pytest.TempPathFactory, azurite: str) -> Iterator[HttpClient]:
    """The app as it is served. At its end, no key may stand in its log: the page's travels in the address."""
    with http_client.opened(tmp_path_factory.mktemp("page"), azurite) as opened:
        yield opened
        leaked = http_client.leaks(opened)
    assert leaked == []


@pytest.fixture(scope="package")
def chromium() -> Iterator[str]:
    """A browser, as the address of its debugger. Without one the tests are skipped; in CI, where nobody reads that, they fail."""
    try:
        with browser.running() as url:
            yield url
    except browser.NoBrowserError as why:
        told = f"NO BROWSER, so the page is not tested in one: {why}"
        if os.environ.get("CI"):
            pytest.fail(told, pytrace=False)
        pytest.skip(told)


@pytest_asyncio.fixture
async def tab(chromium: str) -> AsyncIterator[Tab]:
    """A tab that shares nothing with another test's; at its end, its console and its policy have complained of nothing."""
    async with browser.opened(chromium) as opened:
        await opened.look()
        yield opened
        assert opened.faults == []
