"""Requests about NICs and their ip configurations, and polls of operations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from simulator.access import rights
from simulator.core.errors import ERRORS, Refused, Words, envelope
from simulator.core.faults import Answer
from simulator.core.wire import Json, encode
from simulator.network import checks, documents, nics, operations, unchanged
from simulator.request.reply import Reply
from simulator.state.latency import retry_after_accepted, retry_after_poll

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.core.model import Nic, Operation
    from simulator.request.visit import Visit

WRITE: Final = "Microsoft.Network/networkInterfaces/write"
READ: Final = "Microsoft.Network/networkInterfaces/read"
DELETE: Final = "Microsoft.Network/networkInterfaces/delete"


def shown(visit: Visit, nic: Nic) -> bytes:
    """The NIC's encoded body for this api-version, cached until the NIC changes."""
    style = visit.state.switches.json
    key = visit.api_version if style == "compact" else f"{visit.api_version} {style}"
    body = nic.bodies.get(key)
    if body is None:
        body = nic.bodies[key] = encode(documents.shown_nic(nic, visit.api_version), style)
    return body


def _nic(visit: Visit) -> Reply:
    visit.only("GET", "HEAD", "PUT", "DELETE", "PATCH")
    match visit.request.method:
        case "PUT":
            return _put(visit)
        case "DELETE":
            return _delete(visit)
        case "PATCH":
            return _patch(visit)
    visit.allow(READ)
    nic = _existing(visit)
    return Reply(200, shown(visit, nic), etag=nic.etag)


def _existing(visit: Visit) -> Nic:
    visit.require_group()
    nic = visit.state.resources.nics.get(visit.route.id.lower())
    if nic is None:
        raise Refused("ResourceNotFound")
    return nic


def _put(visit: Visit) -> Reply:
    state, where, request = visit.state, visit.route, visit.request
    visit.allow(WRITE)
    body = visit.body()
    nic = state.resources.nics.get(where.id.lower())
    doc = documents.read_nic(body, where.id, documents.kept_addresses(nic.doc if nic else None))
    rights.check_linked(state, visit.who, WRITE, where.id, doc.references)
    visit.require_group()
    if not doc.location:
        raise Refused("LocationRequired")
    nic_id = nic.id if nic else where.id
    if_match = request.headers.get("if-match", "")
    checks.check_put(state, nic_id, nic, doc, if_match, request.base_url, visit.api_version)
    visit.strike()
    if nic is not None and visit.ending() is None and unchanged.keeps_nic(state, nic, doc):
        visit.draw_call_s()
        return Reply(200, shown(visit, nic), delay_s=visit.call_s or 0.0)
    nic, operation, created, asynchronous = nics.accept_put(
        state, nic_id, doc, who=visit.who.name, delay_s=visit.draw_call_s(), fault=visit.ending()
    )
    reply = Reply(201 if created else 200, shown(visit, nic), operation, delay_s=visit.call_s or 0.0)
    reply.announce = asynchronous or state.switches.sync_ao
    if asynchronous:
        reply.retry_after = retry_after_accepted(state.switches.retry_after, "nic")
    return reply


def _patch(visit: Visit) -> Reply:
    """UpdateTags: replace the tags and answer 200 at once."""
    visit.allow(WRITE)
    tags = documents.as_object(visit.body().get("tags"), "tags")
    nic = _existing(visit)
    visit.strike()
    nics.replace_tags(visit.state, nic, dict(tags), visit.who.name)
    return Reply(200, shown(visit, nic))


def _delete(visit: Visit) -> Reply:
    state = visit.state
    visit.allow(DELETE)
    visit.require_group()
    nic = state.resources.nics.get(visit.route.id.lower())
    if nic is None:
        return Reply(204)
    checks.check_delete(nic)
    checks.check_lock(state, nic, visit.request.base_url, visit.api_version)
    visit.strike()
    operation = nics.accept_delete(state, nic, visit.who.name, visit.ending())
    retry = retry_after_accepted(state.switches.retry_after, "nic-delete")
    return Reply(202, None, operation, announce=True, location=True, retry_after=retry)


def _list(visit: Visit) -> Reply:
    visit.only("GET")
    state, where = visit.state, visit.route
    visit.allow(READ, f"/subscriptions/{where.subscription}")
    if where.group:
        visit.require_group()
    newest = state.clock.at - state.switches.list_lag_s
    found = [
        documents.shown_nic(nic, visit.api_version)
        for nic in state.resources.nics.values()
        if nic.subscription.lower() == where.subscription.lower()
        and (not where.group or nic.group.lower() == where.group.lower())
        and nic.created_at <= newest
    ]
    return Reply(200, {"value": found})


def _config(visit: Visit) -> Reply:
    visit.only("GET")
    visit.allow(READ)
    visit.require_group()
    nic = cloud_nic(visit)
    for config in nic.doc.configs:
        if config.name.lower() == visit.route.name.lower():
            return Reply(200, documents.shown_config(nic, config), etag=nic.etag)
    raise Refused("NotFound", resource=visit.route.id)


def _configs(visit: Visit) -> Reply:
    visit.only("GET")
    visit.allow(READ)
    visit.require_group()
    nic = cloud_nic(visit)
    return Reply(200, {"value": [documents.shown_config(nic, config) for config in nic.doc.configs]})


def cloud_nic(visit: Visit) -> Nic:
    """The NIC that a child resource belongs to. Raises Refused (404)."""
    nic_key = visit.route.id.lower().partition("/ipconfigurations")[0]
    nic = visit.state.resources.nics.get(nic_key)
    if nic is None:
        raise Refused("NotFound", resource=visit.route.id)
    return nic


def _poll(visit: Visit) -> Reply:
    visit.only("GET")
    state = visit.state
    operation = state.resources.operations.get(visit.route.name)
    if operation is None or operation.ending == "gone":
        raise Refused("NotFound", resource=f"operation {visit.route.name}")
    visit.strike()
    if isinstance(visit.fault, Answer):
        status = "Canceled" if visit.fault.name == "Canceled" else "Failed"
        error = envelope(ERRORS[visit.fault.name], visit.fault.words)
        later_id = str(Words(visit.fault.words)["later_id"]) if status == "Canceled" else ""
        return Reply(200, {"status": status, "error": error}, headers=_canceled_by(visit, operation, later_id))
    if operation.status == "InProgress":
        retry = retry_after_poll(state.switches.retry_after, operation.kind, operation.polls)
        operation.polls += 1
        return Reply(200, {"status": "InProgress"}, retry_after=retry)
    body: Json = {"status": operation.status}
    outcome = operation.outcome
    if outcome is None or outcome.error is None:
        return Reply(200, body)
    return Reply(200, {**body, "error": outcome.error}, headers=_canceled_by(visit, operation, outcome.canceled_by))


def _canceled_by(visit: Visit, operation: Operation, later_id: str) -> dict[str, str]:
    """The header of the poll of a canceled operation. Its name is recorded; that it is the later operation's URL is inferred."""
    if not later_id:
        return {}
    later = replace(operation, id=later_id)
    url = operations.url(visit.state, later, "operations", visit.request.base_url, visit.api_version)
    return {"canceled-by-azure-asyncoperation": url}


def _result(visit: Visit) -> Reply:
    """Poll of Location: 202 while the operation runs, then 204 after a DELETE and an empty 200 after a move."""
    visit.only("GET")
    state = visit.state
    operation = state.resources.operations.get(visit.route.name)
    if operation is None or operation.ending == "gone":
        raise Refused("NotFound", resource=f"operation {visit.route.name}")
    reply = Reply(204, None, operation, announce=True, location=True)
    if operation.status == "InProgress":
        reply.status = 202
        reply.retry_after = retry_after_poll(state.switches.retry_after, operation.kind, operation.polls)
    elif operation.kind == "move":
        reply.status = 200
    return reply


HANDLERS: Final[dict[str, Callable[[Visit], Reply]]] = {
    "nic": _nic,
    "nics": _list,
    "nic-config": _config,
    "nic-configs": _configs,
    "poll": _poll,
    "result": _result,
}
