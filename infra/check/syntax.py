"""A Bicep file as tree-sitter parses it, what is asked of a node, and what two parsers and we object to."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

import tree_sitter_bicep
from pycep import BicepParser
from tree_sitter import Language, Node, Parser

_PARSER: Final = Parser(Language(tree_sitter_bicep.language()))
_ROWS: Final = ("infrastructure", "object", "array")
"""Nodes whose parts stand on a line each."""
_ESCAPE: Final = re.compile(r"\\(?![\\'nrt$]|u\{[0-9A-Fa-f]+\})")


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


@lru_cache(maxsize=64)
def complaints(source: bytes) -> tuple[tuple[int, str], ...]:
    """(line, what) of each syntax error. Two parsers are asked, since each takes something that Bicep refuses."""
    root = parsed(source)
    found = [(one.start_point[0] + 1, "syntax error") for one in broken(root)] or list(_taken_by_both(root))
    try:
        _second_parser().parse(text=source.decode())
    except Exception as fault:  # noqa: BLE001  # whatever its grammar raises
        line = getattr(fault, "line", 1)
        found = found or [(line, f"syntax error, says pycep: {str(fault).splitlines()[0]}")]
    return tuple(found)


@cache
def _second_parser() -> BicepParser:
    return BicepParser()


def _taken_by_both(node: Node) -> Iterator[tuple[int, str]]:
    """What Bicep refuses and both parsers take: two rows on a line, and escapes that are none."""
    if node.type in _ROWS:
        for one, after in pairwise(parts(node)):
            if one.end_point[0] == after.start_point[0] and one.end_point != after.start_point:
                yield after.start_point[0] + 1, f"{text(after).partition(chr(10))[0]} needs a line of its own"
    if node.type == "string" and not text(node).startswith("'''") and _ESCAPE.search(text(node).replace("\\\\", "")):
        yield node.start_point[0] + 1, f"{text(node)} has an escape that is none"
    for one in node.children:
        yield from _taken_by_both(one)


@lru_cache(maxsize=64)
def name_counts(source: bytes) -> Counter[str]:
    """How often each name stands in a file, where declared and where used; keys of objects and members are none."""
    return Counter(_names_in(parsed(source)))


def _names_in(node: Node) -> Iterator[str]:
    if node.type == "identifier":
        yield text(node)
    for one in node.children:
        if not (node.type == "object_property" and one == node.children[0]):
            yield from _names_in(one)
