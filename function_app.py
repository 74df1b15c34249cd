"""The Function app: a timer and the routes, each of which decodes its request, makes one call, and encodes the answer.

Settings are read once, when the app is loaded; their faults go to the log, all at once. The Azure SDKs are imported in a
thread meanwhile, so that indexing is not kept waiting and the first claim finds them there (docs/architecture.md, "Cold start").
"""

import asyncio
import importlib
import json
import os
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import azure.functions as func

from vipcore import VERSION
from vipcore.adapters.log import log
from vipcore.decision.controller import Controller
from vipcore.entry import bodies, claims, freezes, health, signatures, text, trail
from vipcore.entry.timer import Timer
from vipcore.errors import Refusal
from vipcore.limits import ANSWER_S_MAX
from vipcore.settings import environment

_CONFIG: Final = environment.load(os.environ, Path(__file__).parent)

UseCase = Callable[[Controller, str, func.HttpRequest, str], Awaitable[Mapping[str, Any] | bodies.Text]]
"""What a route calls, with the controller, the path's mirror, the request and its correlation id."""

log("app.started", version=VERSION, **_CONFIG.told(os.environ))
for _fault in _CONFIG.faults:
    log("configuration.fault", where=_fault.where, detail=_fault.what)
if not _CONFIG.fatal:
    threading.Thread(target=importlib.import_module, args=("vipcore.adapters.wiring",), name="warm-up", daemon=True).start()

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@cache
def _timer() -> Timer:
    """The process's timer and controller, built inside the event loop when first needed. Raises Refusal where they cannot be."""
    _CONFIG.check_usable()
    from vipcore.adapters import wiring

    return Timer(wiring.controller(_CONFIG, environ=os.environ))


async def _answered(req: func.HttpRequest, use_case: UseCase) -> func.HttpResponse:
    """The use case's answer, or its refusal's problem document. Nothing else leaves: a defect is logged and named `internal`."""
    correlation_id, name, began = str(uuid.uuid4()), req.route_params.get("mirror", ""), time.monotonic()

    def tell(event: str, **fields: Any) -> None:
        ms = round((time.monotonic() - began) * 1000)
        log(event, mirror=name or None, ms=ms, correlation=correlation_id, method=req.method, **fields)

    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            answer = _encoded(await use_case(_timer().controller, name, req, correlation_id), correlation_id)
        tell("request.answered", status=answer.status_code)
        return answer
    except TimeoutError:
        refusal = Refusal("busy", "This could not be finished within a request's time; try the same again.")
    except Refusal as caught:
        refusal = caught
    except Exception:  # noqa: BLE001  # the last resort at the edge: no stack trace may leave
        tell("request.failed", detail=traceback.format_exc())
        refusal = Refusal("internal", "A defect of the controller; its log has the details under this correlation id.")
    tell("request.refused", status=refusal.status, code=refusal.code, detail=refusal.detail)
    problem = bodies.problem(refusal, correlation_id, req.url)
    retry = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else {}
    return _encoded(problem, correlation_id, refusal.status, bodies.PROBLEM_TYPE, **retry)


def _encoded(
    body: Mapping[str, Any] | bodies.Text,
    correlation_id: str,
    code: int = 200,
    media_type: str = "application/json",
    **headers: str,
) -> func.HttpResponse:
    headers = {"x-correlation-id": correlation_id, "x-mirror-vip-version": VERSION, "Cache-Control": "no-store", **headers}
    if isinstance(body, bodies.Text):
        return func.HttpResponse(
            body.text, status_code=body.status, headers={**headers, **body.headers}, mimetype=body.media_type
        )
    # Indented, and with a newline at its end: people read it in a terminal.
    return func.HttpResponse(json.dumps(body, indent=2) + "\n", status_code=code, headers=headers, mimetype=media_type)


def _signed(req: func.HttpRequest) -> signatures.HttpRequest:
    return signatures.HttpRequest(method=req.method, url=req.url, headers=dict(req.headers), body=req.get_body())


def _form(req: func.HttpRequest) -> text.Form:
    return text.Form(req.params.get("format", ""), req.headers.get("accept", ""))


async def _description(*_: object) -> Mapping[str, Any]:
    from vipcore.entry import openapi  # late: a claim does not need it

    return openapi.document()


async def _page(controller: Controller, _: str, req: func.HttpRequest, correlation_id: str) -> bodies.Text:
    from vipcore.entry import dashboard  # late: a claim does not need it, nor the template engine that it brings

    return await dashboard.page(controller, dashboard.Request(req.params, req.url, correlation_id, VERSION))


_KEYED, _OPEN = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
_ROUTES: Final[Mapping[str, tuple[str, func.AuthLevel, UseCase]]] = {
    "post_claim": ("mirrors/{mirror}/claims", _OPEN, lambda c, mirror, req, cid: claims.claim(c, _signed(req), mirror, cid)),
    "post_move": (
        "mirrors/{mirror}/moves",
        _KEYED,
        lambda c, mirror, req, cid: text.move(c, mirror, req.get_body(), _form(req), cid),
    ),
    "put_freeze": ("mirrors/{mirror}/freeze", _KEYED, lambda c, mirror, req, cid: freezes.put(c, mirror, req.get_body(), cid)),
    "delete_freeze": ("mirrors/{mirror}/freeze", _KEYED, lambda c, mirror, req, cid: freezes.delete(c, mirror, req.params, cid)),
    "get_mirrors": ("mirrors", _KEYED, lambda c, _, req, __: text.mirrors(c, _form(req))),
    "get_mirror": ("mirrors/{mirror}", _KEYED, lambda c, mirror, req, cid: text.mirror(c, mirror, _form(req), cid)),
    "get_health_mirrors": ("health/mirrors", _KEYED, lambda c, *_: health.mirrors(c)),
    "post_reconcile": ("reconcile", _KEYED, lambda *asked: _timer().run_now(asked[3])),
    "get_audit": ("mirrors/{mirror}/audit", _KEYED, lambda c, mirror, req, _: trail.answer(c, mirror, req.params)),
    "get_verify": ("mirrors/{mirror}/audit/verify", _KEYED, lambda c, mirror, req, _: trail.verify(c, mirror, req.params)),
    "get_dashboard": ("dashboard", _KEYED, _page),
    "get_openapi": ("openapi.json", _OPEN, _description),
}
"""Function name, which begins with the method -> path, authorization level, use case. vipcore/entry/openapi.py describes them."""


def _index(name: str, path: str, level: func.AuthLevel, use_case: UseCase) -> None:
    """Tell the host of a route."""

    async def answered(req: func.HttpRequest) -> func.HttpResponse:
        return await _answered(req, use_case)

    app.function_name(name)(app.route(path, methods=[name.partition("_")[0].upper()], auth_level=level)(answered))


for _name, _route in _ROUTES.items():
    _index(_name, *_route)


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the app is configured, and its clock right; tells nothing else."""
    correlation_id, code, health = str(uuid.uuid4()), 503 if _CONFIG.fatal else 200, _CONFIG.status
    if health == "ok" and _timer.cache_info().currsize and _timer().controller.clock.is_off:
        health = "degraded"
    log("request.answered", correlation=correlation_id, method=req.method, status=code, health=health)
    return _encoded({"status": health}, correlation_id, code)


@app.timer_trigger(schedule=environment.schedule(os.environ), arg_name="timer", run_on_startup=False, use_monitor=False)
async def reconcile_timer(timer: func.TimerRequest) -> None:  # noqa: ARG001  # the binding's name
    """Finish what is unfinished, and look for drift."""
    if _CONFIG.fatal:
        for fault in _CONFIG.faults:
            log("configuration.fault", where=fault.where, detail=fault.what)
    else:
        await _timer().run_pass(str(uuid.uuid4()))
