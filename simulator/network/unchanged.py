"""A PUT that changes nothing: 200 Succeeded, no operation, and the old etag stays (docs/facts/azure.md section 3).

Recorded once on a NIC of a VM and seven times on virtual networks. The switch `unchanged_put` brings the operation back.
While an operation is under way, a PUT supersedes it or is refused as ever; a Failed resource is repaired by a PUT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.network.documents import shown_nic

if TYPE_CHECKING:
    from simulator.core.model import Nic, NicDoc, Vnet
    from simulator.core.wire import Json
    from simulator.state.state import State

_NEWEST: Final = "9999-12-31"  # an api-version that shows every member
_VOLATILE: Final = frozenset({"etag", "provisioningState"})


def keeps_nic(state: State, nic: Nic, asked: NicDoc) -> bool:
    """Whether a PUT of this content leaves the NIC as it is. Only NICs of a VM: of others no such PUT was recorded."""
    return _settled(state, nic) and nic.vm is not None and same(shown_nic(nic, _NEWEST), shown_nic(nic, _NEWEST, asked))


def keeps_vnet(state: State, vnet: Vnet, shown: Json, asked: Json) -> bool:
    """Whether a PUT leaves the virtual network as it is. shown, asked: as answers show it now and with the new content."""
    return _settled(state, vnet) and same(shown, asked)


def _settled(state: State, resource: Nic | Vnet) -> bool:
    return state.switches.unchanged_put == "kept" and resource.state == "Succeeded" and resource.operation is None


def same(one: Any, other: Any) -> bool:
    """Whether two documents say the same. Ids are compared without case, and an empty member is as good as none."""
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        names = (one.keys() | other.keys()) - _VOLATILE
        return all(same(_given(one, name), _given(other, name)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, str) and isinstance(other, str) and one.startswith("/subscriptions/"):
        return one.lower() == other.lower()
    return type(one) is type(other) and bool(one == other)


def _given(document: Json, name: str) -> Any:
    value = document.get(name)
    return None if value in ({}, []) else value
