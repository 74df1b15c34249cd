"""NIC documents: the body of a PUT becomes a NicDoc, and a NIC becomes the body of an answer.

A PUT replaces the document: absent members return to their defaults, unknown members are kept, read-only members are
ignored (docs/facts/azure.md sections 6, 12 and 16). The members of an answer depend on the api-version, as recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.core import addresses
from simulator.core.errors import Refused
from simulator.core.model import ConfigDoc, ConfigFacts, Nic, NicDoc
from simulator.network import spelling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.wire import Json

_READ_ONLY_TOP: Final = frozenset({"name", "id", "etag", "type", "kind", "location", "properties"})
_READ_ONLY: Final = frozenset(
    {
        "provisioningState",
        "resourceGuid",
        "ipConfigurations",
        "dnsSettings",
        "macAddress",
        "primary",
        "virtualMachine",
        "vnetEncryptionSupported",
        "defaultOutboundConnectivityEnabled",
        "hostedWorkloads",
        "tapConfigurations",
        "allowPort25Out",
        "privateEndpoint",
        "dscpConfiguration",
    }
)
READ_ONLY_DNS: Final = frozenset({"dnsServers", "appliedDnsServers", "internalDomainNameSuffix", "internalFqdn"})
_READ_ONLY_CONFIG: Final = frozenset({"provisioningState", "privateLinkConnectionProperties"})
_READ_ONLY_CONFIG_TOP: Final = frozenset({"name", "id", "etag", "type", "properties"})

# Settable members with their defaults, and the first api-version whose recorded answers show them.
_DEFAULTS: Final[tuple[tuple[str, object, str], ...]] = (
    ("enableIPForwarding", False, ""),
    ("disableTcpStateTracking", False, "2022-05-01"),
    ("nicType", "Standard", "2020-03-01"),
    ("auxiliaryMode", "None", "2021-08-01"),
    ("auxiliarySku", "None", "2022-05-01"),
)
# Read-only members that the simulator does not compute, with the first api-version whose recorded answers show them.
_ALWAYS_FALSE: Final = (("vnetEncryptionSupported", "2021-05-01"), ("defaultOutboundConnectivityEnabled", "2025-03-01"))
_JOINS: Final = {
    "subnet": "Microsoft.Network/virtualNetworks/subnets/join/action",
    "publicIPAddress": "Microsoft.Network/publicIPAddresses/join/action",
    "networkSecurityGroup": "Microsoft.Network/networkSecurityGroups/join/action",
    "loadBalancerBackendAddressPools": "Microsoft.Network/loadBalancers/backendAddressPools/join/action",
    "loadBalancerInboundNatRules": "Microsoft.Network/loadBalancers/inboundNatRules/join/action",
    "applicationGatewayBackendAddressPools": "Microsoft.Network/applicationGateways/backendAddressPools/join/action",
    "applicationSecurityGroups": "Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action",
    "gatewayLoadBalancer": "Microsoft.Network/loadBalancers/frontendIPConfigurations/join/action",
    "virtualNetworkTaps": "Microsoft.Network/virtualNetworkTaps/join/action",
}
# Read-only members of a world's document that answers show unchanged, because the simulator does not compute them.
GIVEN_READ_ONLY: Final = frozenset(
    {
        "macAddress",
        "vnetEncryptionSupported",
        "defaultOutboundConnectivityEnabled",
        "privateEndpoint",
        "dscpConfiguration",
        "hostedWorkloads",
        "tapConfigurations",
    }
)
CONFIG_TYPE: Final = "Microsoft.Network/networkInterfaces/ipConfigurations"
NIC_TYPE: Final = "Microsoft.Network/networkInterfaces"


def read_nic(body: Mapping[str, Any], nic_id: str, kept: Mapping[str, tuple[str, str]]) -> NicDoc:
    """The content that a PUT asks for. Dynamic addresses that are not chosen yet are '' in the facts.

    kept: name -> (subnet key, address) of the current ip configurations: a dynamic one keeps its address while it stays in
    its subnet. Raises Refused for a malformed body (types, names, references that are not ids).
    """
    properties = as_object(body.get("properties"), "properties")
    raw_configs = as_array(properties.get("ipConfigurations"), "ipConfigurations")
    single = len(raw_configs) == 1
    configs = [_read_config(raw, nic_id, kept, single=single) for raw in raw_configs]
    names = [c.name.lower() for c in configs]
    if len(set(names)) != len(names):
        raise Refused("InvalidRequestFormat", reason="two ip configurations have the same name")
    configs.sort(key=lambda c: not c.properties["primary"])
    dns = as_object(properties.get("dnsSettings"), "dnsSettings")
    wanted = spelling.tidied({k: v for k, v in properties.items() if k not in _READ_ONLY and v is not None})
    group = wanted.get("networkSecurityGroup")
    if group is not None:
        wanted["networkSecurityGroup"] = {"id": _reference(group, "networkSecurityGroup")}
    references = [(_JOINS["networkSecurityGroup"], wanted["networkSecurityGroup"]["id"])] if group is not None else []
    for config in configs:
        references += _references(config)
    location = body.get("location")
    return NicDoc(
        location=location if isinstance(location, str) else "",
        top={k: v for k, v in body.items() if k not in _READ_ONLY_TOP and v is not None},
        properties=wanted,
        dns={
            "dnsServers": as_array(dns.get("dnsServers"), "dnsServers"),
            **{k: v for k, v in dns.items() if k not in READ_ONLY_DNS and v is not None},
        },
        configs=tuple(configs),
        facts=tuple(_facts(c) for c in configs),
        references=tuple(references),
    )


def as_object(value: object, where: str) -> Mapping[str, Any]:
    """The JSON value as an object, {} for null. Raises Refused (400) for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused("InvalidRequestFormat", reason=f"{where} is not an object")
    return value


def as_array(value: object, where: str) -> list[Any]:
    """The JSON value as an array, [] for null. Raises Refused (400) for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused("InvalidRequestFormat", reason=f"{where} is not an array")
    return value


def _reference(value: object, where: str) -> str:
    reference = as_object(value, where).get("id")
    if not isinstance(reference, str) or not reference.startswith("/subscriptions/"):
        raise Refused("InvalidRequestFormat", reason=f"{where} has no id that names a resource")
    return reference


def _read_config(raw: object, nic_id: str, kept: Mapping[str, tuple[str, str]], *, single: bool) -> ConfigDoc:
    config = as_object(raw, "ipConfigurations")
    name = config.get("name")
    if not isinstance(name, str) or not name:
        raise Refused("InvalidRequestFormat", reason="an ip configuration has no name")
    given_id = config.get("id")
    if given_id and str(given_id).lower() != f"{nic_id}/ipConfigurations/{name}".lower():
        # The old id of a moved ip configuration names another NIC (docs/facts/azure.md section 12). The message is ours.
        raise Refused("InvalidRequestFormat", reason=f"the id {given_id} is not that of ip configuration {name}")
    given = as_object(config.get("properties"), f"ipConfigurations/{name}")
    properties = spelling.tidied({k: v for k, v in given.items() if k not in _READ_ONLY_CONFIG and v is not None})
    method = properties.setdefault("privateIPAllocationMethod", "Dynamic")
    properties.setdefault("privateIPAddressVersion", "IPv4")
    properties.setdefault("primary", single)
    if "subnet" in properties or (method == "Static" and properties.get("privateIPAddress")):
        properties["subnet"] = {"id": _reference(properties.get("subnet"), f"ipConfigurations/{name}/subnet")}
    if "publicIPAddress" in properties:
        properties["publicIPAddress"] = {"id": _reference(properties["publicIPAddress"], "publicIPAddress")}
    address = properties.get("privateIPAddress") or ""
    if not isinstance(address, str) or (address and not addresses.normal(address)):
        raise Refused("InvalidRequestFormat", reason=f"{address!r} is not an ip address")
    if method == "Static":
        address = addresses.normal(address)
    else:
        subnet, held = kept.get(name, ("", ""))
        address = held if subnet == _subnet_key(properties) else ""
    if address:
        properties["privateIPAddress"] = address
    else:
        properties.pop("privateIPAddress", None)
    return ConfigDoc(name, {k: v for k, v in config.items() if k not in _READ_ONLY_CONFIG_TOP}, properties)


def kept_addresses(doc: NicDoc | None) -> dict[str, tuple[str, str]]:
    """The argument `kept` of `read_nic`, from the current content."""
    return {f.name: (f.subnet, f.address) for f in doc.facts} if doc else {}


def _subnet_key(properties: Mapping[str, Any]) -> str:
    return str(properties["subnet"]["id"]).lower() if "subnet" in properties else ""


def _facts(config: ConfigDoc) -> ConfigFacts:
    properties = config.properties
    pip = properties.get("publicIPAddress")
    return ConfigFacts(
        config.name,
        _subnet_key(properties),
        properties.get("privateIPAddress", ""),
        pip["id"].lower() if pip else "",
        properties["primary"] is True,
    )


def _references(config: ConfigDoc) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for member, action in _JOINS.items():
        value = config.properties.get(member)
        if isinstance(value, list):
            found += [(action, _reference(item, member)) for item in value]
        elif value is not None:
            found.append((action, _reference(value, member)))
    return found


def with_addresses(doc: NicDoc, chosen: Mapping[str, str]) -> NicDoc:
    """The content with the addresses chosen for dynamic ip configurations. chosen: name -> address."""
    if not chosen:
        return doc
    configs = tuple(
        ConfigDoc(c.name, c.top, {**c.properties, "privateIPAddress": chosen[c.name]}) if c.name in chosen else c
        for c in doc.configs
    )
    facts = tuple(_facts(c) for c in configs)
    return NicDoc(doc.location, doc.top, doc.properties, doc.dns, configs, facts, doc.references)


def shown_nic(nic: Nic, api_version: str, content: NicDoc | None = None) -> Json:
    """The NIC as an answer shows it to this api-version. content: other content that it is imagined to have."""
    doc, read_only, attached = content or nic.doc, nic.read_only, nic.vm is not None
    properties: Json = {
        "provisioningState": nic.state,
        "resourceGuid": read_only.guid,
        "ipConfigurations": [shown_config(nic, config) for config in doc.configs],
        "dnsSettings": {**doc.dns, "appliedDnsServers": [], "internalDomainNameSuffix": read_only.suffix, **read_only.extra_dns},
    }
    if not read_only.suffix:
        del properties["dnsSettings"]["internalDomainNameSuffix"]
    if attached and read_only.mac:
        properties["macAddress"] = read_only.mac
    properties.update({name: False for name, since in _ALWAYS_FALSE if api_version >= since})
    for name, default, since in _DEFAULTS:
        if api_version >= since:
            properties[name] = default
    if attached or api_version < "2021-08-01":
        properties["enableAcceleratedNetworking"] = False
    properties.update(doc.properties)
    if nic.vm is not None:
        properties["primary"] = nic.primary
        properties["virtualMachine"] = {"id": nic.vm.id}
    properties["hostedWorkloads"] = []
    properties["tapConfigurations"] = []
    properties.update(read_only.extra)
    if api_version >= "2021-08-01":
        properties["allowPort25Out"] = True
    shown: Json = {"name": nic.name, "id": nic.id, "etag": nic.etag, "properties": properties, "type": NIC_TYPE}
    shown["location"] = doc.location
    if api_version >= "2021-08-01":
        shown["kind"] = "Regular"
    shown.update(doc.top)
    return shown


def shown_config(nic: Nic, config: ConfigDoc) -> Json:
    """One ip configuration as an answer shows it; its etag and provisioning state are the NIC's."""
    state = "Updating" if nic.state == "Deleting" else nic.state
    return {
        "name": config.name,
        "id": f"{nic.id}/ipConfigurations/{config.name}",
        "etag": nic.etag,
        "type": CONFIG_TYPE,
        **config.top,
        "properties": {"provisioningState": state, **config.properties},
    }
