"""Evaluate our dialect of Bicep: a template and its parameters -> every resource with every value, and every fault.

The dialect (docs/adr/0019): no imports, registry modules, user-defined types, spread, functions of our own, asserts; no call at
the start of an element of an array (the parser reads `[ subscription().id ]` as two); comments above what they explain; no
function that functions.py lacks. Anything else is a fault. A value that is known only when deployed may be a property, never a
name, a module's scope, a condition or the rows of a loop.
"""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from infra.check.functions import PURE, scoped
from infra.check.values import Module, Resource, Scope, Unknown, given, is_late

if TYPE_CHECKING:
    from pathlib import Path

GROUP: Final = Scope("resourceGroup", "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-vip")
_PARSER: Final = Parser(Language(tree_sitter_bicep.language()))
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_TYPES: Final[Mapping[str, type]] = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip
_KNOWN_STATEMENTS: Final = {
    "target_scope_assignment", "decorators", "parameter_declaration", "variable_declaration", "resource_declaration",
    "module_declaration", "output_declaration",
}  # fmt: skip

Local = Mapping[str, Any]


@dataclass
class World:
    """What a deployment would make, and what is wrong with it."""

    cloud: str = "AzureCloud"
    resources: list[Resource] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    """Of the main template: name -> description."""

    def of(self, kind: str) -> list[Resource]:
        """The resources of this type that are made, not only named."""
        return [one for one in self.resources if one.type.lower() == kind.lower() and not one.existing]


def evaluate(path: Path, parameters: Mapping[str, Any], *, scope: Scope = GROUP, cloud: str = "AzureCloud") -> World:
    """Deploy the template in mind."""
    world = World(cloud)
    template = Template(path, world, scope)
    template.run(parameters)
    world.outputs, world.parameters = template.outputs, template.described
    return world


@lru_cache(maxsize=64)
def _parsed(source: bytes) -> Node:
    return _PARSER.parse(source).root_node


def text(node: Node) -> str:
    """The source of a node."""
    assert node.text is not None
    return node.text.decode()


def parts(node: Node) -> list[Node]:
    """Its named parts, without comments."""
    return [one for one in node.named_children if "comment" not in one.type]


def broken(node: Node) -> Iterator[Node]:
    """What the parser could not read."""
    if node.type == "ERROR" or node.is_missing:
        yield node
    for one in node.children:
        yield from broken(one)


def names_in(node: Node) -> Iterator[str]:
    """Every name in it, where declared and where used; keys of objects and members are none."""
    if node.type == "identifier":
        yield text(node)
    for one in node.children:
        if not (node.type == "object_property" and one == node.children[0]):
            yield from names_in(one)


class Template:
    """One file, deployed once. Names are looked up when first needed, as their order in the file means nothing."""

    def __init__(self, path: Path, world: World, scope: Scope, trail: str = "") -> None:
        self.path, self.world, self.scope, self.trail = path, world, scope, trail
        self.outputs: dict[str, Any] = {}
        self.described: dict[str, str] = {}
        self._found: dict[str, Any] = {}
        self._late: dict[str, Node] = {}
        self._functions = {**PURE, **scoped(scope, world.cloud)}

    def fault(self, node: Node, what: str) -> Unknown:
        """Note it, and go on with something unknown."""
        self.world.faults.append(f"{self.path.name}:{node.start_point[0] + 1}: {what}")
        return Unknown("fault")

    # -- a file --------------------------------------------------------------------------------------------------------
    def run(self, parameters: Mapping[str, Any]) -> None:
        """Evaluate all of it."""
        root = _parsed(self.path.read_bytes())
        if root.has_error:
            self.fault(next(broken(root), root), "syntax error")
            return
        statements = parts(root)
        self._check_scope(root, statements)
        decorators: list[Node] = []
        declared: set[str] = set()
        for statement in statements:
            if statement.type == "decorators":
                decorators = parts(statement)
                continue
            if statement.type == "parameter_declaration":
                declared.add(self._parameter(statement, decorators, parameters))
            elif statement.type in ("variable_declaration", "resource_declaration", "module_declaration"):
                self._late[text(parts(statement)[0])] = statement
            elif statement.type not in _KNOWN_STATEMENTS:
                self.fault(statement, f"{statement.type} is outside of the dialect")
            decorators = []
        self._finish(root, statements, parameters, declared)

    def _finish(self, root: Node, statements: list[Node], parameters: Local, declared: set[str]) -> None:
        for name in sorted(parameters.keys() - declared):
            self.fault(root, f"there is no param {name}")
        checked = {name for name in declared | self._late.keys() if name in declared or self._is_variable(name)}
        for name in list(self._late):
            self._lookup(name, root)
        for statement in statements:
            if statement.type == "output_declaration":
                output, _, value = parts(statement)
                self.outputs[text(output)] = self.value(value, {})
        counted = Counter(names_in(root))
        for name in sorted(name for name in checked if counted[name] < 2):
            self.fault(root, f"{name} is never used")

    def _is_variable(self, name: str) -> bool:
        return self._late[name].type == "variable_declaration"

    def _check_scope(self, root: Node, statements: list[Node]) -> None:
        wanted = [self.value(parts(one)[0], {}) for one in statements if one.type == "target_scope_assignment"]
        if next(iter(wanted), "resourceGroup") != self.scope.kind:
            self.fault(root, f"targetScope {wanted}, deployed at {self.scope.kind}")

    def _parameter(self, statement: Node, decorators: list[Node], parameters: Mapping[str, Any]) -> str:
        name_node, type_node, *default = parts(statement)
        name, kind = text(name_node), _TYPES.get(text(type_node))
        if name in parameters:
            value = parameters[name]
        elif default:
            value = self.value(default[0], {})
        else:
            value = self.fault(statement, f"param {name} has no value")
        known = not isinstance(value, Unknown)
        if kind is None:
            self.fault(statement, f"param {name}: {text(type_node)} is outside of the dialect")
        elif known and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            self.fault(statement, f"param {name}: {text(type_node)} wanted, got {value!r}")
        elif known:
            self._decorated(statement, name, value, decorators)
        self._found[name] = value
        return name

    def _decorated(self, statement: Node, name: str, value: Any, decorators: list[Node]) -> None:
        for decorator in decorators:
            call = parts(decorator)[0]
            what = text(parts(call)[0])
            given_values = [self.value(one, {}) for one in parts(parts(call)[1])] if len(parts(call)) > 1 else []
            limit = given_values[0] if given_values else None
            size = len(value) if isinstance(value, (str, list)) else value
            if what == "allowed" and value not in (limit or []):
                self.fault(statement, f"param {name}: {value!r} is not allowed")
            elif what in ("minValue", "minLength") and isinstance(limit, int) and size < limit:
                self.fault(statement, f"param {name}: {value!r} is below {limit}")
            elif what in ("maxValue", "maxLength") and isinstance(limit, int) and size > limit:
                self.fault(statement, f"param {name}: {value!r} is above {limit}")
            elif what == "description":
                self.described[name] = str(limit)

    def _lookup(self, name: str, node: Node) -> Any:
        if name not in self._found:
            if name not in self._late:
                return self.fault(node, f"{name} is not defined")
            statement = self._late.pop(name)
            made = statement.type == "variable_declaration"
            self._found[name] = self.value(parts(statement)[1], {}) if made else self._declare(statement, {}, None)
        return self._found[name]

    # -- resources and modules -----------------------------------------------------------------------------------------
    def _declare(self, statement: Node, local: Local, parent: Resource | None) -> Any:
        return self._each(parts(statement)[-1], local, lambda body, inner: self._one(statement, body, inner, parent))

    def _each(self, body: Node, local: Local, make: Callable[[Node, Local], Any]) -> Any:
        if body.type == "for_statement":
            names, rows_node, inner = parts(body)
            item, *index = [text(one) for one in (parts(names) if names.type == "for_loop_parameters" else [names])]
            rows = self.value(rows_node, local)
            if isinstance(rows, Unknown):
                self.fault(body, f"loop over a value that is known only when deployed: {rows}")
                return []
            made = [
                self._each(inner, {**local, item: row, **dict.fromkeys(index, number)}, make) for number, row in enumerate(rows)
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

    def _one(self, statement: Node, body: Node, local: Local, parent: Resource | None) -> Any:
        reference = str(self.value(parts(statement)[1], local))
        made = self._object(body, local)
        where = f"{self.trail}/{text(parts(statement)[0])}"
        if statement.type == "module_declaration":
            return self._module(statement, reference, made, where)
        kind, _, api = reference.partition("@")
        if parent is not None:
            kind, api = f"{parent.type}/{kind}", api or parent.api
        own_parent, scope = made.pop("parent", parent), made.pop("scope", None)
        made.pop("dependsOn", None)
        resource = Resource(kind, api, made.get("name"), None, existing=any(one.type == "existing" for one in statement.children))
        resource.existing = resource.existing or " existing " in text(statement).partition("=")[0]
        resource.where = f"{self.path.name}:{statement.start_point[0] + 1} {where}"
        resource.body = made
        resource.parent_or_scope = next((one for one in (own_parent, scope) if isinstance(one, Resource)), None)
        resource.id = self._id(statement, resource, own_parent, scope)
        for one in parts(body):
            if parts(one)[0].type == "resource_declaration":
                inner = parts(one)[0]
                resource.nested[text(parts(inner)[0])] = self._declare(inner, local, resource)
        self.world.resources.append(resource)
        return resource

    def _module(self, statement: Node, reference: str, made: dict[str, Any], where: str) -> Module:
        scope = made.get("scope", self.scope)
        if isinstance(scope, dict) and "subscriptionId" in scope:
            scope = Scope("subscription", scope["id"])
        if not isinstance(scope, Scope) or is_late(made.get("name")):
            self.fault(statement, f"the scope or the name of module {where} is not known at the start")
            scope = self.scope
        path = self.path.parent / reference
        if not path.exists():
            self.fault(statement, f"there is no module {reference}")
            return Module({})
        template = Template(path, self.world, scope, where)
        template.run({name: given(value) for name, value in made.get("params", {}).items()})
        return Module(template.outputs)

    def _id(self, statement: Node, resource: Resource, parent: Any, scope: Any) -> Any:
        if is_late(resource.name) or is_late(resource.id):
            self.fault(statement, f"the name of {resource.type} is known only when deployed: {resource.name}")
            return Unknown("id")
        if isinstance(parent, Resource):
            outer, _, leaf = resource.type.rpartition("/")
            if outer.lower() != parent.type.lower():
                self.fault(statement, f"{resource.type} is no child of {parent.type}")
            return f"{parent.id}/{leaf}/{resource.name}"
        base = scope.id if isinstance(scope, (Resource, Scope)) else self.scope.id
        provider, *kinds = resource.type.split("/")
        names = str(resource.name).split("/")
        if len(kinds) != len(names):
            self.fault(statement, f"{resource.type} needs a parent, or a name of {len(kinds)} parts")
        return f"{base}/providers/{provider}/" + "/".join(f"{kind}/{name}" for kind, name in zip(kinds, names, strict=False))

    # -- values --------------------------------------------------------------------------------------------------------
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
        for one, after in pairwise(items):
            if one.end_point == after.start_point:
                self.fault(one, "a call at the start of an element: bind it to a var")
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
        return local[name] if name in local else self._lookup(name, node)

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


_READERS: Final[Mapping[str, Callable[[Template, Node, Local], Any]]] = {
    "string": Template._string,
    "number": lambda _, node, __: int(text(node)),
    "boolean": lambda _, node, __: text(node) == "true",
    "null": lambda *_: None,
    "array": Template._array,
    "object": Template._object,
    "for_statement": lambda template, node, local: template._each(node, local, template.value),
    "identifier": Template._name,
    "property_identifier": Template._name,
    "parenthesized_expression": lambda template, node, local: template.value(parts(node)[0], local),
    "unary_expression": Template._unary,
    "ternary_expression": Template._ternary,
    "binary_expression": Template._binary,
    "member_expression": Template._member,
    "subscript_expression": Template._member,
    "resource_expression": Template._nested,
    "lambda_expression": Template._lambda,
    "call_expression": Template._call,
}
