"""Generated ids (GUIDs and etags, the same for each seed), and resource ids."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import NamedTuple


class Ids:
    """A source of GUIDs and etags. The same seed and the same order of requests give the same ids."""

    def __init__(self, seed: int) -> None:
        self._bits = random.Random(seed * 3 + 1).getrandbits

    def guid(self) -> str:
        """A random (version 4) GUID in lower case."""
        text = f"{self._bits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def etag(self) -> str:
        """An etag as Microsoft.Network writes it: W/"<guid>"."""
        return f'W/"{self.guid()}"'

    def hex(self, bits: int) -> str:
        """`bits` random bits as upper-case hexadecimal digits."""
        return f"{self._bits(bits):0{bits // 4}X}"


class ResourceRef(NamedTuple):
    """A resource id with its parts as spelled. key: the id in lower case."""

    id: str
    key: str
    name: str
    subscription: str
    group: str


def ref(resource_id: str, name: str, subscription: str, group: str) -> ResourceRef:
    """The reference to the resource of this id and these parts."""
    return ResourceRef(resource_id, resource_id.lower(), name, subscription, group)


class Parts(NamedTuple):
    """The parts of a resource id as spelled. type: for example 'networkInterfaces'. child_type, child: '' if there is none."""

    subscription: str
    group: str
    provider: str
    type: str
    name: str
    child_type: str
    child: str


@lru_cache(maxsize=65536)
def parts_of(resource_id: str) -> Parts | None:
    """The parts of a resource id, or None if it does not name a resource in a resource group."""
    pieces = resource_id.strip("/").split("/")
    if len(pieces) not in (8, 10):
        return None
    if (pieces[0].lower(), pieces[2].lower(), pieces[4].lower()) != ("subscriptions", "resourcegroups", "providers"):
        return None
    child_type, child = (pieces[8], pieces[9]) if len(pieces) == 10 else ("", "")
    return Parts(pieces[1], pieces[3], pieces[5], pieces[6], pieces[7], child_type, child)


def resource_id(subscription: str, group: str, kind: str, name: str, provider: str = "Microsoft.Network") -> str:
    """The id of a resource; kind is for example 'networkInterfaces'."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/{kind}/{name}"


def vnet_of(subnet_key: str) -> str:
    """The key of the virtual network of a subnet, from the key of the subnet."""
    return subnet_key.partition("/subnets/")[0]
