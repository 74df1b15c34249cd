"""Rights that the simulated identity lacks."""

from simulator.core.switches import Denial
from tests.promises.harness import Harness

DENIED = Denial(action="Microsoft.Network/publicIPAddresses/join/action")


def denied_write(harness: Harness, name: str) -> Denial:
    """The identity may not write that NIC."""
    return Denial(action="Microsoft.Network/networkInterfaces/write", scope=harness.cloud.nic_named(name).id)
