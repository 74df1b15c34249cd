"""A running simulator, for the tests that need real connections."""

from collections.abc import AsyncIterator

import pytest

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core.switches import Switches
from simulator.server import Edge, running
from simulator.state.clock import ScaledClock


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """A running simulator whose NIC operations take 0.05 s."""
    switches = Switches(latency="fixed:0.05", retry_after="none")
    cloud = Cloud(worlds.default(), seed=3, now=ScaledClock(), switches=switches)
    async with running(cloud) as one:
        yield one
