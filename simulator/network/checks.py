"""The checks of a NIC PUT, in Azure's order (docs/facts/azure.md section 16). Each raises Refused or returns.

Throttling, token, rights and resource group are checked before, as for every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.core import addresses
from simulator.core.errors import Refused
from simulator.core.ids import parts_of, vnet_of
from simulator.core.model import ConfigDoc, ConfigFacts, Nic, NicDoc, Operation, Plain, PublicIp, Subnet, Vnet
from simulator.network import balancing, operations
from simulator.state.ledger import address_key

if TYPE_CHECKING:
    from simulator.state.state import State

CONFIGURATIONS_MAX: Final = 256


def check_put(state: State, nic_id: str, nic: Nic | None, doc: NicDoc, if_match: str, base_url: str, api_version: str) -> None:
    """All checks of a NIC PUT after rights and group. nic: the existing NIC, None for a new one. if_match: '' for none."""
    _check_shape(state, nic_id, nic, doc)
    check_etag(state, nic, if_match)
    _check_references(state, nic_id, doc)
    _check_zone_and_sku(state, nic, doc)
    _check_ledger(state, nic_id, doc)
    if nic is not None:
        if state.clock.at < nic.reserved_until:
            raise Refused("NicReservedForAnotherVm")
        check_lock(state, nic, base_url, api_version)


def _config_id(nic_id: str, name: str) -> str:
    return f"{nic_id}/ipConfigurations/{name}"


def _check_shape(state: State, nic_id: str, nic: Nic | None, doc: NicDoc) -> None:
    name = nic_id.rpartition("/")[2]
    if not doc.facts:
        raise Refused("InvalidIPConfigCount", name=name)
    if len(doc.facts) > CONFIGURATIONS_MAX:
        raise Refused("NetworkInterfaceIPConfigurationLimitExceeded", name=name, count=len(doc.facts))
    primaries = [f for f in doc.facts if f.primary]
    if len(primaries) != 1:
        raise Refused("NetworkInterfaceMustHaveOneOneIPConfigAsPrimary", name=name)
    if nic is not None:
        kept = {f.name.lower() for f in doc.facts}
        for old in nic.doc.facts:
            if old.primary and old.name.lower() not in kept:
                raise Refused("IpConfigDeleteNotSupported", config_name=old.name)
    seen: dict[str, str] = {}
    for fact, config in zip(doc.facts, doc.configs, strict=True):
        _check_address(state, _config_id(nic_id, fact.name), fact, config)
        if not fact.primary and "applicationGatewayBackendAddressPools" in config.properties:
            raise Refused(
                "ApplicationGatewayLoadBalancingNotSupportedOnSecondaryIpConfigurations",
                config=_config_id(nic_id, fact.name),
            )
        for thing, row in (
            (fact.pip, "PublicIPReferencedByMultipleIPConfigs"),
            (fact.address, "PrivateIPAddressInUse"),
        ):
            if thing and thing in seen:
                raise Refused(
                    row,
                    config=_config_id(nic_id, fact.name),
                    other=_config_id(nic_id, seen[thing]),
                    address=fact.address,
                    pip=config.properties.get("publicIPAddress", {}).get("id", ""),
                )
            seen[thing] = fact.name


def _check_address(state: State, config_id: str, fact: ConfigFacts, config: ConfigDoc) -> None:
    if config.properties["privateIPAllocationMethod"] != "Static":
        return
    if not fact.address:
        raise Refused("PrivateIPAddressMissing", config=config_id)
    subnet = state.resources.subnet(fact.subnet)
    if subnet is None:
        return  # a missing subnet is a missing reference; _check_references refuses it
    home = next((p for p in subnet.prefixes if addresses.in_prefix(fact.address, p)), None)
    if home is None:
        raise Refused("PrivateIPAddressNotInSubnet", address=fact.address, prefix=subnet.prefixes[0])
    if addresses.is_reserved(fact.address, home):
        raise Refused("PrivateIPAddressInReservedRange", address=fact.address, prefix=home)


def check_etag(state: State, resource: Nic | PublicIp | Vnet | None, if_match: str) -> None:
    """Raise Refused (412) if an If-Match header does not match the resource's etag. On NICs a switch can turn this off."""
    if not if_match or (isinstance(resource, Nic | None) and state.switches.if_match == "ignored"):
        return
    if resource is None or (if_match != "*" and if_match != resource.etag):
        raise Refused(
            "PreconditionFailed",
            sent_etag=if_match,
            etag=resource.etag if resource else "",
            resource=resource.id if resource else "",
        )


def _check_references(state: State, nic_id: str, doc: NicDoc) -> None:
    for _, reference in doc.references:
        found = find(state, reference)
        elsewhere = isinstance(found, PublicIp) and doc.location and found.doc.location.lower() != doc.location.lower()
        if found is None or elsewhere:
            raise Refused("InvalidResourceReference", resource=reference, nic=nic_id)
        if isinstance(found, Subnet) and state.clock.at < found.busy_until:
            raise Refused(
                "RetryableError.ReferencedResourceNotProvisioned",
                busy=_busy_name(state, nic_id, found),
                used_by=nic_id.rpartition("/")[2],
                state="Updating",
                last_operation="InternalOperation",
            )
        if found.state == "Failed":
            last = found.last_operation if isinstance(found, Nic | PublicIp) else "PutOperation"
            raise Refused("ReferencedResourceNotProvisioned", resource=found.id, nic=nic_id, last_operation=last)
        if found.state in ("Updating", "Deleting"):
            raise Refused(
                "RetryableError.ReferencedResourceNotProvisioned",
                busy=found.id,
                used_by=nic_id,
                state=found.state,
                last_operation="PutSubnetOperation" if isinstance(found, Subnet) else "PutPublicIpAddressOperation",
            )


def _busy_name(state: State, nic_id: str, subnet: Subnet) -> str:
    nic = state.resources.nics.get(nic_id.lower())
    return (nic.vm.availability_set if nic and nic.vm else "") or subnet.id


def find(state: State, reference: str) -> Nic | PublicIp | Vnet | Subnet | Plain | None:
    """The resource that an id refers to. For a load balancer's pools and rules it is the load balancer."""
    key = reference.lower()
    found = (
        state.resources.pips.get(key)
        or state.resources.nics.get(key)
        or state.resources.vnets.get(key)
        or state.resources.plain.get(key)
    )
    if found is not None:
        return found
    parts = parts_of(reference)
    if parts is None or not parts.child:
        return None
    if parts.type.lower() == "virtualnetworks":
        return state.resources.subnet(key)
    return balancing.balancer_of(state, reference)


def _check_zone_and_sku(state: State, nic: Nic | None, doc: NicDoc) -> None:
    for fact, config in zip(doc.facts, doc.configs, strict=True):
        pip = state.resources.pips.get(fact.pip)
        if pip is None:
            continue
        version = str(pip.doc.properties.get("publicIPAddressVersion", "IPv4"))
        own = str(config.properties.get("privateIPAddressVersion", "IPv4"))
        if version != own:
            name = "IPVersionForPublicIpAndNicIpConfigurationMustMatch"
            raise Refused(name, pip=pip.id, pip_version=version, config=fact.name, version=own)
        vm = nic.vm if nic else None
        if vm is not None and vm.zone and vm.zone not in pip.doc.zones:
            raise Refused(
                "ComputeResourceZoneConstraintDoesNotMatchPublicIPAddressZoneConstraint",
                vm=vm.id,
                zone=vm.zone,
                pip=pip.id,
                pip_zone=",".join(pip.doc.zones) or "Regional",
            )
        for pool in config.properties.get("loadBalancerBackendAddressPools", ()):
            balancer = balancing.balancer_of(state, pool["id"])
            sku = balancing.sku_of(balancer) if balancer else pip.doc.sku
            if balancer is not None and sku.lower() != str(pip.doc.sku).lower():
                raise Refused("PublicIPAndLBSkuDoNotMatch", sku=sku, balancer=balancer.id, other_sku=pip.doc.sku, pip=pip.id)
        if vm is not None and vm.availability_set:
            _check_availability_set(state, vm.availability_set, pip)


def _check_availability_set(state: State, name: str, pip: PublicIp) -> None:
    for other in state.resources.nics.values():
        if other.vm is None or other.vm.availability_set != name:
            continue
        for fact in other.doc.facts:
            theirs = state.resources.pips.get(fact.pip)
            if theirs is not None and theirs is not pip and theirs.doc.sku != pip.doc.sku:
                raise Refused("DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed", pip=pip.id, other=theirs.id)


def _check_ledger(state: State, nic_id: str, doc: NicDoc) -> None:
    for fact, config in zip(doc.facts, doc.configs, strict=True):
        config_id = _config_id(nic_id, fact.name)
        if fact.address and fact.subnet:
            held = state.ledger.foreign_holder(address_key(vnet_of(fact.subnet), fact.address), nic_id.lower())
            if held is not None:
                raise Refused(
                    "PrivateIPAddressIsAllocated",
                    config=config_id,
                    address=fact.address,
                    other=_config_id(held[0].id, held[1]),
                )
        if fact.pip:
            pip_record = state.resources.pips.get(fact.pip)
            if pip_record is not None and pip_record.nat_gateway:
                raise Refused("PublicIPAddressInUse", config=config_id, pip=pip_record.id, other=pip_record.nat_gateway)
            held = state.ledger.foreign_holder(fact.pip, nic_id.lower())
            if held is not None:
                pip = config.properties["publicIPAddress"]["id"]
                raise Refused("PublicIPAddressInUse", config=config_id, pip=pip, other=_config_id(held[0].id, held[1]))


def check_lock(state: State, nic: Nic, base_url: str, api_version: str) -> None:
    """Raise Refused (429 or 409) if the NIC's operation cannot be superseded: a DELETE, or because of the switch second_put."""
    operation = nic.operation
    deleting = operation is not None and operation.kind == "delete"
    if operation is None or (state.switches.second_put == "supersede" and not deleting):
        return
    if deleting or state.switches.second_put == "locked":
        raise locked(state, nic, operation)
    raise Refused(
        "AnotherOperationInProgress",
        operation_url=operations.url(state, operation, "operations", base_url, api_version),
    )


def locked(state: State, nic: Nic, operation: Operation) -> Refused:
    """The refusal (429) of a write to a NIC while this operation runs on it."""
    return Refused(
        "RetryableError.RetryableErrorDueToAnotherOperation",
        operation=operation.name,
        operation_id=operation.id,
        resource=nic.id,
        seconds=max(1, min(int(operation.ends_at - state.clock.at + 0.999), 60)),
    )


def check_delete(nic: Nic) -> None:
    """Raise Refused (400 NicInUse) if the NIC belongs to a VM."""
    if nic.vm is not None:
        raise Refused("NicInUse", nic=nic.id, vm=nic.vm.id)
