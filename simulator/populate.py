"""Fill a new cloud with what its world describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.core import addresses
from simulator.core.ids import resource_id, vnet_of
from simulator.core.model import ConfigFacts, Nic, NicDoc, Plain, PublicIp, Subnet, Vm, Vnet
from simulator.network.documents import GIVEN_READ_ONLY, READ_ONLY_DNS, read_nic, with_addresses
from simulator.state.ledger import address_key

if TYPE_CHECKING:
    from simulator.cloud import Cloud
    from simulator.state.world import WorldConfig, WorldNic, WorldPublicIp, WorldVnet


def populate(cloud: Cloud) -> None:
    """Create everything the cloud's world names, all in state Succeeded, as if it had been there for long."""
    world = cloud.world
    for subscription in world.subscriptions:
        for group in world.groups:
            cloud_group(cloud, subscription, group)
    for vnet in world.vnets:
        _add_vnet(cloud, vnet)
    for pip in world.public_ips:
        _add_pip(cloud, pip)
    for vm in world.vms:
        vm_id = resource_id(vm.subscription, vm.group, "virtualMachines", vm.name, "Microsoft.Compute")
        key = vm_id.lower()
        cloud.vms[key] = Vm(vm_id, key, vm.name, world.location, vm.zone, vm.availability_set, vm.state)
    for other in world.others:
        provider, _, kind = other.type.partition("/")
        other_id = resource_id(other.subscription, other.group, kind, other.name, provider)
        cloud_group(cloud, other.subscription, other.group)
        document: dict[str, Any] = {"location": world.location, **other.document}
        cloud.plain[other_id.lower()] = Plain(
            other_id,
            other_id.lower(),
            other.name,
            other.type,
            other.subscription,
            other.group,
            cloud.ids.etag(),
            "Succeeded",
            document,
        )
    for nic in world.nics:
        _add_nic(cloud, nic)


def cloud_group(cloud: Cloud, subscription: str, name: str) -> None:
    """Let the resource group exist."""
    from simulator.cloud import Group

    key = (subscription.lower(), name.lower())
    if key not in cloud.groups:
        cloud.groups[key] = Group(subscription, name, cloud.world.location)


def _add_vnet(cloud: Cloud, vnet: WorldVnet) -> None:
    cloud_group(cloud, vnet.subscription, vnet.group)
    vnet_id = resource_id(vnet.subscription, vnet.group, "virtualNetworks", vnet.name)
    etag = cloud.ids.etag()
    subnets = {}
    for one in vnet.subnets:
        subnet_id = f"{vnet_id}/subnets/{one.name}"
        subnets[one.name.lower()] = Subnet(subnet_id, subnet_id.lower(), one.name, (one.prefix,), {}, etag)
    cloud.vnets[vnet_id.lower()] = Vnet(
        vnet_id,
        vnet_id.lower(),
        vnet.name,
        vnet.subscription,
        vnet.group,
        cloud.ids.guid(),
        etag,
        "Succeeded",
        cloud.world.location,
        {},
        {"addressSpace": {"addressPrefixes": list(vnet.prefixes)}},
        subnets,
        new_suffix(cloud),
    )


def _add_pip(cloud: Cloud, pip: WorldPublicIp) -> None:
    cloud_group(cloud, pip.subscription, pip.group)
    pip_id = resource_id(pip.subscription, pip.group, "publicIPAddresses", pip.name)
    cloud.pips[pip_id.lower()] = PublicIp(
        pip_id,
        pip_id.lower(),
        pip.name,
        pip.subscription,
        pip.group,
        cloud.ids.guid(),
        cloud.ids.etag(),
        "Failed" if pip.state == "Failed" else "Succeeded",
        cloud.world.location,
        {},
        {"publicIPAllocationMethod": pip.allocation},
        pip.sku,
        "Regional",
        pip.zones,
        pip.address or new_public_address(cloud),
    )


def new_public_address(cloud: Cloud) -> str:
    """The next public address; they are counted, so they are the same in every run and none is given twice."""
    number = next(cloud.public_numbers)
    return f"20.51.{number // 250 % 250}.{number % 250 + 1}"


def _config_body(nic: WorldNic, config: WorldConfig, *, primary: bool) -> dict[str, Any]:
    def full(kind: str, name: str) -> str:
        return name if name.startswith("/") else resource_id(nic.subscription, nic.group, kind, name)

    vnet, _, subnet = config.subnet.partition("/") if not config.subnet.startswith("/") else ("", "", "")
    subnet_id = f"{full('virtualNetworks', vnet)}/subnets/{subnet}" if vnet else config.subnet
    properties: dict[str, Any] = {
        "privateIPAllocationMethod": "Static" if config.address else "Dynamic",
        "privateIPAddressVersion": config.version,
        "subnet": {"id": subnet_id},
        "primary": primary,
    }
    if config.address:
        properties["privateIPAddress"] = config.address
    if config.public_ip:
        properties["publicIPAddress"] = {"id": full("publicIPAddresses", config.public_ip)}
    return {"name": config.name, "properties": properties}


def _add_nic(cloud: Cloud, nic: WorldNic) -> None:
    cloud_group(cloud, nic.subscription, nic.group)
    nic_id = resource_id(nic.subscription, nic.group, "networkInterfaces", nic.name)
    given = dict(nic.document)
    properties = dict(given.get("properties") or {})
    properties.setdefault("ipConfigurations", [_config_body(nic, c, primary=i == 0) for i, c in enumerate(nic.configs)])
    if nic.nsg:
        nsg = nic.nsg if nic.nsg.startswith("/") else resource_id(nic.subscription, nic.group, "networkSecurityGroups", nic.nsg)
        properties.setdefault("networkSecurityGroup", {"id": nsg})
    given["properties"] = properties
    given.setdefault("location", cloud.world.location)
    raw = [dict(config) for config in properties["ipConfigurations"]]
    kept = {}
    for config in raw:
        config.pop("id", None)  # a recorded document may have been another NIC's
        own = config.get("properties", {})
        address = addresses.normal(own.get("privateIPAddress", ""))
        kept[config["name"]] = (own.get("subnet", {}).get("id", "").lower(), address)
    read = read_nic({**given, "properties": {**properties, "ipConfigurations": raw}}, nic_id, kept)
    doc = with_addresses(read, choose_addresses(cloud, read))
    vm_id = resource_id(nic.subscription, nic.group, "virtualMachines", nic.vm, "Microsoft.Compute").lower()
    record = new_nic(cloud, nic_id, doc)
    record.vm = cloud.vms[vm_id] if nic.vm else None
    record.state = "Failed" if nic.state == "Failed" else "Succeeded"
    record.created_at = float("-inf")
    record.guid = properties.get("resourceGuid", record.guid)
    record.extra = {k: v for k, v in properties.items() if k in GIVEN_READ_ONLY}
    if "provisioningState" in properties:  # a document that Azure showed: what is not in it, this NIC does not show
        dns = properties.get("dnsSettings") or {}
        record.mac, record.suffix = properties.get("macAddress", ""), dns.get("internalDomainNameSuffix", "")
        record.extra_dns = {k: v for k, v in dns.items() if k in READ_ONLY_DNS and k != "dnsServers"}
    cloud.ledger.claim(record, doc.facts)
    for fact in doc.facts:
        cloud.paths.leads(fact.address, record.name, float("-inf"))
        if fact.pip in cloud.pips:
            cloud.pips[fact.pip].shown_holder = f"{nic_id}/ipConfigurations/{fact.name}"
    cloud.record(record, "world")


def new_nic(cloud: Cloud, nic_id: str, doc: NicDoc) -> Nic:
    """A new NIC's record, kept in the cloud."""
    _, _, subscription, _, group, *_, name = nic_id.split("/")
    mac = cloud.ids.hex(24)
    nic = Nic(
        id=nic_id,
        key=nic_id.lower(),
        name=name,
        subscription=subscription,
        group=group,
        guid=cloud.ids.guid(),
        etag=cloud.ids.etag(),
        state="Succeeded",
        doc=doc,
        stable=doc,
        suffix=_suffix_of(cloud, doc),
        created_at=cloud.at,
        extra={},
        extra_dns={},
        mac=f"00-0D-3A-{mac[:2]}-{mac[2:4]}-{mac[4:]}",
    )
    cloud.nics[nic.key] = nic
    return nic


def new_suffix(cloud: Cloud) -> str:
    """A domain name suffix for a virtual network."""
    return f"{cloud.ids.guid().replace('-', '')[:26]}.bx.internal.cloudapp.net"


def _suffix_of(cloud: Cloud, doc: NicDoc) -> str:
    vnet = cloud.vnets.get(vnet_of(doc.facts[0].subnet)) if doc.facts else None
    return vnet.suffix if vnet else new_suffix(cloud)


def choose_addresses(cloud: Cloud, doc: NicDoc) -> dict[str, str]:
    """An address for every dynamic ip configuration that has none yet: the lowest free one of its subnet."""
    chosen: dict[str, str] = {}
    for fact, config in zip(doc.facts, doc.configs, strict=True):
        if not fact.address:
            address = _lowest_free(cloud, fact, config.properties["privateIPAddressVersion"], doc, chosen)
            if address:
                chosen[fact.name] = address
    return chosen


def _lowest_free(cloud: Cloud, fact: ConfigFacts, version: str, doc: NicDoc, chosen: dict[str, str]) -> str:
    vnet_key, _, name = fact.subnet.partition("/subnets/")
    vnet = cloud.vnets.get(vnet_key)
    subnet = vnet.subnets.get(name) if vnet else None
    if subnet is None:
        return ""
    own = {f.address for f in doc.facts} | set(chosen.values())
    for prefix in subnet.prefixes:
        for address in addresses.free_in(prefix, own, version):
            if address_key(vnet_key, address) not in cloud.ledger:
                return address
    return ""
