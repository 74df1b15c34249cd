"""The host's own settings: environment and host.json. Nothing of the app's settings is interpreted here."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve import edge


class SettingsError(ValueError):
    """A setting of the host, or host.json, can't be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `python -m serve` runs with. The host listens on 127.0.0.1 only."""

    port: int  # 0 picks a free one
    folder: Path  # the app: function_app.py and host.json
    functions_key: str  # opens FUNCTION routes, as a host key does in Azure
    master_key: str  # opens everything, ADMIN routes and /admin/functions/NAME included
    drain_s: float  # how long SIGTERM waits for running invocations; then the process is gone
    timeout_s: float  # host.json's functionTimeout: an invocation that lasts longer costs the worker its life
    body_bytes_max: int
    front_end: bool  # as if App Service's front end stood before the host
    route_prefix: str  # without slashes at its ends; may be empty
    app_settings: Mapping[str, str]

    def is_disabled(self, function: str) -> bool:
        """Whether `AzureWebJobs.NAME.Disabled` says so."""
        return self.app_settings.get(f"AzureWebJobs.{function}.Disabled", "").lower() in {"1", "true"}

    def key_of(self, function: str) -> str:
        """The function's own key, which opens nothing else; empty if it has none."""
        return self.app_settings.get(f"FUNCTIONS_KEY_{function}", "")


def load(environment: Mapping[str, str], *, default_folder: Path) -> Settings:
    """Read them all. Raises SettingsError."""
    folder = Path(environment.get("APP_DIR") or default_folder).resolve()
    if not (folder / "function_app.py").exists():
        raise SettingsError(f"there is no function_app.py in {folder}")
    document = _document(folder / "host.json")
    return Settings(
        port=int(_number(environment, "PORT", 7071, 65535)),
        folder=folder,
        functions_key=environment.get("FUNCTIONS_KEY") or "local",
        master_key=environment.get("FUNCTIONS_MASTER_KEY") or "local-master",
        drain_s=_number(environment, "SERVE_DRAIN_S", 10, 3600),
        timeout_s=_timeout_s(environment.get("AzureFunctionsJobHost__functionTimeout") or document.get("functionTimeout", "")),
        body_bytes_max=int(_number(environment, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", edge.BODY_BYTES_MAX, 2**31)),
        front_end=environment.get("SERVE_FRONT_END", "").lower() in {"1", "true"},
        route_prefix=str(document.get("extensions", {}).get("http", {}).get("routePrefix", "api")).strip("/"),
        app_settings=environment,
    )


def _number(environment: Mapping[str, str], name: str, default: float, highest: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= highest:
        raise SettingsError(f"{name} is {text!r}, a number from 0 to {highest:g} is needed")
    return value


def _timeout_s(text: str) -> float:
    """`hh:mm:ss`, 30 minutes where nothing is said; `-1` is no limit."""
    if text in {"", "-1"}:
        return 1800.0 if not text else math.inf
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        raise SettingsError(f"functionTimeout is {text!r}, hh:mm:ss is needed") from None
    return hours * 3600 + minutes * 60 + seconds


def _document(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise SettingsError(f"{path} is missing")
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        document.get("extensions", {}).get("http", {}).get("routePrefix")
    except (ValueError, AttributeError) as fault:
        raise SettingsError(f"{path} can't be read: {fault}") from fault
    return document
