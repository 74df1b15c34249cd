"""JSON Schemas of all bodies, by name, for the OpenAPI document: what validates a body here is what validates it there."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from vipcore.entry import bodies
from vipcore.errors import STATUS_OF_CODE
from vipcore.ledger.audit import COLUMN, EVENTS
from vipcore.model import Seen

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 1}
PAGE: Final[Schema] = {**_NUMBER, "maximum": 10**18 - 1}
_AT: Final[Schema] = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
_HASH: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NAMES: Final[Schema] = {"type": "array", "items": TEXT}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(optional: Collection[str] = (), /, **properties: Schema) -> Schema:
    """An object that has all these properties but the optional ones. A trailing `_` keeps a name from being a keyword."""
    named = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {"type": "object", "required": [name for name in named if name not in optional], "properties": named}


def ref(name: str) -> Schema:
    """A reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


_PHASES: Final[Schema] = {"type": "array", "items": _object(name=TEXT, ms=COUNT)}
_FROZEN: Final = _object(reason=TEXT, operator=TEXT, at=_AT, until=_or_null(_AT))
_STATUS_OF_HEAD: Final[Mapping[str, Schema]] = {
    "mirror": TEXT,
    "desired": _or_null(TEXT),
    "epoch": COUNT,
    "frozen": _or_null(_FROZEN),
    "in_progress": _or_null(
        _object(
            operation_id=UUID,
            to=TEXT,
            from_=_or_null(TEXT),
            since=_AT,
            driven=_BOOLEAN,
            failures=COUNT,
            phase={"enum": ["accepted", "detach", "attach", "verify", "waiting", "takeover"]},
            last_error=_or_null(_object(code={"enum": list(STATUS_OF_CODE)}, detail=TEXT)),
            retry_at=_or_null(_AT),
        )
    ),
    "recorded_claim": _or_null(_object(member=TEXT, claim_id=TEXT, code={"enum": list(STATUS_OF_CODE)}, recorded_at=_AT)),
    "changes": _object(in_window=COUNT, max=_NUMBER),
    "drift": _or_null(TEXT),
    "last_swap": _or_null(_object(operation_id=UUID, from_=_or_null(TEXT), to=TEXT, at=_AT, total_ms=COUNT, phases=_PHASES)),
}
_PLACEMENT: Final = _object(state={"enum": [seen.value for seen in Seen]}, members=_or_null(_NAMES))
_READY: Final[Schema] = {"type": ["boolean", "null"]}
_LISTED: Final = _object(
    **_STATUS_OF_HEAD,
    placement=_or_null(_PLACEMENT),
    seen_at=_or_null(_AT),
    ready={"type": "object", "additionalProperties": _READY, "description": "By member."},
    movable={"type": "object", "additionalProperties": _READY, "description": "By member."},
    failed_nics=_NAMES,
    reasons={"type": "object", "additionalProperties": _NAMES, "description": "By member: what is in its way."},
    checked_at=_or_null(_AT),
)
_MEMBER: Final = _object(
    name=TEXT,
    nic=TEXT,
    provisioning_state=_or_null(TEXT),
    vips=_or_null(_NAMES),
    primary={"type": ["boolean", "null"]},
    ready=_READY,
    movable=_READY,
    reasons=_NAMES,
    checked_at=_or_null(_AT),
    last_heard_at=_or_null(_AT),
)

_CARRIED: Final = {"type": "object", "additionalProperties": _NAMES, "description": "VIP to what travels with it; of an attach."}
_STEP: Final = _object(("carried",), action=TEXT, member=TEXT, nic=TEXT, vips=_NAMES, carried=_CARRIED)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Claim": bodies.CLAIM,
    "Move": bodies.MOVE,
    "Freeze": bodies.FREEZE,
    "Outcome": _object(
        outcome={"enum": ["moved", "confirmed"]}, mirror=TEXT, holder=TEXT, epoch=COUNT, operation_id=TEXT,
        from_=_or_null(TEXT), phases=_PHASES, total_ms=COUNT,
    ),
    "ClaimPlanned": _object(
        outcome={"const": "planned"}, desired=_or_null(TEXT), epoch=COUNT, frozen=_or_null(_FROZEN),
        in_progress=_or_null(_object(operation_id=UUID, to=_or_null(TEXT))),
        holder=_or_null(TEXT), holder_seen_at=_or_null(_AT), ready=_READY, reasons=_NAMES,
        vips={"type": "array", "items": _object(name=TEXT, private_ip=TEXT)},
    ),
    "MovePlanned": _object(
        outcome={"const": "planned"},
        steps={"type": "array", "items": _STEP},
        checks={"type": "array", "items": _object(name=TEXT, ok={"type": ["boolean", "null"]}, detail=TEXT)},
    ),
    "ClaimAnswer": {"oneOf": [ref("Outcome"), ref("ClaimPlanned")]},
    "MoveAnswer": {"oneOf": [ref("Outcome"), ref("MovePlanned")]},
    "FreezeAnswer": _object(mirror=TEXT, frozen=_or_null(_FROZEN)),
    "Mirrors": _object(
        mirrors={"type": "array", "items": {"anyOf": [_LISTED, _object(mirror=TEXT, fault=TEXT)]}}
    ),
    "MirrorStatus": {
        "oneOf": [
            _object(**_STATUS_OF_HEAD, placement=_PLACEMENT, members={"type": "array", "items": _MEMBER}),
            _object(
                **{name: {"type": "null"} for name in _STATUS_OF_HEAD if name != "mirror"},
                mirror=TEXT, head={"const": "unavailable"}, head_detail=TEXT, placement=_PLACEMENT,
                members={"type": "array", "items": _MEMBER},
            ),
        ]
    },
    "Audit": _object(records={"type": "array", "items": ref("Row")}, next=_or_null(_NUMBER)),
    "Row": _object(
        COLUMN.keys() - {"actor"}, seq=_NUMBER, at=_AT, event={"enum": list(EVENTS)}, epoch=COUNT,
        **{name: COUNT if name == "duration_ms" else TEXT for name in COLUMN}, alg=TEXT, prev_hash=_HASH, hash=_HASH,
    ),
    "Verdict": {
        "oneOf": [
            _object(
                ("next",), intact={"const": True}, records=COUNT, head_hash=_HASH,
                keyed_from=_or_null(_NUMBER), next={"type": "integer", "minimum": 2},
            ),
            _object(intact={"const": False}, records=COUNT, broken_seq=_NUMBER, detail=TEXT),
        ]
    },
    "MirrorsHealth": _object(
        status={"enum": ["ok", "failing"]},
        wrong={"type": "array", "items": _object(
            mirror=TEXT, member=_or_null(TEXT), severity={"enum": ["outage", "warning"]}, reason=TEXT
        )},
    ),
    "Passed": _object(attended=COUNT, driven=COUNT, refused=COUNT, left=COUNT),
    "Health": _object(status={"enum": ["ok", "degraded", "misconfigured"]}),
    "Description": _object(openapi=TEXT, info={"type": "object"}, paths={"type": "object"}),
    "Problem": _object(
        type=TEXT, title=TEXT, status={"type": "integer", "minimum": 400, "maximum": 599}, detail=TEXT, instance=TEXT,
        code={"enum": list(STATUS_OF_CODE)}, correlation_id=UUID,
    ),
}  # fmt: skip
"""JSON Schemas of all bodies, by name. Objects are open: a client must take a field that it does not know."""
