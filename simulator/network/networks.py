"""Requests about virtual networks and subnets, with CheckIPAddressAvailability and moveIpConfigurations."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from simulator.core import addresses
from simulator.core.errors import Refused
from simulator.core.ids import ref
from simulator.core.model import Vnet
from simulator.network import checks, documents, moves, operations, unchanged
from simulator.network.factory import new_suffix
from simulator.network.network_documents import VNET_TYPE, configs_in, read_subnet, shown_subnet, shown_vnet
from simulator.network.spelling import tidied
from simulator.request.reply import Reply
from simulator.state.latency import retry_after_accepted
from simulator.state.ledger import address_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.core.model import Subnet
    from simulator.core.wire import Json
    from simulator.request.visit import Visit

_READ_ONLY: Final = frozenset({"provisioningState", "resourceGuid", "subnets"})
_TOP: Final = frozenset({"name", "id", "etag", "type", "location", "properties"})


def _vnet(visit: Visit) -> Reply:
    visit.only("GET", "HEAD", "PUT", "DELETE", "PATCH")
    state = visit.state
    verb = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}.get(visit.request.method, "read")
    visit.allow(f"{VNET_TYPE}/{verb}")
    visit.require_group()
    vnet = state.resources.vnets.get(visit.route.id.lower())
    if visit.request.method == "PUT":
        return _put_vnet(visit, vnet)
    if vnet is None:
        if verb == "delete":
            return Reply(204)
        raise Refused("ResourceNotFound")
    if verb == "write":
        return _patch_vnet(visit, vnet)
    if verb == "delete":
        return _delete(visit, vnet, None)
    # Recorded until 2024; a recording of July 2026 has no ETag header.
    return Reply(200, shown_vnet(visit, vnet), etag="" if state.switches.headers_2026 else vnet.etag)


def _patch_vnet(visit: Visit, vnet: Vnet) -> Reply:
    """UpdateTags: replace the tags and answer 200 at once."""
    tags = documents.as_object(visit.body().get("tags"), "tags")
    visit.strike()
    vnet.top, vnet.etag = {**vnet.top, "tags": dict(tags)}, visit.state.ids.etag()
    return Reply(200, shown_vnet(visit, vnet))


def _put_vnet(visit: Visit, vnet: Vnet | None) -> Reply:
    state, where, body = visit.state, visit.route, visit.body()
    given = documents.as_object(body.get("properties"), "properties")
    documents.as_object(given.get("addressSpace"), "addressSpace")
    etag = state.ids.etag()
    items = documents.as_array(given.get("subnets"), "subnets")
    subnets = [read_subnet(where.id, documents.as_object(item, "subnets"), etag) for item in items]
    checks.check_etag(state, vnet, visit.request.headers.get("if-match", ""))
    visit.strike()
    created = vnet is None
    if vnet is None:
        location = str(body.get("location") or state.world.location)
        vnet = Vnet(
            ref(where.id, where.name, where.subscription, where.group),
            etag,
            "Updating",
            guid=state.ids.guid(),
            location=location,
            suffix=new_suffix(state),
            top={},
            properties={},
            subnets={},
        )
        state.resources.vnets[vnet.key] = vnet
    asked = replace(
        vnet,
        properties=tidied({k: v for k, v in given.items() if k not in _READ_ONLY and v is not None}),
        top={k: v for k, v in body.items() if k not in _TOP and v is not None},
        subnets={subnet.name.lower(): subnet for subnet in subnets},
    )
    shown = shown_vnet(visit, vnet)
    if visit.ending() is None and unchanged.keeps_vnet(state, vnet, shown, shown_vnet(visit, asked)):
        visit.draw_call_s()
        return Reply(200, shown, delay_s=visit.call_s or 0.0)
    vnet.properties, vnet.top, vnet.subnets = asked.properties, asked.top, asked.subnets
    return _changing(visit, vnet, "PutVirtualNetworkOperation", None, created=created)


def _changing(visit: Visit, vnet: Vnet, name: str, subnet: Subnet | None, *, created: bool) -> Reply:
    """Start the operation of a write; at its end the virtual network and its subnets are Succeeded or Failed."""
    state = visit.state
    seconds = state.switches.latency_vnet_s + visit.draw_call_s()
    operation = operations.start(state, name, "vnet", vnet, seconds)
    operations.apply_fault(state, operation, visit.ending())
    vnet.state, vnet.etag, vnet.operation = "Updating", state.ids.etag(), operation
    for one in vnet.subnets.values():
        one.etag = vnet.etag

    def end() -> None:
        operations.end_plain(state, operation)
        if vnet.operation is operation:
            vnet.operation, vnet.etag = None, state.ids.etag()
            vnet.state = "Succeeded" if operation.status == "Succeeded" else "Failed"
            for one in vnet.subnets.values():
                one.state, one.etag = vnet.state, vnet.etag

    state.clock.later(operation.ends_at, end)
    body = shown_subnet(visit, subnet) if subnet else shown_vnet(visit, vnet)
    retry = retry_after_accepted(state.switches.retry_after, "vnet")
    return Reply(201 if created else 200, body, operation, announce=True, retry_after=retry, delay_s=visit.call_s or 0.0)


def _subnet(visit: Visit) -> Reply:
    visit.only("GET", "HEAD", "PUT", "DELETE")
    state = visit.state
    verb = {"PUT": "write", "DELETE": "delete"}.get(visit.request.method, "read")
    visit.allow(f"{VNET_TYPE}/subnets/{verb}")
    visit.require_group()
    vnet = state.resources.vnets.get(visit.route.id.lower().partition("/subnets/")[0])
    if vnet is None:
        raise Refused("ResourceNotFound", kind=VNET_TYPE, name=visit.route.id.partition("/subnets/")[0].rpartition("/")[2])
    subnet = vnet.subnets.get(visit.route.name.lower())
    if verb == "write":
        body = {**visit.body(), "name": visit.route.name}
        new = read_subnet(vnet.id, body, vnet.etag)
        visit.strike()
        vnet.subnets[new.name.lower()] = new
        return _changing(visit, vnet, "PutSubnetOperation", new, created=subnet is None)
    if subnet is None:
        if verb == "delete":
            return Reply(204)
        raise Refused("NotFound", resource=visit.route.id)
    if verb == "delete":
        return _delete(visit, vnet, subnet)
    return Reply(200, shown_subnet(visit, subnet), etag=subnet.etag)


def _delete(visit: Visit, vnet: Vnet, subnet: Subnet | None) -> Reply:
    state = visit.state
    for one in (subnet,) if subnet else tuple(vnet.subnets.values()):
        used = configs_in(visit, one, expand=True)
        if used:
            raise Refused("InUseSubnetCannotBeDeleted", name=one.name, other=used[0]["id"])
    visit.strike()
    operation = operations.start(
        state,
        "DeleteSubnetOperation" if subnet else "DeleteVirtualNetworkOperation",
        "delete",
        vnet,
        state.switches.latency_delete_s,
    )
    operations.apply_fault(state, operation, visit.ending())

    def end() -> None:
        operations.end_plain(state, operation)
        if operation.status == "Succeeded":
            if subnet is not None:
                vnet.subnets.pop(subnet.name.lower(), None)
            else:
                state.resources.vnets.pop(vnet.key, None)

    state.clock.later(operation.ends_at, end)
    retry = retry_after_accepted(state.switches.retry_after, "delete")
    return Reply(202, None, operation, announce=True, location=True, retry_after=retry)


def _vnets(visit: Visit) -> Reply:
    visit.only("GET")
    where = visit.route
    visit.allow(f"{VNET_TYPE}/read", f"/subscriptions/{where.subscription}")
    found = [
        shown_vnet(visit, vnet)
        for vnet in visit.state.resources.vnets.values()
        if vnet.subscription.lower() == where.subscription.lower()
        and (not where.group or vnet.group.lower() == where.group.lower())
    ]
    return Reply(200, {"value": found})


def _subnets(visit: Visit) -> Reply:
    visit.only("GET")
    visit.allow(f"{VNET_TYPE}/subnets/read")
    visit.require_group()
    vnet = visit.state.resources.vnets.get(visit.route.id.lower())
    if vnet is None:
        raise Refused("ResourceNotFound", kind=VNET_TYPE, name=visit.route.id.rpartition("/")[2])
    return Reply(200, {"value": [shown_subnet(visit, subnet) for subnet in vnet.subnets.values()]})


def _check_ip(visit: Visit) -> Reply:
    """CheckIPAddressAvailability: {"available", "availableIPAddresses", "isPlatformReserved"}."""
    visit.only("GET")
    visit.allow(f"{VNET_TYPE}/checkIpAddressAvailability/read")
    visit.require_group()
    vnet = visit.state.resources.vnets.get(visit.route.id.lower())
    if vnet is None:
        raise Refused("ResourceNotFound")
    address = addresses.normal(visit.query.get("ipAddress", ""))
    if not address:
        raise Refused("InvalidRequestFormat", reason="The ipAddress query parameter is missing or is no ip address.")
    prefixes = [prefix for subnet in vnet.subnets.values() for prefix in subnet.prefixes]
    home = next((prefix for prefix in prefixes if addresses.in_prefix(address, prefix)), None)
    if home is None:
        raise Refused("PrivateIPAddressNotInAnySubnet", address=address, vnet=vnet.id)
    ledger = visit.state.ledger
    reserved = addresses.is_reserved(address, home)
    available = not reserved and address_key(vnet.key, address) not in ledger
    body: Json = {"available": available, "isPlatformReserved": reserved}
    if not available:
        version = "IPv6" if ":" in address else "IPv4"
        free = (a for a in addresses.free_in(home, (), version) if address_key(vnet.key, a) not in ledger)
        body["availableIPAddresses"] = list(islice(free, 5))
    return Reply(200, body)


HANDLERS: Final[dict[str, Callable[[Visit], Reply]]] = {
    "vnet": _vnet,
    "vnets": _vnets,
    "subnet": _subnet,
    "subnets": _subnets,
    "check-ip": _check_ip,
    "move": moves.handle_move,
}
