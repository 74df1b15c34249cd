"""Address arithmetic with caches: prefixes, reserved addresses and free addresses."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

RESERVED_FIRST: Final = 4  # network, gateway and two for DNS; Azure also reserves the last address


@lru_cache(maxsize=65536)
def normal(address: str) -> str:
    """The canonical spelling of an address, or '' if the text is not an address."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def _network(prefix: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(prefix, strict=False)


@lru_cache(maxsize=65536)
def in_prefix(address: str, prefix: str) -> bool:
    """Whether the address lies in the prefix."""
    network, one = _network(prefix), ipaddress.ip_address(address)
    return one.version == network.version and one in network


@lru_cache(maxsize=65536)
def is_reserved(address: str, prefix: str) -> bool:
    """Whether Azure reserves this address of the prefix: the first four and, in IPv4, the last."""
    network = _network(prefix)
    offset = int(ipaddress.ip_address(address)) - int(network.network_address)
    return offset < RESERVED_FIRST or (network.version == 4 and offset == network.num_addresses - 1)


def free_in(prefix: str, taken: Container[str], version: str) -> Iterator[str]:
    """The free addresses of a prefix in ascending order; none if the prefix has the other IP version."""
    network = _network(prefix)
    if f"IPv{network.version}" != version:
        return
    last = network.num_addresses - (1 if network.version == 4 else 0)
    for offset in range(RESERVED_FIRST, min(last, 1 << 24)):
        one = str(network[offset])
        if one not in taken:
            yield one
