"""Write the signed requests of this folder.

`python3 tests/vectors/make_vectors.py [FOLDER]`. Straight from RFC 9421 (HTTP Message Signatures) and RFC 9530
(Content-Digest) with hmac and hashlib: nothing here is shared with the agent or the app, so that each of them, and a
signer in ObjectScript, can be held to the same data. The output is a pure function of this file; a test compares it
with what is committed.

Each JSON file holds one request:
  name, why          what the case shows
  now, skew_s        the verifier's clock (seconds since 1970) and its allowance
  keys               key id -> {"secret": base64, "mirror", "member"}; every key the verifier knows
  request            {"method", "path", "headers": [[name, value], ...], "body": text, to be sent as UTF-8}
  signed_with        {"key_id", "created", "expires", "nonce"}: enough for the agent's shape; null: another shape
  signature_base     what the sender signed (RFC 9421 section 2.5), or null
  signature          base64 of the signature, or null
  expected           {"verdict": "valid", "key_id"} or {"verdict": "refused", "status", "codes": [any of them is right]}
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
import pathlib
import sys
from dataclasses import dataclass, field, replace
from typing import Any

NOW = 1_790_000_000
CLAIM_ID = "0d9c5c6e-6a0b-4c58-9b39-5a0a1f2a9b11"
SECRETS = {
    "mirrora-1": bytes(range(32)),
    "mirrora-2": bytes(range(64, 128)),
    "mirrorb-1": bytes(range(100, 200)),
    "dr-1": hashlib.sha512(b"a test key, used nowhere else").digest(),
}
OWNERS = {
    "mirrora-1": ("PROD", "MIRRORA"),
    "mirrora-2": ("PROD", "MIRRORA"),
    "mirrorb-1": ("PROD", "MIRRORB"),
    "dr-1": ("Test_2-x", "dr.example.org/IRIS \u00e4"),
}
COVERED = ("@method", "@path", "content-type", "content-digest")
PARAMETERS = ("created", "expires", "nonce", "alg", "keyid", "tag")
INVALID = ("signature-invalid",)


def canonical_secret(key_id: str) -> str:
    """Return a secret as it stands in a key file."""
    return base64.b64encode(SECRETS[key_id]).decode()


def issued_at(created: int, microseconds: int) -> str:
    """Return RFC 3339 UTC with microseconds."""
    moment = dt.datetime.fromtimestamp(created, dt.UTC).replace(microsecond=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def claim(key_id: str = "mirrora-1", created: int = NOW, **changes: object) -> str:
    """Return the body of a claim by the owner of the key, as compact JSON."""
    mirror, member = OWNERS[key_id]
    body: dict[str, object] = {
        "mirror": mirror,
        "member": member,
        "claim_id": CLAIM_ID,
        "issued_at": issued_at(created, 123456),
        "age_ms": 0,
        "event": "NotifyBecomePrimary",
    }
    body.update(changes)
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def sha256_digest(body: str) -> str:
    """Return the value of Content-Digest (RFC 9530)."""
    return "sha-256=:" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() + ":"


@dataclass(frozen=True)
class Case:
    """One request: what is signed, how, and what is changed between signing and sending."""

    name: str
    why: str
    key_id: str = "mirrora-1"
    body: str = field(default_factory=claim)
    method: str = "POST"
    path: str = "/api/mirrors/PROD/claims"
    content_type: str = "application/json"
    digest: str | None = None  # None: of the body
    covered: tuple[str, ...] = COVERED
    created: int = NOW
    expires: int = NOW + 60
    nonce: str = "n-3b1f0c7a9d5e4f62"
    parameters: dict[str, str | None] = field(default_factory=dict)  # serialized; None leaves the parameter out
    order: tuple[str, ...] = PARAMETERS
    secret: bytes | None = None  # None: of the key id
    label: str = "mirror-vip"
    sent: dict[str, Any] = field(default_factory=dict)  # method, path, body, or headers by name (None: leave out)
    extra: "tuple[Case, ...]" = ()  # further signatures in the same headers
    now: int = NOW
    status: int = 200
    codes: tuple[str, ...] = ()

    def signature_input(self) -> str:
        """Return the inner list with its parameters: the value of "@signature-params"."""
        given: dict[str, str | None] = {
            "created": str(self.created),
            "expires": str(self.expires),
            "nonce": '"' + self.nonce + '"',
            "alg": '"hmac-sha256"',
            "keyid": '"' + self.key_id + '"',
            "tag": '"mirror-vip"',
        }
        given.update(self.parameters)
        components = " ".join('"' + name + '"' for name in self.covered)
        return "(" + components + ")" + "".join(f";{name}={given[name]}" for name in self.order if given[name] is not None)

    def base(self) -> str:
        """Return the signature base of RFC 9421 section 2.5: no line feed at the end."""
        values = {
            "@method": self.method,
            "@path": self.path,
            "content-type": self.content_type,
            "content-digest": self.digest or sha256_digest(self.body),
        }
        lines = [f'"{name}": {values[name]}' for name in self.covered]
        return "\n".join([*lines, '"@signature-params": ' + self.signature_input()])

    def signature(self) -> str:
        """Return base64 of the HMAC over the base."""
        secret = SECRETS[self.key_id] if self.secret is None else self.secret
        return base64.b64encode(hmac.new(secret, self.base().encode(), hashlib.sha256).digest()).decode()

    def document(self) -> dict[str, Any]:
        """Return the JSON document of this case."""
        everyone = (self, *self.extra)
        headers: dict[str, str | None] = {
            "Content-Type": self.content_type,
            "Content-Digest": self.digest or sha256_digest(self.body),
            "Signature-Input": ", ".join(f"{one.label}={one.signature_input()}" for one in everyone),
            "Signature": ", ".join(f"{one.label}=:{one.signature()}:" for one in everyone),
        }
        headers.update(self.sent.get("headers", {}))
        plain = not (self.codes or self.parameters or self.extra or self.sent or self.digest)
        plain = plain and self.order == PARAMETERS and self.label == "mirror-vip"
        signed_with = {"key_id": self.key_id, "created": self.created, "expires": self.expires, "nonce": self.nonce}
        refused = {"verdict": "refused", "status": self.status, "codes": list(self.codes)}
        unsigned = headers["Signature"] is None
        return {
            "name": self.name,
            "why": self.why,
            "now": self.now,
            "skew_s": 30,
            "keys": {
                key_id: {"secret": canonical_secret(key_id), "mirror": mirror, "member": member}
                for key_id, (mirror, member) in OWNERS.items()
            },
            "request": {
                "method": self.sent.get("method", self.method),
                "path": self.sent.get("path", self.path),
                "headers": [[name, value] for name, value in headers.items() if value is not None],
                "body": self.sent.get("body", self.body),
            },
            "signed_with": signed_with if plain else None,
            "signature_base": None if unsigned else self.base(),
            "signature": None if unsigned else self.signature(),
            "expected": refused if self.codes else {"verdict": "valid", "key_id": self.key_id},
        }


def refused(name: str, why: str, codes: tuple[str, ...] = INVALID, status: int = 401, **changes: Any) -> Case:
    """Return a case that must be refused with one of the codes."""
    return Case("invalid-" + name, why, status=status, codes=codes, **changes)


def valid_cases() -> list[Case]:
    """What must be accepted."""
    dr = claim("dr-1", evidence={"mirror_file_count": 7, "note": "\u00fc\u4e2d"})
    other_tag = Case("", "", label="proxy", key_id="mirrorb-1", parameters={"tag": '"another-application"'})
    both_digests = "sha-512=:" + base64.b64encode(hashlib.sha512(claim().encode()).digest()).decode() + ":, "
    return [
        Case("valid-plain", "the shape that the agent sends"),
        Case("valid-second-key", "any number of keys per member are valid at once", key_id="mirrora-2"),
        Case("valid-other-member", "a key longer than the hash's block", key_id="mirrorb-1", body=claim("mirrorb-1")),
        Case("valid-utf8", "UTF-8 in the body", key_id="dr-1", body=dr, path="/api/mirrors/Test_2-x/claims"),
        Case("valid-charset", "a content type with a parameter", content_type="application/json; charset=utf-8"),
        Case("valid-dry-run", "what the agent's status sends", body=claim(dry_run=True, event="manual")),
        Case("valid-retry", "a later attempt of a claim", body=claim(age_ms=4711), nonce="another", expires=NOW + 1),
        Case("valid-earliest", "created is as far ahead as the skew allows", now=NOW - 30),
        Case("valid-latest", "expired for exactly as long as the skew allows", now=NOW + 90),
        Case("valid-parameter-order", "the order of parameters is the sender's", order=tuple(reversed(PARAMETERS))),
        Case("valid-other-label", "the label means nothing, the tag does", label="sig1"),
        Case("valid-beside-other-tag", "a signature with another tag is none of ours", extra=(other_tag,)),
        Case("valid-two-digests", "sha-256 among other digests", digest=both_digests + sha256_digest(claim())),
    ]


def cases_about_parameters() -> list[Case]:
    """A parameter is missing, wrong or out of its range."""
    left_out = [refused(f"no-{p}", f"{p} is required", parameters={p: None}) for p in PARAMETERS if p != "tag"]
    maybe_missing = ("signature-invalid", "signature-missing")
    return [
        *left_out,
        refused("no-tag", "tag is required", maybe_missing, parameters={"tag": None}),
        refused("wrong-tag", "the tag of another application", maybe_missing, parameters={"tag": '"mirror-vip-2"'}),
        refused("wrong-alg", "only hmac-sha256", parameters={"alg": '"hmac-sha512"'}),
        refused("alg-of-a-public-key", "algorithm confusion", parameters={"alg": '"rsa-pss-sha512"'}),
        refused("expires-too-far", "expires is at most 60 s after created", expires=NOW + 61),
        refused("created-no-integer", "created is an integer", parameters={"created": f'"{NOW}"'}),
        refused("expired", "one second past expires + skew", ("signature-expired",), now=NOW + 91),
        refused("not-yet", "one second before created - skew", ("signature-expired",), now=NOW - 31),
        refused("unknown-key-id", "a key id that is not configured", parameters={"keyid": '"mirrora-9"'}),
    ]


def cases_about_the_message() -> list[Case]:
    """The signature does not belong to what was sent."""
    body = claim()
    other = claim(member="MIRRORB")
    sha512 = "sha-512=:" + base64.b64encode(hashlib.sha512(body.encode()).digest()).decode() + ":"
    uncovered = [
        refused("uncovered-" + name.strip("@"), f"{name} is not covered", covered=tuple(c for c in COVERED if c != name))
        for name in COVERED
    ]
    return [
        *uncovered,
        refused("wrong-key", "signed with another secret", secret=SECRETS["mirrorb-1"]),
        refused("wrong-path", "signed for another mirror", path="/api/mirrors/OTHER/claims", sent={"path": Case.path}),
        refused("path-without-api", "the path as sent includes /api", path="/mirrors/PROD/claims", sent={"path": Case.path}),
        refused("wrong-method", "signed for PUT", method="PUT", sent={"method": "POST"}),
        refused("altered-body", "the digest is of another body", sent={"body": other}),
        refused(
            "altered-body-and-digest",
            "a new digest breaks the signature",
            sent={"body": other, "headers": {"Content-Digest": sha256_digest(other)}},
        ),
        refused("altered-content-type", "content-type is covered", sent={"headers": {"Content-Type": "text/plain"}}),
        refused("digest-missing", "Content-Digest was removed", sent={"headers": {"Content-Digest": None}}),
        refused("digest-other-algorithm", "only sha-512 is given, sha-256 is required", digest=sha512),
        refused("digest-broken", "not base64", digest="sha-256=:AAAA:"),
    ]


def cases_about_the_headers() -> list[Case]:
    """The signature headers themselves are at fault."""
    plain = Case("", "")
    raw = base64.b64decode(plain.signature())
    flipped = base64.b64encode(bytes([raw[0] ^ 1]) + raw[1:])
    short = base64.b64encode(raw[:16]).decode()
    missing = ("signature-missing",)
    half = ("signature-missing", "signature-invalid")
    return [
        refused("unsigned", "no signature", missing, sent={"headers": {"Signature": None, "Signature-Input": None}}),
        refused("input-only", "no Signature header", half, sent={"headers": {"Signature": None}}),
        refused("signature-only", "no Signature-Input header", half, sent={"headers": {"Signature-Input": None}}),
        refused("twice", "two signatures with the tag, both right", extra=(replace(plain, label="second", nonce="2"),)),
        refused("same-label-twice", "a label names one signature", extra=(replace(plain, nonce="2"),)),
        refused("flipped-bit", "one bit differs", sent={"headers": {"Signature": f"mirror-vip=:{flipped.decode()}:"}}),
        refused("truncated", "half a signature", sent={"headers": {"Signature": f"mirror-vip=:{short}:"}}),
        refused("empty", "an empty signature", sent={"headers": {"Signature": "mirror-vip=::"}}),
        refused(
            "labels-differ",
            "no input for the signature",
            half,
            sent={"headers": {"Signature": f"x=:{plain.signature()}:"}},
        ),
        refused("no-structured-field", "not a dictionary", half, sent={"headers": {"Signature-Input": "mirror-vip=(((("}}),
    ]


def cases_past_the_signature() -> list[Case]:
    """Correctly signed requests that a later check refuses."""
    other_second = claim(issued_at=issued_at(NOW + 1, 0))
    return [
        refused("other-member", "a key for its own member only", ("key-not-for-member",), 403, key_id="mirrorb-1"),
        refused(
            "other-mirror",
            "the path names a mirror that the key is not for",
            ("key-not-for-member",),
            403,
            path="/api/mirrors/Test_2-x/claims",
        ),
        refused("other-second", "issued_at lies in the second of created", ("body-invalid",), 400, body=other_second),
    ]


def main(folder: pathlib.Path) -> None:
    """Write every case into the folder."""
    cases = valid_cases() + cases_about_parameters() + cases_about_the_message()
    cases += cases_about_the_headers() + cases_past_the_signature()
    for case in cases:
        text = json.dumps(case.document(), indent=2, ensure_ascii=False) + "\n"
        (folder / (case.name + ".json")).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
