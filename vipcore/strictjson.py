"""JSON as strictly as an auditor wants it: UTF-8, no duplicate names, no NaN, no lone surrogates, bounded depth."""

import json
from collections.abc import Iterable
from typing import Any, Final, NoReturn

DEPTH_MAX: Final = 64
"""Deeper values are refused: what walks them later recurses, and nothing we take is deeper than a handful."""

_SENTENCES: Final = {
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    **dict.fromkeys(("minItems", "minProperties"), "has too few entries: {} or more are needed"),
    **dict.fromkeys(("maxItems", "maxProperties"), "has too many entries: {} at most"),
}
"""By a schema's keyword, what its violation is told as, with the keyword's value."""

Place = tuple[str | int, ...]
"""Where something stands in a value: the names and indexes that lead to it."""


class _Object(dict[str, Any]):
    """An object that remembers which of its names came twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs] if len(self) != len(pairs) else []
        self.twice = sorted({name for name in names if names.count(name) > 1})


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def pointer(place: Iterable[str | int]) -> str:
    """RFC 6901: `/mirrors/PROD/vips/0`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def parts(value: Any) -> Iterable[tuple[str | int, Any]]:
    """What is directly inside a value, by name or index."""
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def told(error: Any, *, names: bool = False) -> str:
    """What a jsonschema error found wrong and what is wanted, as the end of a sentence, bounded.

    What is wanted is the schema's own `description`, so that an editor says the same. The value is not shown, and
    an unknown field's name only where `names` says so: somebody may have put a secret where it does not belong.
    """
    wanted, schema = error.validator_value, error.schema
    if "propertyNames" in error.absolute_schema_path:
        return f"the name {str(error.instance)[:80]!r} must be {_described(schema)}"
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        unknown = ", ".join(repr(name[:40]) for name in sorted(error.instance) if name not in known) if names else ""
        return f"has a field that is not known here{unknown and ': '}{unknown[:160]} (known: {', '.join(known)})"
    if error.validator == "required":
        return f"lacks the field {error.message.partition(' is a required')[0]}"
    sentence = _SENTENCES.get(error.validator)
    listed = ", ".join(wanted) if isinstance(wanted, list) else wanted
    return sentence.format(listed) if sentence else f"must be {_described(schema)}"


def _described(schema: Any) -> str:
    """What a schema says that is wanted, to go on a sentence with."""
    text: str = schema["description"].rstrip(".")
    return text[0].lower() + text[1:] if text.startswith(("A ", "An ")) else text


def duplicates(value: Any, at: Place = ()) -> list[Place]:
    """Where names stand twice in a value that `parse` gave."""
    found: list[Place] = [(*at, name) for name in value.twice] if isinstance(value, _Object) else []
    return found + [place for key, part in parts(value) for place in duplicates(part, (*at, key))]


def parse(text: str | bytes) -> Any:
    """The value of a JSON text, duplicates remembered (see `duplicates`). Raises ValueError with a sentence."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_Object, parse_constant=_constant)
        # Refuses half surrogate pairs, and numbers such as 1e999, which are read as infinite and could not be written again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError("not UTF-8") from exc
    except UnicodeEncodeError as exc:
        raise ValueError("a text holds half of a surrogate pair") from exc
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [part for item in level for _, part in parts(item)]
    if level:
        raise ValueError("nested too deeply")
    return value


def parse_strict(text: str | bytes) -> Any:
    """As `parse`; raises ValueError for names that stand twice too."""
    value = parse(text)
    for place in duplicates(value):
        raise ValueError(f"the name {pointer(place)} stands twice in its object")
    return value


def compact(value: Any) -> str:
    """The shortest JSON text, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
