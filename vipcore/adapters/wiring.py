"""The one place where the adapters are put together: once per process, from a configuration without fatal faults."""

import asyncio
import json
import logging
import os
import random
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from azure.identity.aio import ManagedIdentityCredential

from vipcore.adapters.arm import ArmTransport
from vipcore.adapters.connections import Channel
from vipcore.adapters.ledger import TableLedger
from vipcore.adapters.probes import HttpProbes
from vipcore.adapters.table import Table
from vipcore.arm.client import Arm
from vipcore.decision.controller import Controller
from vipcore.instants import Instant
from vipcore.ports import Ports
from vipcore.settings.config import Config

_LOG: Final = logging.getLogger("mirror_vip")
_WARNINGS: Final = ("failed", "refused", "skipped", "broken", "drift", "unknown", "degraded", "fault")
"""Words in an event's name that make its line a warning."""

VALUE_CHARS_MAX: Final = 1000


class SystemClock:
    """`vipcore.ports.Clock`: the machine's."""

    def now(self) -> Instant:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """A fresh UUID text."""
        return str(uuid.uuid4())

    def jitter(self) -> float:
        """A number from [0, 1)."""
        return random.random()


@dataclass(slots=True)
class Wired:
    """The ports, and what must be closed when they are done with."""

    ports: Ports
    channels: tuple[Channel, ...]
    credential: ManagedIdentityCredential
    arm: ArmTransport

    async def close(self) -> None:
        """Close every connection and the credential."""
        for channel in self.channels:
            await channel.close()
        await self.credential.close()
        await self.arm.close()


def build(config: Config, *, environ: Mapping[str, str] = os.environ) -> Wired:
    """The collaborators. Opens nothing: connections are made in the event loop that first uses them."""
    for noisy in ("azure", "msal"):  # a line per HTTP request would cost more than the request's own work
        logging.getLogger(noisy).setLevel(logging.WARNING)
    table_channel, arm_channel, probe_channel = Channel(), Channel(), Channel()
    credential = identity(config)
    arm = ArmTransport(
        endpoint=config.arm_endpoint,
        audience=config.arm_audience,
        new_credential=lambda: identity(config),
        channel=arm_channel,
    )
    table = Table(where=config.table, name=config.table_name, credential=credential, channel=table_channel)
    ports = Ports(
        config=config,
        ledger=TableLedger(table),
        transport=arm,
        probes=HttpProbes(probe_channel),
        clock=SystemClock(),
        instance=instance_name(environ),
        log=log,
    )
    return Wired(ports=ports, channels=(table_channel, arm_channel, probe_channel), credential=credential, arm=arm)


def identity(config: Config) -> ManagedIdentityCredential:
    """The app's identity: the user-assigned one of AZURE_CLIENT_ID, else the system-assigned one. Its token cache is empty."""
    return ManagedIdentityCredential(client_id=config.client_id) if config.client_id else ManagedIdentityCredential()


def controller(config: Config, *, environ: Mapping[str, str] = os.environ) -> Controller:
    """A controller on the real collaborators, for as long as the event loop runs. To be called in it."""
    wired = build(config, environ=environ)
    closing = asyncio.get_running_loop().create_task(_close_at_the_end(wired))
    _CLOSING.add(closing)
    closing.add_done_callback(_CLOSING.discard)
    return Controller(ports=wired.ports, arm=Arm(wired.ports.transport))


_CLOSING: Final[set[asyncio.Task[None]]] = set()
"""Keeps the tasks alive."""


async def _close_at_the_end(wired: Wired) -> None:
    """Close every connection when the loop's end cancels what still runs: nobody else tells an app that its process ends."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await wired.close()


def instance_name(environ: Mapping[str, str]) -> str:
    """A name that no other process has, now or later: who holds a lease must never be mistaken for another."""
    where = environ.get("WEBSITE_INSTANCE_ID", "")[:8] or socket.gethostname()[:32]
    return f"{where}-{uuid.uuid4().hex[:12]}"


def log(event: str, /, **fields: Any) -> None:
    """One line: the event's name, then `key=value` in the order given, None left out."""
    level = logging.WARNING if any(word in event for word in _WARNINGS) else logging.INFO
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "%s", line(event, fields))


def line(event: str, fields: Mapping[str, Any]) -> str:
    """The text of a log line. Values with anything but plain ASCII become JSON strings: one line stays one."""
    return " ".join([event, *(f"{key}={_text(value)}" for key, value in fields.items() if value is not None)])


def _text(value: Any) -> str:
    text = str(value)[:VALUE_CHARS_MAX]
    plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if plain else json.dumps(text).replace("\x7f", "\\u007f")
