"""Azure's own types, and whether a resource fits them: unknown type or version, property, value, missing and read-only.

types.json holds what infra/ uses, from Azure/bicep-types-az (MIT), without descriptions. `python -m infra.check.types FOLDER`
makes it anew from a folder of that repository's `types.json` files, for the types that the templates name.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.check.values import Given, Resource, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE: Final = Path(__file__).with_name("types.json")
_REQUIRED, _READ_ONLY = 1, 2
NEWER: Final = {
    ("$.sku.name", "FC1"),
}
"""(place, value) of texts that Azure takes and its published types do not list."""


@cache
def _types() -> Mapping[str, list[Any] | None]:
    found: dict[str, list[Any] | None] = json.loads(FILE.read_text(encoding="utf-8"))
    return {name.lower(): value for name, value in found.items()}


def check(resource: Resource) -> Iterator[str]:
    """What is wrong with the resource, by Azure's types. The first entry of a type's list is its body."""
    name = f"{resource.type}@{resource.api}"
    if name.lower() not in _types():
        yield f"{resource.where}: {name} is not among the known types"
        return
    kept = _types()[name.lower()]
    if kept is None:
        if not resource.existing:
            yield f"{resource.where}: only the name of {name} is kept, for resources that exist"
        return
    if not resource.existing:
        body = dict(kept[0])
        part = "properties" if "properties" in body else "baseProperties"
        body[part] = {key: one for key, one in body[part].items() if key not in ("id", "type", "apiVersion")}
        for what in _Check(kept).walk(resource.body, body, "$"):
            yield f"{resource.where} {what}"


class _Check:
    """One resource against one list of types."""

    def __init__(self, types: list[Any]) -> None:
        self._types = types

    def walk(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:
        """What is wrong with the value at this place."""
        if value is None or isinstance(value, (Unknown, Resource)):
            return
        reader = getattr(self, f"_{kind['$type']}", None)
        if reader is not None:
            yield from reader(value, kind, at)

    def _of(self, reference: Mapping[str, int]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._types[reference["$ref"]]
        return found

    def _ObjectType(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802  # Azure's names
        if not isinstance(value, dict):
            yield f"{at}: an object is wanted, got {value!r}"
            return
        known = kind.get("properties") or kind.get("baseProperties") or {}
        for name, one in value.items():
            if name in known:
                if known[name]["flags"] & _READ_ONLY and not known[name]["flags"] & _REQUIRED:
                    yield f"{at}.{name}: read-only"
                yield from self.walk(one, self._of(known[name]["type"]), f"{at}.{name}")
            elif "additionalProperties" in kind:
                yield from self.walk(one, self._of(kind["additionalProperties"]), f"{at}.{name}")
            else:
                yield f"{at}.{name}: there is no such property"
        for name, one in known.items():
            if one["flags"] & _REQUIRED and not one["flags"] & _READ_ONLY and name not in value:
                yield f"{at}.{name}: is required"

    def _DiscriminatedObjectType(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        chosen = value.get(kind["discriminator"]) if isinstance(value, dict) else None
        if chosen not in kind["elements"]:
            yield f"{at}.{kind['discriminator']}: {chosen!r} is none of {sorted(kind['elements'])}"
            return
        own = self._of(kind["elements"][chosen])["properties"]
        yield from self._ObjectType(value, {"properties": {**kind["baseProperties"], **own}}, at)

    def _ArrayType(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        if not isinstance(value, list):
            yield f"{at}: an array is wanted, got {value!r}"
            return
        for number, one in enumerate(value):
            yield from self.walk(one, self._of(kind["itemType"]), f"{at}[{number}]")

    def _StringType(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        if not isinstance(value, str):
            yield f"{at}: a string is wanted, got {value!r}"
        elif not isinstance(value, Given):
            if not kind.get("minLength", 0) <= len(value) <= (kind.get("maxLength") or len(value)):
                yield f"{at}: {len(value)} characters"
            if kind.get("pattern") and not re.search(kind["pattern"], value):
                yield f"{at}: {value!r} does not match {kind['pattern']}"

    def _StringLiteralType(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        if value != kind["value"]:
            yield f"{at}: {value!r} instead of {kind['value']!r}"

    def _IntegerType(self, value: Any, _: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{at}: a whole number is wanted, got {value!r}"

    def _BooleanType(self, value: Any, _: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        if not isinstance(value, bool):
            yield f"{at}: true or false is wanted, got {value!r}"

    def _UnionType(self, value: Any, kind: Mapping[str, Any], at: str) -> Iterator[str]:  # noqa: N802
        listed = [one["value"] for one in map(self._of, kind["elements"]) if one["$type"] == "StringLiteralType"]
        if isinstance(value, Given) or not listed or (at, value) in NEWER:
            return
        if value not in listed:
            yield f"{at}: {value!r} is none of {listed}"


def _small(required: tuple[str, ...], optional: tuple[str, ...]) -> list[Any]:
    """A type of plain texts in `properties`, for what is not among the types at hand."""
    texts = {name: {"type": {"$ref": 2}, "flags": 1 if name in required else 0} for name in required + optional}
    outer = ("name", "location", "kind")
    return [
        {
            "$type": "ObjectType",
            "properties": {
                **{name: {"type": {"$ref": 2}, "flags": 0} for name in outer},
                "tags": {"type": {"$ref": 3}, "flags": 0},
                "properties": {"type": {"$ref": 1}, "flags": 1},
            },
        },
        {"$type": "ObjectType", "properties": texts},
        {"$type": "StringType"},
        {"$type": "ObjectType", "properties": {}, "additionalProperties": {"$ref": 2}},
    ]


_WRITTEN_HERE: Final = {
    "Microsoft.Authorization/locks@2020-05-01": _small(("level",), ("notes",)),
    "Microsoft.Insights/workbooks@2023-06-01": _small(("displayName", "category", "serializedData"), ("sourceId", "version")),
}
"""By the documentation of the resources; their types are not among those that this file was made from."""


def _kept(types: list[Any], body: Mapping[str, int]) -> list[Any]:
    """The types that the body refers to, renumbered, without descriptions; the body is the first."""
    order: list[int] = []

    def renumbered(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                number = int(str(value["$ref"]).rsplit("/", 1)[1])
                if number not in order:
                    order.append(number)
                return {"$ref": order.index(number)}
            return {name: renumbered(one) for name, one in value.items() if not (name == "description" and isinstance(one, str))}
        return [renumbered(one) for one in value] if isinstance(value, list) else value

    renumbered(body)
    made: list[Any] = []
    while len(made) < len(order):
        made.append(renumbered(types[order[len(made)]]))
    return made


def main(folder: Path) -> None:
    """Make types.json anew."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in FILE.parents[1].rglob("*.bicep"))
    found = re.findall(r"'(Microsoft\.[\w./]+@[\w-]+)'( existing)?", sources)
    named = {name: (name, "") not in found for name, _ in found}
    nested = {f"Microsoft.Storage/storageAccounts/{name}@2024-01-01" for name in ("blobServices", "blobServices/containers")}
    made: dict[str, Any] = {**dict.fromkeys(name for name, exists in named.items() if exists), **_WRITTEN_HERE}
    wanted = {name.lower(): name for name in {name for name, exists in named.items() if not exists} | nested}
    for path in sorted(folder.glob("*/*/*/types.json")):
        types = json.loads(path.read_text(encoding="utf-8"))
        for one in types:
            if one["$type"] == "ResourceType" and one["name"].lower() in wanted:
                made[wanted[one["name"].lower()]] = _kept(types, one["body"])
    rows = [f"{json.dumps(name)}: {json.dumps(made[name], separators=(',', ':'))}" for name in sorted(made)]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
