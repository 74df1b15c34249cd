"""Bicep's functions, those that our templates use. What is missing here is outside of the dialect."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

from infra.check.values import Scope

CLOUDS: Final[Mapping[str, Mapping[str, str]]] = {
    "AzureCloud": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
    "AzureUSGovernment": {"storage": "core.usgovcloudapi.net", "keyvaultDns": ".vault.usgovcloudapi.net"},
    "AzureChinaCloud": {"storage": "core.chinacloudapi.cn", "keyvaultDns": ".vault.azure.cn"},
}
"""What `environment().suffixes` has in each cloud, of what our templates use."""
TENANT: Final = "11111111-1111-1111-1111-111111111111"


def digest(*parts: Any) -> str:
    """Stands for Azure's own hash, which is not published: as stable, and as unlike for unlike input."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def _concat(*parts: Any) -> Any:
    return reduce(lambda one, other: one + other, parts)


def _union(*parts: Any) -> Any:
    if isinstance(parts[0], dict):
        return {name: value for part in parts for name, value in part.items()}
    return list(dict.fromkeys(_concat(*parts)))


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _flatten(value: list[list[Any]]) -> list[Any]:
    return [one for part in value for one in part]


PURE: Final[Mapping[str, Callable[..., Any]]] = {
    "any": lambda value: value,
    "concat": _concat,
    "contains": lambda whole, part: part in whole,
    "empty": lambda value: not value,
    "filter": lambda rows, keep: [row for row in rows if keep(row)],
    "flatten": _flatten,
    "guid": lambda *parts: str(uuid.UUID(digest(*parts)[:32])),
    "join": lambda values, by: by.join(values),
    "last": lambda value: value[-1],
    "length": len,
    "map": lambda rows, make: [make(row) for row in rows],
    "objectKeys": sorted,
    "replace": lambda text, old, new: text.replace(old, new),
    "split": lambda text, by: text.split(by),
    "string": _string,
    "take": lambda value, count: value[:count],
    "toLower": lambda text: text.lower(),
    "toUpper": lambda text: text.upper(),
    "union": _union,
    "uniqueString": lambda *parts: digest("unique", *parts)[:13],
}


def scoped(scope: Scope, cloud: str) -> Mapping[str, Callable[..., Any]]:
    """The functions that depend on where the template is deployed."""

    def resource_group(*names: str) -> Any:
        if names:
            subscription = names[0] if len(names) > 1 else scope.subscription
            return Scope("resourceGroup", f"/subscriptions/{subscription}/resourceGroups/{names[-1]}")
        return {"id": scope.id, "name": scope.id.split("/")[-1], "location": "westeurope"}

    def subscription(*names: str) -> Any:
        if names:
            return Scope("subscription", f"/subscriptions/{names[0]}")
        return {"id": f"/subscriptions/{scope.subscription}", "subscriptionId": scope.subscription}

    def deployment() -> Any:
        return {"name": "main", **({"location": "westeurope"} if scope.kind == "subscription" else {})}

    return {
        "deployment": deployment,
        "environment": lambda: {"name": cloud, "suffixes": CLOUDS[cloud]},
        "resourceGroup": resource_group,
        "resourceId": lambda kind, name: f"{scope.id}/providers/{kind}/{name}",
        "subscription": subscription,
        "subscriptionResourceId": lambda kind, name: f"/subscriptions/{scope.subscription}/providers/{kind}/{name}",
        "tenant": lambda: {"tenantId": TENANT},
    }
