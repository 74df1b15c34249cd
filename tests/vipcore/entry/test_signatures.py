"""The verifier against the vectors that the agent and any other signer are held to as well."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vipcore.entry import bodies, signatures
from vipcore.errors import Refusal
from vipcore.model import Key

VECTORS = sorted((Path(__file__).parents[2] / "vectors").glob("*.json"))


def judged(vector: dict[str, Any]) -> str:
    """`valid`, or the code of the refusal, in the order of the checks up to the body's member."""
    keys = {
        key_id: Key(key_id=key_id, mirror=k["mirror"], member=k["member"], secret=base64.b64decode(k["secret"]))
        for key_id, k in vector["keys"].items()
    }
    headers: dict[str, str] = {}
    for written, value in vector["request"]["headers"]:
        name = written.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value  # as the Functions host joins them
    request = signatures.HttpRequest(
        method=vector["request"]["method"],
        url="https://app.example.org" + vector["request"]["path"],
        headers=headers,
        body=vector["request"]["body"].encode(),
    )
    now = datetime.fromtimestamp(vector["now"], tz=UTC)
    try:
        signed = signatures.verify(request, keys)
        signed.check_fresh(now, vector["skew_s"])
        claim = bodies.claim(request.body, signed, now)
        path = vector["request"]["path"].split("/")
        if (claim.mirror, claim.member) != (signed.key.mirror, signed.key.member) or path[3] != claim.mirror:
            return "key-not-for-member"
    except Refusal as refusal:
        return refusal.code
    return "valid"


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_verdict_of_each_vector(path: Path) -> None:
    """Every signed request of the vectors gets the verdict that stands in it. (I6)"""
    vector = json.loads(path.read_text(encoding="utf-8"))

    expected = vector["expected"]
    assert judged(vector) in (expected["codes"] if expected["verdict"] == "refused" else ["valid"])


def test_there_are_vectors_of_both_kinds() -> None:
    """An empty folder would make the test above pass without looking."""
    kinds = [path.stem.split("-")[0] for path in VECTORS]

    assert kinds.count("valid") >= 10
    assert kinds.count("invalid") >= 20


@pytest.mark.parametrize(("body", "told"), [(b"", True), (b"{}", False)], ids=["empty", "not empty"])
def test_who_sends_a_chunked_body_is_told_so(body: bytes, told: bool) -> None:
    """The host hands chunked bodies over empty: the refusal says to send a length, whatever else is wrong with the request."""
    headers = {"signature": "a=:AA==:", "signature-input": 'a=("@method");tag="mirror-vip"'}
    request = signatures.HttpRequest(method="POST", url="https://app/api/mirrors/PROD/claims", headers=headers, body=body)

    with pytest.raises(Refusal) as refused:
        signatures.verify(request, {})

    assert refused.value.code == "signature-invalid"
    assert ("Content-Length" in refused.value.detail) is told


@pytest.mark.parametrize("path", [path for path in VECTORS if path.stem.startswith("valid")], ids=lambda path: path.stem)
def test_a_key_that_the_app_cannot_use_is_no_wrong_signature(path: Path) -> None:
    """A claim whose key is disabled may be genuine: it is told that the configuration is at fault, and when to come again."""
    vector = json.loads(path.read_text(encoding="utf-8"))
    headers = {name.lower(): value for name, value in vector["request"]["headers"]}
    url = "https://app.example.org" + vector["request"]["path"]
    request = signatures.HttpRequest(method="POST", url=url, headers=headers, body=vector["request"]["body"].encode())

    with pytest.raises(Refusal) as refused:
        signatures.verify(request, {}, frozenset(vector["keys"]))

    assert (refused.value.code, refused.value.status, refused.value.retry_after_s) == ("configuration-invalid", 500, 10)
