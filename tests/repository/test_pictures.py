"""The pictures of the front page: they are well formed and stand alone, and the drawn one suits a light and a dark page."""

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["topology.svg", "demo.svg"])
def test_a_picture_stands_alone(name: str) -> None:
    """It parses, has a title and a description for those who cannot see it, and loads nothing."""
    text = (DOCS / name).read_text(encoding="utf-8")
    root = ET.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}

    assert {"title", "desc", "style"} <= tags
    assert not {"script", "image", "foreignObject"} & tags
    assert re.findall(r"https?://[^\"' )]+", text) == ["http://www.w3.org/2000/svg"]


def test_every_colour_of_the_topology_has_one_for_a_dark_page() -> None:
    """A class that is drawn in a colour on paper has another one at night, so nothing vanishes."""
    text = (DOCS / "topology.svg").read_text(encoding="utf-8")
    light, _, dark = text.partition("<style>")[2].partition("</style>")[0].partition("@media (prefers-color-scheme: dark) {")

    def coloured(rules: str) -> set[str]:
        return {one[1] for one in re.finditer(r"([.\w-]+) \{[^}]*#[0-9a-f]{6}", rules)}

    assert coloured(light)
    assert coloured(light) == coloured(dark)
