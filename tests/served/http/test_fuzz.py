"""Generated requests against the served app: no answer that is not described, no state change, no secret, no waiting.

A few seconds in every run; the same with thousands of examples under the marker `soak`.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.served.http.http_client import HttpClient, Mirror, Reply, exchange, signed
from tests.served.http.test_answers import assert_described
from tests.served.http.test_attacks import trails
from vipcore.entry import openapi

QUICK, LONG = 12, 2000
ANSWER_S_MAX = 5.0
HOSTS_OWN = (400, 401, 404, 414)
"""What the host answers by itself, without a body: no text for a path, no key, no route, too long a url."""

ONCE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
SETTINGS: dict[str, Any] = {
    "deadline": None, "suppress_health_check": ONCE, "phases": [Phase.explicit, Phase.generate], "database": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def target(client: HttpClient) -> Mirror:
    """A mirror for the generated requests; its trail has begun."""
    mirror = client.take()
    assert client.move(mirror, mirror.a).status == 200
    return mirror


@pytest.fixture(scope="module")
def described(client: HttpClient) -> Any:
    """The OpenAPI document as the app serves it."""
    schema = schemathesis.openapi.from_dict(client.raw("GET", "/openapi.json").json)
    schema.config.update(base_url=client.url)
    return schema


def check(client: HttpClient, case: Any, mirror: str | None, *, key: bool) -> None:
    """Send one generated request and judge its answer."""
    if mirror and case.path_parameters:
        case.path_parameters["mirror"] = mirror
    headers = {"x-functions-key": client.functions_key} if key else {}
    started = time.monotonic()
    answer = case.call(headers=headers, timeout=60)
    elapsed = time.monotonic() - started

    reply = Reply(
        status=answer.status_code, headers={k.lower(): v[-1] for k, v in answer.headers.items()}, body=answer.content or b""
    )
    assert elapsed < ANSWER_S_MAX
    assert not [secret for secret in client.secret_texts if secret.encode() in reply.body]
    assert b"Traceback" not in reply.body
    if not reply.body:
        assert reply.status in HOSTS_OWN
        return
    path = case.operation.path
    assert_described(reply, case.operation.method.lower(), path, openly=path == "/openapi.json")
    assert reply.status < 500 or reply.code in ("configuration-invalid", "azure-failed") or path == "/health/mirrors"


QUIET = [route for route in openapi.ROUTES if route.name != "post_reconcile"]
"""All routes but one: a pass of the timer finishes what other tests have left, and so moves VIPs."""


def ask_all_ways(client: HttpClient, described: Any, target: Mirror, route: openapi.Route, examples: int) -> None:
    """So many generated requests to one route."""

    @settings(max_examples=examples, **SETTINGS)
    @given(case=described[route.path][route.method.upper()].as_strategy(), data=st.data())
    def one(case: Any, data: st.DataObject) -> None:
        mirror = data.draw(st.sampled_from([target.name, "BROKEN", "NOPE", None]))
        check(client, case, mirror, key=data.draw(st.sampled_from([True, True, True, False])))

    writes = client.writes()
    one()
    assert client.writes() == writes


@pytest.mark.parametrize("route", QUIET, ids=lambda route: route.name)
def test_any_request_is_answered_as_described(client: HttpClient, described: Any, target: Mirror, route: openapi.Route) -> None:
    """Any request that the document allows gets an answer that the document describes, soon, and moves nothing."""
    ask_all_ways(client, described, target, route, QUICK)


@pytest.mark.soak
@pytest.mark.parametrize("route", QUIET, ids=lambda route: route.name)
def test_any_request_is_answered_as_described_for_long(
    client: HttpClient, described: Any, target: Mirror, route: openapi.Route
) -> None:
    """The same for long."""
    ask_all_ways(client, described, target, route, LONG)


# -- signatures and bodies ------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["sig", "=", "(", ")", '"@method"', '"@path"', '"content-digest"', ";", "created", "=1", "keyid", '"', ":", "AAAA", ",", " ",
     "?1", "tag", '"mirror-vip"', "alg", "\t", "1e9", "-", "@", "%2F"]
)  # fmt: skip
FIELDS = st.lists(PIECES, max_size=24).map("".join) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
HEADERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("Signature", "Signature-Input", "Content-Digest", "Content-Type"), FIELDS)
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.lists(st.text(), max_size=3)
)
CLAIMS = st.dictionaries(
    st.sampled_from(["mirror", "member", "claim_id", "issued_at", "age_ms", "event", "evidence", "dry_run", "x"]),
    VALUES,
    max_size=9,
)


@pytest.fixture
def nothing_changes(client: HttpClient) -> Iterator[None]:
    """After all examples together no NIC was written and no entity of the table is new or other, refusals' rows aside."""
    writes, before = client.writes(), trails(client)
    yield
    after = trails(client)
    assert client.writes() == writes
    assert {key for key in after if not key[1].startswith("audit-")} == {key for key in before if not key[1].startswith("audit-")}


def judge_headers(client: HttpClient, target: Mirror, headers: dict[str, str], body: bytes, alter: bool) -> None:
    """A claim with generated headers: refused as missing or invalid, soon, and always in the same words."""
    sent = {**client.prepared(target, target.b)[0], **headers} if alter else headers
    started = time.monotonic()
    reply = exchange(client.url, "POST", f"/api/mirrors/{target.name}/claims", headers=sent, body=body)
    assert time.monotonic() - started < ANSWER_S_MAX
    assert (reply.status, reply.code) in [(401, "signature-missing"), (401, "signature-invalid"), (400, "")]


def judge_body(client: HttpClient, target: Mirror, body: bytes) -> None:
    """A genuine signature over a generated body: `body-invalid`, `key-not-for-member` or the rate, never a defect."""
    path = f"/api/mirrors/{target.name}/claims"
    key_id = target.key_b
    headers = signed("POST", path, body, key_id=key_id, secret=target.keys[key_id][1], created=int(time.time()))
    reply = exchange(client.url, "POST", path, headers=headers, body=body)
    assert (reply.status, reply.code) in [(400, "body-invalid"), (403, "key-not-for-member"), (429, "too-many-requests")]


BODIES = st.binary(max_size=200) | CLAIMS.map(lambda claim: json.dumps(claim).encode())


@pytest.mark.usefixtures("nothing_changes")
@settings(max_examples=60, **SETTINGS)
@given(headers=HEADERS, body=st.binary(max_size=100), alter=st.booleans())
def test_any_signature_headers_are_refused(
    client: HttpClient, target: Mirror, headers: dict[str, str], body: bytes, alter: bool
) -> None:
    """Any headers, also genuine ones with one of them replaced: 401, no defect, nothing written. (I6, I7)"""
    judge_headers(client, target, headers, body, alter)


@pytest.mark.usefixtures("nothing_changes")
@settings(max_examples=60, **SETTINGS)
@given(body=BODIES)
def test_any_signed_body_is_judged(client: HttpClient, target: Mirror, body: bytes) -> None:
    """Any body under a genuine signature: a refusal as described, at most one row a minute. (I7)"""
    judge_body(client, target, body)


@pytest.mark.soak
@pytest.mark.usefixtures("nothing_changes")
@settings(max_examples=5000, **SETTINGS)
@given(headers=HEADERS, body=st.binary(max_size=100), alter=st.booleans())
def test_any_signature_headers_are_refused_for_long(
    client: HttpClient, target: Mirror, headers: dict[str, str], body: bytes, alter: bool
) -> None:
    """The same for long. (I6, I7)"""
    judge_headers(client, target, headers, body, alter)


@pytest.mark.soak
@pytest.mark.usefixtures("nothing_changes")
@settings(max_examples=5000, **SETTINGS)
@given(body=BODIES)
def test_any_signed_body_is_judged_for_long(client: HttpClient, target: Mirror, body: bytes) -> None:
    """The same for long. (I7)"""
    judge_body(client, target, body)
