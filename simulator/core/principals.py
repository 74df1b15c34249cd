"""Principals and tokens as values: who calls, and what a verified token says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

SYSTEM_ASSIGNED: Final = "controller"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. name: 'controller' for the system-assigned identity, the client id for a user-assigned one."""

    name: str
    object_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Token:
    """A verified token: its principal, its expiry (seconds since 1970) and its audience."""

    principal: Principal
    expires_at: float
    audience: str


ANONYMOUS: Final = Principal("", "", "")


def principal_named(name: str) -> Principal:
    """The principal of this name. Its ids are derived from the name, so they are the same in every run."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    guids = [f"{d[:8]}-{d[8:12]}-4{d[13:16]}-a{d[17:20]}-{d[20:32]}" for d in (digest[:32], digest[32:])]
    client = name if len(name) == 36 and name.count("-") == 4 else guids[1]
    return Principal(name, guids[0], client)
