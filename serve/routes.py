"""Route templates as ASP.NET reads them: parsed once, matched against a decoded path. Pure.

The rules are those of facts about host 4.1037: case-insensitive literals, optional `{x?}`, catch-all `{*x}`, inline
constraints. Where several templates match, the host takes the first in the order of its functions' names, however
specific another one is. What this file does not know (default values, several parameters in one segment, constraints of
numbers and dates) is refused when the app starts, never matched wrongly.
"""

import enum
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

INT32: Final = range(-(2**31), 2**31)
INT64: Final = range(-(2**63), 2**63)


class TemplateError(ValueError):
    """A route template that this host can't serve; the message names the template and the part."""


class Kind(enum.IntEnum):
    """What a segment is; from OPTIONAL on it may be absent."""

    LITERAL = 1
    PLAIN = 2
    OPTIONAL = 3
    CATCH_ALL = 4


Constraint = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part between slashes: its text (lower case) if literal, else the parameter's name and constraints."""

    kind: Kind
    text: str
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A parsed template."""

    source: str
    segments: tuple[Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The route values for a decoded path without its prefix, or None. Absent optional parameters are left out."""
        parts = path.removesuffix("/").split("/") if path.removesuffix("/") else []
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.kind is Kind.CATCH_ALL:
                if index < len(parts):
                    values[segment.text] = "/".join(parts[index:])
                return values
            if index >= len(parts):
                # Only optional parameters or a catch-all may follow the end of the path.
                return values if all(later.kind >= Kind.OPTIONAL for later in self.segments[index:]) else None
            if not _fits(segment, parts[index]):
                return None
            if segment.kind is not Kind.LITERAL:
                values[segment.text] = parts[index]
        return values if len(parts) <= len(self.segments) else None


def parse(source: str) -> Template:
    """Parse a template such as `mirrors/{mirror}/audit/{seq:long?}`. Raises TemplateError."""
    segments = tuple(_segment(source, part) for part in _split(source.strip("/"), "/") if part)
    for segment, later in itertools.pairwise(segments):
        if segment.kind is Kind.CATCH_ALL or (segment.kind is Kind.OPTIONAL and later.kind < Kind.OPTIONAL):
            raise TemplateError(f"{source!r}: {segment.text!r} can only stand at the end")
    return Template(source=source, segments=segments)


def _fits(segment: Segment, part: str) -> bool:
    if segment.kind is Kind.LITERAL:
        return part.lower() == segment.text
    return part != "" and all(holds(part) for holds in segment.constraints)


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator that is in no brace and no parenthesis; `{{` and `}}` stand for single braces in a regex."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(character, 0)
        if character == separator and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _segment(source: str, part: str) -> Segment:
    if "{" not in part and "}" not in part:
        return Segment(kind=Kind.LITERAL, text=part.lower())
    if not (part.startswith("{") and part.endswith("}")):
        raise TemplateError(f"{source!r}: {part!r} mixes text and parameters")
    inner = part[1:-1]
    catch_all = inner.startswith("*")
    inner = inner.lstrip("*")
    optional = inner.endswith("?")
    name, *constraints = _split(inner.removesuffix("?"), ":")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise TemplateError(f"{source!r}: {part!r} is no parameter this host understands")
    tests = tuple(_constraint(source, text) for text in constraints)
    if catch_all:
        return Segment(kind=Kind.CATCH_ALL, text=name, constraints=tests)
    return Segment(kind=Kind.OPTIONAL if optional else Kind.PLAIN, text=name, constraints=tests)


def _constraint(source: str, text: str) -> Constraint:
    name, _, rest = text.partition("(")
    argument = rest.removesuffix(")")
    if name == "regex":
        pattern = re.compile(argument.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    if name in {"length", "minlength", "maxlength"}:
        return _length(name, _numbers(source, text, argument))
    try:
        return _SIMPLE[name]
    except KeyError:
        raise TemplateError(f"{source!r}: the constraint {text!r} is not known to this host") from None


def _length(name: str, numbers: Sequence[int]) -> Constraint:
    low = 0 if name == "maxlength" else numbers[0]
    if name == "minlength":
        return lambda value: len(value) >= low
    high = numbers[-1]
    return lambda value: low <= len(value) <= high


def _numbers(source: str, text: str, argument: str) -> list[int]:
    try:
        return [int(number) for number in argument.split(",")]
    except ValueError:
        raise TemplateError(f"{source!r}: {text!r} wants numbers") from None


def _is_integer(value: str, limits: range) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", value) is not None and int(value) in limits


def _is_guid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


_SIMPLE: Final[dict[str, Constraint]] = {
    "int": lambda value: _is_integer(value, INT32),
    "long": lambda value: _is_integer(value, INT64),
    "alpha": lambda value: re.fullmatch(r"[A-Za-z]*", value) is not None,
    "guid": _is_guid,
    "bool": lambda value: value.lower() in {"true", "false"},
}
