"""A headless Chromium, driven by its DevTools protocol: real clicks and keys, and every request that it sends is seen.

The binary is the npm package @sparticuz/chromium (package-lock.json), so that no root, no download of a browser's own and no
display is needed; it is unpacked once into node_modules. `CHROMIUM` names another one, and is the only way where the package's
(Linux on x86-64) does not run. The browser resolves no name: it reaches 127.0.0.1 and nothing else.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from serve import azurite

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGE: Final = ROOT / "node_modules" / "@sparticuz" / "chromium"
AXE: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WAIT_S: Final = 20.0
FLAGS: Final = (
    "--headless=new", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions",
    "--disable-sync", "--no-pings", "--hide-scrollbars", "--font-render-hinting=none", "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--force-color-profile=srgb",
)  # fmt: skip
_UNPACK: Final = """
const zlib = require("zlib"), fs = require("fs"), [, from, to] = process.argv;
for (const [name, as] of [["chromium", "chromium"], ["al2023.tar", "al2023.tar"], ["fonts.tar", "fonts.tar"]])
  fs.writeFileSync(to + "/" + as, zlib.brotliDecompressSync(fs.readFileSync(from + "/" + name + ".br")));
"""
_FONTS: Final = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


class NoBrowserError(RuntimeError):
    """There is no Chromium that runs here; the message says why."""


def chromium() -> tuple[Path, Mapping[str, str]]:
    """The binary, and what its environment needs. Raises NoBrowserError."""
    if named := os.environ.get("CHROMIUM"):
        return Path(named), {}
    if not PACKAGE.exists():
        raise NoBrowserError("node_modules has no @sparticuz/chromium: run `make setup`, or name a Chromium in CHROMIUM")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise NoBrowserError("the Chromium of node_modules is for Linux on x86-64: name another one in CHROMIUM")
    version = json.loads((PACKAGE / "package.json").read_bytes())["version"]
    folder = ROOT / "node_modules" / ".chromium" / version
    if not folder.exists():
        _unpack(folder)
    return folder / "chromium", {"LD_LIBRARY_PATH": f"{folder}/lib", "FONTCONFIG_FILE": f"{folder}/fonts.conf"}


def _unpack(folder: Path) -> None:
    """Into a folder of its own that gets its name when it is whole: another test run may do the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    node, _ = azurite.node()
    subprocess.run([str(node), "-e", _UNPACK, str(PACKAGE / "bin"), str(part)], check=True)
    for name in ("al2023", "fonts"):
        with tarfile.open(part / f"{name}.tar") as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has no filters
            archive.extractall(part)
        (part / f"{name}.tar").unlink()
    (part / "chromium").chmod(0o755)
    (part / "fonts.conf").write_text(_FONTS.format(folder=folder))
    with contextlib.suppress(OSError):
        part.rename(folder)
    shutil.rmtree(part, ignore_errors=True)


class Tab:
    """A page in the browser. `requests`: the URLs that it asked for; `faults`: what its console and its policy complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._session = self._context = ""
        self.requests: list[str] = []
        self.faults: list[str] = []

    async def open(self) -> None:
        """Make the tab, and see what it does."""
        self._context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def close(self) -> None:
        """Take the context away, and the tab with it."""
        self._session = ""
        await self.call("Target.disposeBrowserContext", browserContextId=self._context)

    async def read(self) -> None:
        """What the browser says, until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if (waiting := self._answers.pop(said.get("id", 0), None)) and not waiting.done():
                waiting.set_result(said)
            match said.get("method"):
                case "Network.requestWillBeSent":
                    self.requests.append(said["params"]["request"]["url"])
                case "Runtime.exceptionThrown":
                    self.faults.append(str(said["params"]["exceptionDetails"]))
                case "Log.entryAdded" if said["params"]["entry"]["level"] == "error":
                    self.faults.append(said["params"]["entry"]["text"])

    async def call(self, method: str, /, **params: Any) -> Any:
        """One command of the protocol."""
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": number, "method": method, "params": params, **session})
        answer = await asyncio.wait_for(self._answers[number], WAIT_S)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def look(self, *, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False) -> None:
        """How large the window is, and whether it is dark outside."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def goto(self, url: str) -> None:
        """Load a page, and wait for its end."""
        await self.call("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, *, within_s: float = WAIT_S) -> Any:
        """Wait until the expression is true. A page that is just being left is asked again."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            with contextlib.suppress(AssertionError):
                if found := await self.js(expression):
                    return found
            assert asyncio.get_running_loop().time() < deadline, f"not within {within_s:g} s: {expression}"
            await asyncio.sleep(0.03)

    async def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of what the selector finds, which must be what is seen there."""
        at = await self.js(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.scrollIntoView({{block: 'center'}});"
            "const box = one.getBoundingClientRect(); const x = box.x + box.width / 2, y = box.y + box.height / 2;"
            "const hit = document.elementFromPoint(x, y); return [x, y, one.contains(hit) || hit.contains(one)]; })()"
        )
        assert at[2], f"something else lies over {selector}"
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    async def leave(self, selector: str) -> None:
        """Click, and wait until another page is there."""
        await self.js("window.before = true")
        await self.click(selector)
        await self.until("window.before === undefined && document.readyState === 'complete'")

    async def type(self, selector: str, text: str) -> None:
        """Click into a field and type."""
        await self.click(selector)
        await self.call("Input.insertText", text=text)

    async def key(self, key: str, code: int) -> None:
        """Press a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    async def axe(self) -> list[str]:
        """What axe-core has against the page: rule, and the elements concerned."""
        if not await self.js("typeof axe === 'object'"):
            await self.call("Runtime.evaluate", expression=AXE.read_text(encoding="utf-8"))
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = await self.js(f"axe.run({{runOnly: {json.dumps(tags)}, resultTypes: ['violations']}}).then((r) => r.violations)")
        return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]

    async def picture(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the page."""
        taken = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, optimizeForSpeed=False)
        path.write_bytes(base64.b64decode(taken["data"]))


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A browser, as the address of its debugger; it is ended by its process id. Raises NoBrowserError."""
    binary, environment = chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [str(binary), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        environment = {**os.environ, **environment}
        with (Path(profile) / "log").open("wb") as log:
            process = subprocess.Popen(
                arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield _debugger(process, Path(profile))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own group, made by start_new_session
            process.wait()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Tab]:
    """A tab in a context of its own, which shares nothing with any other: no cache, no storage."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        tab = Tab(socket)
        reading = asyncio.ensure_future(tab.read())
        await tab.open()
        yield tab
        await tab.close()
        reading.cancel()


def _debugger(process: subprocess.Popen[bytes], profile: Path) -> str:
    """The address that the browser writes down once it listens. Raises NoBrowserError."""
    port = profile / "DevToolsActivePort"
    for _ in range(int(WAIT_S / 0.05)):
        if process.poll() is not None:
            raise NoBrowserError(f"Chromium ended: {(profile / 'log').read_text(errors='replace')[-500:]}")
        lines = port.read_text().split() if port.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise NoBrowserError("Chromium did not start in time")
