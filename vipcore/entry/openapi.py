"""The OpenAPI 3.1 document of the routes, made from the definitions that validate requests and from the table of codes.

What validates a body here is what validates it there; a code that a route can answer stands in `ROUTES` and gets its status from
errors.py. https://spec.openapis.org/oas/v3.1.1
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from vipcore.entry import bodies, trail
from vipcore.errors import RETRY_AFTER_S, STATUS_OF_CODE
from vipcore.ledger.audit import COLUMN, EVENTS
from vipcore.model import Seen

Schema = Mapping[str, Any]

_ALWAYS: Final = ("configuration-invalid", "internal")
_STORED: Final = (*_ALWAYS, "storage-unavailable")
_NAMED: Final = (*_STORED, "mirror-unknown")
_SWAP: Final = (
    *_STORED,
    "body-invalid", "body-too-large", "peer-still-primary", "claimant-not-primary", "address-taken", "mirror-frozen",
    "azure-denied", "azure-failed", "busy", "azure-throttled", "outcome-unknown", "identity-unavailable",
)  # fmt: skip
_CLAIM: Final = (
    *_SWAP,
    "signature-missing", "signature-invalid", "signature-expired", "claim-replayed", "key-not-for-member", "claim-superseded",
    "flapping", "too-many-requests",
)  # fmt: skip


class Route(NamedTuple):
    """One route. `path`: below the prefix; `name`: of the function in function_app.py; `answer`, `takes`: names of schemas."""

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

    @property
    def method(self) -> str:
        """The HTTP method in lower case, as the function's name begins with it."""
        return self.name.partition("_")[0]


_TEXT: Final[Schema] = {"type": "string"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 1}
_PAGE: Final[Schema] = {**_NUMBER, "maximum": 10**18 - 1}
_AT: Final[Schema] = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_UUID: Final[Schema] = {"type": "string", "format": "uuid"}
_HASH: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NAMES: Final[Schema] = {"type": "array", "items": _TEXT}


def _parameter(name: str, says: str, schema: Schema, *, where: str = "query", required: bool = False) -> Schema:
    return {"name": name, "in": where, "required": required, "description": says, "schema": schema}


def _header(name: str, says: str) -> Schema:
    return _parameter(name, says, _TEXT, where="header", required=True)


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
    Route("/mirrors", "get_mirrors", "All mirrors, from what is stored; no NIC is read.", "Mirrors", _STORED),
    Route("/mirrors/{mirror}", "get_mirror", "One mirror, its placement and readiness from fresh reads.", "MirrorStatus", _NAMED),
    Route(
        "/mirrors/{mirror}/audit", "get_audit", "The trail, newest first.", "Audit", (*_NAMED, "body-invalid"),
        parameters=(
            _parameter("limit", f"Rows in the page; at most {trail.AUDIT_LIMIT_MAX} are given.", _PAGE),
            _parameter("before", "Only rows below this seq: the `next` of the page before.", _PAGE),
        ),
    ),
    Route(
        "/mirrors/{mirror}/audit/verify", "get_verify", "Recompute the hash chain of the trail.", "Verdict",
        (*_NAMED, "body-invalid"),
        parameters=(
            _parameter("from", "The first seq to look at: the `next` of the page before.", _PAGE),
            _parameter("limit", f"Rows to look at; at most {trail.VERIFY_LIMIT_MAX} are.", _PAGE),
        ),
    ),
    Route("/openapi.json", "get_openapi", "This document.", "Description", _ALWAYS, keyed=False),
    Route("/health", "get_health", "Whether the app is configured.", "Health", (), keyed=False, also=(503,)),
)  # fmt: skip


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(optional: Collection[str] = (), /, **properties: Schema) -> Schema:
    """An object that has all these properties but the optional ones. A trailing `_` keeps a name from being a keyword."""
    named = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {"type": "object", "required": [name for name in named if name not in optional], "properties": named}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_PHASES: Final[Schema] = {"type": "array", "items": _object(name=_TEXT, ms=_COUNT)}
_FROZEN: Final = _object(reason=_TEXT, operator=_TEXT, at=_AT, until=_or_null(_AT))
_STATUS_OF_HEAD: Final[Mapping[str, Schema]] = {
    "mirror": _TEXT,
    "desired": _or_null(_TEXT),
    "epoch": _COUNT,
    "frozen": _or_null(_FROZEN),
    "in_progress": _or_null(
        _object(
            operation_id=_UUID,
            to=_TEXT,
            from_=_or_null(_TEXT),
            since=_AT,
            driven=_BOOLEAN,
            failures=_COUNT,
            phase={"enum": ["accepted", "detach", "attach", "verify", "waiting", "takeover"]},
            last_error=_or_null(_object(code={"enum": list(STATUS_OF_CODE)}, detail=_TEXT)),
            retry_at=_or_null(_AT),
        )
    ),
    "recorded_claim": _or_null(_object(member=_TEXT, claim_id=_TEXT, code={"enum": list(STATUS_OF_CODE)}, recorded_at=_AT)),
    "changes": _object(in_window=_COUNT, max=_NUMBER),
    "drift": _or_null(_TEXT),
    "last_swap": _or_null(_object(operation_id=_UUID, from_=_or_null(_TEXT), to=_TEXT, at=_AT, total_ms=_COUNT, phases=_PHASES)),
}
_PLACEMENT: Final = _object(state={"enum": [seen.value for seen in Seen]}, members=_or_null(_NAMES))
_READY: Final[Schema] = {"type": ["boolean", "null"]}
_LISTED: Final = _object(
    **_STATUS_OF_HEAD,
    placement=_or_null(_PLACEMENT),
    seen_at=_or_null(_AT),
    ready={"type": "object", "additionalProperties": _READY, "description": "By member."},
    reasons={"type": "object", "additionalProperties": _NAMES, "description": "By member: what is in its way."},
    checked_at=_or_null(_AT),
)
_MEMBER: Final = _object(
    name=_TEXT,
    nic=_TEXT,
    provisioning_state=_or_null(_TEXT),
    vips=_or_null(_NAMES),
    primary={"type": ["boolean", "null"]},
    ready=_READY,
    reasons=_NAMES,
    checked_at=_or_null(_AT),
    last_heard_at=_or_null(_AT),
)

_CARRIED: Final = {"type": "object", "additionalProperties": _NAMES, "description": "VIP to what travels with it; of an attach."}
_STEP: Final = _object(("carried",), action=_TEXT, member=_TEXT, nic=_TEXT, vips=_NAMES, carried=_CARRIED)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Claim": bodies.CLAIM,
    "Move": bodies.MOVE,
    "Freeze": bodies.FREEZE,
    "Outcome": _object(
        outcome={"enum": ["moved", "confirmed"]}, mirror=_TEXT, holder=_TEXT, epoch=_COUNT, operation_id=_TEXT,
        from_=_or_null(_TEXT), phases=_PHASES, total_ms=_COUNT,
    ),
    "ClaimPlanned": _object(
        outcome={"const": "planned"}, desired=_or_null(_TEXT), epoch=_COUNT, frozen=_or_null(_FROZEN),
        in_progress=_or_null(_object(operation_id=_UUID, to=_or_null(_TEXT))),
        holder=_or_null(_TEXT), holder_seen_at=_or_null(_AT), ready=_READY, reasons=_NAMES,
        vips={"type": "array", "items": _object(name=_TEXT, private_ip=_TEXT)},
    ),
    "MovePlanned": _object(
        outcome={"const": "planned"},
        steps={"type": "array", "items": _STEP},
        checks={"type": "array", "items": _object(name=_TEXT, ok={"type": ["boolean", "null"]}, detail=_TEXT)},
    ),
    "ClaimAnswer": {"oneOf": [_ref("Outcome"), _ref("ClaimPlanned")]},
    "MoveAnswer": {"oneOf": [_ref("Outcome"), _ref("MovePlanned")]},
    "FreezeAnswer": _object(mirror=_TEXT, frozen=_or_null(_FROZEN)),
    "Mirrors": _object(
        mirrors={"type": "array", "items": {"anyOf": [_LISTED, _object(mirror=_TEXT, fault=_TEXT)]}}
    ),
    "MirrorStatus": {
        "oneOf": [
            _object(**_STATUS_OF_HEAD, placement=_PLACEMENT, members={"type": "array", "items": _MEMBER}),
            _object(
                **{name: {"type": "null"} for name in _STATUS_OF_HEAD if name != "mirror"},
                mirror=_TEXT, head={"const": "unavailable"}, head_detail=_TEXT, placement=_PLACEMENT,
                members={"type": "array", "items": _MEMBER},
            ),
        ]
    },
    "Audit": _object(records={"type": "array", "items": _ref("Row")}, next=_or_null(_NUMBER)),
    "Row": _object(
        COLUMN.keys() - {"actor"}, seq=_NUMBER, at=_AT, event={"enum": list(EVENTS)}, epoch=_COUNT,
        **{name: _COUNT if name == "duration_ms" else _TEXT for name in COLUMN}, alg=_TEXT, prev_hash=_HASH, hash=_HASH,
    ),
    "Verdict": {
        "oneOf": [
            _object(
                ("next",), intact={"const": True}, records=_COUNT, head_hash=_HASH,
                keyed_from=_or_null(_NUMBER), next={"type": "integer", "minimum": 2},
            ),
            _object(intact={"const": False}, records=_COUNT, broken_seq=_NUMBER, detail=_TEXT),
        ]
    },
    "Health": _object(status={"enum": ["ok", "degraded", "misconfigured"]}),
    "Description": _object(openapi=_TEXT, info={"type": "object"}, paths={"type": "object"}),
    "Problem": _object(
        type=_TEXT, title=_TEXT, status={"type": "integer", "minimum": 400, "maximum": 599}, detail=_TEXT, instance=_TEXT,
        code={"enum": list(STATUS_OF_CODE)}, correlation_id=_UUID,
    ),
}  # fmt: skip
"""JSON Schemas of all bodies, by name. Objects are open: a client must take a field that it does not know."""

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
        content = {"application/json": {"schema": _ref(route.takes)}}
        found["requestBody"] = {"required": True, "description": f"At most {bodies.BODY_MAX} bytes.", "content": content}
    return found


def _responses(route: Route) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(route.answer)}}
    found: dict[str, Any] = {"200": {"description": "Done.", "headers": _HEADERS, "content": content}}
    for number in route.also:
        found[str(number)] = {**found["200"], "description": "As the body says."}
    if route.keyed:
        found["401"] = {"description": "No function key, or a wrong one: the host's own answer, without a body."}
    for number in sorted({STATUS_OF_CODE[code] for code in route.codes}):
        codes = [code for code in STATUS_OF_CODE if code in route.codes and STATUS_OF_CODE[code] == number]
        problem = {"allOf": [_ref("Problem"), {"properties": {"code": {"enum": codes}, "status": {"const": number}}}]}
        headers = _HEADERS | (_RETRY if any(code in RETRY_AFTER_S for code in codes) else {})
        content = {bodies.PROBLEM_TYPE: {"schema": problem}}
        found[str(number)] = {"description": ", ".join(codes), "headers": headers, "content": content}
    return found
