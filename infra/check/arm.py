"""An evaluated deployment as one ARM template, for tools that read nothing else. For checks only: it is never deployed."""

from typing import Any

from infra.check.evaluate import World
from infra.check.values import Resource, Unknown


def template(world: World) -> dict[str, Any]:
    """The resources that the deployment makes, modules laid flat. What is known only when deployed is a `reference()`."""
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {"type": one.type, "apiVersion": one.api, **_plain(one.body), "name": _name(one)}
            for one in world.resources
            if not one.existing
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Resource):
        return value.id
    return f"[reference('{value.why}')]" if isinstance(value, Unknown) else value


def _name(resource: Resource) -> str:
    """A child's name has its parents' before it."""
    names, above = [str(resource.name)], resource.parent_or_scope
    while above is not None and resource.type.startswith(f"{above.type}/"):
        names.append(str(above.name))
        above = above.parent_or_scope
    return "/".join(reversed(names))
