"""The front of ARM: one request in, one answer out, in ARM's order of checks. Faults strike after these checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from simulator.access import identity
from simulator.control import management
from simulator.core.errors import Refused, envelope
from simulator.core.faults import Answer
from simulator.core.history import Exchange
from simulator.core.principals import ANONYMOUS
from simulator.core.wire import Request, Response, encode
from simulator.front import faulting, resources
from simulator.members import pages
from simulator.network import networks, nic_routes, public_ips
from simulator.network.operations import url
from simulator.request import headers
from simulator.request.reply import Reply
from simulator.request.routes import Route, route
from simulator.request.visit import Stopped, Visit
from simulator.state import throttle

if TYPE_CHECKING:
    from simulator.core.principals import Token
    from simulator.core.switches import Switches
    from simulator.state.state import State

_REPEATED: Final = ("x-ms-correlation-request-id", "x-ms-arm-service-request-id")
Handler = Callable[[Visit], Reply]

_HANDLERS: Final[dict[str, Handler]] = {
    **nic_routes.HANDLERS,
    **public_ips.HANDLERS,
    **networks.HANDLERS,
    **resources.HANDLERS,
}


def handle(state: State, request: Request) -> Response:
    """Answer one request at the current time. Never raises, whatever a client sends."""
    state.clock.settle()
    path, _, query = request.target.partition("?")
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    where = route(path)
    match where.kind:
        case "token":
            return faulting.outside(state, request, where, identity.handle_token)
        case "page":
            return faulting.outside(state, request, where, pages.handle_page)
        case "simulator":
            return management.handle(state, request, where.name)
        case "endpoints":
            return resources.endpoints(request)
    token = identity.token_of(state, request)
    who = token.principal if token else ANONYMOUS
    visit = Visit(state, request, where, _query(query), who)
    script = faulting.planned(state, request, where, who.name)
    visit.script = script
    if script is not None and (response := faulting.never_arrives(visit, script, again=handle)):
        return response
    return _answered(visit, token)


@lru_cache(maxsize=1024)
def _query(text: str) -> Mapping[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _answered(visit: Visit, token: Token | None) -> Response:
    state = visit.state
    rates: dict[str, str] = {}
    before = faulting.etag_of(state, visit.route)
    try:
        rates = _throttle(visit)
        identity.check_token(state, visit.request, token)
        reply = _dispatch(visit)
        visit.strike()  # for reads; writes have called it before they took effect
    except Refused as refused:
        reply = refusal(state, visit.route, refused)
    except Stopped as stopped:
        reply = stopped.reply
    response = _response(visit, reply, rates)
    _remember(visit, reply, response, before)
    faulting.strangers(visit, reply.status)
    return response


def _throttle(visit: Visit) -> dict[str, str]:
    state, where = visit.state, visit.route
    call = throttle.CALLS.get(visit.request.method, "writes")
    if not where.subscription:
        return {}
    rates = state.limits.arm(state.switches, where.subscription.lower(), visit.who.name, call, state.clock.at)
    if where.type.startswith("Microsoft.Network/") or where.kind in ("poll", "result"):
        state.limits.nrp(state.switches, where.subscription.lower(), call, state.clock.at)
    return rates


def _dispatch(visit: Visit) -> Reply:
    state, where = visit.state, visit.route
    if where.subscription and where.subscription.lower() not in state.resources.subscriptions:
        raise Refused("SubscriptionNotFound", subscription=where.subscription)
    handler = _HANDLERS.get(where.kind)
    if handler is None:
        raise Refused("HttpResourceNotFound")
    if "api-version" not in visit.query:
        raise Refused("MissingApiVersionParameter")
    return handler(visit)


def refusal(state: State, where: Route, refused: Refused) -> Reply:
    """The answer to a refused request: its row's status and envelope, and Retry-After if the row has one."""
    kind, context = refused.kind, dict(refused.context)
    if kind.layer == "empty":
        return Reply(kind.status, None, nrp=False)
    context.setdefault("subscription", where.subscription)
    context.setdefault("group", where.group)
    context.setdefault("kind", where.type)
    if where.name:
        context.setdefault("name", where.name)
    context.setdefault("resource", where.id)
    reply = Reply(kind.status, envelope(kind, context), nrp=kind.layer == "nrp")
    reply.headers["x-simulator-error"] = kind.name
    if kind.layer == "gateway":
        reply.headers["x-ms-failure-cause"] = "gateway"
    elif kind.layer == "nrp" and state.switches.headers_2026:
        reply.headers["x-ms-failure-cause"] = "service"
    if kind.status == 401:
        reply.headers["www-authenticate"] = f'Bearer authorization_uri="https://login.windows.net/{state.world.tenant}"'
    asked = context.get("retry_after")
    throttled = kind.name.startswith(("SubscriptionRequests", "ResourceRequests", "RetryableErrorDueToTooMany"))
    if isinstance(asked, int):
        reply.retry_after = str(asked) if asked else None
    elif kind.retry_after and (not throttled or state.switches.throttle_retry_after):
        reply.retry_after = str(context.get("seconds", 11))
    return reply


def _response(visit: Visit, reply: Reply, rates: dict[str, str]) -> Response:
    state, operation, switches = visit.state, reply.operation, visit.state.switches
    gateway_error = reply.headers.get("x-ms-failure-cause") == "gateway"
    request_id = operation.id if operation else state.ids.guid()
    found = headers.common(state, visit.request, request_id, gateway_error=gateway_error)
    if switches.headers_2026:
        found["x-ms-operation-identifier"] = headers.operation_identifier(state, visit.who, found["x-ms-request-id"])
    found.update(rates)
    found.update(reply.headers)
    if reply.nrp:
        found["x-ms-arm-service-request-id"] = state.ids.guid()
    if operation is not None:
        for name in _REPEATED:
            found[name] = operation.first_headers.setdefault(name, found[name])
    base, version = visit.request.base_url, visit.query.get("api-version", "")
    if operation is not None and reply.announce:
        found["azure-asyncoperation"] = url(state, operation, "operations", base, version)
        if switches.async_notification == "always" or (
            switches.async_notification == "not-on-subnets" and "Subnet" not in operation.name
        ):
            found["azure-asyncnotification"] = "Enabled"
    if operation is not None and reply.location:
        found["location"] = url(state, operation, "operationResults", base, version)
    if reply.retry_after is not None:
        found["retry-after"] = reply.retry_after
    if reply.etag:
        found["etag"] = reply.etag
    style = "compact" if gateway_error else switches.json
    body = encode(reply.body, style) if isinstance(reply.body, dict) else reply.body or b""
    if body or visit.route.kind == "result":
        found["content-type"] = "application/json; charset=utf-8"
    if visit.request.method == "HEAD":
        body = b""
    return faulting.delivered(visit, Response(reply.status, found, body, reply.delay_s + _call_s(visit, switches)))


def _call_s(visit: Visit, switches: Switches) -> float:
    if visit.call_s is not None:
        return 0.0  # the handler has drawn it, because the operation starts after the call
    low, high = switches.read_call_s
    return visit.state.latency_rng.uniform(low, high) if high else 0.0


def _remember(visit: Visit, reply: Reply, response: Response, before: str) -> None:
    where, request = visit.route, visit.request
    name = reply.headers.get("x-simulator-error", "")
    response.headers.pop("x-simulator-error", None)
    fault = visit.fault
    struck = "" if fault is None else fault.name if isinstance(fault, Answer) else type(fault).__name__.lower()
    visit.state.records.history.append(
        Exchange(
            visit.state.clock.at,
            request.method,
            request.target,
            where.kind,
            where.id or where.name,
            visit.who.name,
            request.body,
            request.headers.get("x-ms-client-request-id", ""),
            response.status,
            name,
            response.headers.get("x-ms-request-id", ""),
            reply.operation.id if reply.operation else "",
            before,
            faulting.etag_of(visit.state, where),
            struck,
            response.lost,
            response.delay_s,
        )
    )
