"""moveIpConfigurations (preview, 2026): one operation that moves secondary ip configurations between NICs.

No recordings exist: its refusals and failures are our assumptions (docs/facts/azure.md section 14).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from simulator.access import rights
from simulator.core.errors import Refused
from simulator.core.ids import parts_of
from simulator.network import nics, operations
from simulator.network.checks import locked
from simulator.request.reply import Reply
from simulator.state.latency import nic_latency_s, retry_after_accepted

if TYPE_CHECKING:
    from simulator.core.model import ConfigDoc, ConfigFacts, Nic, NicDoc, Operation
    from simulator.request.visit import Visit
    from simulator.state.state import State

FIRST_VERSION: Final = "2025-07-01"
SLOW_FACTOR: Final = 10.0
ACTION: Final = "Microsoft.Network/virtualNetworks/moveIpConfigurations/action"


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one ip configuration from one NIC to another, possibly under a new name."""

    source: Nic
    target: Nic
    config: ConfigDoc
    facts: ConfigFacts
    name: str


def handle_move(visit: Visit) -> Reply:
    """POST .../moveIpConfigurations: 202 with Azure-AsyncOperation and Location, or 200, depending on the switch move_answer."""
    visit.only("POST")
    state, where, switches = visit.state, visit.route, visit.state.switches
    if visit.api_version < FIRST_VERSION or switches.move_ip_configurations == "version-unknown":
        raise Refused("NoRegisteredProviderFound", api_version=visit.api_version, location=state.world.location)
    visit.allow(ACTION)
    body = visit.body()
    visit.require_group()
    if where.id.lower() not in state.resources.vnets:
        raise Refused("ResourceNotFound")
    if switches.move_ip_configurations == "feature-missing":
        raise Refused("SubscriptionNotRegisteredForFeature", subscription=where.subscription)
    moves = _read(state, body, where.id.lower())
    for nic in {m.source.key: m.source for m in moves}.values():
        rights.check(state, visit.who, "Microsoft.Network/networkInterfaces/write", nic.id)
    for nic in {m.target.key: m.target for m in moves}.values():
        rights.check(state, visit.who, "Microsoft.Network/networkInterfaces/write", nic.id)
    _check(visit, moves)
    visit.strike()
    return _accept(visit, moves)


def _read(state: State, body: dict[str, Any], vnet_key: str) -> list[Move]:
    items = body.get("moveIpConfigurationItems")
    if not isinstance(items, list) or not items:
        raise Refused("InvalidRequestFormat", reason="moveIpConfigurationItems is missing or empty")
    return [_read_item(state, item, vnet_key) for item in items]


def _read_item(state: State, item: Any, vnet_key: str) -> Move:
    try:
        source_id, target_id = item["sourceIpConfiguration"]["id"], item["targetIpConfiguration"]["id"]
        source_parts, target_parts = parts_of(source_id), parts_of(target_id)
    except (KeyError, TypeError, AttributeError):
        raise Refused("InvalidRequestFormat", reason="a source or target ip configuration has no id") from None
    if source_parts is None or target_parts is None or not source_parts.child or not target_parts.child:
        raise Refused("InvalidRequestFormat", reason="an id is not one of an ip configuration")
    source = state.resources.nics.get(source_id.lower().partition("/ipconfigurations/")[0])
    target = state.resources.nics.get(target_id.lower().partition("/ipconfigurations/")[0])
    if source is None or target is None:
        raise Refused("InvalidResourceReference", resource=source_id if source is None else target_id, nic=vnet_key)
    for fact, config in zip(source.doc.facts, source.doc.configs, strict=True):
        if fact.name.lower() == source_parts.child.lower():
            return Move(source, target, config, fact, target_parts.child)
    raise Refused("InvalidResourceReference", resource=source_id, nic=source.id)


def _check(visit: Visit, moves: list[Move]) -> None:
    state = visit.state
    for move in moves:
        config = f"{move.source.id}/ipConfigurations/{move.facts.name}"

        def refuse(reason: str, config: str = config) -> Refused:
            return Refused("MoveIpConfigurationsInvalidRequest", config=config, reason=reason)

        if move.facts.primary:
            raise refuse("a primary ip configuration cannot be moved.")
        if move.source is move.target:
            raise refuse("source and target are the same network interface.")
        if not move.facts.subnet.startswith(visit.route.id.lower() + "/"):
            raise refuse("it is not in this virtual network.")
        if any(f.name.lower() == move.name.lower() for f in move.target.doc.facts):
            raise refuse("the target network interface has an ip configuration of that name.")
        if move.facts.pip and state.switches.move_ip_configurations != "all":
            raise Refused("MoveIpConfigurationsPublicIPAddressNotSupported", config=config, pip=move.facts.pip)
        for nic in (move.source, move.target):
            if nic.operation is not None:
                raise locked(state, nic, nic.operation)


def _accept(visit: Visit, moves: list[Move]) -> Reply:
    state, switches = visit.state, visit.state.switches
    at_once = switches.move_answer == 200
    seconds = 0.0 if at_once else nic_latency_s(switches.latency, state.latency_rng) + visit.draw_call_s()
    if switches.move_ip_configurations == "slow":
        seconds *= SLOW_FACTOR
    vnet = state.resources.vnets[visit.route.id.lower()]
    operation = operations.start(state, "MoveIpConfigurationsOperation", "move", vnet, seconds)
    if switches.move_ip_configurations == "half-way":
        operation.ending = "half-way"
    operations.apply_fault(state, operation, visit.ending())
    for nic in _nics(moves):
        nic.state, nic.operation, nic.etag = "Updating", operation, state.ids.etag()
        nic.stable, nic.last_operation = nic.doc, operation.name
        state.record(nic, "put", visit.who.name, operation.id)
    if at_once:
        _end(state, moves, operation)
        return Reply(200, None, operation)
    state.clock.later(operation.ends_at, lambda: _end(state, moves, operation))
    retry = retry_after_accepted(switches.retry_after, "nic")
    return Reply(202, None, operation, announce=True, location=True, retry_after=retry, delay_s=visit.call_s or 0.0)


def _nics(moves: list[Move]) -> list[Nic]:
    return list({nic.key: nic for m in moves for nic in (m.source, m.target)}.values())


def _end(state: State, moves: list[Move], operation: Operation) -> None:
    """Detach from all sources, then attach to all targets. A NIC that a later write has taken over is left alone."""
    concerned = _nics(moves)
    mine = [nic for nic in concerned if nic.operation is operation]
    superseded = operation.status == "Canceled"
    whole = operation.ending in ("succeeded", "gone") and not superseded
    if whole or operation.ending == "half-way":
        for move in moves:
            if move.source in mine:
                nics.change_content(state, move.source, _without(move.source.doc, move.facts.name))
        for nic in mine:
            state.ledger.keep_only(nic, nic.doc.facts)
    if whole:
        for move in moves:
            nics.change_content(state, move.target, _with(move.target.doc, move))
            state.ledger.claim(move.target, move.target.doc.facts)
    if not superseded:
        operations.end_plain(state, operation)
    failed = operation.status == "Failed"
    for nic in mine:
        nic.operation, nic.etag, nic.stable = None, state.ids.etag(), nic.doc
        nic.state = "Failed" if failed else "Succeeded"
        state.record(nic, "moved" if whole else "failed", "", operation.id)
    nics.show_public_ips(state, {m.facts.pip for m in moves if m.facts.pip})


def _without(doc: NicDoc, name: str) -> NicDoc:
    kept = [i for i, fact in enumerate(doc.facts) if fact.name != name]
    return replace(doc, configs=tuple(doc.configs[i] for i in kept), facts=tuple(doc.facts[i] for i in kept))


def _with(doc: NicDoc, move: Move) -> NicDoc:
    config = replace(move.config, name=move.name)
    fact = move.facts._replace(name=move.name)
    return replace(doc, configs=(*doc.configs, config), facts=(*doc.facts, fact))
