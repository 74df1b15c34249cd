"""The values of an evaluated template: plain JSON, and what stands for things that exist only when they are deployed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Unknown:
    """Known only when deployed, for example an identity's principal id. `why` is where it comes from."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"<{self.why}>"


class Given(str):
    """The text of a module's parameter that is known only when deployed: known to the module from its start."""

    __slots__ = ()


@dataclass(eq=False)
class Resource:
    """A resource as it would be sent to Azure."""

    type: str
    api: str
    name: Any
    id: Any
    existing: bool
    body: dict[str, Any] = field(default_factory=dict)
    nested: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    """File, line and path of modules."""
    parent_or_scope: Resource | None = None


@dataclass(frozen=True)
class Module:
    """A deployed module: its outputs."""

    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Scope:
    """What a deployment is made at: `resourceGroup` or `subscription`, and its id."""

    kind: str
    id: str

    @property
    def subscription(self) -> str:
        """The subscription's GUID."""
        return self.id.split("/")[2]


def given(value: Any) -> Any:
    """A parameter as the module sees it."""
    if isinstance(value, Unknown):
        return Given(f"<{value.why}>")
    if isinstance(value, dict):
        return {name: given(one) for name, one in value.items()}
    if isinstance(value, list):
        return [given(one) for one in value]
    return value


def is_late(value: Any) -> bool:
    """Whether any part of the value is known only when deployed."""
    if isinstance(value, dict):
        return any(is_late(one) for one in value.values())
    if isinstance(value, list):
        return any(is_late(one) for one in value)
    return isinstance(value, Unknown)
