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
from vipcore.adapters.token import Identity
from vipcore.arm.client import Arm
from vipcore.decision.controller import Controller
from vipcore.ledger.store import Store
from vipcore.settings.environment import Config


class Wired(NamedTuple):
    """The controller, and what must be closed after it."""

    controller: Controller
    opened: tuple[Connections | Identity, ...]

    async def close(self) -> None:
        """Close every connection and the credentials."""
        for each in self.opened:
            await each.close()

    async def close_at_the_end(self) -> None:
        """Close everything when the loop's end cancels this task: nothing else tells an app that its process ends."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()


def build(config: Config, *, environ: Mapping[str, str] = os.environ) -> Wired:
    """A controller with the real adapters. Opens nothing: connections are opened in the event loop that first uses them."""
    for noisy in ("azure", "msal"):  # they log every HTTP request, and warn of what our own lines tell with what to do
        logging.getLogger(noisy).setLevel(logging.ERROR)
    pool, app_identity = Connections(), identity(config)
    transport = ArmTransport(endpoint=config.arm_endpoint, audience=config.arm_audience, identity=app_identity, connections=pool)
    clock = TableClock(log)
    table = Table(where=config.table, name=config.table_name, credential=app_identity, connections=pool, answered=clock.heard)
    store = Store(ledger=TableLedger(table), clock=clock, seal=config.seal, log=log)
    arm, probes, instance = Arm(transport), HttpProbes(pool, log), instance_name(environ)
    controller = Controller(config=config, store=store, arm=arm, probes=probes, instance=instance)
    return Wired(controller, (pool, app_identity))


def identity(config: Config) -> Identity:
    """The app's identity: the user-assigned one of AZURE_CLIENT_ID, else the system-assigned one.

    The secret of its endpoint goes to that endpoint alone, never to a proxy of the environment.
    """
    return Identity(lambda: ManagedIdentityCredential(client_id=config.client_id, use_env_settings=False))


def controller(config: Config, *, environ: Mapping[str, str] = os.environ) -> Controller:
    """A controller with the real adapters, closed when the running event loop ends. Call it in that loop."""
    wired = build(config, environ=environ)
    _CLOSING.append(asyncio.get_running_loop().create_task(wired.close_at_the_end()))
    return wired.controller


_CLOSING: Final[list[asyncio.Task[None]]] = []
"""Keeps the tasks alive: an event loop does not."""


def instance_name(environ: Mapping[str, str]) -> str:
    """A name that no other process has, now or later: the holder of a lease must never be mistaken for another process."""
    where = environ.get("WEBSITE_INSTANCE_ID", "")[:8] or socket.gethostname()[:32]
    return f"{where}-{uuid.uuid4().hex[:12]}"
