"""The Function app: triggers only. Each decodes its request, makes one call, and encodes the answer.

Settings are read once, when the app is loaded; their faults go to the log, all at once. The Azure SDKs are imported in a
thread meanwhile, so that indexing is not kept waiting and the first claim finds them there (docs/architecture.md, "Cold start").
"""

import asyncio
import importlib
import json
import logging
import os
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import azure.functions as func

from vipcore.decision.controller import Controller
from vipcore.entry import claims, freezes, moves, problems, signatures, status, trail
from vipcore.entry.timer import Timer
from vipcore.errors import Refusal
from vipcore.limits import ANSWER_S_MAX
from vipcore.settings import environment

_LOG: Final = logging.getLogger("mirror_vip")
_CONFIG: Final = environment.load(os.environ, Path(__file__).parent)
_timers: list[Timer] = []
"""The one of this process and its controller, once they are built."""

UseCase = Callable[[Controller, str], Awaitable[dict[str, Any]]]
"""What a route calls, with the controller and the request's correlation id."""

for _fault in _CONFIG.faults:
    _LOG.error("configuration.fault %s", _fault)
if not _CONFIG.fatal:
    threading.Thread(target=importlib.import_module, args=("vipcore.adapters.wiring",), name="warm-up", daemon=True).start()

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def _timer() -> Timer:
    """The timer with its controller, built inside the event loop when first needed. Raises Refusal where it cannot be."""
    _CONFIG.check_usable()
    if not _timers:
        from vipcore.adapters import wiring

        _timers.append(Timer(wiring.controller(_CONFIG, environ=os.environ)))
    return _timers[0]


async def _answered(req: func.HttpRequest, use_case: UseCase) -> func.HttpResponse:
    """The use case's answer, or its refusal's problem document. Nothing else leaves: a defect is logged and named `internal`."""
    correlation_id = str(uuid.uuid4())
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            answer = _encoded(await use_case(_timer().controller, correlation_id), correlation_id)
        _LOG.info("answered status=200 correlation=%s", correlation_id)
        return answer
    except TimeoutError:
        refusal = Refusal("busy", "This could not be finished within a request's time; try the same again.")
    except Refusal as caught:
        refusal = caught
    except Exception:  # noqa: BLE001  # the last resort at the edge: no stack trace may leave
        _LOG.exception("internal correlation=%s", correlation_id)
        refusal = Refusal("internal", "A defect of the controller; its log has the details under this correlation id.")
    level = logging.WARNING if refusal.status >= 500 else logging.INFO
    _LOG.log(level, "refused status=%d code=%s correlation=%s", refusal.status, refusal.code, correlation_id)
    problem = problems.document(refusal, correlation_id, signatures.path_of(req.url))
    return _encoded(problem, correlation_id, refusal.status, problems.MEDIA_TYPE, **problems.headers(refusal))


def _encoded(
    body: Mapping[str, Any], correlation_id: str, code: int = 200, media_type: str = "application/json", **headers: str
) -> func.HttpResponse:
    headers = {"x-correlation-id": correlation_id, "Cache-Control": "no-store", **headers}
    return func.HttpResponse(json.dumps(body), status_code=code, headers=headers, mimetype=media_type)


@app.route(route="mirrors/{mirror}/claims", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def post_claim(req: func.HttpRequest) -> func.HttpResponse:
    """A member's signed claim."""
    signed = signatures.HttpRequest(method=req.method, url=req.url, headers=dict(req.headers), body=req.get_body())
    return await _answered(req, lambda c, cid: claims.claim(c, signed, req.route_params["mirror"], cid))


@app.route(route="mirrors/{mirror}/moves", methods=["POST"])
async def post_move(req: func.HttpRequest) -> func.HttpResponse:
    """An operator's move, or its dry run."""
    return await _answered(req, lambda c, cid: moves.move(c, req.route_params["mirror"], req.get_body(), cid))


@app.route(route="mirrors/{mirror}/freeze", methods=["PUT"])
async def put_freeze(req: func.HttpRequest) -> func.HttpResponse:
    """No swap begins until the freeze is lifted."""
    return await _answered(req, lambda c, cid: freezes.put(c, req.route_params["mirror"], req.get_body(), cid))


@app.route(route="mirrors/{mirror}/freeze", methods=["DELETE"])
async def delete_freeze(req: func.HttpRequest) -> func.HttpResponse:
    """Lift the freeze."""
    return await _answered(req, lambda c, cid: freezes.delete(c, req.route_params["mirror"], req.params, cid))


@app.route(route="mirrors", methods=["GET"])
async def get_mirrors(req: func.HttpRequest) -> func.HttpResponse:
    """All mirrors, from their heads."""
    return await _answered(req, lambda c, _: status.mirrors(c))


@app.route(route="mirrors/{mirror}", methods=["GET"])
async def get_mirror(req: func.HttpRequest) -> func.HttpResponse:
    """One mirror, with a fresh read of its NICs."""
    return await _answered(req, lambda c, _: status.mirror(c, req.route_params["mirror"]))


@app.route(route="mirrors/{mirror}/audit", methods=["GET"])
async def get_audit(req: func.HttpRequest) -> func.HttpResponse:
    """The audit trail, newest first."""
    return await _answered(req, lambda c, _: trail.audit(c, req.route_params["mirror"], req.params))


@app.route(route="mirrors/{mirror}/audit/verify", methods=["GET"])
async def get_verify(req: func.HttpRequest) -> func.HttpResponse:
    """The audit trail's chain of hashes, recomputed."""
    return await _answered(req, lambda c, _: trail.verify(c, req.route_params["mirror"], req.params))


@app.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """What all these routes take and answer."""
    from vipcore.entry import openapi  # late: a claim does not need it

    return await _answered(req, openapi.answer)


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding's name
    """Whether the app is configured; tells nothing else."""
    correlation_id, code = str(uuid.uuid4()), 503 if _CONFIG.fatal else 200
    _LOG.info("answered status=%d health=%s correlation=%s", code, _CONFIG.status, correlation_id)
    return _encoded({"status": _CONFIG.status}, correlation_id, code)


@app.timer_trigger(schedule=environment.schedule(os.environ), arg_name="timer", run_on_startup=False, use_monitor=False)
async def reconcile_timer(timer: func.TimerRequest) -> None:  # noqa: ARG001  # the binding's name
    """Finish what is unfinished, and look for drift."""
    if not _CONFIG.fatal:
        await _timer().run_pass(str(uuid.uuid4()))
