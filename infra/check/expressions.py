"""The value of an expression in our dialect of Bicep (evaluate.py says which that is)."""

from __future__ import annotations

import json
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from infra.check.syntax import parts, text
from infra.check.values import Module, Resource, Unknown, is_late

if TYPE_CHECKING:
    from pathlib import Path

    from tree_sitter import Node

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip

Local = Mapping[str, Any]
"""The names of loops and lambdas around an expression, and what they stand for there."""


class Expressions(ABC):
    """Reads the expressions of one file; what a name of the file stands for, and what becomes of a fault, its subclass knows."""

    def __init__(self, path: Path, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.path, self._functions = path, functions

    @abstractmethod
    def fault(self, node: Node, what: str) -> Unknown:
        """Note it, and go on with something unknown."""

    @abstractmethod
    def lookup(self, name: str, node: Node) -> Any:
        """The value of a name of the file."""

    def value(self, node: Node, local: Local) -> Any:
        """The value of an expression."""
        reader = _READERS.get(node.type)
        if reader is None:
            return self.fault(node, f"{node.type} is outside of the dialect")
        return reader(self, node, local)

    def _object(self, node: Node, local: Local) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for one in parts(node):
            key, *rest = parts(one)
            if key.type == "resource_declaration":
                continue
            name = self.value(key, local) if key.type == "string" else text(key)
            if name in made:
                self.fault(one, f"{name} stands twice")
            made[str(name)] = self.value(rest[0], local)
        return made

    def _array(self, node: Node, local: Local) -> list[Any]:
        items = parts(node)
        torn = [one for one, after in pairwise(items) if one.end_point == after.start_point]
        for one in torn:
            self.fault(one, "a call at the start of an element: bind it to a var")
        if torn:
            return []
        return [self.value(one, local) for one in items]

    def _string(self, node: Node, local: Local) -> Any:
        raw = text(node)
        if raw.startswith("'''"):
            return raw[3:-3].removeprefix("\n")
        made: list[Any] = []
        for one in node.named_children:
            if one.type == "interpolation":
                made.append(self.value(parts(one)[0], local))
            else:
                made.append(re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text(one)))
        if any(isinstance(one, Unknown) for one in made):
            return Unknown("".join(map(str, made)))
        return "".join(str(one).lower() if isinstance(one, bool) else str(one) for one in made)

    def _name(self, node: Node, local: Local) -> Any:
        name = text(node)
        return local[name] if name in local else self.lookup(name, node)

    def _unary(self, node: Node, local: Local) -> Any:
        value = self.value(parts(node)[0], local)
        if isinstance(value, Unknown):
            return value
        return not value if text(node).startswith("!") else -value

    def _ternary(self, node: Node, local: Local) -> Any:
        condition, then, otherwise = parts(node)
        wanted = self.value(condition, local)
        if isinstance(wanted, Unknown):
            return Unknown("either")
        return self.value(then if wanted else otherwise, local)

    def _binary(self, node: Node, local: Local) -> Any:
        left_node, right_node = parts(node)
        sign = text(node.children[1])
        left = self.value(left_node, local)
        if (sign == "??" and left is not None) or (sign == "&&" and left is False) or (sign == "||" and left is True):
            return left
        right = self.value(right_node, local)
        if sign in ("??", "&&", "||"):
            return right
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return Unknown(f"{left}{sign}{right}")
        return _OPERATORS[sign](left, right)

    def _member(self, node: Node, local: Local) -> Any:
        whole, part = parts(node)
        value = self.value(whole, local)
        key = text(part) if node.type == "member_expression" else self.value(part, local)
        if isinstance(value, Resource):
            return {"id": value.id, "name": value.name, "type": value.type}.get(key, Unknown(f"{value.name}.{key}"))
        if isinstance(value, Unknown):
            return Unknown(f"{value.why}.{key}")
        if isinstance(value, Module):
            return value.outputs if key == "outputs" else Unknown(str(key))
        try:
            return value[key]
        except (KeyError, IndexError, TypeError):
            return self.fault(node, f"there is no {key!r} in {text(whole)}")

    def _nested(self, node: Node, local: Local) -> Any:
        whole, part = parts(node)
        value = self.value(whole, local)
        found = value.nested.get(text(part)) if isinstance(value, Resource) else None
        return found if found is not None else self.fault(node, f"{text(whole)} has no nested {text(part)}")

    def _lambda(self, node: Node, local: Local) -> Callable[..., Any]:
        *names, body = parts(node)
        return lambda *values: self.value(body, {**local, **dict(zip(map(text, names), values, strict=False))})

    def _call(self, node: Node, local: Local) -> Any:
        name = text(parts(node)[0])
        values = [self.value(one, local) for one in parts(parts(node)[1])] if len(parts(node)) > 1 else []
        if name == "loadJsonContent":
            return json.loads((self.path.parent / values[0]).read_text(encoding="utf-8"))
        if name not in self._functions:
            return self.fault(node, f"the function {name} is unknown, or outside of the dialect")
        if name == "empty" and isinstance(values[0], Unknown):
            return False
        if any(is_late(one) for one in values):
            return Unknown(f"{name}({', '.join(map(str, values))})")
        try:
            return self._functions[name](*values)
        except (TypeError, IndexError, AttributeError) as fault:
            return self.fault(node, f"{name}: {fault}")

    def each(self, body: Node, local: Local, make: Callable[[Node, Local], Any]) -> Any:
        """What `make` makes of a body, once for each row of its loop; None where its condition does not hold."""
        if body.type == "for_statement":
            names, rows_node, inner = parts(body)
            item, *index = [text(one) for one in (parts(names) if names.type == "for_loop_parameters" else [names])]
            rows = self.value(rows_node, local)
            if isinstance(rows, Unknown):
                self.fault(body, f"loop over a value that is known only when deployed: {rows}")
                return []
            made = [
                self.each(inner, {**local, item: row, **dict.fromkeys(index, number)}, make) for number, row in enumerate(rows)
            ]
            return [one for one in made if one is not None]
        if body.type == "if_statement":
            condition, body = parts(body)
            wanted = self.value(parts(condition)[0], local)
            if isinstance(wanted, Unknown):
                self.fault(condition, "condition is known only when deployed")
            if not wanted:
                return None
        return make(body, local)


_READERS: Final[Mapping[str, Callable[[Expressions, Node, Local], Any]]] = {
    "string": Expressions._string,
    "number": lambda _, node, __: int(text(node)),
    "boolean": lambda _, node, __: text(node) == "true",
    "null": lambda *_: None,
    "array": Expressions._array,
    "object": Expressions._object,
    "for_statement": lambda template, node, local: template.each(node, local, template.value),
    "identifier": Expressions._name,
    "property_identifier": Expressions._name,
    "parenthesized_expression": lambda template, node, local: template.value(parts(node)[0], local),
    "unary_expression": Expressions._unary,
    "ternary_expression": Expressions._ternary,
    "binary_expression": Expressions._binary,
    "member_expression": Expressions._member,
    "subscript_expression": Expressions._member,
    "resource_expression": Expressions._nested,
    "lambda_expression": Expressions._lambda,
    "call_expression": Expressions._call,
}
