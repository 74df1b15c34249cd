"""The front of ARM: order of checks, throttling, faults, history, and resources outside Microsoft.Network."""
