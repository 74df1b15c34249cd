"""The host's edge over HTTP, each rule once, on the tiny app beside this file."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from serve import process
from serve.process import Server


async def raw(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send exactly these bytes after `Host`; status, headers in lower case, body. The connection is closed after it."""
    host, port = server.url.removeprefix("http://").partition("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    line, _, rest = request.partition(b"\r\n")
    writer.write(line + b"\r\nHost: h\r\nConnection: close\r\n" + rest)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), headers, body


async def get(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Status and body of a plain request under the route prefix."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{server.url}/{path}", headers=headers) as response,
    ):
        return response.status, await response.read()


async def echo(server: Server, request: bytes) -> Any:
    """What the function saw of a request."""
    status, _, body = await raw(server, request)
    assert status == 200
    return json.loads(body)


async def test_function_sees_the_request_as_the_host_shapes_it(app: Server) -> None:
    """Path escaped anew, raw query, joined headers, decoded route values, bytes of the body."""
    request = (
        b"POST /api/echo/n%20x%2fy/%7e?q=1&q=%32&e= HTTP/1.1\r\nSignature: a\r\nSIGNATURE: b\r\n"
        b"Content-Length: 3\r\n\r\n\x00\xffz"
    )

    seen = await echo(app, request)

    assert seen["url"] == "http://h/api/echo/n%20x%2Fy/~?q=1&q=%32&e="
    assert seen["headers"]["signature"] == "a,b"
    assert seen["query"] == {"q": "1,2"}
    assert seen["route"] == {"rest": "n x%2Fy/~"}
    assert seen["body"] == "\x00\xffz"
    assert seen["method"] == "POST"


async def test_chunked_body_arrives_empty(app: Server) -> None:
    """A chunked request reaches the function with an empty body."""
    chunked = b"POST /api/echo/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    assert (await echo(app, chunked))["body"] == ""


async def test_trace_context_is_passed_or_made(app: Server) -> None:
    """The function's trace parent is the client's; where the client sends none there is one all the same."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    assert json.loads((await get(app, "ids", traceparent=parent))[1])[2] == parent
    assert len(json.loads((await get(app, "ids"))[1])[2]) == len(parent)


async def test_concurrent_invocations_keep_their_own_ids(app: Server) -> None:
    """Each invocation is a task of its own: the runtime's invocation id is never another one's."""
    answers = [json.loads(body) for _, body in await asyncio.gather(*(get(app, "ids") for _ in range(50)))]

    assert all(in_context == in_variable for in_context, in_variable, _ in answers)
    assert len({answer[0] for answer in answers}) == 50


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "things/5", b"number 5"),
        ("GET", "THINGS/Fixed", b"literal"),
        ("GET", "things/x", b"name x"),
        ("PUT", "things/fixed", b"put fixed"),
        ("GET", "things/x/y", b'{"name": "x", "part": "y"}'),
        ("GET", "sync", b"sync"),
    ],
)
async def test_most_specific_route_answers(app: Server, method: str, path: str, body: bytes) -> None:
    """The most specific template that fits path and method gets the request."""
    assert (await get(app, path, method))[1] == body


@pytest.mark.parametrize(("method", "path"), [("GET", "nowhere"), ("POST", "things/5"), ("HEAD", "things/5"), ("GET", "off")])
async def test_unknown_route_wrong_method_and_disabled_function_are_404(app: Server, method: str, path: str) -> None:
    """No route, a wrong method (not 405) and a disabled function: 404 with an empty body."""
    assert await get(app, path, method) == (404, b"")


async def test_path_outside_the_prefix_is_404(app: Server) -> None:
    """Only paths under the route prefix reach functions."""
    assert (await raw(app, b"GET /things/5 HTTP/1.1\r\n\r\n"))[0] == 404


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("keyed", {}, 401),
        ("keyed", {"x-functions-key": "wrong"}, 401),
        ("keyed", {"x-functions-key": ""}, 401),
        ("keyed", {"x-functions-key": "local"}, 200),
        ("keyed?code=local", {}, 200),
        ("keyed?code=local", {"x-functions-key": "wrong"}, 401),
        ("keyed", {"x-functions-key": "local-master"}, 200),
        ("admin-only", {"x-functions-key": "local"}, 401),
        ("admin-only", {"x-functions-key": "local-master"}, 200),
    ],
)
async def test_keys_open_what_they_open_in_azure(app: Server, path: str, headers: dict[str, str], status: int) -> None:
    """A function key opens FUNCTION routes, the master key ADMIN ones too; the header comes before `?code=`."""
    assert (await get(app, path, **headers))[0] == status


async def test_refused_key_has_an_empty_answer(app: Server) -> None:
    """401 has no body and no type: Python is never asked."""
    status, headers, body = await raw(app, b"GET /api/keyed HTTP/1.1\r\n\r\n")

    assert (status, body, headers["content-length"]) == (401, b"", "0")
    assert "content-type" not in headers
    assert "date" in headers


async def test_exception_is_500_with_an_empty_body(app: Server) -> None:
    """A function that raises answers 500 and tells nothing."""
    assert await get(app, "broken") == (500, b"")


@pytest.mark.parametrize("path", [b"/api/echo/" + b"x" * 8200, b"/api/echo/x?q=" + b"x" * 4100])
async def test_overlong_url_is_refused(app: Server, path: bytes) -> None:
    """A url over 8,192 characters or a query over 4,096 does not reach a function."""
    assert (await raw(app, b"GET " + path + b" HTTP/1.1\r\n\r\n"))[0] == 414


async def test_path_that_is_no_text_is_refused(app: Server) -> None:
    """A path whose escapes are no UTF-8 is 400."""
    assert (await raw(app, b"GET /api/echo/%ff HTTP/1.1\r\n\r\n"))[0] == 400


async def test_overlong_body_is_refused_before_it_is_read(app: Server) -> None:
    """A body over 210 MB is refused by its announcement."""
    assert (await raw(app, b"POST /api/echo/x HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"))[0] == 413


async def admin(server: Server, name: str, key: str, method: str = "POST") -> int:
    """The status of running a function by hand; the body is always empty."""
    base = server.url.removesuffix("/api")
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"{base}/admin/functions/{name}", headers={"x-functions-key": key}, json={"input": ""}
        ) as response,
    ):
        assert await response.read() == b""
        return response.status


@pytest.mark.parametrize(
    ("name", "key", "method", "status"),
    [
        ("tick", "local", "POST", 401),
        ("tick", "local-master", "GET", 404),
        ("nothing", "local-master", "POST", 404),
        ("keyed", "local-master", "POST", 404),
    ],
)
async def test_timer_by_hand_wants_the_master_key_and_a_timer(app: Server, name: str, key: str, method: str, status: int) -> None:
    """`POST /admin/functions/NAME` is for the master key and for functions that are not HTTP."""
    assert await admin(app, name, key, method) == status


async def ticks(server: Server, wanted: int) -> dict[str, int]:
    """Ask until the timer has run so often, or 20 s are over."""
    async with asyncio.timeout(20):
        while True:
            counted: dict[str, int] = json.loads((await get(server, "ticks"))[1])
            if counted["plain"] >= wanted:
                return counted
            await asyncio.sleep(0.05)


async def test_timer_runs_by_hand(serve_app: Any) -> None:
    """The master key runs a timer whose time has not come; `run_on_startup` has run; an unset schedule never does."""
    with serve_app() as server:
        assert await admin(server, "Tick", "local-master") == 202

        assert await ticks(server, 1) == {"plain": 1, "at_start": 1}


async def test_timer_runs_by_the_clock_with_its_schedule_from_a_setting(serve_app: Any) -> None:
    """`%NAME%` in a schedule is the app setting of that name."""
    with serve_app(TICK_SCHEDULE="* * * * * *") as server:
        assert (await ticks(server, 2))["plain"] >= 2


async def running_slow(server: Server, until: Path) -> asyncio.Task[tuple[int, bytes]]:
    """A request to the slow function, once it has begun."""
    task = asyncio.create_task(get(server, "slow"))
    async with asyncio.timeout(20):
        while not until.with_suffix(".running").exists():
            await asyncio.sleep(0.01)
    return task


async def test_sigterm_lets_running_invocations_finish(serve_app: Any, tmp_path: Path) -> None:
    """SIGTERM stops the listening, finishes what runs, and exits 0."""
    until = tmp_path / "until"
    with serve_app(SLOW_UNTIL=str(until)) as server:
        task = await running_slow(server, until)
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            while True:
                try:
                    await get(server, "ticks")
                except aiohttp.ClientConnectionError:
                    break
        assert not task.done()
        until.touch()

        assert await task == (200, b"done")
        assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_sigterm_waits_no_longer_than_its_limit(serve_app: Any, tmp_path: Path) -> None:
    """An invocation that does not end is left behind after SERVE_DRAIN_S, and the exit code is 0 all the same."""
    until = tmp_path / "until"
    with serve_app(SLOW_UNTIL=str(until), SERVE_DRAIN_S="0.2") as server:
        task = await running_slow(server, until)

        assert await asyncio.to_thread(process.stop, server.process) == 0
        with pytest.raises(aiohttp.ClientError):
            await task


async def test_client_that_leaves_ends_no_invocation(serve_app: Any, tmp_path: Path) -> None:
    """A client that closes its connection does not cancel what it started."""
    until = tmp_path / "until"
    with serve_app(SLOW_UNTIL=str(until)) as server:
        task = await running_slow(server, until)
        task.cancel()
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(server.process.wait, 1), 0.5)
        until.touch()

        assert await asyncio.to_thread(server.process.wait, 20) == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"SERVE_DRAIN_S": "-1"}, "SERVE_DRAIN_S"),
        ({"APP_DIR": "docs"}, "no function_app.py"),
    ],
)
def test_setting_that_can_not_be_used_is_named(serve_app: Any, settings: dict[str, str], says: str) -> None:
    """A host setting out of range ends the start with one line that names it."""
    with pytest.raises(process.ProcessError, match=says), serve_app(**settings):
        pass


def test_port_that_is_taken_is_named(app: Server, serve_app: Any) -> None:
    """A port in use ends the start with the operating system's own sentence."""
    port = app.url.rpartition(":")[2].removesuffix("/api")
    with pytest.raises(process.ProcessError, match="address already in use"), serve_app(PORT=port):
        pass


def test_app_that_can_not_be_imported_is_reported(serve_app: Any, tmp_path: Path) -> None:
    """An app whose import fails ends the start with the runtime's message."""
    (tmp_path / "function_app.py").write_text("import azure.functions as func\nraise RuntimeError('not today')\n")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with pytest.raises(process.ProcessError, match="not today"), serve_app(APP_DIR=str(tmp_path)):
        pass
