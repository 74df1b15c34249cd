"""Everything that exists in the cloud: Azure's resources and operations, and the mode of each member's status page."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from simulator.core.model import Group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.core.model import Nic, Operation, Plain, PublicIp, Subnet, Vm, Vnet
    from simulator.core.wire import Json


class Resources:
    """Resources by key (lower-case id), operations by id, groups by lower-case subscription and name.

    subnet_configs: cached lists of ip configuration ids by subnet, each with the ledger version it belongs to.
    """

    def __init__(self, subscriptions: Iterable[str]) -> None:
        self.subscriptions = frozenset(s.lower() for s in subscriptions)
        self.groups: dict[tuple[str, str], Group] = {}
        self.nics: dict[str, Nic] = {}
        self.pips: dict[str, PublicIp] = {}
        self.vnets: dict[str, Vnet] = {}
        self.vms: dict[str, Vm] = {}
        self.plain: dict[str, Plain] = {}
        self.operations: dict[str, Operation] = {}
        self.members: dict[str, str] = {}
        self.subnet_configs: dict[str, tuple[int, list[Json]]] = {}
        self.public_numbers = itertools.count(1)

    def add_group(self, subscription: str, name: str, location: str) -> Group:
        """The resource group of this name; created if it does not exist."""
        key = (subscription.lower(), name.lower())
        if key not in self.groups:
            self.groups[key] = Group(subscription, name, location)
        return self.groups[key]

    def subnet(self, key: str) -> Subnet | None:
        """The subnet of this key (lower-case id)."""
        vnet_key, _, name = key.partition("/subnets/")
        vnet = self.vnets.get(vnet_key)
        return vnet.subnets.get(name) if vnet else None
