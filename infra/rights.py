"""What the controller's identity must be granted so that it can move the VIPs: from NICs' documents to a list that people read.

Azure checks, when a NIC is written, a right on everything that its body refers to. Each grant names its resource, its role, and
what it is needed for. A reference of a kind that is not known is an error: a grant left out would show at the first swap only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vipcore.arm import nic
from vipcore.model import Mirror

NIC, JOIN, ADDRESS = "mirror-vip-nic", "mirror-vip-join", "mirror-vip-address"
_LENT: Final = {"virtualMachine", "privateEndpoint", "privateLinkService", "dscpConfiguration"}
"""References that Azure sets and does not check when a NIC is written."""


class UnknownReference(ValueError):
    """A NIC refers to something that we have no right for; the message names both."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """One assignment."""

    id: str
    role: str
    why: str


def needed(mirrors: Sequence[Mirror], documents: Mapping[str, Mapping[str, Any]]) -> list[Grant]:
    """Every grant, each once. `documents`: NIC id in lower case -> its document. Raises UnknownReference."""
    found: dict[tuple[str, str], Grant] = {}

    def add(resource_id: str, role: str, why: str) -> None:
        found.setdefault((resource_id.lower(), role), Grant(id=resource_id, role=role, why=why))

    for mirror in mirrors:
        for member in mirror.members:
            where = f"{mirror.name}, {member.name}"
            document = dict(documents[member.nic_id.lower()])
            add(member.nic_id, NIC, f"the NIC of {where}")
            _check_references(member.nic_id, document)
            for reference, right in nic.rights(document).items():
                add(_granted_on(reference), JOIN, f"{right.removeprefix('Microsoft.Network/')} for the NIC of {where}")
                if "/subnets/" in reference.lower():
                    add(_parent(reference), ADDRESS, f"whether an address is in use, for {where}")
        for vip in mirror.vips:
            if vip.public_ip_id:
                add(vip.public_ip_id, JOIN, f"the public IP of {mirror.name}, {vip.name}")
    return sorted(found.values())


def _granted_on(reference: str) -> str:
    """Pools, rules and frontends are parts of a balancer, on which the role is assigned; a subnet is granted by itself."""
    return reference if "/subnets/" in reference.lower() else _parent(reference)


def _parent(reference: str) -> str:
    """The resource of an id, without its parts: `.../loadBalancers/l/backendAddressPools/p` -> `.../loadBalancers/l`."""
    return "/".join(reference.split("/")[:9])


def _check_references(nic_id: str, document: Mapping[str, Any]) -> None:
    known = nic.REFERENCES | _LENT
    for what, reference in _references(document.get("properties"), ""):
        if what not in known and not reference.lower().startswith(nic_id.lower()):
            raise UnknownReference(
                f"{nic_id} refers to {reference} as {what}, and no right is known for that; tell the maintainers"
            )


def _references(value: Any, what: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for one in value:
            yield from _references(one, what)
    elif isinstance(value, dict):
        if str(value.get("id", "")).startswith("/subscriptions/"):
            yield what, value["id"]
        for name, one in value.items():
            yield from _references(one, what if name == "properties" else name)
