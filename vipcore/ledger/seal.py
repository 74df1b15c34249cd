"""How a row is hashed: SHA-256, or HMAC-SHA-256 with an audit key, over the RFC 8785 canonical form of its columns. Pure.

Canonical JSON: https://www.rfc-editor.org/rfc/rfc8785. `docs/api.md` section 8 says which columns count.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

PLAIN: Final = "sha256"
KEYED: Final = "hmac-sha256:"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seal:
    """How rows are hashed: plain, or keyed. It has no `repr` of its own, so that none shows a key."""

    key: bytes | None = None
    previous: bytes | None = None

    @property
    def alg(self) -> str:
        """The Alg column of rows sealed now."""
        return PLAIN if self.key is None else KEYED + fingerprint(self.key)

    def key_for(self, alg: str) -> bytes | None:
        """The key that an Alg column names. Raises KeyError when it names one we do not have, or an unknown algorithm."""
        ours = {KEYED + fingerprint(key): key for key in (self.key, self.previous) if key is not None}
        return None if alg == PLAIN else ours[alg]

    def why_not_after(self, alg: str) -> str | None:
        """Why this seal would break the chain after a row of that Alg, and what to do, or None.

        After a plain row any seal will do. After a keyed one a plain row is a break, and a row of another key is one to whoever
        holds only the first.
        """
        held = {fingerprint(key) for key in (self.key, self.previous) if key is not None}
        if not alg.startswith(KEYED) or (self.key is not None and alg.removeprefix(KEYED) in held):
            return None
        return (
            f"the newest audit row is sealed with the audit key {alg.removeprefix(KEYED)[:16]}, which this instance lacks. "
            "Set VIP_AUDIT_KEY to that key, or to a new one and VIP_AUDIT_KEY_PREVIOUS to that key"
        )


def fingerprint(key: bytes) -> str:
    """16 hex digits that name an audit key without telling it (the keys are random, at least 256 bits)."""
    return hashlib.sha256(key).hexdigest()[:16]


def digest(entity: Mapping[str, Any], key: bytes | None) -> str:
    """The hash of an entity's columns but Hash and the service's Timestamp. Raises ValueError where no canonical form exists."""
    columns = {k: v for k, v in entity.items() if k not in ("Hash", "Timestamp")}
    try:
        data = rfc8785.dumps(columns)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as exc:
        raise ValueError(f"no canonical form: {exc}") from exc
    return hashlib.sha256(data).hexdigest() if key is None else hmac.new(key, data, hashlib.sha256).hexdigest()
