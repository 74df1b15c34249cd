"""Verification of a claim's signature: RFC 9421 with RFC 9530 Content-Digest. The only importer of `http-message-signatures`.

The library does not judge freshness: it would read the real clock. `Signed.check_fresh` does, by the controller's clock and after
the key. Whatever else is wrong is `signature-invalid`, and no answer says what, so that nobody can probe for keys.
"""

import hashlib
import hmac
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import http_sf
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.model import Key

TAG: Final = "mirror-vip"
COVERED: Final = ("@method", "@path", "content-type", "content-digest")
LIFETIME_S_MAX: Final = 60
_PARAMETERS: Final = frozenset({"created", "expires", "nonce", "alg", "keyid", "tag"})
_FIELD_MAX: Final = 4096


class HttpRequest(NamedTuple):
    """What the host handed over: `url` with an encoded path, header names in lower case, the body's raw bytes."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Signed(NamedTuple):
    """A request whose signature is genuine: who signed, and the second in which."""

    key: Key
    created: int
    expires: int

    def check_fresh(self, now: Instant, skew_s: float) -> None:
        """`created - skew <= now <= expires + skew`. Raises Refusal `signature-expired`."""
        at = now.timestamp()
        if not self.created - skew_s <= at <= self.expires + skew_s:
            raise Refusal(
                "signature-expired",
                "The signature is not fresh by this server's clock; sign anew, with the clock of this answer's Date header.",
            )


_NOBODY: Final = hashlib.sha256(b"no such key").digest()


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, keys: Mapping[str, Key], disabled: Set[str]) -> None:
        self.keys, self.disabled = keys, disabled
        self.refused: Refusal | None = None
        """What a claim that names a disabled key is told: the library hides what a resolver raises."""

    def resolve_public_key(self, key_id: str) -> bytes:
        if key_id in self.disabled:
            detail = f"The controller cannot use its copy of key {key_id[:64]!r}. Its log says why: mend the setting."
            # Unlike other faults of settings worth another try: the claim may be genuine, and the key mended by then.
            self.refused = Refusal("configuration-invalid", detail, retry_after_s=10)
        # An unknown key id costs the same HMAC as a known one, so that time does not tell which ids exist.
        return self.keys[key_id].secret if key_id in self.keys else _NOBODY


class _Verifier(HTTPMessageVerifier):
    """The library's verifier without its clock."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Judged by `Signed.check_fresh` instead."""


def verify(request: HttpRequest, keys: Mapping[str, Key], disabled: Set[str] = frozenset()) -> Signed:
    """The key that signed this request. `disabled`: ids of keys that the app knows of and cannot use.

    Raises Refusal `signature-missing` where there is no signature at all, `configuration-invalid` for a disabled key (the claim
    may be genuine), `signature-invalid` for every other fault.
    """
    for name in ("signature", "signature-input"):
        if not request.headers.get(name):
            raise Refusal("signature-missing", f"The {name} header is missing; a claim is signed (RFC 9421, tag mirror-vip).")
    resolver = _Keys(keys, disabled)
    try:
        return _signed(request, resolver)
    except (HTTPMessageSignaturesException, ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
        # That the body came empty is said whatever the fault is: the host empties chunked bodies.
        empty = "" if request.body else " The body is empty; a chunked request arrives without one, so send a Content-Length."
        what = f"The signature is not valid for this request; check the key and the signed fields.{empty}"
        raise (resolver.refused or Refusal("signature-invalid", what)) from exc


def _signed(request: HttpRequest, resolver: _Keys) -> Signed:
    """Who made the one signature with our tag. Raises ValueError and what the library raises where anything is wrong with it."""
    if any(len(request.headers.get(name, "")) > _FIELD_MAX for name in ("signature", "signature-input", "content-digest")):
        raise ValueError("a field is too long")
    verifier = _Verifier(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver)
    required = tuple(f'"{name}"' for name in COVERED)
    (result,) = verifier.verify(request, max_age=None, expect_tag=TAG, require_components=required)
    given: Mapping[str, Any] = result.parameters
    created, expires = given["created"], given["expires"]
    datetime.fromtimestamp(created, tz=UTC)
    whole = set(given) == _PARAMETERS and given["nonce"]  # the library compares `alg` with its own
    if not whole or not 0 <= expires - created <= LIFETIME_S_MAX or not _digest_matches(request):
        raise ValueError("parameters or digest are wrong")
    return Signed(key=resolver.keys[given["keyid"]], created=created, expires=expires)


def _digest_matches(request: HttpRequest) -> bool:
    """Whether Content-Digest's sha-256 is the body's (RFC 9530 section 2; of two, the last counts: RFC 8941 section 4.2.2).

    Raises ValueError or KeyError where the field has no sha-256.
    """
    parsed: Any = http_sf.parse(request.headers["content-digest"].encode("ascii"), tltype="dictionary")
    given, _ = parsed["sha-256"]
    return isinstance(given, bytes) and hmac.compare_digest(given, hashlib.sha256(request.body).digest())
