"""The layers of the simulator: who may import whom. Files are parsed, so late imports and TYPE_CHECKING blocks count too."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SIMULATOR: Final = ROOT / "simulator"
# From the bottom up. A folder is one layer, a module at the top of the package is one too.
LAYERS: Final = (
    "core",
    "state",
    "access",
    "request",
    "network",
    "members",
    "control",
    "front",
    "worlds",
    "tls",
    "populate",
    "cloud",
    "server",
    "__main__",
)


def modules() -> dict[str, Path]:
    """Every module of the simulator by dotted name; a package stands for its __init__.py."""
    found: dict[str, Path] = {}
    for path in sorted(SIMULATOR.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()


def imports_of(path: Path) -> Iterator[str]:
    """The modules and packages of the simulator that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:  # `from a.b import c` imports the module a.b.c if there is one, else a.b
            yield from (one for one in (name, name.rpartition(".")[0]) if one in MODULES)


IMPORTS: Final = {name: frozenset(imports_of(path)) for name, path in MODULES.items()}


def layer_of(module: str) -> str:
    """The layer of a module: the first part of its name behind `simulator`."""
    return module.split(".")[1]


def test_every_folder_and_top_module_has_a_layer() -> None:
    """LAYERS names exactly what there is, so that a new folder or module gets its place."""
    found = {layer_of(name) for name in MODULES if name != "simulator"}

    assert found == set(LAYERS)


def test_modules_import_only_their_own_layer_and_lower_ones() -> None:
    """No module imports a module of a higher layer."""
    upward = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if other != "simulator"
        if name == "simulator" or LAYERS.index(layer_of(other)) > LAYERS.index(layer_of(name))
    ]

    assert upward == []


def test_there_is_no_import_circle() -> None:
    """Modules can be put in an order in which each one imports earlier ones only."""
    left = {name: set(others) - {name} for name, others in IMPORTS.items()}
    while ready := [name for name, others in left.items() if not others & left.keys()]:
        for name in ready:
            del left[name]

    assert left == {}


def test_the_readme_lists_the_layers_in_this_order() -> None:
    """The table of layers in simulator/README.md names every layer, bottom up."""
    text = (SIMULATOR / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Layers")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip().strip("`").removesuffix("/") for line in table.splitlines() if line.startswith("| `")]

    assert [name.removesuffix(".py") for name in rows] == list(LAYERS)


def test_every_folder_says_in_one_sentence_what_it_holds() -> None:
    """A folder's __init__.py is a docstring of one sentence and nothing else."""
    for name in ("simulator", *(f"simulator.{layer}" for layer in LAYERS if (SIMULATOR / layer).is_dir())):
        tree = ast.parse(MODULES[name].read_bytes())
        text = ast.get_docstring(tree) or ""

        assert len(tree.body) == 1, name
        assert text.endswith("."), name
        assert "\n" not in text, name
