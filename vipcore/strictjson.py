"""JSON as strictly as an auditor wants it: UTF-8, no duplicate names, no NaN, no lone surrogates, bounded depth."""

import json
from typing import Any, Final, NoReturn

DEPTH_MAX: Final = 64
"""Deeper values are refused: what walks them later recurses, and nothing we take is deeper than a handful."""


class DuplicateName(ValueError):
    """An object holds a name twice; `pointer` is the JSON pointer of the second one."""

    def __init__(self, pointer: str) -> None:
        super().__init__(f"the name {pointer} stands twice in its object")
        self.pointer = pointer


class _Object(dict[str, Any]):
    """An object that remembers which of its names came twice."""

    twice: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = _Object(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        result.twice = tuple(sorted({name for name in names if names.count(name) > 1}))
    return result


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def pointer(parts: tuple[str | int, ...]) -> str:
    """RFC 6901: `/mirrors/PROD/vips/0`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def duplicates(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where names stand twice in a value that `parse` gave."""
    found: list[tuple[str | int, ...]] = []
    if isinstance(value, _Object):
        found += [(*at, name) for name in value.twice]
        for name, item in value.items():
            found += duplicates(item, (*at, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += duplicates(item, (*at, index))
    return found


def parse(text: str | bytes) -> Any:
    """The value of a JSON text, duplicates remembered (see `duplicates`). Raises ValueError with a sentence."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_object, parse_constant=_constant)
        # Refuses half surrogate pairs, and numbers such as 1e999, which are read as infinite and could not be written again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError("not UTF-8") from exc
    except UnicodeEncodeError as exc:
        raise ValueError("a text holds half of a surrogate pair") from exc
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if _is_deep(value):
        raise ValueError("nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for item in level for inner in _inner(item)]
    return bool(level)


def _inner(value: Any) -> list[Any]:
    """What is directly inside a value."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def parse_strict(text: str | bytes) -> Any:
    """As `parse`; raises DuplicateName too."""
    value = parse(text)
    for where in duplicates(value):
        raise DuplicateName(pointer(where))
    return value


def compact(value: Any) -> str:
    """The shortest JSON text, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
