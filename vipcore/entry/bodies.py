"""The JSON bodies of requests: their schemas (the OpenAPI document is made from the same), and bytes -> checked object.

And the body of a refusal. errors.py says which status a code has; here is how it looks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import jsonschema

from vipcore import instants, strictjson
from vipcore.entry.signatures import Signed
from vipcore.errors import TITLE_OF_CODE, Refusal
from vipcore.instants import Instant
from vipcore.model import Claim, Move

BODY_MAX: Final = 16 * 1024
EVIDENCE_MAX: Final = 1024
EVENTS: Final = ("CheckBecomePrimaryOK", "NotifyBecomePrimary", "startup", "watch", "manual")


class Text(NamedTuple):
    """An answer as it goes out: one that is no JSON, or whose status is not 200."""

    text: str
    media_type: str
    headers: Mapping[str, str] = {}
    status: int = 200


_END: Final = "(?![\\s\\S])"  # `$` would let a trailing newline through
_NO_CONTROLS: Final = "[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]"
TEXT: Final = {
    "description": "A text of at most 256 characters, none of them a control character.",
    "type": "string", "maxLength": 256, "pattern": f"^{_NO_CONTROLS}*{_END}",
}  # fmt: skip
_NAME: Final = {
    "description": "A name of 1 to 64 characters, none of them a control character.",
    "type": "string", "minLength": 1, "maxLength": 64, "pattern": f"^{_NO_CONTROLS}*{_END}",
}  # fmt: skip
_INSTANT: Final = {
    "description": "A time as 2026-12-01T06:00:00Z.", "type": "string", "format": "date-time", "maxLength": 40,
}  # fmt: skip
_ISSUED_AT: Final = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}\\.[0-9]{{6}}Z{_END}"
_UUID: Final = f"^[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}{_END}"
_BOOLEAN: Final = {"type": "boolean"}


def _closed(optional: Sequence[str], /, **properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of an object that has all these properties but the optional ones, and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


CLAIM: Final = _closed(
    ("evidence", "dry_run"),
    mirror=_NAME,
    member=_NAME,
    claim_id={"description": "A UUID.", "type": "string", "format": "uuid", "pattern": _UUID},
    issued_at={
        "description": "A time in UTC with six decimals, as 2026-11-23T00:29:16.412000Z.",
        "type": "string",
        "format": "date-time",
        "pattern": _ISSUED_AT,
    },
    age_ms={"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    event={"enum": list(EVENTS)},
    evidence={"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
    dry_run=_BOOLEAN,
)
MOVE: Final = _closed(("dry_run", "force"), to=_NAME, reason=TEXT, operator=TEXT, dry_run=_BOOLEAN, force=_BOOLEAN)
FREEZE: Final = _closed(("until",), reason=TEXT, operator=TEXT, until=_INSTANT)


def check_size(body: bytes) -> None:
    """Raises Refusal `body-too-large`."""
    if len(body) > BODY_MAX:
        raise Refusal("body-too-large", f"The body has {len(body)} bytes; at most {BODY_MAX} are taken.")


def claim(body: bytes, signed: Signed, arrived: Instant) -> Claim:
    """The claim of a verified body. Raises Refusal `body-invalid`."""
    data = _checked(CLAIM, body)
    if "evidence" in data:
        data["evidence"] = strictjson.compact(data["evidence"])
        if len(data["evidence"].encode()) > EVIDENCE_MAX:
            raise Refusal("body-invalid", f"/evidence: at most {EVIDENCE_MAX} bytes of JSON are recorded.")
    issued_at = _instant("issued_at", instants.from_text, data.pop("issued_at"))
    if int(issued_at.timestamp()) != signed.created:
        raise Refusal("body-invalid", "/issued_at: is not in the second that the signature's created names.")
    try:
        began = max(arrived - instants.seconds(data.pop("age_ms") / 1000), instants.NEVER)
    except OverflowError:
        began = instants.NEVER
    data["claim_id"] = data["claim_id"].lower()
    return Claim(key_id=signed.key.key_id, issued_at=issued_at, began=began, **data)


def is_dry_run(body: bytes) -> bool:
    """Whether a body that may have other faults asks for a dry run, which writes nothing, not even its refusal."""
    try:
        data = strictjson.parse_strict(body)
    except ValueError:
        return False
    return isinstance(data, dict) and data.get("dry_run") is True


def move(mirror: str, body: bytes, arrived: Instant) -> Move:
    """The move of a body. Raises Refusal `body-invalid` or `body-too-large`."""
    return Move(mirror=mirror, began=arrived, **_checked(MOVE, body))


def freeze(body: bytes) -> tuple[str, str, Instant | None]:
    """(reason, operator, until). Raises Refusal `body-invalid` or `body-too-large`."""
    data = _checked(FREEZE, body)
    until = _instant("until", instants.from_rfc3339, data["until"]) if "until" in data else None
    return data["reason"], data["operator"], until


def _instant(name: str, read: Callable[[str], Instant], value: str) -> Instant:
    try:
        return read(value)
    except ValueError as exc:
        raise Refusal("body-invalid", f"/{name}: {exc}.") from exc


def text(name: str, value: str | None) -> str:
    """A text that came in the query. Raises Refusal `body-invalid` where it is missing or not a text we record."""
    if value is None or not jsonschema.Draft202012Validator(TEXT).is_valid(value):
        raise Refusal("body-invalid", f"?{name}= is needed: at most 256 characters, none of them a control character.")
    return value


def _checked(schema: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """The object of a body that the schema allows. Raises Refusal `body-invalid` or `body-too-large`."""
    check_size(body)
    if not body:
        raise Refusal("body-invalid", "The body is empty; a chunked request arrives without one, so send a Content-Length.")
    try:
        data: dict[str, Any] = strictjson.parse_strict(body)
    except ValueError as exc:
        raise Refusal("body-invalid", f"The body is not JSON that is accepted here: {str(exc)[:200]}.") from exc
    found = jsonschema.Draft202012Validator(schema).iter_errors(data)
    errors = sorted(found, key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        sentences = [f"{strictjson.pointer(e.absolute_path) or '/'}: {strictjson.told(e)}" for e in errors[:8]]
        raise Refusal("body-invalid", "; ".join(sentences) + ".")
    return data


PROBLEM_TYPE: Final = "application/problem+json"


def problem(refusal: Refusal, correlation_id: str, url: str) -> dict[str, Any]:
    """A refusal as an RFC 9457 problem document. `type` is a name within this product, not an address to fetch.

    `instance`: the path of the request's URL, bounded, and without the query (it may hold a function key).
    """
    return {
        "type": f"urn:mirror-vip:problem:{refusal.code}",
        "title": TITLE_OF_CODE[refusal.code],
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": "/" + url.partition("://")[2].partition("/")[2].partition("?")[0].partition("#")[0][:512],
        "code": refusal.code,
        "correlation_id": correlation_id,
    }
