"""A tiny Function app whose functions show what the host handed over, one per rule of its edge."""

import asyncio
import atexit
import json
import logging
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
ticks = {"plain": 0}


def _last_words() -> None:
    """What no app may count on: code that runs when the process ends."""
    with Path(os.environ["LAST_WORDS"]).open("a") as file:
        file.write("said\n")


if "LAST_WORDS" in os.environ:
    atexit.register(_last_words)


def _shown(req: func.HttpRequest) -> func.HttpResponse:
    shown = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(shown), mimetype="application/json", headers={"x-made-by": "app"})


@app.route(route="echo/{*rest}")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return _shown(req)


@app.route(route="things/{id:int}", methods=["GET"])
async def by_number(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"number {req.route_params['id']}")


@app.route(route="things/fixed", methods=["GET"])
async def by_literal(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("literal")


@app.route(route="things/{name}", methods=["GET"])
async def by_name(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"name {req.route_params['name']}")


@app.route(route="things/{name}", methods=["PUT"])
async def put_name(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"put {req.route_params['name']}")


@app.route(route="things/{name}/{part?}", methods=["GET"])
async def optional(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(dict(req.route_params)))


@app.route(route="keyed", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def keyed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("in")


@app.route(route="masters-only", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
async def admin_only(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("in")


@app.route(route="broken", methods=["GET"])
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("kaboom")


@app.route(route="sync", methods=["GET"])
def sync(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("sync", status_code=202)


@app.route(route="off", methods=["GET"])
async def off(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("never")


@app.route(route="off-keyed", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def off_keyed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("for the master")


@app.route(route="no-status", methods=["GET"])
async def no_status(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("fine", status_code="none")  # type: ignore[arg-type]


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    """Answer once the file that SLOW_UNTIL names is there; tells that it runs by another one."""
    until = Path(os.environ["SLOW_UNTIL"])
    until.with_suffix(".running").touch()
    try:
        while not until.exists():
            await asyncio.sleep(0.02)
    except BaseException:
        _last_words()
        raise
    return func.HttpResponse("done")


@app.route(route="ids", methods=["GET"])
async def ids(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """The invocation id as the context has it, and after a pause as the runtime's context variable has it."""
    from azure_functions_runtime import invocation_id_cv

    await asyncio.sleep(0.02)
    return func.HttpResponse(json.dumps([context.invocation_id, invocation_id_cv.get(), context.trace_context.Traceparent]))


@app.timer_trigger(schedule="%TICK_SCHEDULE%", arg_name="timer")
async def tick(timer: func.TimerRequest) -> None:
    ticks["plain"] += 1
    logging.getLogger("app").info("ticked past_due=%s", timer.past_due)


@app.timer_trigger(schedule="%NOWHERE_SET%", arg_name="timer")
async def unset(timer: func.TimerRequest) -> None:
    ticks["plain"] = -1_000_000


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
async def at_start(timer: func.TimerRequest) -> None:
    ticks["at_start"] = 1


@app.route(route="ticks", methods=["GET"])
async def ticked(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(ticks))
