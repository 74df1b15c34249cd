"""The records that the cloud keeps: requests with their answers, states of NICs, and holders of addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.core.model import ConfigFacts


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it arrived. at: seconds of the cloud's clock. who: the principal's name. kind: as in faults.Match.

    resource: the id of the resource that the path names.
    """

    at: float
    method: str
    target: str
    kind: str
    resource: str
    who: str
    request_body: bytes
    client_request_id: str


@dataclass(frozen=True, slots=True)
class Exchange(Arrival):
    """A request and its answer. status: 0 if the request is still on its way (fault lands). code: of the error, or ''.

    etag_before, etag_after: of the resource, or ''. fault: the fault that struck, or ''. lost: the client got no answer.
    """

    status: int = 0
    code: str = ""
    request_id: str = ""
    operation_id: str = ""
    etag_before: str = ""
    etag_after: str = ""
    fault: str = ""
    lost: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NicState:
    """The state of a NIC from `at` on, as a GET shows it.

    cause: put, completed, failed, rolled-back, canceled, deleting, deleted, moved, stranger or world. who: the
    principal that caused it, '' if the cloud did. configs: its ip configurations, addresses and public IPs (keys).
    """

    at: float
    nic: str
    etag: str
    state: str
    cause: str
    who: str
    operation_id: str
    configs: tuple[ConfigFacts, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The holder of an address or public IP from `at` on. what: 'vnet key|address' or a public IP's key.

    nic: its name, or '' if the address is free. A NIC may hold an address long after it stopped showing it.
    """

    at: float
    what: str
    nic: str
    config: str
