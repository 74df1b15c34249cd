"""The description of what a simulated cloud contains at the start, as frozen values or as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
TENANT: Final = "00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSubnet:
    """A subnet of a virtual network."""

    name: str = "default"
    prefix: str = "10.0.0.0/24"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldVnet:
    """A virtual network."""

    name: str = "vnet"
    prefixes: tuple[str, ...] = ("10.0.0.0/16",)
    subnets: tuple[WorldSubnet, ...] = (WorldSubnet(),)
    group: str = "rg"
    subscription: str = SUBSCRIPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPublicIp:
    """A public IP address; zone-redundant by default, because a VIP that changes zones needs it.

    state: Succeeded, Failed or Deleting. location: '' for the world's. nat_gateway: the id of the one that has it, '' for none.
    """

    name: str
    address: str = ""
    sku: str = "Standard"
    allocation: str = "Static"
    zones: tuple[str, ...] = ("1", "2", "3")
    state: str = "Succeeded"
    version: str = "IPv4"
    location: str = ""
    nat_gateway: str = ""
    group: str = "rg"
    subscription: str = SUBSCRIPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldVm:
    """A virtual machine. state: one of switches.VM_STATES."""

    name: str
    zone: str = ""
    availability_set: str = ""
    state: str = "running"
    group: str = "rg"
    subscription: str = SUBSCRIPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """An ip configuration. address: '' for a dynamic one. subnet, public_ip: '' for none, a name in the NIC's group, or an id."""

    name: str
    address: str = ""
    public_ip: str = ""
    subnet: str = "vnet/default"
    version: str = "IPv4"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldNic:
    """A NIC; its first ip configuration is the primary one.

    vm: the name of its virtual machine in the same group, '' for none; the VM's first NIC is its primary one.
    document: more members of the body, as in a PUT (tags, properties, unknown ones); its ipConfigurations, if any,
    replace `configs`.
    """

    name: str
    configs: tuple[WorldConfig, ...] = ()
    vm: str = ""
    nsg: str = ""
    state: str = "Succeeded"
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    group: str = "rg"
    subscription: str = SUBSCRIPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPlain:
    """Any other resource, for example a security group. type: 'Microsoft.Network/networkSecurityGroups'."""

    type: str
    name: str
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    group: str = "rg"
    subscription: str = SUBSCRIPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldMember:
    """A mirror member with a status page. mode: see pages.MODES."""

    name: str
    mode: str = "backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that exists at the start. Resource groups: those that the resources name, and `groups`."""

    location: str = "eastus"
    tenant: str = TENANT
    subscriptions: tuple[str, ...] = (SUBSCRIPTION,)
    groups: tuple[str, ...] = ("rg",)
    vnets: tuple[WorldVnet, ...] = ()
    public_ips: tuple[WorldPublicIp, ...] = ()
    vms: tuple[WorldVm, ...] = ()
    others: tuple[WorldPlain, ...] = ()
    nics: tuple[WorldNic, ...] = ()
    members: tuple[WorldMember, ...] = ()


_PARTS: Final[Mapping[str, type[Any]]] = {
    "vnets": WorldVnet,
    "public_ips": WorldPublicIp,
    "vms": WorldVm,
    "others": WorldPlain,
    "nics": WorldNic,
    "members": WorldMember,
    "subnets": WorldSubnet,
    "configs": WorldConfig,
}


def _built(kind: type[Any], value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"world: {where} is not an object")  # noqa: TRY004 - the text is at fault
    names = {f.name for f in dataclasses.fields(kind)}
    members: dict[str, Any] = {}
    for name, item in value.items():
        if name not in names:
            raise ValueError(f"world: {where} has an unknown member {name!r}")
        if name in _PARTS and isinstance(item, list):
            members[name] = tuple(_built(_PARTS[name], one, f"{where}/{name}/{i}") for i, one in enumerate(item))
        else:
            members[name] = tuple(item) if isinstance(item, list) else item
    try:
        return kind(**members)
    except TypeError as error:
        raise ValueError(f"world: {where}: {error}") from error


def world_from_json(text: str) -> World:
    """A world from a JSON object with the members of World. Raises ValueError that names the faulty place."""
    world = _built(World, json.loads(text), "")
    return cast("World", world)
