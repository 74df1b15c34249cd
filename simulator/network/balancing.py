"""Load balancers and security groups that a NIC refers to, as far as they decide how a write of the NIC goes.

Recorded on NICs without a VM: in a pool of a Standard load balancer every PUT is asynchronous (37 of 37); in one of a Basic
or Gateway load balancer none is; the PUT that adds an application security group is (docs/facts/azure.md section 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.core.ids import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.core.model import NicDoc, Plain
    from simulator.state.state import State

_OF_BALANCER: Final = ("loadBalancerBackendAddressPools", "loadBalancerInboundNatRules")


def balancer_of(state: State, reference: str) -> Plain | None:
    """The load balancer (or other plain resource) that the id of one of its pools or rules names."""
    key = reference.lower()
    parts = parts_of(reference)
    if parts is not None and parts.child:
        key = key.rpartition("/")[0].rpartition("/")[0]
    return state.resources.plain.get(key)


def sku_of(balancer: Plain) -> str:
    """The load balancer's SKU; Basic if its document names none."""
    sku = balancer.doc.get("sku")
    return str(sku.get("name") or "Basic") if isinstance(sku, dict) else "Basic"


def is_slow(state: State, doc: NicDoc) -> bool:
    """Whether the NIC is in a pool that makes its writes asynchronous: of an application gateway or a Standard load balancer."""
    if any("applicationGatewayBackendAddressPools" in config.properties for config in doc.configs):
        return True
    balancers = (balancer_of(state, reference) for reference in _references(doc, *_OF_BALANCER))
    return any(balancer is not None and sku_of(balancer).lower() == "standard" for balancer in balancers)


def security_groups(doc: NicDoc) -> set[str]:
    """The keys of the NIC's application security groups."""
    return {reference.lower() for reference in _references(doc, "applicationSecurityGroups")}


def _references(doc: NicDoc, *members: str) -> Iterator[str]:
    for config in doc.configs:
        for member in members:
            listed: list[Any] = config.properties.get(member) or []
            yield from (item["id"] for item in listed)
