"""The HTTP edge of the local Functions host: routes, keys, shaping of requests and answers, running invocations.

What it answers itself has an empty body, as in Azure: 404 (no route, wrong method, disabled function), 401 (key), 500
(the function raised or timed out, its worker died, the body is too large), 414 (the request line), 400 (a target that is no
text). Only `GET /` has a page.
"""

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import HttpVersion11, web

from serve import edge, routes, worker
from serve.settings import Settings
from serve.worker import Function, HttpAnswer, HttpCall

log = logging.getLogger("serve.host")

# The platform's front end cuts a request off after this time; the invocation itself goes on.
REQUEST_TIMEOUT_S: Final = 230.0
# So long after a time-out the host restarts the worker that did not answer, whoever else is at work in it.
RESTART_AFTER_S: Final = 2.0
ADMIN_PATH: Final = "/admin/functions/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An HTTP function and where it is reached."""

    template: routes.Template
    methods: frozenset[str]  # empty: all
    level: str  # ANONYMOUS, FUNCTION or ADMIN
    function: Function


class Host:
    """Answers requests and runs invocations, each as an asyncio task of its own, and knows which are under way."""

    def __init__(self, settings: Settings, functions: list[Function]) -> None:
        self.settings = settings
        self.functions = {function.name.lower(): function for function in functions}
        self.routes = _routes(functions)
        self._running: set[asyncio.Task[Any]] = set()
        # Done when the worker is to be restarted; whoever still waits for an invocation is answered 500.
        self.restart: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; this is the handler of the HTTP server."""
        try:
            target = _target(request, front_end=self.settings.front_end)
            sent = edge.headers(request.raw_headers)
            key = edge.key_sent(request.raw_headers, target.query)
            if target.path.startswith(ADMIN_PATH):
                return await self._admin(request, target.path.removeprefix(ADMIN_PATH), key)
            if target.path == "/" and request.method == "GET":
                return self._homepage()
            route, values = self._find(request.method, target.path)
            self._check_key(route.level, key, self.settings.key_of(route.function.name))
            if self.settings.is_disabled(route.function.name):
                # Not for the master key, which runs it all the same.
                self._check_key("ADMIN", key, otherwise=404)
            host, scheme = request.host, "http"
            if self.settings.front_end:
                host, scheme = sent.get("disguised-host", host), sent.get("x-forwarded-proto", scheme)
                sent["x-waws-unencoded-url"] = request.raw_path
            call = HttpCall(
                method=request.method,
                url=target.url(host, scheme),
                headers=sent,
                query=target.parameters(),
                params=values,
                body=await self._body(request, sent),
                traceparent=sent.get("traceparent") or worker.traceparent(),
                tracestate=sent.get("tracestate", ""),
            )
        except _RefusedError as refused:
            return _empty(refused.status)
        return await self._answer(request, route.function, call)

    def start(self, invocation: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run an invocation as a task that `drain` waits for, and whose time-out ends the worker."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(invocation)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self.settings.timeout_s < math.inf:
            end = loop.call_later(self.settings.timeout_s + RESTART_AFTER_S, self._give_up)
            task.add_done_callback(lambda _: end.cancel())
        return task

    def _give_up(self) -> None:
        if not self.restart.done():
            self.restart.set_result(None)

    @property
    def running(self) -> int:
        """How many invocations are under way."""
        return len(self._running)

    async def drain(self, limit_s: float) -> int:
        """Wait for what is running, at most so long; how many invocations had not ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._running:
                    await asyncio.wait(set(self._running))
        return len(self._running)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The first route that fits path and method; a wrong method is as good as no route."""
        prefix = f"/{self.settings.route_prefix}/" if self.settings.route_prefix else "/"
        if path.lower().startswith(prefix.lower()):
            for route in self.routes:
                values = route.template.match(path[len(prefix) :])
                if values is not None and (not route.methods or method in route.methods):
                    return route, values
        raise _RefusedError(404)

    def _check_key(self, level: str, key: str, own: str = "", *, otherwise: int = 401) -> None:
        """Host keys and the function's own one open it; what is for administrators, the master key alone."""
        accepted = [self.settings.master_key]
        if level != "ADMIN":
            accepted += [self.settings.functions_key, own]
        if level != "ANONYMOUS" and not edge.opens(key, accepted):
            raise _RefusedError(otherwise)

    def _homepage(self) -> web.StreamResponse:
        """What the host shows without a key, at `/` only, unless AzureWebJobsDisableHomepage is true."""
        if self.settings.app_settings.get("AzureWebJobsDisableHomepage", "").lower() == "true":
            return _empty(204)
        return web.Response(text="<!DOCTYPE html><title>The Functions host is running</title>", content_type="text/html")

    async def _admin(self, request: web.BaseRequest, name: str, key: str) -> web.StreamResponse:
        """`POST /admin/functions/NAME` with the master key runs a function that is not HTTP, without waiting for it."""
        self._check_key("ADMIN", key)
        if request.method == "POST" and not _is_json(await self._body(request, edge.headers(request.raw_headers))):
            raise _RefusedError(400)
        function = self.functions.get(name.lower())
        if request.method != "POST" or function is None or function.kind != "timerTrigger":
            raise _RefusedError(404)
        self.start(worker.call_timer(function, last=None, upcoming=None, past_due=False))
        return _empty(202)

    async def _body(self, request: web.BaseRequest, sent: Mapping[str, str]) -> bytes:
        length = edge.body_bytes(sent)
        if length > self.settings.body_bytes_max:
            # Kestrel's refusal comes while the host reads for the function, and so counts as the function's failure.
            raise _RefusedError(500)
        try:
            return await request.content.readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError, web.RequestPayloadError) as fault:
            # The client has gone, or sent less than it announced: there is nobody to answer and nothing to run.
            raise _RefusedError(400) from fault

    async def _answer(self, request: web.BaseRequest, function: Function, call: HttpCall) -> web.StreamResponse:
        task = self.start(worker.call_http(function, call))
        limit_s = min(REQUEST_TIMEOUT_S, self.settings.timeout_s)
        # A client that goes away, or a limit, ends the wait and never the invocation.
        await asyncio.wait({task, self.restart}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            log.error("request.cut_off function=%s limit_s=%s restart=%s", function.name, limit_s, self.restart.done())
            return _empty(504 if limit_s == REQUEST_TIMEOUT_S and not self.restart.done() else 500)
        answer: HttpAnswer = task.result()
        response = web.Response(status=answer.status, body=answer.body)
        if request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        for name, value in answer.headers:
            if name.lower() == "content-type":
                response.headers[name] = value
            else:
                response.headers.add(name, value)
        return response


class _RefusedError(Exception):
    """The host's own answer: a status and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _target(request: web.BaseRequest, *, front_end: bool) -> edge.Target:
    if len(f"{request.method} {request.raw_path} HTTP/1.1\r\n") > edge.LINE_BYTES_MAX:
        raise _RefusedError(414)
    try:
        return edge.target(request.raw_path, front_end=front_end)
    except UnicodeDecodeError as fault:
        raise _RefusedError(400) from fault


def _is_json(body: bytes) -> bool:
    try:
        return json.loads(body) is not None
    except ValueError:
        return False


def _empty(status: int) -> web.Response:
    response = web.Response(status=status)
    # Without a body there is no type; aiohttp would name one.
    response.headers["Content-Length"] = "0"
    return response


def _routes(functions: list[Function]) -> list[Route]:
    """The HTTP functions in the order in which the host asks them: by name, whatever their templates. Raises TemplateError.

    What the host would leave out alone, it refuses here as a whole, so that nobody overlooks it.
    """
    found: list[Route] = []
    for function in sorted(functions, key=lambda function: function.name.upper()):
        if function.kind != "httpTrigger":
            continue
        trigger = function.trigger
        route = Route(
            template=routes.parse(trigger.get("route") or function.name),
            methods=frozenset(method.upper() for method in trigger.get("methods") or ()),
            level=str(trigger.get("authLevel") or "FUNCTION").upper(),
            function=function,
        )
        text = route.template.source.strip("/").lower()
        if text.startswith(("admin", "runtime")):
            raise routes.TemplateError(f"{function.name}: {text!r}: the host keeps routes that begin with admin or runtime")
        for other in found:
            same = other.template.source.strip("/").lower() == text
            if same and (not other.methods or not route.methods or other.methods & route.methods):
                raise routes.TemplateError(f"{function.name} has the route of {other.function.name}: {text!r}")
        found.append(route)
    return found
