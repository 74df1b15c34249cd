"""A coverage-guided fuzzer on the verifier: `python -m tests.fuzz.verifier [seconds]`.

Property: whatever the headers and the body, `signatures.verify` answers with the key that signed or raises Refusal with one of
two codes, never anything else; and what was altered after signing is never taken for genuine.
"""

import sys

import atheris

with atheris.instrument_imports(include=["vipcore", "http_message_signatures", "http_sf"]):
    from vipcore.entry import bodies, signatures

import hashlib
import time
from datetime import UTC, datetime
from typing import Final

from tests.served.http.http_client import signed
from vipcore.errors import Refusal
from vipcore.model import Key

SECRET: Final = bytes(range(32))
KEYS: Final = {"mirrora-1": Key(key_id="mirrora-1", mirror="PROD", member="MIRRORA", secret=SECRET)}
NAMES: Final = ("signature", "signature-input", "content-digest", "content-type")
PATH: Final = "/api/mirrors/PROD/claims"
URL: Final = f"https://app.example{PATH}"
BODY: Final = b'{"mirror": "PROD"}'
CREATED: Final = 1_790_000_000
NOW: Final = datetime.fromtimestamp(CREATED, tz=UTC)
GENUINE: Final = {
    name.lower(): value
    for name, value in signed("POST", PATH, BODY, key_id="mirrora-1", secret=SECRET, created=CREATED, nonce="n").items()
}
SLOW_S: Final = 2.0


def check(headers: dict[str, str], body: bytes) -> None:
    """The property, for one request. Raises AssertionError, or lets anything through that is no Refusal."""
    started = time.monotonic()
    try:
        found = signatures.verify(signatures.HttpRequest(method="POST", url=URL, headers=headers, body=body), KEYS)
    except Refusal as refusal:
        expected = refusal.code in ("signature-missing", "signature-invalid")
    else:
        expected = True
        assert found.key is KEYS["mirrora-1"]
        assert hashlib.sha256(body).digest() == hashlib.sha256(BODY).digest(), "another body was taken for genuine"
        assert "application/json" in headers["content-type"]
        try:
            found.check_fresh(NOW, 30.0)
            bodies.claim(body, found, NOW)
        except Refusal:
            pass
    assert expected, "another refusal than the two"
    assert time.monotonic() - started < SLOW_S, "too slow"


def one(data: bytes) -> None:
    """One input of the fuzzer: which headers are replaced or spliced, by what, and a body or none."""
    given = atheris.FuzzedDataProvider(data)
    headers = dict(GENUINE)
    for name in NAMES:
        match given.ConsumeIntInRange(0, 4):
            case 1:
                headers[name] = given.ConsumeUnicodeNoSurrogates(200)
            case 2:
                at = given.ConsumeIntInRange(0, len(headers[name]))
                headers[name] = (
                    headers[name][:at] + given.ConsumeUnicode(12) + headers[name][at + given.ConsumeIntInRange(0, 12) :]
                )
            case 3:
                del headers[name]
            case _:
                pass
    check(headers, given.ConsumeBytes(100) if given.ConsumeBool() else BODY)


def main(seconds: int) -> None:
    """Fuzz for so long; the process ends with another code than 0 if the property breaks."""
    check(dict(GENUINE), BODY)
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=600", "-rss_limit_mb=1024", "-print_final_stats=1"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
