"""Puts the adapters together, once per process, from a configuration without fatal faults."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Mapping
from typing import Final, NamedTuple

from azure.identity.aio import ManagedIdentityCredential

from vipcore.adapters.arm import ArmTransport
from vipcore.adapters.clock import TableClock
from vipcore.adapters.connections import Connections
from vipcore.adapters.ledger import TableLedger
from vipcore.adapters.log import log
from vipcore.adapters.probes import HttpProbes
from vipcore.adapters.table import Table
from vipcore.arm.client import Arm
from vipcore.decision.controller import Controller
from vipcore.ledger.store import Store
from vipcore.settings.config import Config


class Wired(NamedTuple):
    """The controller, and what must be closed after it."""

    controller: Controller
    opened: tuple[Connections | ManagedIdentityCredential | ArmTransport, ...]

    async def close(self) -> None:
        """Close every connection and the credentials."""
        for each in self.opened:
            await each.close()


def build(config: Config, *, environ: Mapping[str, str] = os.environ) -> Wired:
    """A controller with the real adapters. Opens nothing: connections are opened in the event loop that first uses them."""
    for noisy in ("azure", "msal"):  # a log line per HTTP request would cost more than the request's own work
        logging.getLogger(noisy).setLevel(logging.WARNING)
    table_pool, arm_pool, probe_pool = Connections(), Connections(), Connections()
    credential = identity(config)
    transport = ArmTransport(
        endpoint=config.arm_endpoint, audience=config.arm_audience, new_credential=lambda: identity(config), connections=arm_pool
    )
    clock = TableClock(log)
    table = Table(where=config.table, name=config.table_name, credential=credential, connections=table_pool, answered=clock.heard)
    store = Store(ledger=TableLedger(table), clock=clock, seal=config.seal, log=log)
    arm, probes, instance = Arm(transport), HttpProbes(probe_pool), instance_name(environ)
    controller = Controller(config=config, store=store, arm=arm, probes=probes, instance=instance)
    return Wired(controller, (table_pool, arm_pool, probe_pool, credential, transport))


def identity(config: Config) -> ManagedIdentityCredential:
    """The app's identity: the user-assigned one of AZURE_CLIENT_ID, else the system-assigned one. Its token cache is empty.

    The secret of its endpoint goes to that endpoint alone, never to a proxy of the environment.
    """
    return ManagedIdentityCredential(client_id=config.client_id, use_env_settings=False)


def controller(config: Config, *, environ: Mapping[str, str] = os.environ) -> Controller:
    """A controller with the real adapters, closed when the running event loop ends. Call it in that loop."""
    wired = build(config, environ=environ)
    _CLOSING.append(asyncio.get_running_loop().create_task(_close_at_the_end(wired)))
    return wired.controller


_CLOSING: Final[list[asyncio.Task[None]]] = []
"""Keeps the tasks alive: an event loop does not."""


async def _close_at_the_end(wired: Wired) -> None:
    """Close every connection when the loop's end cancels this task: nothing else tells an app that its process ends."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await wired.close()


def instance_name(environ: Mapping[str, str]) -> str:
    """A name that no other process has, now or later: the holder of a lease must never be mistaken for another process."""
    where = environ.get("WEBSITE_INSTANCE_ID", "")[:8] or socket.gethostname()[:32]
    return f"{where}-{uuid.uuid4().hex[:12]}"
