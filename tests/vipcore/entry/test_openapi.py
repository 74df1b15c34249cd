"""The OpenAPI document: valid, whole, and made of the definitions that are in force."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vipcore.entry import bodies, openapi, schemas
from vipcore.errors import STATUS_OF_CODE

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT: Any = json.loads(json.dumps(openapi.document()))
HTTP_CODES = set(STATUS_OF_CODE)


def operations() -> list[tuple[str, str, Any]]:
    """Method, path and description of every operation."""
    return [(method, path, found) for path, item in DOCUMENT["paths"].items() for method, found in item.items()]


def test_every_code_is_answered_by_some_route() -> None:
    """The codes of the app and of its OpenAPI document are the same, each under its status; a second pass is 409 `busy`."""
    told: set[str] = set()
    for _, path, found in operations():
        for status, answer in found["responses"].items():
            problem = answer.get("content", {}).get("application/problem+json", {}).get("schema")
            codes = problem["allOf"][1]["properties"]["code"]["enum"] if problem else []
            if (path, status) == ("/reconcile", "409"):
                assert codes == ["busy"]
                continue
            assert {STATUS_OF_CODE[code] for code in codes} <= {int(status)}
            told |= set(codes)

    assert told == HTTP_CODES


def test_the_table_is_away_in_both_ways() -> None:
    """Where the table may be away, the identity that opens it may be: no route can answer one of these codes alone."""
    for route in openapi.ROUTES:
        assert len({"storage-unavailable", "identity-unavailable"} & set(route.codes)) in (0, 2), route.name


def test_every_reference_leads_somewhere() -> None:
    """No reference of the document is dangling, and no schema is unused."""
    text = json.dumps(DOCUMENT)

    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_schemas_are_schemas(name: str) -> None:
    """Each is a valid JSON Schema of draft 2020-12, the dialect of OpenAPI 3.1."""
    jsonschema.Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_bodies_are_described_by_what_validates_them() -> None:
    """The schemas of requests are the very ones that judge requests."""
    assert schemas.SCHEMAS["Claim"] is bodies.CLAIM
    assert schemas.SCHEMAS["Move"] is bodies.MOVE
    assert schemas.SCHEMAS["Freeze"] is bodies.FREEZE


def test_operations_have_names_of_their_own() -> None:
    """Every operation has an id, and none has another's."""
    names = [found["operationId"] for _, _, found in operations()]

    assert len(names) == len(set(names)) == len(openapi.ROUTES)


def test_every_code_is_explained() -> None:
    """The page that explains codes to operators has every code, under its status."""
    page = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d{3} ", line)]

    explained = {code: int(row.split("|")[1]) for row in rows for code in re.findall(r"`([a-z-]+)`", row.split("|")[2])}

    assert explained == dict(STATUS_OF_CODE)
