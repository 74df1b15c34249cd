"""Routes: what a path names. ARM's paths ignore case; names keep their spelling."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

from simulator.core.ids import resource_id

_NETWORK: Final = "microsoft.network"
_KINDS: Final = {
    "networkinterfaces": ("nic", "Microsoft.Network/networkInterfaces"),
    "publicipaddresses": ("pip", "Microsoft.Network/publicIPAddresses"),
    "virtualnetworks": ("vnet", "Microsoft.Network/virtualNetworks"),
}
_VNET_CALLS: Final = {"checkipaddressavailability": "check-ip", "moveipconfigurations": "move"}


class Route(NamedTuple):
    """What a path names. kind: nic, nic-config, nics, pip, pips, vnet, vnets, subnet, subnets, check-ip, move, vm, plain,
    plains, poll, result, permissions, group, groups, subscription, subscriptions, provider, endpoints, token, page, simulator
    or unknown. type: as in 'Microsoft.Network/networkInterfaces'. id: of the resource (for permissions: of the scope).
    """

    kind: str
    subscription: str = ""
    group: str = ""
    type: str = ""
    name: str = ""
    id: str = ""


@lru_cache(maxsize=65536)
def route(path: str) -> Route:  # noqa: PLR0911 - one return per kind of path
    """The route of a path (without its query)."""
    pieces = [unquote(piece) for piece in path.split("/") if piece]
    lower = [piece.lower() for piece in pieces]
    if lower[:2] == ["metadata", "endpoints"]:
        return Route("endpoints")
    if lower in (["msi", "token"], ["metadata", "identity", "oauth2", "token"]):
        return Route("token")
    if lower[:1] == ["pages"] and len(pieces) > 1:
        return Route("page", name="/".join(pieces[1 : -3 if lower[-3:-1] == ["csp", "bin"] else None]))
    if lower[:1] == ["simulator"]:
        return Route("simulator", name="/".join(pieces[1:]))
    if lower[:1] != ["subscriptions"]:
        return Route("unknown")
    if len(lower) > 3 and lower[-3:] == ["providers", "microsoft.authorization", "permissions"]:
        scope = "/" + "/".join(pieces[:-3])
        group = pieces[3] if len(pieces) > 6 else ""
        return Route("permissions", pieces[1], group, "", "", scope)
    return _in_subscription(pieces, lower)


def _in_subscription(pieces: list[str], lower: list[str]) -> Route:  # noqa: PLR0911 - one per kind of path
    if len(pieces) == 1:
        return Route("subscriptions")
    subscription = pieces[1]
    if len(pieces) == 2:
        return Route("subscription", subscription, name=subscription, id=f"/subscriptions/{subscription}")
    if lower[2] == "resourcegroups":
        if len(pieces) == 3:
            return Route("groups", subscription)
        group = pieces[3]
        if len(pieces) == 4:
            return Route("group", subscription, group, name=group, id=f"/subscriptions/{subscription}/resourceGroups/{group}")
        if len(pieces) >= 7 and lower[4] == "providers":
            return _resource(subscription, group, pieces[5:], lower[5:])
    if lower[2] == "providers" and len(pieces) > 3:
        return _subscription_provider(subscription, pieces, lower)
    return Route("unknown", subscription)


def _subscription_provider(subscription: str, pieces: list[str], lower: list[str]) -> Route:
    if len(pieces) == 4:
        return Route("provider", subscription, name=pieces[3])
    if len(pieces) == 8 and lower[4] == "locations" and lower[6] in ("operations", "operationresults"):
        return Route("poll" if lower[6] == "operations" else "result", subscription, name=lower[7])
    if len(pieces) == 5 and lower[3] == _NETWORK and lower[4] in _KINDS:
        kind, full = _KINDS[lower[4]]
        return Route(f"{kind}s", subscription, type=full)
    return Route("unknown", subscription)


def _resource(subscription: str, group: str, pieces: list[str], lower: list[str]) -> Route:
    """pieces: provider, type, [name, [child type, [child name]]]."""
    kind, full = _KINDS.get(lower[1], ("", "")) if lower[0] == _NETWORK else ("", "")
    full = full or f"{pieces[0]}/{pieces[1]}"
    if len(pieces) == 2:
        return Route(f"{kind or 'plain'}s", subscription, group, full)
    provider, type_name = full.split("/", 1)
    name = pieces[2]
    own_id = resource_id(subscription, group, type_name, name, provider)
    if len(pieces) == 3:
        plain = "vm" if full.lower() == "microsoft.compute/virtualmachines" else "plain"
        return Route(kind or plain, subscription, group, full, name, own_id)
    if kind == "vnet" and len(pieces) == 4 and lower[3] in _VNET_CALLS:
        return Route(_VNET_CALLS[lower[3]], subscription, group, full, name, own_id)
    child = {"vnet": "subnets", "nic": "ipConfigurations"}.get(kind)
    if child is not None and lower[3] == child.lower():
        if len(pieces) == 4:
            return Route("subnets" if kind == "vnet" else "nic-configs", subscription, group, f"{full}/{child}", name, own_id)
        if len(pieces) == 5:
            one = "subnet" if kind == "vnet" else "nic-config"
            return Route(one, subscription, group, f"{full}/{child}", pieces[4], f"{own_id}/{child}/{pieces[4]}")
    return Route("unknown", subscription, group)
