"""Simulated worlds from recorded NIC documents, with the resources that the NICs refer to."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from simulator.state.world import World, WorldNic, WorldPlain, WorldPublicIp, WorldSubnet, WorldVm, WorldVnet

_ID: Final = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers/(?P<type>[^/]+/[^/]+)/(?P<name>[^/]+)",
    re.IGNORECASE,
)


def around(documents: Iterable[Any], *, location: str, **more: Any) -> World:
    """A world with these NICs and with minimal versions of all resources that they refer to.

    The prefixes of subnets contain the recorded addresses. more: members of World.
    """
    nics = list(documents)
    prefixes = {subnet: prefix for nic in nics for subnet, prefix in _subnets(nic)}
    found: dict[str, dict[str, Any]] = {}
    for reference in sorted({r for nic in nics for r in _references(nic)}):
        match = _ID.match(reference)
        assert match, reference
        entry = found.setdefault(match[0].lower(), {**match.groupdict(), "subnets": {}})
        if "/subnets/" in reference:
            entry["subnets"][reference.rpartition("/")[2]] = prefixes[reference]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for entry in found.values():
        by_type.setdefault(entry["type"].lower(), []).append(entry)
    vnets = tuple(_vnet(e) for e in by_type.pop("microsoft.network/virtualnetworks", []))
    pips = tuple(
        WorldPublicIp(name=e["name"], zones=(), **_place(e)) for e in by_type.pop("microsoft.network/publicipaddresses", [])
    )
    vms = tuple(WorldVm(name=e["name"], **_place(e)) for e in by_type.pop("microsoft.compute/virtualmachines", []))
    others = tuple(
        WorldPlain(type=e["type"], name=e["name"], document={"sku": {"name": "Standard"}}, **_place(e))
        for rest in by_type.values()
        for e in rest
    )
    return World(
        location=location,
        vnets=vnets,
        public_ips=pips,
        vms=vms,
        others=(*others, *more.pop("others", ())),
        nics=tuple(nic(document) for document in nics),
        **more,
    )


def nic(document: Any) -> WorldNic:
    """A NIC of the world from a recorded document."""
    match = _ID.match(document["id"])
    assert match
    vm = document["properties"].get("virtualMachine")
    return WorldNic(
        name=match["name"],
        vm=vm["id"].rpartition("/")[2] if vm else "",
        document=document,
        group=match["group"],
        subscription=match["subscription"],
    )


def _subnets(document: Any) -> Iterator[tuple[str, str]]:
    """The subnets of a NIC, each with the /24 IPv4 network of the NIC's address."""
    for config in document["properties"]["ipConfigurations"]:
        address = config["properties"]["privateIPAddress"]
        if ":" not in address:
            yield config["properties"]["subnet"]["id"], f"{address.rpartition('.')[0]}.0/24"


def _vnet(entry: dict[str, Any]) -> WorldVnet:
    subnets = tuple(WorldSubnet(name=name, prefix=prefix) for name, prefix in entry["subnets"].items())
    return WorldVnet(name=entry["name"], prefixes=("0.0.0.0/0",), subnets=subnets, **_place(entry))


def _place(entry: dict[str, Any]) -> dict[str, str]:
    return {"group": entry["group"], "subscription": entry["subscription"]}


def _references(value: Any, member: str = "") -> Iterator[str]:
    """Every id that a document refers to, except its own and those of its parts."""
    if isinstance(value, dict):
        for key, item in value.items():
            own = key == "id" and "etag" in value
            if key == "id" and not own and isinstance(item, str):
                yield item
            elif key == "hostedWorkloads":
                continue
            else:
                yield from _references(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item, member)
