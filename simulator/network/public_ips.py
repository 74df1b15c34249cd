"""Requests about public IPs. A PUT cannot attach one: `ipConfiguration` is read-only and follows the NICs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from simulator.core import addresses
from simulator.core.errors import Refused
from simulator.core.ids import ref
from simulator.core.model import Operation, PublicIp, PublicIpDoc
from simulator.network import checks, operations
from simulator.network.documents import as_array, as_object
from simulator.network.factory import new_public_address
from simulator.network.spelling import spelled, tidied
from simulator.request.reply import Reply
from simulator.state.latency import retry_after_accepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.core.wire import Json
    from simulator.request.visit import Visit

_TYPE: Final = "Microsoft.Network/publicIPAddresses"
_READ_ONLY: Final = frozenset(
    {"provisioningState", "resourceGuid", "ipConfiguration", "ipAddress", "natGateway", "linkedPublicIPAddress"}
)
_TOP: Final = frozenset({"name", "id", "etag", "type", "location", "properties", "sku", "zones"})


def shown_pip(pip: PublicIp, api_version: str) -> Json:
    """The public IP as an answer shows it. A dynamic one shows an address only while it is attached."""
    properties: Json = {"provisioningState": pip.state, "resourceGuid": pip.guid}
    if pip.doc.properties.get("publicIPAllocationMethod") == "Static":
        # The answer that accepts a creation does not show the new address yet (recorded in aso-2024).
        creating = pip.operation is not None and pip.operation.name == "CreatePublicIpAddressOperation"
        if not creating:
            properties["ipAddress"] = pip.address
    elif pip.shown_holder:
        properties["ipAddress"] = pip.address
    properties.update({"publicIPAddressVersion": "IPv4", "publicIPAllocationMethod": "Dynamic"})
    properties.update({"idleTimeoutInMinutes": 4, "ipTags": []})
    if api_version >= "2022-01-01":
        properties["ddosSettings"] = {"protectionMode": "VirtualNetworkInherited"}
    properties.update(pip.doc.properties)
    label = (properties.get("dnsSettings") or {}).get("domainNameLabel")
    if label:
        fqdn = f"{label}.{pip.doc.location}.cloudapp.azure.com"
        properties["dnsSettings"] = {**properties["dnsSettings"], "fqdn": fqdn}
    if pip.shown_holder:
        properties["ipConfiguration"] = {"id": pip.shown_holder}
    if pip.nat_gateway:
        properties["natGateway"] = {"id": pip.nat_gateway}
    shown: Json = {"name": pip.name, "id": pip.id, "etag": pip.etag, "location": pip.doc.location, **pip.doc.top}
    if pip.doc.zones:
        shown["zones"] = list(pip.doc.zones)
    sku = {"name": pip.doc.sku, "tier": pip.doc.tier} if api_version >= "2020-11-01" else {"name": pip.doc.sku}
    return {**shown, "properties": properties, "type": _TYPE, "sku": sku}


def _pip(visit: Visit) -> Reply:
    visit.only("GET", "HEAD", "PUT", "DELETE", "PATCH")
    match visit.request.method:
        case "PUT":
            return _put(visit)
        case "DELETE":
            return _delete(visit)
        case "PATCH":
            return _patch(visit)
    visit.allow("Microsoft.Network/publicIPAddresses/read")
    pip = _existing(visit)
    return Reply(200, shown_pip(pip, visit.api_version), etag=pip.etag)


def _existing(visit: Visit) -> PublicIp:
    visit.require_group()
    pip = visit.state.resources.pips.get(visit.route.id.lower())
    if pip is None:
        raise Refused("ResourceNotFound")
    return pip


def _patch(visit: Visit) -> Reply:
    """UpdateTags: replace the tags and answer 200 at once."""
    visit.allow("Microsoft.Network/publicIPAddresses/write")
    tags = as_object(visit.body().get("tags"), "tags")
    pip = _existing(visit)
    visit.strike()
    pip.doc = replace(pip.doc, top={**pip.doc.top, "tags": dict(tags)})
    pip.etag = visit.state.ids.etag()
    return Reply(200, shown_pip(pip, visit.api_version))


def _put(visit: Visit) -> Reply:
    state, where = visit.state, visit.route
    visit.allow("Microsoft.Network/publicIPAddresses/write")
    body = visit.body()
    visit.require_group()
    pip = state.resources.pips.get(where.id.lower())
    location = body.get("location")
    if not isinstance(location, str) or not location:
        raise Refused("LocationRequired")
    checks.check_etag(state, pip, visit.request.headers.get("if-match", ""))
    given = as_object(body.get("properties"), "properties")
    properties = tidied({k: v for k, v in given.items() if k not in _READ_ONLY and v is not None})
    sku = as_object(body.get("sku"), "sku")
    as_object(given.get("dnsSettings"), "dnsSettings")
    zones = tuple(str(zone) for zone in as_array(body.get("zones"), "zones"))
    visit.strike()
    doc = PublicIpDoc(
        location,
        {k: v for k, v in body.items() if k not in _TOP and v is not None},
        properties,
        spelled("sku", sku.get("name")) or "Basic",
        spelled("tier", sku.get("tier")) or "Regional",
        zones,
    )
    created = pip is None
    if pip is None:
        guid = state.ids.guid()
        own = ref(where.id, where.name, where.subscription, where.group)
        address = addresses.normal(str(given.get("ipAddress", ""))) or new_public_address(state)
        pip = PublicIp(own, "", "Updating", guid, doc, address)
        state.resources.pips[pip.key] = pip
    pip.doc = doc
    name = "CreatePublicIpAddressOperation" if created else "PutPublicIpAddressOperation"
    operation = operations.start(state, name, "pip", pip, state.switches.latency_pip_s + visit.draw_call_s())
    operations.apply_fault(state, operation, visit.ending())
    pip.state, pip.etag, pip.operation, pip.last_operation = "Updating", state.ids.etag(), operation, name
    record = pip
    state.clock.later(operation.ends_at, lambda: _end_put(visit, record, operation))
    reply = Reply(
        201 if created else 200,
        shown_pip(pip, visit.api_version),
        operation,
        announce=True,
        delay_s=visit.call_s or 0.0,
    )
    reply.retry_after = retry_after_accepted(state.switches.retry_after, "pip")
    return reply


def _end_put(visit: Visit, pip: PublicIp, operation: Operation) -> None:
    if operation.status != "InProgress":
        return
    good = operation.ending in ("succeeded", "gone")
    operations.end_plain(visit.state, operation)
    if pip.operation is operation:
        pip.operation, pip.state, pip.etag = None, "Succeeded" if good else "Failed", visit.state.ids.etag()


def _delete(visit: Visit) -> Reply:
    state = visit.state
    visit.allow("Microsoft.Network/publicIPAddresses/delete")
    visit.require_group()
    pip = state.resources.pips.get(visit.route.id.lower())
    if pip is None:
        return Reply(204)
    held = state.ledger.holder(pip.key)
    if held is not None:
        raise Refused("PublicIPAddressCannotBeDeleted", pip=pip.id, other=f"{held[0].id}/ipConfigurations/{held[1]}")
    visit.strike()
    seconds = state.switches.latency_delete_s
    operation = operations.start(state, "DeletePublicIpAddressOperation", "delete", pip, seconds)
    operations.apply_fault(state, operation, visit.ending())
    pip.state, pip.operation, record = "Deleting", operation, pip

    def end() -> None:
        operations.end_plain(state, operation)
        if operation.status == "Succeeded" and state.resources.pips.get(record.key) is record:
            del state.resources.pips[record.key]

    state.clock.later(operation.ends_at, end)
    retry = retry_after_accepted(state.switches.retry_after, "delete")
    return Reply(202, None, operation, announce=True, location=True, retry_after=retry)


def _list(visit: Visit) -> Reply:
    visit.only("GET")
    where = visit.route
    visit.allow("Microsoft.Network/publicIPAddresses/read", f"/subscriptions/{where.subscription}")
    if where.group:
        visit.require_group()
    found = [
        shown_pip(pip, visit.api_version)
        for pip in visit.state.resources.pips.values()
        if pip.subscription.lower() == where.subscription.lower()
        and (not where.group or pip.group.lower() == where.group.lower())
    ]
    return Reply(200, {"value": found})


HANDLERS: Final[dict[str, Callable[[Visit], Reply]]] = {"pip": _pip, "pips": _list}
