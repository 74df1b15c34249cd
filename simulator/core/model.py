"""The records of resources and operations. Documents are replaced and never changed in place, so they can be shared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from simulator.core.ids import ResourceRef
    from simulator.core.wire import Json

ProvisioningState: TypeAlias = Literal["Succeeded", "Updating", "Failed", "Deleting"]
Status: TypeAlias = Literal["InProgress", "Succeeded", "Failed", "Canceled"]
OperationKind: TypeAlias = Literal["nic", "pip", "delete", "vnet", "move"]


class ConfigFacts(NamedTuple):
    """What the ledger needs to know of an ip configuration. subnet, pip: keys (lower-case ids).

    subnet, address, pip: '' for an ip configuration that has none.
    """

    name: str
    subnet: str
    address: str
    pip: str
    primary: bool


@dataclass(frozen=True, slots=True)
class ConfigDoc:
    """An ip configuration as a client put it. top: unknown members beside name and properties. properties: with defaults."""

    name: str
    top: Json
    properties: Json


@dataclass(frozen=True, slots=True)
class NicDoc:
    """A NIC's content as a client put it: without read-only members, with unknown ones and defaults, primary first."""

    location: str
    top: Json
    properties: Json
    dns: Json
    configs: tuple[ConfigDoc, ...]
    facts: tuple[ConfigFacts, ...]
    references: tuple[tuple[str, str], ...]  # (action of the linked check, id as spelled in the body)


@dataclass(slots=True)
class Group:
    """A resource group."""

    subscription: str
    name: str
    location: str
    tags: Json = field(default_factory=dict)


@dataclass(slots=True)
class Vm:
    """A virtual machine, as far as its NICs need it. state: see Switches.vm_state. zone: '' for a regional VM."""

    id: str
    key: str
    name: str
    location: str
    zone: str = ""
    availability_set: str = ""
    state: str = "running"


class Outcome(NamedTuple):
    """How an operation ended. error: as its polls show it, None if it succeeded. canceled_by: the id of the later operation."""

    status: Status
    error: Json | None
    at: float
    canceled_by: str = ""


@dataclass(slots=True)
class Operation:
    """An asynchronous operation. It ends when the clock passes ends_at (`EventClock.settle`), never by a timer.

    ending: how it is planned to end, see switches.ENDINGS. outcome: None while it runs.
    first_headers: ids of the answer that accepted the write; operationResults repeats them.
    """

    id: str
    name: str
    subscription: str
    location: str
    resource: str
    started_at: float
    ends_at: float
    kind: OperationKind
    ending: str = "succeeded"
    polls: int = 0
    first_headers: dict[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def status(self) -> Status:
        """The status as a poll shows it."""
        return self.outcome.status if self.outcome else "InProgress"


@dataclass(slots=True)
class Resource:
    """What every resource has: its id, its etag and its provisioning state."""

    ref: ResourceRef
    etag: str
    state: ProvisioningState

    @property
    def id(self) -> str:
        """The resource id as spelled when the resource was created."""
        return self.ref.id

    @property
    def key(self) -> str:
        """The id in lower case: ARM ignores case."""
        return self.ref.key

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.ref.name

    @property
    def subscription(self) -> str:
        """The subscription as spelled in the id."""
        return self.ref.subscription

    @property
    def group(self) -> str:
        """The resource group as spelled in the id."""
        return self.ref.group


@dataclass(slots=True)
class NicReadOnly:
    """Members of a NIC that clients can read but not set. extra, extra_dns: as given in the world's document."""

    guid: str
    suffix: str
    mac: str
    extra: Json = field(default_factory=dict)
    extra_dns: Json = field(default_factory=dict)


@dataclass(slots=True)
class Nic(Resource):
    """A network interface.

    stable: the content before the running operation, for a rollback. created_at: for lists that lag behind.
    primary: whether it is the primary one of its VM.
    bodies: rendered answers by api-version, dropped at each change.
    """

    doc: NicDoc
    stable: NicDoc
    read_only: NicReadOnly
    created_at: float
    vm: Vm | None = None
    primary: bool = True
    reserved_until: float = 0.0
    operation: Operation | None = None
    last_operation: str = "PutNicOperation"
    bodies: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublicIpDoc:
    """A public IP's content as a client put it, without read-only members."""

    location: str
    top: Json
    properties: Json
    sku: str = "Basic"
    tier: str = "Regional"
    zones: tuple[str, ...] = ()


@dataclass(slots=True)
class PublicIp(Resource):
    """A public IP address.

    shown_holder: id of the ip configuration that the resource shows; it changes when the operation of the NIC ends.
    nat_gateway: id of the NAT gateway that has it, '' for none.
    """

    guid: str
    doc: PublicIpDoc
    address: str
    shown_holder: str = ""
    nat_gateway: str = ""
    operation: Operation | None = None
    last_operation: str = "PutPublicIpAddressOperation"


@dataclass(slots=True)
class Subnet:
    """A subnet. busy_until: writes to NICs in it answer 429 until then (switch busy_after_completion_s)."""

    id: str
    key: str
    name: str
    prefixes: tuple[str, ...]
    properties: Json
    etag: str
    state: ProvisioningState = "Succeeded"
    busy_until: float = 0.0


@dataclass(slots=True)
class Vnet(Resource):
    """A virtual network with its subnets by lower-case name. suffix: the domain name suffix of all its NICs."""

    guid: str
    location: str
    suffix: str
    top: Json
    properties: Json
    subnets: dict[str, Subnet]
    operation: Operation | None = None


@dataclass(slots=True)
class Plain(Resource):
    """Any other resource (NSG, load balancer, ...), stored as a client put it, so that references to it can be checked."""

    type: str
    doc: Json
