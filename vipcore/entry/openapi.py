"""The OpenAPI 3.1 document of the routes, made from the definitions that validate requests and from the table of codes.

What validates a body here is what validates it there; a code that a route can answer stands in `ROUTES` and gets its status from
errors.py. https://spec.openapis.org/oas/v3.1.1
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from vipcore.entry import bodies, schemas, trail
from vipcore.entry.schemas import SCHEMAS, Schema, ref
from vipcore.errors import RETRY_AFTER_S, STATUS_OF_CODE

_TEXT, _PAGE, _COUNT, _UUID = schemas.TEXT, schemas.PAGE, schemas.COUNT, schemas.UUID
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}

_ALWAYS: Final = ("configuration-invalid", "internal")
_STORED: Final = (*_ALWAYS, "storage-unavailable", "identity-unavailable")
_NAMED: Final = (*_STORED, "mirror-unknown")
_SWAP: Final = (
    *_STORED,
    "body-invalid", "body-too-large", "peer-still-primary", "claimant-not-primary", "address-taken", "mirror-frozen",
    "azure-denied", "azure-failed", "busy", "azure-throttled", "outcome-unknown",
)  # fmt: skip
_CLAIM: Final = (
    *_SWAP,
    "signature-missing", "signature-invalid", "signature-expired", "claim-replayed", "key-not-for-member", "claim-superseded",
    "flapping", "too-many-requests",
)  # fmt: skip


class Route(NamedTuple):
    """One route. `path`: below the prefix; `name`: of the function in function_app.py; `answer`, `takes`: names of schemas.

    `answer` is empty where no answer is JSON.
    """

    path: str
    name: str
    says: str
    answer: str
    codes: Sequence[str]
    """Of its refusals."""
    takes: str | None = None
    keyed: bool = True
    """Whether the host asks for a function key."""
    parameters: Sequence[Schema] = ()
    also: Sequence[int] = ()
    """More statuses with that answer."""
    or_text: Sequence[str] = ()
    """The media types of answers that are no JSON."""
    conflicts: Sequence[str] = ()
    """Codes that come with 409 here."""

    @property
    def method(self) -> str:
        """The HTTP method in lower case, as the function's name begins with it."""
        return self.name.partition("_")[0]


def _parameter(name: str, says: str, schema: Schema, *, where: str = "query", required: bool = False) -> Schema:
    return {"name": name, "in": where, "required": required, "description": says, "schema": schema}


def _header(name: str, says: str) -> Schema:
    return _parameter(name, says, _TEXT, where="header", required=True)


_FORM: Final = _parameter("format", "`text` for a terminal; so does `Accept: text/plain`.", {"enum": ["json", "text"]})

ROUTES: Final = (
    Route(
        "/mirrors/{mirror}/claims", "post_claim", takes="Claim", answer="ClaimAnswer", codes=_CLAIM, keyed=False,
        says="A member says that it has become primary. 200: the VIP is on its NIC, and a read after the last write showed it.",
        parameters=(
            _header("Content-Digest", "RFC 9530, sha-256 of the body."),
            _header("Signature-Input", 'RFC 9421 over "@method" "@path" "content-type" "content-digest", tag="mirror-vip".'),
            _header("Signature", "The signature itself, alg hmac-sha256."),
        ),
    ),
    Route(
        "/mirrors/{mirror}/moves", "post_move", takes="Move", answer="MoveAnswer",
        codes=(*_SWAP, "mirror-unknown", "member-unknown", "move-superseded"),
        says="An operator moves the VIP, or asks with dry_run what a move would do.",
        parameters=(_FORM,), or_text=("text/plain",),
    ),
    Route(
        "/mirrors/{mirror}/freeze", "put_freeze", takes="Freeze", answer="FreezeAnswer",
        codes=(*_NAMED, "body-invalid", "body-too-large"), says="No swap begins until the freeze is lifted.",
    ),
    Route(
        "/mirrors/{mirror}/freeze", "delete_freeze", answer="FreezeAnswer", codes=(*_NAMED, "body-invalid"),
        says="Lift the freeze.",
        parameters=(
            _parameter("operator", "Who lifts it.", bodies.TEXT, required=True),
            _parameter("reason", "Why.", bodies.TEXT, required=True),
        ),
    ),
    Route(
        "/mirrors", "get_mirrors", "All mirrors, from what is stored; no NIC is read.", "Mirrors", (*_STORED, "body-invalid"),
        parameters=(_FORM,), or_text=("text/plain",),
    ),
    Route(
        "/mirrors/{mirror}", "get_mirror", "One mirror, its placement and readiness from fresh reads.", "MirrorStatus",
        (*_ALWAYS, "mirror-unknown", "body-invalid"), parameters=(_FORM,), or_text=("text/plain",),
    ),
    Route(
        "/health/mirrors", "get_health_mirrors", "For monitors: 503 where something is wrong with any mirror, and what.",
        "MirrorsHealth", _ALWAYS, also=(503,),
    ),
    Route(
        "/reconcile", "post_reconcile", "Run a pass of the timer now, over all that is decided.", "Passed", _STORED,
        conflicts=("busy",),
    ),
    Route(
        "/mirrors/{mirror}/audit", "get_audit", "The trail, newest first.", "Audit", (*_NAMED, "body-invalid"),
        parameters=(
            _parameter("from", "Only rows of this instant or later, RFC 3339.", _TIME),
            _parameter("to", "Only rows of before this instant, RFC 3339.", _TIME),
            _parameter(
                "limit",
                f"Rows in the page; at most {trail.AUDIT_LIMIT_MAX} are given, {trail.CSV_LIMIT} as CSV.",
                _PAGE,
            ),
            _parameter("before", "Only rows below this seq: the `next` of the page before.", _PAGE),
            _parameter(
                "format", "As CSV, or as text for a terminal, the `Link` header leads to the next page.",
                {"enum": ["json", "csv", "text"]},
            ),
        ),
        or_text=("text/csv", "text/plain"),
    ),
    Route(
        "/mirrors/{mirror}/audit/verify", "get_verify", "Recompute the hash chain of the trail.", "Verdict",
        (*_NAMED, "body-invalid"),
        parameters=(
            _parameter("from", "The first seq to look at: the `next` of the page before.", _PAGE),
            _parameter("limit", f"Rows to look at; at most {trail.VERIFY_LIMIT_MAX} are.", _PAGE),
        ),
    ),
    Route(
        "/dashboard", "get_dashboard", "The operators' page, which takes a function key of its own.", "", _ALWAYS,
        parameters=(
            _parameter("mirror", "One mirror instead of all.", _TEXT),
            _parameter("q", "Only mirrors with this in their name or a member's.", _TEXT),
            _parameter("show", "Only mirrors of this kind.", {"enum": ["all", "trouble", "frozen", "swapping"]}),
            _parameter("page", "Which page of the mirrors.", _PAGE),
            _parameter("event", "Only rows of this event.", _TEXT),
            _parameter("member", "Only rows about this member.", _TEXT),
            _parameter("from", "Only rows from this time on, in UTC.", _TEXT),
            _parameter("to", "Only rows before this time, in UTC.", _TEXT),
            _parameter("before", "Only rows below this seq.", _PAGE),
        ),
        or_text=("text/html",), also=(404, 500, 503),
    ),
    Route("/openapi.json", "get_openapi", "This document.", "Description", _ALWAYS, keyed=False),
    Route("/health", "get_health", "Whether the app is configured.", "Health", (), keyed=False, also=(503,)),
)  # fmt: skip


_HEADERS: Final = {
    "x-correlation-id": {"description": "Also in the log and in the audit rows.", "schema": _UUID},
    "x-mirror-vip-version": {"description": "The app's.", "schema": _TEXT},
}
_RETRY: Final = {"Retry-After": {"description": "Whole seconds.", "schema": _COUNT}}


@cache
def document() -> Mapping[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mirror VIP controller", "version": "1", "description": "Moves an IRIS mirror's VIP in Azure."},
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "functionKeyInQuery": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    path = {"name": "mirror", "in": "path", "required": True, "schema": _TEXT}
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.says,
        "parameters": [*([path] if "{mirror}" in route.path else []), *route.parameters],
        "responses": _responses(route),
        "security": [{"functionKey": []}, {"functionKeyInQuery": []}] if route.keyed else [],
    }
    if route.takes:
        content = {"application/json": {"schema": ref(route.takes)}}
        found["requestBody"] = {"required": True, "description": f"At most {bodies.BODY_MAX} bytes.", "content": content}
    return found


def _responses(route: Route) -> dict[str, Any]:
    content = {"application/json": {"schema": ref(route.answer)}} if route.answer else {}
    content |= {media_type: {"schema": _TEXT} for media_type in route.or_text}
    found: dict[str, Any] = {"200": {"description": "Done.", "headers": _HEADERS, "content": content}}
    for number in route.also:
        found[str(number)] = {**found["200"], "description": "As the body says."}
    if route.keyed:
        found["401"] = {"description": "No function key, or a wrong one: the host's own answer, without a body."}
    statuses = {code: STATUS_OF_CODE[code] for code in STATUS_OF_CODE if code in route.codes} | dict.fromkeys(
        route.conflicts, 409
    )
    for number in sorted(set(statuses.values())):
        codes = [code for code, status in statuses.items() if status == number]
        problem = {"allOf": [ref("Problem"), {"properties": {"code": {"enum": codes}, "status": {"const": number}}}]}
        headers = _HEADERS | (_RETRY if any(code in RETRY_AFTER_S for code in codes) else {})
        also = found[str(number)]["content"] if number in route.also else {}
        content = {**also, bodies.PROBLEM_TYPE: {"schema": problem}}
        found[str(number)] = {"description": ", ".join(codes), "headers": headers, "content": content}
    return found
