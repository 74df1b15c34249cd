"""A Bicep file as tree-sitter parses it, and what is asked of a node."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER: Final = Parser(Language(tree_sitter_bicep.language()))


@lru_cache(maxsize=64)
def parsed(source: bytes) -> Node:
    """The root of a file."""
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
