"""How long operations take, and the Retry-After values of their answers (docs/facts/azure.md sections 4 and 9)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

# Median 10 s and 95 % within 60 s: sigma = ln(60 / 10) / 1.645.
_MODERN_SIGMA: Final = math.log(6.0) / 1.645
_MODERN_TAIL: Final = 0.005

_ESCALATING: Final = {
    "base-4": (4, 8, 8, 16, 16, 32, 32, 64, 40),
    "base-10": (10, 20, 20, 40, 40, 80, 160, 100),
    "pip": (1, 2, 2, 4, 4, 8, 8, 16, 16, 10),
}


def nic_latency_s(spec: str, rng: random.Random) -> float:
    """Seconds that a NIC operation on a running VM takes. spec: modern, 2019, 2022 or fixed:SECONDS; else ValueError."""
    match spec:
        case "modern":
            if rng.random() < _MODERN_TAIL:
                return rng.uniform(300.0, 600.0)
            return min(max(rng.lognormvariate(math.log(10.0), _MODERN_SIGMA), 0.5), 300.0)
        case "2019":
            return min(max(rng.lognormvariate(math.log(62.0), 0.25), 30.0), 93.0)
        case "2022":
            return rng.uniform(1.0, 4.5) if rng.random() < 0.375 else rng.uniform(9.0, 18.0)
    name, _, seconds = spec.partition(":")
    if name != "fixed":
        raise ValueError(f"latency {spec!r} is none of modern, 2019, 2022, fixed:SECONDS")
    return float(seconds)


def retry_after_accepted(profile: str, kind: str) -> str | None:
    """Retry-After of the answer that accepts a write. kind: nic, pip, vnet, nic-delete or delete (of anything else)."""
    if profile == "none":
        return None
    if kind == "delete":
        return "10"
    if kind == "pip":
        return "1"
    if kind == "vnet":
        return "3"
    return "4" if profile == "base-4" else "10"  # nic and, since 2025, nic-delete


def retry_after_poll(profile: str, kind: str, polls: int) -> str | None:
    """Retry-After of poll number `polls` (from 0), which says InProgress."""
    if profile == "none":
        return None
    if profile == "flat-10":
        return "2" if kind == "pip" else "10"
    steps = _ESCALATING["pip" if kind in ("pip", "vnet") else profile]
    if kind == "delete":
        steps = _ESCALATING["base-10"]
    return str(steps[min(polls, len(steps) - 1)])
