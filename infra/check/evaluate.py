"""Evaluate our dialect of Bicep: a template and its parameters -> every resource with every value, and every fault.

The dialect (docs/adr/0019): no imports, registry modules, user-defined types, spread, functions of our own, asserts; no call at
the start of an element of an array (the parser reads `[ subscription().id ]` as two); no condition in a loop (pycep reads none:
filter its rows); a line for each row; comments above what they explain; no function that functions.py lacks. Anything else is a
fault. A value that is known only when deployed may be a property, never a name, a module's scope, a condition or the rows of a
loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from infra.check.expressions import Expressions, Local
from infra.check.functions import PURE, scoped
from infra.check.syntax import complaints, name_counts, parsed, parts, text
from infra.check.values import Module, Resource, Scope, Unknown, given, is_late

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tree_sitter import Node

GROUP: Final = Scope("resourceGroup", "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-vip")
_TYPES: Final[Mapping[str, type]] = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}
_KNOWN_STATEMENTS: Final = {
    "target_scope_assignment", "decorators", "parameter_declaration", "variable_declaration", "resource_declaration",
    "module_declaration", "output_declaration",
}  # fmt: skip


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


class Template(Expressions):
    """One file, deployed once. Names are looked up when first needed, as their order in the file means nothing."""

    def __init__(self, path: Path, world: World, scope: Scope, trail: str = "") -> None:
        super().__init__(path, {**PURE, **scoped(scope, world.cloud)})
        self.world, self.scope, self.trail = world, scope, trail
        self.outputs: dict[str, Any] = {}
        self.described: dict[str, str] = {}
        self._found: dict[str, Any] = {}
        self._late: dict[str, Node] = {}

    def fault(self, node: Node, what: str) -> Unknown:
        """Note it, and go on with something unknown."""
        self.world.faults.append(f"{self.path.name}:{node.start_point[0] + 1}: {what}")
        return Unknown("fault")

    # -- a file --------------------------------------------------------------------------------------------------------
    def run(self, parameters: Mapping[str, Any]) -> None:
        """Evaluate all of it."""
        source = self.path.read_bytes()
        root = parsed(source)
        if errors := complaints(source):
            self.world.faults += [f"{self.path.name}:{line}: {what}" for line, what in errors]
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
            self.lookup(name, root)
        for statement in statements:
            if statement.type == "output_declaration":
                output, _, value = parts(statement)
                self.outputs[text(output)] = self.value(value, {})
        counted = name_counts(self.path.read_bytes())
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

    def lookup(self, name: str, node: Node) -> Any:
        """The value of a name of the file."""
        if name not in self._found:
            if name not in self._late:
                return self.fault(node, f"{name} is not defined")
            statement = self._late.pop(name)
            made = statement.type == "variable_declaration"
            self._found[name] = self.value(parts(statement)[1], {}) if made else self._declare(statement, {}, None)
        return self._found[name]

    # -- resources and modules -----------------------------------------------------------------------------------------
    def _declare(self, statement: Node, local: Local, parent: Resource | None) -> Any:
        return self.each(parts(statement)[-1], local, lambda body, inner: self._one(statement, body, inner, parent))

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
