"""Create the resources that a world describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.core import addresses
from simulator.core.ids import ref, resource_id
from simulator.core.model import Plain, PublicIp, PublicIpDoc, Subnet, Vm, Vnet
from simulator.network.documents import GIVEN_READ_ONLY, READ_ONLY_DNS, read_nic, with_addresses
from simulator.network.factory import choose_addresses, new_nic, new_public_address, new_suffix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.model import Nic, ProvisioningState
    from simulator.state.state import State
    from simulator.state.world import WorldConfig, WorldNic, WorldPublicIp, WorldVnet


_STATES: Final[Mapping[str, ProvisioningState]] = {"Failed": "Failed", "Deleting": "Deleting"}


def populate(state: State) -> None:
    """Create all resources of the cloud's world, in state Succeeded unless the world says Failed."""
    world = state.world
    for subscription in world.subscriptions:
        for group in world.groups:
            _add_group(state, subscription, group)
    for vnet in world.vnets:
        _add_vnet(state, vnet)
    for pip in world.public_ips:
        _add_pip(state, pip)
    for vm in world.vms:
        vm_id = resource_id(vm.subscription, vm.group, "virtualMachines", vm.name, "Microsoft.Compute")
        key = vm_id.lower()
        state.resources.vms[key] = Vm(vm_id, key, vm.name, world.location, vm.zone, vm.availability_set, vm.state)
    for other in world.others:
        provider, _, kind = other.type.partition("/")
        other_id = resource_id(other.subscription, other.group, kind, other.name, provider)
        _add_group(state, other.subscription, other.group)
        document: dict[str, Any] = {"location": world.location, **other.document}
        state.resources.plain[other_id.lower()] = Plain(
            ref(other_id, other.name, other.subscription, other.group),
            state.ids.etag(),
            "Succeeded",
            other.type,
            document,
        )
    with_nic: set[str] = set()  # keys of VMs
    for nic in world.nics:
        record = _add_nic(state, nic)
        if record.vm is not None:
            given = nic.document.get("properties") or {}
            record.primary = given.get("primary", record.vm.key not in with_nic)
            with_nic.add(record.vm.key)
    for member in world.members:
        state.resources.members[member.name] = member.mode


def _add_group(state: State, subscription: str, name: str) -> None:
    state.resources.add_group(subscription, name, state.world.location)


def _add_vnet(state: State, vnet: WorldVnet) -> None:
    _add_group(state, vnet.subscription, vnet.group)
    vnet_id = resource_id(vnet.subscription, vnet.group, "virtualNetworks", vnet.name)
    etag = state.ids.etag()
    subnets = {}
    for one in vnet.subnets:
        subnet_id = f"{vnet_id}/subnets/{one.name}"
        subnets[one.name.lower()] = Subnet(subnet_id, subnet_id.lower(), one.name, (one.prefix,), {}, etag)
    state.resources.vnets[vnet_id.lower()] = Vnet(
        ref(vnet_id, vnet.name, vnet.subscription, vnet.group),
        etag,
        "Succeeded",
        guid=state.ids.guid(),
        location=state.world.location,
        suffix=new_suffix(state),
        top={},
        properties={"addressSpace": {"addressPrefixes": list(vnet.prefixes)}},
        subnets=subnets,
    )


def _add_pip(state: State, pip: WorldPublicIp) -> None:
    _add_group(state, pip.subscription, pip.group)
    pip_id = resource_id(pip.subscription, pip.group, "publicIPAddresses", pip.name)
    guid = state.ids.guid()
    properties = {"publicIPAllocationMethod": pip.allocation, "publicIPAddressVersion": pip.version}
    state.resources.pips[pip_id.lower()] = PublicIp(
        ref(pip_id, pip.name, pip.subscription, pip.group),
        state.ids.etag(),
        _STATES.get(pip.state, "Succeeded"),
        guid,
        PublicIpDoc(pip.location or state.world.location, {}, properties, pip.sku, zones=pip.zones),
        pip.address or new_public_address(state),
        nat_gateway=pip.nat_gateway,
    )


def _config_body(nic: WorldNic, config: WorldConfig, *, primary: bool) -> dict[str, Any]:
    def full(kind: str, name: str) -> str:
        return name if name.startswith("/") else resource_id(nic.subscription, nic.group, kind, name)

    vnet, _, subnet = config.subnet.partition("/") if not config.subnet.startswith("/") else ("", "", "")
    subnet_id = f"{full('virtualNetworks', vnet)}/subnets/{subnet}" if vnet else config.subnet
    properties: dict[str, Any] = {
        "privateIPAllocationMethod": "Static" if config.address else "Dynamic",
        "privateIPAddressVersion": config.version,
        "primary": primary,
    }
    if subnet_id:
        properties["subnet"] = {"id": subnet_id}
    if config.address:
        properties["privateIPAddress"] = config.address
    if config.public_ip:
        properties["publicIPAddress"] = {"id": full("publicIPAddresses", config.public_ip)}
    return {"name": config.name, "properties": properties}


def _add_nic(state: State, nic: WorldNic) -> Nic:
    _add_group(state, nic.subscription, nic.group)
    nic_id = resource_id(nic.subscription, nic.group, "networkInterfaces", nic.name)
    given = dict(nic.document)
    properties = dict(given.get("properties") or {})
    properties.setdefault("ipConfigurations", [_config_body(nic, c, primary=i == 0) for i, c in enumerate(nic.configs)])
    if nic.nsg:
        nsg = nic.nsg if nic.nsg.startswith("/") else resource_id(nic.subscription, nic.group, "networkSecurityGroups", nic.nsg)
        properties.setdefault("networkSecurityGroup", {"id": nsg})
    given["properties"] = properties
    given.setdefault("location", state.world.location)
    raw = [dict(config) for config in properties["ipConfigurations"]]
    kept = {}
    for config in raw:
        config.pop("id", None)  # a recorded document may contain the id of another NIC
        own = config.get("properties", {})
        address = addresses.normal(own.get("privateIPAddress", ""))
        kept[config["name"]] = ((own.get("subnet") or {}).get("id", "").lower(), address)
    read = read_nic({**given, "properties": {**properties, "ipConfigurations": raw}}, nic_id, kept)
    doc = with_addresses(read, choose_addresses(state, read))
    vm_id = resource_id(nic.subscription, nic.group, "virtualMachines", nic.vm, "Microsoft.Compute").lower()
    record = new_nic(state, nic_id, doc)
    record.vm = state.resources.vms[vm_id] if nic.vm else None
    record.state = "Failed" if nic.state == "Failed" else "Succeeded"
    record.created_at = float("-inf")
    given_back = record.read_only
    given_back.guid = properties.get("resourceGuid", given_back.guid)
    given_back.extra = {k: v for k, v in properties.items() if k in GIVEN_READ_ONLY}
    if "provisioningState" in properties:  # a document that Azure returned: show only the members it has
        dns = properties.get("dnsSettings") or {}
        given_back.mac, given_back.suffix = properties.get("macAddress", ""), dns.get("internalDomainNameSuffix", "")
        given_back.extra_dns = {k: v for k, v in dns.items() if k in READ_ONLY_DNS and k != "dnsServers"}
    state.ledger.claim(record, doc.facts)
    for fact in doc.facts:
        if fact.address:
            state.paths.leads(fact.address, record.name, float("-inf"))
        if fact.pip in state.resources.pips:
            state.resources.pips[fact.pip].shown_holder = f"{nic_id}/ipConfigurations/{fact.name}"
    state.record(record, "world")
    return record
