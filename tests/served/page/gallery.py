"""The pictures of docs/dashboard.md: `python -m tests.served.page.gallery [FOLDER]`.

An app on a simulated Azure with a fleet of mirrors, to some of which things happen; then the table goes away.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from serve import azurite
from tests.served.http import http_client
from tests.served.http.http_client import HttpClient, Mirror, exchange
from tests.served.page import browser

FOLDER: Final = Path(__file__).resolve().parents[3] / "docs" / "screenshots"
PASSES: Final = 10
"""Of the timer, so that each mirror of the fleet has been looked at."""

DONE: Final = "Succeeded"
PHONE: Final[dict[str, Any]] = {"width": 390, "height": 844, "phone": True}
FIRST: Final[dict[str, Any]] = {"whole": False}
"""What is seen without scrolling."""


def by_hand(app: HttpClient, mirror: Mirror) -> None:
    """Somebody moves the VIP from A to B through Azure, past the app."""
    settings = app.settings
    asked = f"?api-version=2019-08-01&resource={settings['VIP_ARM_AUDIENCE']}"
    endpoint = urlsplit(settings["IDENTITY_ENDPOINT"])
    said = exchange(
        f"{endpoint.scheme}://{endpoint.netloc}", "GET", endpoint.path + asked,
        headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]},
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {said.json['access_token']}", "Content-Type": "application/json"}
    moving: list[Any] = []
    for nic in (mirror.nic_a, mirror.nic_b):
        path = f"{http_client.NETWORK}/networkInterfaces/{nic}?api-version=2024-05-01"
        body = exchange(settings["VIP_ARM_ENDPOINT"], "GET", path, headers=headers).json
        found = body["properties"]["ipConfigurations"]
        if moving:
            found += [{"name": one["name"], "properties": {**one["properties"], "provisioningState": None}} for one in moving]
        moving = moving or [one for one in found if not one["properties"]["primary"]]
        body["properties"]["ipConfigurations"] = [one for one in found if nic == mirror.nic_b or one not in moving]
        answer = exchange(settings["VIP_ARM_ENDPOINT"], "PUT", path, headers=headers, body=json.dumps(body).encode())
        assert answer.status in (200, 201), answer
        deadline = time.monotonic() + 30
        while (
            exchange(settings["VIP_ARM_ENDPOINT"], "GET", path, headers=headers).json["properties"]["provisioningState"] != DONE
        ):
            assert time.monotonic() < deadline


class Photographer:
    """A tab, the app, and the folder where pictures go."""

    def __init__(self, app: HttpClient, tab: browser.Tab, folder: Path) -> None:
        self.app, self.tab, self.folder = app, tab, folder

    async def take(self, name: str, query: str = "", *, whole: bool = True, **look: Any) -> None:
        """One picture of the page with that query."""
        await self.tab.look(**{"width": 1160, "height": 800, **look})
        await self.tab.goto(f"{self.app.url}/dashboard?code={self.app.functions_key}{query}")
        await self.tab.picture(self.folder / f"{name}.png", whole=whole)
        print(name, flush=True)


async def take_all(folder: Path) -> None:
    """All of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as table, tempfile.TemporaryDirectory() as logs:
        service = table.enter_context(azurite.running())
        with http_client.opened(Path(logs), service.connection_string) as app, browser.running() as chromium:
            async with browser.opened(chromium) as tab:
                await _take(Photographer(app, tab, folder), table)


async def _take(photographer: Photographer, table: contextlib.ExitStack) -> None:
    app, take = photographer.app, photographer.take
    quiet, swapping = app.take(pages=True), app.take()
    frozen, drifted, stuck = app.take(), app.take(), app.take()
    app.azure("PUT", f"pages/{quiet.a}", {"mode": "primary"})
    app.azure("PUT", f"pages/{quiet.b}", {"mode": "backup"})
    app.azure("PUT", "switches", {"latency": "fixed:2.4"})
    await asyncio.to_thread(app.claim, quiet, quiet.a)
    assert app.move(quiet, quiet.b, force=True).status == 200
    assert app.move(quiet, quiet.a, force=True).status == 200
    app.azure("PUT", "switches", {"latency": "fixed:0.2"})
    for mirror in (frozen, drifted, stuck, swapping):
        assert app.claim(mirror, mirror.b).status == 200
        assert app.claim(mirror, mirror.a).status == 200
    for _ in range(PASSES):
        app.operator("POST", "/reconcile", b"")
    body = {"reason": "Storage firmware in zone 1, ticket 4711", "operator": "pat", "until": "2099-01-01T06:00:00Z"}
    assert app.operator("PUT", f"/mirrors/{frozen.name}/freeze", body).status == 200
    by_hand(app, drifted)
    words = {"scope": f"{http_client.NETWORK}/networkInterfaces/{stuck.nic_b}"}
    fault = {"kind": "answer", "name": "AuthorizationFailed", "words": words}
    refused = {"match": {"method": "PUT", "name": stuck.nic_b}, "fault": fault, "times": 99}
    app.azure("POST", "scripts", refused)
    assert app.claim(stuck, stuck.b).status >= 500
    for _ in range(PASSES):
        app.operator("POST", "/reconcile", b"")

    await take("quiet", f"&mirror={quiet.name}")
    await take("quiet-phone", f"&mirror={quiet.name}", **PHONE)
    await take("frozen-dark", f"&mirror={frozen.name}", dark=True)
    await take("drifted", f"&mirror={drifted.name}", **FIRST)
    await take("stuck", f"&mirror={stuck.name}", **FIRST)
    app.azure("PUT", "switches", {"latency": "fixed:4"})
    claim = asyncio.create_task(asyncio.to_thread(app.claim, swapping, swapping.b))
    await asyncio.sleep(5.5)
    await take("swapping-dark", f"&mirror={swapping.name}", dark=True, **FIRST)
    await take("all", **FIRST)
    await take("all-phone", whole=False, **PHONE)
    await take("all-dark", dark=True, **FIRST)
    assert (await claim).status == 200
    table.close()
    await take("unreachable", f"&mirror={quiet.name}", **FIRST)
    await take("unreachable-all-phone", whole=False, **PHONE)


if __name__ == "__main__":
    asyncio.run(take_all(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
