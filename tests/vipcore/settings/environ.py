"""Settings without a fault, and the configuration of changed ones."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vipcore.settings import environment

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
SECRETS = {name: base64.b64encode(name.encode() * 32).decode() for name in "abcdef"}


DOCUMENT: dict[str, Any] = {
    "defaults": {"subscription_id": SUBSCRIPTION, "resource_group": "rg"},
    "mirrors": {
        "PROD": {
            "members": {"A": {"nic": "a"}, "B": {"nic": "b"}},
            "vips": [{"name": "vip", "private_ip": "10.0.0.254"}],
        }
    },
    "keys": {"a-1": {"mirror": "PROD", "member": "A"}, "b-1": {"mirror": "PROD", "member": "B"}},
}


GOOD = {
    "VIP_MIRRORS": json.dumps(DOCUMENT),
    "VIP_TABLE": "https://account.table.core.windows.net",
    "VIP_KEY_A_1": SECRETS["a"],
    "VIP_KEY_B_1": SECRETS["b"],
}


def load(changes: Mapping[str, str | None], *, app_dir: Path = Path()) -> environment.Config:
    """The configuration of the good settings with these changes; None takes a setting away."""
    settings = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return environment.load(settings, app_dir)


def where(loaded: environment.Config) -> list[str]:
    """The places of the faults."""
    return [fault.where for fault in loaded.faults]
