"""The records the cloud is made of. Documents are replaced, never changed in place, so that copies can share them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from simulator.core.wire import Json

State: TypeAlias = Literal["Succeeded", "Updating", "Failed", "Deleting"]
Status: TypeAlias = Literal["InProgress", "Succeeded", "Failed", "Canceled"]


class ConfigFacts(NamedTuple):
    """What the ledger needs of an ip configuration. subnet, pip: keys (lower-case ids); pip is '' without a public IP."""

    name: str
    subnet: str
    address: str
    pip: str
    primary: bool


@dataclass(frozen=True, slots=True)
class ConfigDoc:
    """An ip configuration as it was put. top: unknown members beside name and properties; properties: with defaults."""

    name: str
    top: Json
    properties: Json


@dataclass(frozen=True, slots=True)
class NicDoc:
    """A NIC's content as it was put, read-only members left out, unknown ones kept, defaults filled in, primary first."""

    location: str
    top: Json
    properties: Json
    dns: Json
    configs: tuple[ConfigDoc, ...]
    facts: tuple[ConfigFacts, ...]
    references: tuple[tuple[str, str], ...]  # (action of the linked check, id as spelled in the body)

    @property
    def behind_balancer(self) -> bool:
        """Whether an ip configuration is in a load balancer's or application gateway's pool: such writes are asynchronous."""
        return any(_BALANCED & c.properties.keys() for c in self.configs)


_BALANCED = {
    "loadBalancerBackendAddressPools",
    "loadBalancerInboundNatRules",
    "applicationGatewayBackendAddressPools",
}


@dataclass(slots=True)
class Group:
    """A resource group."""

    subscription: str
    name: str
    location: str
    tags: Json = field(default_factory=dict)


@dataclass(slots=True)
class Vm:
    """A virtual machine: only what its NICs need. state: see Switches.vm_state. zone: '' is regional."""

    id: str
    key: str
    name: str
    location: str
    zone: str = ""
    availability_set: str = ""
    state: str = "running"


@dataclass(slots=True)
class Operation:
    """An asynchronous operation. Its status changes when the clock passes ends_at (`Cloud.settle`), never by a timer.

    first_headers: ids of the answer that accepted the write; operationResults repeats them.
    """

    id: str
    name: str
    subscription: str
    location: str
    resource: str
    started_at: float
    ends_at: float
    kind: Literal["nic", "pip", "delete", "vnet", "move"]
    ending: str = "succeeded"
    status: Status = "InProgress"
    error: Json | None = None
    polls: int = 0
    finished_at: float | None = None
    first_headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Nic:
    """A network interface.

    stable: the content before the running operation, for a roll-back. created_at: for lists that lag. extra,
    extra_dns: read-only members of its world's document.
    """

    id: str
    key: str
    name: str
    subscription: str
    group: str
    guid: str
    etag: str
    state: State
    doc: NicDoc
    stable: NicDoc
    suffix: str
    created_at: float
    extra: Json
    extra_dns: Json
    vm: Vm | None = None
    mac: str = ""
    reserved_until: float = 0.0
    operation: Operation | None = None
    last_operation: str = "PutNicOperation"
    bodies: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class PublicIp:
    """A public IP address. shown_holder: id of the ip configuration the resource shows; changes when the NIC operation ends."""

    id: str
    key: str
    name: str
    subscription: str
    group: str
    guid: str
    etag: str
    state: State
    location: str
    top: Json
    properties: Json
    sku: str
    tier: str
    zones: tuple[str, ...]
    address: str
    shown_holder: str = ""
    operation: Operation | None = None
    last_operation: str = "PutPublicIpAddressOperation"


@dataclass(slots=True)
class Subnet:
    """A subnet. busy_until: until then writes to NICs in it answer 429 (switch busy_after_completion_s)."""

    id: str
    key: str
    name: str
    prefixes: tuple[str, ...]
    properties: Json
    etag: str
    state: State = "Succeeded"
    busy_until: float = 0.0


@dataclass(slots=True)
class Vnet:
    """A virtual network with its subnets by lower-case name. suffix: the domain name suffix of all its NICs."""

    id: str
    key: str
    name: str
    subscription: str
    group: str
    guid: str
    etag: str
    state: State
    location: str
    top: Json
    properties: Json
    subnets: dict[str, Subnet]
    suffix: str
    operation: Operation | None = None


@dataclass(slots=True)
class Plain:
    """Any other resource (NSG, load balancer, ...): kept as it was put, so that references to it can be checked."""

    id: str
    key: str
    name: str
    type: str
    subscription: str
    group: str
    etag: str
    state: State
    doc: Json
