"""The HTTP edge of the local Functions host: routes, keys, shaping of requests and answers, running invocations.

What it answers itself has an empty body, as in Azure: 404 (no route, wrong method, disabled function), 401 (key), 500
(the function raised), 413 and 414 (limits), 400 (a target that is no text).
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from serve import edge, routes, worker
from serve.settings import Settings
from serve.worker import Function, HttpAnswer, HttpCall

log = logging.getLogger("serve.host")

# The platform's front end cuts a request off after this time; the invocation itself goes on.
REQUEST_TIMEOUT_S: Final = 230.0
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
        self.routes = _routes(settings, functions)
        self._running: set[asyncio.Task[Any]] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; this is the handler of the HTTP server."""
        try:
            target = _target(request.raw_path)
            sent = edge.headers(request.raw_headers)
            key = edge.key_sent(sent, target.parameters())
            if target.path.startswith(ADMIN_PATH):
                return self._admin(request.method, target.path.removeprefix(ADMIN_PATH), key)
            route, values = self._find(request.method, target.path)
            self._check_key(route.level, key)
            call = HttpCall(
                method=request.method,
                url=target.url(request.host),
                headers=sent,
                query=target.parameters(),
                params=values,
                body=await _body(request, edge.body_bytes(sent)),
                traceparent=sent.get("traceparent") or worker.traceparent(),
                tracestate=sent.get("tracestate", ""),
            )
        except _RefusedError as refused:
            return _empty(refused.status)
        return await self._answer(route.function, call)

    def start(self, invocation: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run an invocation as a task that `drain` waits for."""
        task = asyncio.get_running_loop().create_task(invocation)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

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
        """The most specific route that fits path and method; a wrong method is as good as no route."""
        prefix = f"/{self.settings.route_prefix}/" if self.settings.route_prefix else "/"
        if path.lower().startswith(prefix.lower()):
            for route in self.routes:
                values = route.template.match(path[len(prefix) :])
                if values is not None and (not route.methods or method in route.methods):
                    return route, values
        raise _RefusedError(404)

    def _check_key(self, level: str, key: str) -> None:
        accepted = [self.settings.master_key]
        if level != "ADMIN":
            accepted.append(self.settings.functions_key)
        if level != "ANONYMOUS" and not edge.opens(key, accepted):
            raise _RefusedError(401)

    def _admin(self, method: str, name: str, key: str) -> web.StreamResponse:
        """`POST /admin/functions/NAME` with the master key runs a function that is not HTTP, without waiting for it."""
        self._check_key("ADMIN", key)
        function = self.functions.get(name.lower())
        if method != "POST" or function is None or function.kind != "timerTrigger":
            raise _RefusedError(404)
        self.start(worker.call_timer(function, last=None, upcoming=None, past_due=False))
        return _empty(202)

    async def _answer(self, function: Function, call: HttpCall) -> web.StreamResponse:
        task = self.start(worker.call_http(function, call))
        # A client that goes away, or the platform's limit, ends the wait and never the invocation.
        done, _ = await asyncio.wait({task}, timeout=REQUEST_TIMEOUT_S)
        if not done:
            log.error("request.cut_off function=%s after_s=%s", function.name, REQUEST_TIMEOUT_S)
            return _empty(504)
        answer: HttpAnswer = task.result()
        response = web.Response(status=answer.status, body=answer.body)
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


def _target(raw: str) -> edge.Target:
    if len(raw) > edge.URL_CHARACTERS_MAX or len(raw.partition("?")[2]) > edge.QUERY_CHARACTERS_MAX:
        raise _RefusedError(414)
    try:
        return edge.target(raw)
    except UnicodeDecodeError as fault:
        raise _RefusedError(400) from fault


async def _body(request: web.BaseRequest, length: int) -> bytes:
    if length > edge.BODY_BYTES_MAX:
        raise _RefusedError(413)
    try:
        return await request.content.readexactly(length) if length else b""
    except (asyncio.IncompleteReadError, ConnectionError, web.RequestPayloadError) as fault:
        # The client has gone, or sent less than it announced: there is nobody to answer and nothing to run.
        raise _RefusedError(400) from fault


def _empty(status: int) -> web.Response:
    response = web.Response(status=status)
    # Without a body there is no type; aiohttp would name one.
    response.headers["Content-Length"] = "0"
    return response


def _routes(settings: Settings, functions: list[Function]) -> list[Route]:
    """The HTTP functions, most specific first. Raises routes.TemplateError."""
    found = []
    for function in functions:
        if function.kind != "httpTrigger" or settings.is_disabled(function.name):
            continue
        trigger = function.trigger
        route = Route(
            template=routes.parse(trigger.get("route") or function.name),
            methods=frozenset(method.upper() for method in trigger.get("methods") or ()),
            level=str(trigger.get("authLevel") or "FUNCTION").upper(),
            function=function,
        )
        found.append(route)
    return sorted(found, key=lambda route: route.template.order)
