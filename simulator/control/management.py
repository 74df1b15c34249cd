"""The test-only management API under /simulator: switches, faults, history, pages, VMs, other clients' writes, the clock.

It is not part of Azure: no token, no throttling, no entry in the history. Every answer is JSON; a faulty request gets
400 or 404 with {"error": message}.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from simulator.core.errors import ERRORS
from simulator.core.faults import Match, fault_from_json
from simulator.core.switches import VM_STATES, switched
from simulator.core.wire import Json, Request, Response
from simulator.members.pages import MODES
from simulator.network import nics, operations
from simulator.state.clock import ScaledClock

if TYPE_CHECKING:
    from simulator.core.model import Operation
    from simulator.state.state import State


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A management request. rest: the path after the first segment, for example a NIC's name."""

    rest: str
    body: Json
    query: dict[str, str]


_Action = Callable[["State", Call], Any]


def handle(state: State, request: Request, path: str) -> Response:
    """Answer a management request; see README.md for the routes."""
    first, _, rest = path.partition("/")
    action = _ACTIONS.get((request.method, first))
    if action is None:
        return _answer(404, {"error": f"not found: {request.method} /simulator/{path}"})
    try:
        body = json.loads(request.body) if request.body else {}
    except ValueError as error:
        return _answer(400, {"error": str(error)})
    if not isinstance(body, dict):
        return _answer(400, {"error": "the body is not a JSON object"})
    try:
        query = dict(parse_qsl(request.target.partition("?")[2]))
        value: Any = action(state, Call(rest, body, query))
        return _answer(200, value)
    except KeyError as error:
        return _answer(404, {"error": f"not found: {error.args[0]}"})
    except (ValueError, TypeError) as error:
        return _answer(400, {"error": str(error)})


def _answer(status: int, value: Any) -> Response:
    text = json.dumps(value, default=_plain)
    return Response(status, {"content-type": "application/json; charset=utf-8"}, text.encode())


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _get_switches(state: State, _call: Call) -> Any:
    return state.switches


def _put_switches(state: State, call: Call) -> Any:
    state.switches = switched(state.switches, call.body)
    return state.switches


def _history(state: State, call: Call) -> Any:
    since = float(call.query.get("since", "-inf"))
    return {"now": state.clock.settle(), "value": [e for e in state.records.history if e.at >= since]}


def _states(state: State, _call: Call) -> Any:
    now = state.clock.settle()
    shown = [{**_fields(s), "configs": [c._asdict() for c in s.configs]} for s in state.records.states]
    return {"now": now, "value": shown, "held": state.ledger.log}


def _fields(value: Any) -> Json:
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _carrier(state: State, call: Call) -> Any:
    return {"address": call.rest, "carrier": state.carrier(call.rest), "shown_on": state.shown_on(call.rest)}


def _operations(state: State, _call: Call) -> Any:
    state.clock.settle()
    return {"value": [_shown_operation(one) for one in state.resources.operations.values()]}


def _shown_operation(operation: Operation) -> Json:
    shown, outcome = _fields(operation), operation.outcome
    del shown["outcome"]
    error, finished_at = (outcome.error, outcome.at) if outcome else (None, None)
    return {**shown, "status": operation.status, "error": error, "finished_at": finished_at}


def _script(state: State, call: Call) -> Any:
    if unknown := call.body.keys() - {"match", "fault", "times", "skip"}:
        raise ValueError(f"unknown members: {', '.join(sorted(unknown))}")
    match = Match(**call.body.get("match", {}))
    fault = fault_from_json(call.body.get("fault", {}))
    state.script(match, fault=fault, times=int(call.body.get("times", 1)), skip=int(call.body.get("skip", 0)))
    return {"scripts": len(state.faults.scripts)}


def _get_scripts(state: State, _call: Call) -> Any:
    return {"value": state.faults.scripts}


def _delete_scripts(state: State, _call: Call) -> Any:
    state.faults.scripts.clear()
    return {"scripts": 0}


def _edit_nic(state: State, call: Call) -> Any:
    nic = state.nic_named(call.rest)
    nics.stranger_writes(state, nic, str(call.body.get("what", "")), address=str(call.body.get("address", "")))
    return {"nic": nic.name, "etag": nic.etag}


def _page(state: State, call: Call) -> Any:
    mode = call.body.get("mode")
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
    if call.rest not in state.resources.members:
        raise KeyError(call.rest)
    state.resources.members[call.rest] = str(mode)
    return state.resources.members


def _pages(state: State, _call: Call) -> Any:
    return state.resources.members


def _vm(state: State, call: Call) -> Any:
    wanted = call.body.get("state")
    if wanted not in VM_STATES:
        raise ValueError(f"state {wanted!r} is none of {', '.join(VM_STATES)}")
    for vm in state.resources.vms.values():
        if vm.name.lower() == call.rest.lower():
            vm.state = str(wanted)
            return {"vm": vm.name, "state": operations.vm_state(state, vm)}
    raise KeyError(call.rest)


def _clock(state: State, call: Call) -> Any:
    if not isinstance(state.clock.now, ScaledClock):
        raise ValueError("the clock of this cloud cannot be scaled")  # noqa: TRY004 - becomes a 400
    if "scale" in call.body:
        state.clock.now.set_scale(float(call.body["scale"]))
    return {"now": state.clock.now(), "scale": state.clock.now.scale}


def _errors(_cloud: State, _call: Call) -> Any:
    return {"value": [{"name": e.name, "status": e.status, "layer": e.layer} for e in ERRORS.values()]}


_ACTIONS: Final[dict[tuple[str, str], _Action]] = {
    ("GET", "switches"): _get_switches,
    ("PUT", "switches"): _put_switches,
    ("PATCH", "switches"): _put_switches,
    ("GET", "history"): _history,
    ("GET", "states"): _states,
    ("GET", "carrier"): _carrier,
    ("GET", "operations"): _operations,
    ("GET", "scripts"): _get_scripts,
    ("POST", "scripts"): _script,
    ("DELETE", "scripts"): _delete_scripts,
    ("POST", "nics"): _edit_nic,
    ("GET", "pages"): _pages,
    ("PUT", "pages"): _page,
    ("PUT", "vms"): _vm,
    ("GET", "clock"): _clock,
    ("PUT", "clock"): _clock,
    ("GET", "errors"): _errors,
}
