"""New NICs, and the addresses and names that the cloud chooses for its resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.core import addresses
from simulator.core.ids import ref, vnet_of
from simulator.core.model import ConfigFacts, Nic, NicDoc, NicReadOnly
from simulator.state.ledger import address_key

if TYPE_CHECKING:
    from simulator.state.state import State


def new_public_address(state: State) -> str:
    """The next public address. A counter makes addresses unique and the same in every run."""
    number = next(state.resources.public_numbers)
    return f"20.51.{number // 250 % 250}.{number % 250 + 1}"


def new_nic(state: State, nic_id: str, doc: NicDoc) -> Nic:
    """Create the record of a new NIC."""
    _, _, subscription, _, group, *_, name = nic_id.split("/")
    mac = state.ids.hex(24)
    guid, etag = state.ids.guid(), state.ids.etag()
    nic = Nic(
        ref(nic_id, name, subscription, group),
        etag,
        "Succeeded",
        doc=doc,
        stable=doc,
        read_only=NicReadOnly(guid, _suffix_of(state, doc), f"00-0D-3A-{mac[:2]}-{mac[2:4]}-{mac[4:]}"),
        created_at=state.clock.at,
    )
    state.resources.nics[nic.key] = nic
    return nic


def new_suffix(state: State) -> str:
    """A domain name suffix for a virtual network."""
    return f"{state.ids.guid().replace('-', '')[:26]}.bx.internal.cloudapp.net"


def _suffix_of(state: State, doc: NicDoc) -> str:
    vnet = state.resources.vnets.get(vnet_of(doc.facts[0].subnet)) if doc.facts else None
    return vnet.suffix if vnet else new_suffix(state)


def choose_addresses(state: State, doc: NicDoc) -> dict[str, str]:
    """An address for every dynamic ip configuration that has none yet: the lowest free one of its subnet."""
    chosen: dict[str, str] = {}
    for fact, config in zip(doc.facts, doc.configs, strict=True):
        if not fact.address:
            address = _lowest_free(state, fact, config.properties["privateIPAddressVersion"], doc, chosen)
            if address:
                chosen[fact.name] = address
    return chosen


def _lowest_free(state: State, fact: ConfigFacts, version: str, doc: NicDoc, chosen: dict[str, str]) -> str:
    vnet_key, subnet = vnet_of(fact.subnet), state.resources.subnet(fact.subnet)
    if subnet is None:
        return ""
    own = {f.address for f in doc.facts} | set(chosen.values())
    for prefix in subnet.prefixes:
        for address in addresses.free_in(prefix, own, version):
            if address_key(vnet_key, address) not in state.ledger:
                return address
    return ""
