"""The page of settings: it names every setting and every field, and its document is one that the app takes."""

import json
import re
from pathlib import Path
from typing import Any, Final

from vipcore.settings import document

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
READ: Final = [ROOT / "vipcore" / "settings" / "environment.py", *sorted((ROOT / "vipcore" / "adapters").glob("*.py"))]

BY_THE_PLATFORM: Final = frozenset({"IDENTITY_ENDPOINT", "IDENTITY_HEADER"})


def named(heading: str) -> set[str]:
    """What stands as code in the first column of the table below a heading."""
    table = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return {name for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w<> ]+)`", row)}


def test_every_setting_is_on_the_page() -> None:
    """What the app reads of its environment is in the table, and nothing else is."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in READ)
    read = set(re.findall(r'"((?:VIP|AZURE|IDENTITY)_[A-Z_]+)"', text))

    listed = named("App settings") - {"SSL_CERT_FILE"}  # Python's own, read by its ssl module
    assert read - BY_THE_PLATFORM == {name.partition("<")[0] for name in listed}


def test_every_field_of_the_document_is_on_the_page() -> None:
    """What the schema allows is in the table, or in the example above it."""
    found: set[str] = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            found.update(part.get("properties", ()))
            for value in part.values():
                walk(value)

    walk(document.schema())
    example = PAGE.partition("```json\n")[2].partition("```")[0]

    assert {name for name in found - {"$schema"} if f'"{name}"' not in example} <= named("The mirrors document")
    assert document.read(example).faults == ()
    assert json.loads(example)["mirrors"]
