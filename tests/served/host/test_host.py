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
    """Send exactly these bytes after `Host`; status, headers in lower case, body (its chunks joined). Closes the connection."""
    host, port = server.url.removeprefix("http://").partition("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    line, _, rest = request.partition(b"\r\n")
    writer.write(line + b"\r\nHost: h\r\nConnection: close\r\n" + rest)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), headers, _joined(body) if headers.get("transfer-encoding") == "chunked" else body


def _joined(chunks: bytes) -> bytes:
    size, _, rest = chunks.partition(b"\r\n")
    length = int(size, 16)
    return rest[:length] + _joined(rest[length + 2 :]) if length else b""


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
        ("GET", "things/5", b"name 5"),
        ("GET", "THINGS/Fixed", b"literal"),
        ("GET", "things/x", b"name x"),
        ("PUT", "things/fixed", b"put fixed"),
        ("GET", "things/x/y", b'{"name": "x", "part": "y"}'),
        ("GET", "sync", b"sync"),
    ],
)
async def test_first_function_by_name_answers(app: Server, method: str, path: str, body: bytes) -> None:
    """Of the functions whose template and method fit, the first by name answers: `by_name` comes before `by_number`."""
    assert (await get(app, path, method))[1] == body


@pytest.mark.parametrize(("method", "path"), [("GET", "nowhere"), ("POST", "things/5"), ("HEAD", "things/5"), ("GET", "off")])
async def test_unknown_route_wrong_method_and_disabled_function_are_404(app: Server, method: str, path: str) -> None:
    """No route, a wrong method (not 405) and a disabled function: 404 with an empty body."""
    assert await get(app, path, method) == (404, b"")


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("off-keyed", "", 401), ("off-keyed", "local", 404), ("off-keyed", "local-master", 200), ("off", "local-master", 200)],
)
async def test_disabled_function_runs_for_the_master_key_only(app: Server, path: str, key: str, status: int) -> None:
    """A disabled function asks for the key first, and is 404 to all but the master key."""
    assert (await get(app, path, **{"x-functions-key": key}))[0] == status


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
        ("keyed", {"x-functions-key": "keyed-own"}, 200),
        ("keyed?code=keyed-own", {}, 200),
        ("keyed", {"x-functions-key": "masters-own"}, 401),
        ("off-keyed", {"x-functions-key": "keyed-own"}, 401),
        ("masters-only", {"x-functions-key": "masters-own"}, 401),
        ("masters-only", {"x-functions-key": "local"}, 401),
        ("masters-only", {"x-functions-key": "local-master"}, 200),
    ],
)
async def test_keys_open_what_they_open_in_azure(app: Server, path: str, headers: dict[str, str], status: int) -> None:
    """Host keys open FUNCTION routes, a function's own key that one alone, the master key ADMIN ones too; a header is first."""
    assert (await get(app, path, **headers))[0] == status


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /api/keyed HTTP/1.1\r\nX-Functions-Key: local\r\nX-Functions-Key: wrong\r\n\r\n", 200),
        (b"GET /api/keyed HTTP/1.1\r\nX-Functions-Key: wrong\r\nX-Functions-Key: local\r\n\r\n", 401),
        (b"GET /api/keyed?code=local&code=wrong HTTP/1.1\r\n\r\n", 200),
        (b"GET /api/keyed?code=wrong&code=local HTTP/1.1\r\n\r\n", 401),
    ],
)
async def test_first_of_several_keys_counts(app: Server, request_: bytes, status: int) -> None:
    """A repeated key header or `?code=` is not joined: the first one is the key."""
    assert (await raw(app, request_))[0] == status


async def test_refused_key_has_an_empty_answer(app: Server) -> None:
    """401 has no body and no type: Python is never asked."""
    status, headers, body = await raw(app, b"GET /api/keyed HTTP/1.1\r\n\r\n")

    assert (status, body, headers["content-length"]) == (401, b"", "0")
    assert "content-type" not in headers
    assert "date" in headers


async def test_exception_is_500_with_an_empty_body(app: Server) -> None:
    """A function that raises answers 500 and tells nothing."""
    assert await get(app, "broken") == (500, b"")


async def test_overlong_request_line_is_refused(app: Server) -> None:
    """A request line over 8 KiB does not reach a function; a long query in a shorter one does."""
    assert (await raw(app, b"GET /api/echo/" + b"x" * 8200 + b" HTTP/1.1\r\n\r\n"))[0] == 414
    assert (await raw(app, b"GET /api/echo/x?q=" + b"x" * 8000 + b" HTTP/1.1\r\n\r\n"))[0] == 200


async def test_answer_has_no_length(app: Server) -> None:
    """The host adds no Content-Length to a function's answer: HTTP/1.1 clients get it chunked."""
    _, headers, body = await raw(app, b"GET /api/sync HTTP/1.1\r\n\r\n")

    assert (headers["transfer-encoding"], body) == ("chunked", b"sync")
    assert "content-length" not in headers


async def test_status_that_is_no_number_is_200(app: Server) -> None:
    """The host takes a status that it can't parse for 200."""
    assert await get(app, "no-status") == (200, b"fine")


async def test_start_page_is_open_and_can_be_switched_off(app: Server, serve_app: Any) -> None:
    """`GET /` is the host's own page, or 204 with AzureWebJobsDisableHomepage."""
    status, headers, body = await raw(app, b"GET / HTTP/1.1\r\n\r\n")
    assert (status, headers["content-type"].partition(";")[0], b"<html" in body or b"<title" in body) == (200, "text/html", True)
    assert (await raw(app, b"POST / HTTP/1.1\r\n\r\n"))[0] == 404
    with serve_app(AzureWebJobsDisableHomepage="true") as server:
        assert (await raw(server, b"GET / HTTP/1.1\r\n\r\n"))[0] == 204


async def test_front_end_decodes_the_slash_and_names_host_and_scheme(serve_app: Any) -> None:
    """Behind App Service's front end `%2F` is a slash, the client's spelling a header, and headers name host and scheme."""
    request = (
        b"POST /api/echo/a%2Fb?q=%2F HTTP/1.1\r\nDISGUISED-HOST: vip.example.org\r\nX-Forwarded-Proto: https\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    with serve_app(SERVE_FRONT_END="true") as server:
        seen = await echo(server, request)

    assert seen["url"] == "https://vip.example.org/api/echo/a/b?q=%2F"
    assert seen["route"] == {"rest": "a/b"}
    assert seen["headers"]["x-waws-unencoded-url"] == "/api/echo/a%2Fb?q=%2F"


async def test_path_that_is_no_text_is_refused(app: Server) -> None:
    """A path whose escapes are no UTF-8 is 400."""
    assert (await raw(app, b"GET /api/echo/%ff HTTP/1.1\r\n\r\n"))[0] == 400


async def test_overlong_body_is_500(app: Server, serve_app: Any) -> None:
    """A body over 100 MiB, or over FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, fails the function before it runs: 500, not 413."""
    announced = b"POST /api/echo/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n"

    assert (await raw(app, announced % (100 * 1024 * 1024 + 1)))[::2] == (500, b"")
    with serve_app(FUNCTIONS_REQUEST_BODY_SIZE_LIMIT="4") as server:
        assert (await echo(server, announced % 4 + b"abcd"))["body"] == "abcd"
        assert (await raw(server, announced % 5 + b"abcde"))[::2] == (500, b"")


async def test_overlong_body_without_a_key_is_401(app: Server) -> None:
    """The key comes first: who has none makes the host read no body."""
    assert (await raw(app, b"POST /admin/functions/tick HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"))[0] == 401


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


@pytest.mark.parametrize("body", [b"", b"null", b"{"])
async def test_timer_by_hand_wants_a_body_of_json(app: Server, body: bytes) -> None:
    """A body that is no JSON, or nothing, is 400."""
    head = b"POST /admin/functions/tick HTTP/1.1\r\nX-Functions-Key: local-master\r\nContent-Length: %d\r\n\r\n"

    assert (await raw(app, head % len(body) + body))[0] == 400


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


async def test_sigterm_kills_what_runs_longer_than_its_limit(serve_app: Any, tmp_path: Path) -> None:
    """After SERVE_DRAIN_S the process is gone: no code runs at its end, neither the app's atexit nor a cancelled function's."""
    until, last_words = tmp_path / "until", tmp_path / "last-words"
    with serve_app(SLOW_UNTIL=str(until), SERVE_DRAIN_S="0.2", LAST_WORDS=str(last_words)) as server:
        task = await running_slow(server, until)

        assert await asyncio.to_thread(process.stop, server.process) == 0
        with pytest.raises(aiohttp.ClientError):
            await task
    assert not last_words.exists()


async def test_time_out_restarts_the_worker_under_its_neighbours(serve_app: Any, tmp_path: Path) -> None:
    """A time-out answers 500, and 2 s later the worker is a new one: a neighbour gets 500, a late comer waits for it."""
    until, last_words = tmp_path / "until", tmp_path / "last-words"
    settings = {"AzureFunctionsJobHost__functionTimeout": "00:00:01", "LAST_WORDS": str(last_words), "SLOW_UNTIL": str(until)}
    with serve_app(**settings) as server:
        await admin(server, "tick", "local-master")
        before = await ticks(server, 1)
        began = asyncio.get_running_loop().time()
        stuck = await running_slow(server, until)
        assert await stuck == (500, b"")
        assert asyncio.get_running_loop().time() - began >= 1
        await asyncio.sleep(1.5)
        neighbour = asyncio.create_task(get(server, "slow"))
        assert await neighbour == (500, b"")
        assert asyncio.get_running_loop().time() - began >= 3
        after = json.loads((await get(server, "ticks"))[1])
        assert server.process.poll() is None
        until.touch()
        assert await get(server, "slow") == (200, b"done")

    assert (before["plain"], after["plain"]) == (1, 0)
    assert not last_words.exists()


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
        ({"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "much"}, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"),
        ({"AzureFunctionsJobHost__functionTimeout": "5m"}, "functionTimeout"),
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
    with pytest.raises(process.ProcessError, match=r"[Aa]ddress already in use"), serve_app(PORT=port):
        pass


def test_app_that_can_not_be_imported_is_reported(serve_app: Any, tmp_path: Path) -> None:
    """An app whose import fails ends the start with the runtime's message."""
    (tmp_path / "function_app.py").write_text("import azure.functions as func\nraise RuntimeError('not today')\n")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with pytest.raises(process.ProcessError, match="not today"), serve_app(APP_DIR=str(tmp_path)):
        pass


@pytest.mark.parametrize(
    ("routes", "says"),
    [(("administer/x",), "admin or runtime"), (("runtimes",), "admin or runtime"), (("x/{a}", "/X/{A}/"), "has the route of f0")],
)
def test_route_that_the_host_would_leave_out_is_refused(
    serve_app: Any, tmp_path: Path, routes: tuple[str, ...], says: str
) -> None:
    """A route that begins with admin or runtime, or that an earlier function has for the same method, can't be loaded."""
    functions = "".join(
        f'@app.route(route="{route}")\nasync def f{number}(req: func.HttpRequest) -> func.HttpResponse:\n    ...\n'
        for number, route in enumerate(routes)
    )
    (tmp_path / "function_app.py").write_text(f"import azure.functions as func\napp = func.FunctionApp()\n{functions}")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with pytest.raises(process.ProcessError, match=says), serve_app(APP_DIR=str(tmp_path)):
        pass
