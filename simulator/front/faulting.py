"""Faults on their way: which fault a request meets, what the client gets, and writes of other clients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from simulator.core.errors import ERRORS, envelope
from simulator.core.faults import Answer, Fault, Lands, Late, Lost, Match, Script, Status, Stranger, Twice
from simulator.core.history import Exchange
from simulator.core.switches import RATES
from simulator.core.wire import Request, Response, encode
from simulator.network import nics

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.request.routes import Route
    from simulator.request.visit import Visit
    from simulator.state.state import State

    Answerer: TypeAlias = Callable[[State, Request], Response]


def planned(state: State, request: Request, where: Route, who: str) -> Script | None:
    """The fault for this request: the first script that matches, else a random one (switches *_rate), else none."""
    for script in state.faults.scripts:
        if script.struck < script.times and script.match.fits(request, where.kind, where.name, who):
            return script
    switches = state.switches
    if not any(getattr(switches, name) for name in RATES if name != "operation_end_rate"):
        return None
    fault = _by_chance(state)
    return Script(Match(), fault) if fault is not None else None


def _by_chance(state: State) -> Fault | None:
    switches, chance = state.switches, state.faults.rng.random
    if chance() < switches.lost_before_rate:
        return Lost(when="before")
    if chance() < switches.lost_after_rate:
        return Lost(when="after")
    if chance() < switches.reset_rate:
        return Lost(when="after" if chance() < 0.5 else "before", reset=True)
    if chance() < switches.error_500_rate:
        return Status(status=500)
    if chance() < switches.error_503_rate:
        return Status(status=503)
    return Late(delay_s=switches.late_s) if chance() < switches.late_rate else None


def never_arrives(visit: Visit, script: Script, *, again: Answerer) -> Response | None:
    """Faults Lands and Twice: pass the request to `again` later. Returns an answer if the request is not processed now."""
    fault = script.fault
    if not isinstance(fault, Lands | Twice):
        return None
    if script.skip > 0:
        script.skip -= 1
        visit.script = None
        return None
    script.struck += 1
    state, request = visit.state, visit.request
    state.clock.later(state.clock.at + fault.after_s, lambda: _land(state, request, again))
    if isinstance(fault, Twice):
        visit.script = None
        return None
    state.records.history.append(_unanswered(visit))
    return Response(503, {}, lost=True)


def _land(state: State, request: Request, again: Answerer) -> None:
    again(state, replace(request, headers={**request.headers, "x-simulator-late": "1"}))


def _unanswered(visit: Visit) -> Exchange:
    where, request = visit.route, visit.request
    client_id = request.headers.get("x-ms-client-request-id", "")
    return Exchange(
        visit.state.clock.at,
        request.method,
        request.target,
        where.kind,
        where.id or where.name,
        visit.who.name,
        request.body,
        client_id,
        fault="lands",
        lost=True,
    )


def delivered(visit: Visit, response: Response) -> Response:
    """The answer as the client gets it: late, lost, or replaced although the request took effect."""
    if isinstance(visit.fault, Status) and visit.fault.when == "after":
        return replace(response, status=visit.fault.status, body=visit.fault.body)
    return _late_or_lost(visit.fault, response)


def _late_or_lost(fault: Fault | None, response: Response) -> Response:
    if isinstance(fault, Late):
        return replace(response, delay_s=response.delay_s + fault.delay_s)
    if isinstance(fault, Lost):
        return replace(response, delay_s=response.delay_s + fault.after_s, lost=True, reset=fault.reset)
    return response


def outside(state: State, request: Request, where: Route, handler: Answerer) -> Response:
    """Answer a request that is not for ARM (a token, a status page), with the faults that any HTTP server can show."""
    script = planned(state, request, where, "")
    response = handler(state, request)
    if script is None:
        return response
    if script.skip > 0:
        script.skip -= 1
        return response
    script.struck += 1
    if isinstance(script.fault, Status):
        return Response(script.fault.status, {}, script.fault.body)
    if isinstance(script.fault, Answer):
        kind = ERRORS[script.fault.name]
        body = encode(envelope(kind, script.fault.words), "compact")
        return Response(kind.status, {"content-type": "application/json"}, body)
    return _late_or_lost(script.fault, response)


def strangers(visit: Visit, status: int) -> None:
    """Let another client write to the NIC after a GET: a planned Stranger, or the switch `stranger`."""
    state = visit.state
    nic = state.resources.nics.get(visit.route.id.lower()) if visit.route.kind == "nic" else None
    if nic is None:
        return
    if isinstance(visit.fault, Stranger):
        nics.stranger_writes(state, nic, visit.fault.what, address=visit.fault.address)
    elif (
        state.switches.stranger != "none"
        and visit.request.method == "GET"
        and status == 200
        and state.faults.strangers_seen < state.switches.stranger_times
    ):
        state.faults.strangers_seen += 1
        nics.stranger_writes(state, nic, state.switches.stranger)


def etag_of(state: State, where: Route) -> str:
    """The etag of the resource that a request names, for the history."""
    key = where.id.lower()
    if where.kind == "nic":
        found = state.resources.nics.get(key)
        return found.etag if found else ""
    if where.kind == "pip":
        pip = state.resources.pips.get(key)
        return pip.etag if pip else ""
    return ""
