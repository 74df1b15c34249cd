"""Every code of docs/codes.md that the routes can reach, over real HTTP, and the order in which checks are made."""

import http.client
import json
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.served.http.http_client import NETWORK, HttpClient, Reply, exchange
from tests.served.http.test_answers import assert_described
from vipcore.errors import STATUS_OF_CODE

CLAIMS = "/mirrors/{mirror}/claims"
MOVES = "/mirrors/{mirror}/moves"


def assert_refused(reply: Reply, code: str, path: str = CLAIMS, method: str = "post", *, retry: bool | None = None) -> None:
    """A problem document as RFC 9457 and docs/codes.md describe it."""
    assert (reply.status, reply.code) == (STATUS_OF_CODE[code], code), reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert_described(reply, method, path)
    problem = reply.json
    assert problem["correlation_id"] == reply.headers["x-correlation-id"]
    assert problem["instance"].startswith("/api/mirrors")
    assert "?" not in problem["instance"]
    assert " " in problem["detail"]
    assert len(problem["detail"]) < 2000
    if retry is not None:
        assert ("retry-after" in reply.headers) is retry
    if "retry-after" in reply.headers:
        assert int(reply.headers["retry-after"]) >= 1


# -- 400 and 413 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"age_ms": -1},
        {"event": "x"},
        {"evidence": [1]},
        {"extra": 1},
        {"claim_id": ...},
        {"issued_at": "2020-01-01T00:00:00.000000Z"},
    ],
)
def test_claim_body_invalid(client: HttpClient, fields: dict[str, Any]) -> None:
    """A genuine signature over a body that breaks its schema: `body-invalid`, with one row of the key's mirror."""
    mirror = client.take()

    reply = client.claim(mirror, mirror.b, **fields)

    assert_refused(reply, "body-invalid", retry=False)
    assert [(row["event"], row["outcome"]) for row in client.audit(mirror)] == [("claim.refused", "body-invalid")]


BODIES = [b"", b"{", b"[]", b'{"to": 1}', b"\xff", b'{"to":"A","to":"B","reason":"","operator":""}', b"[" * 9000]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize(("method", "path"), [("POST", MOVES), ("PUT", "/mirrors/{mirror}/freeze")])
def test_operators_body_invalid(client: HttpClient, method: str, path: str, body: bytes) -> None:
    """Whatever an operator's body is, it is taken or `body-invalid`; nothing is written for it."""
    where = path.replace("{mirror}", client.mirrors[0].name)
    assert_refused(client.operator(method, where, body), "body-invalid", path, method.lower(), retry=False)
    assert client.audit(client.mirrors[0]) == []


@pytest.mark.parametrize("query", ["", "?operator=a", "?reason=a", "?operator=a&reason=" + "b" * 257, "?operator=a&reason=b%0Ac"])
def test_texts_of_an_unfreeze(client: HttpClient, query: str) -> None:
    """Lifting a freeze needs the operator and the reason, as texts that can stand in a row."""
    reply = client.operator("DELETE", f"/mirrors/{client.mirrors[0].name}/freeze{query}")

    assert_refused(reply, "body-invalid", "/mirrors/{mirror}/freeze", "delete")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "before=-1", "before=1e3"])
def test_numbers_of_the_trail(client: HttpClient, query: str) -> None:
    """What is no whole number from 1 on is `body-invalid`."""
    reply = client.operator("GET", f"/mirrors/{client.mirrors[0].name}/audit?{query}")

    assert_refused(reply, "body-invalid", "/mirrors/{mirror}/audit", "get")


def test_until_in_the_past(client: HttpClient) -> None:
    """A freeze that would be over already is refused."""
    path = f"/mirrors/{client.mirrors[0].name}/freeze"
    reply = client.operator("PUT", path, {"reason": "r", "operator": "o", "until": "2020-01-01T00:00:00Z"})

    assert_refused(reply, "body-invalid", "/mirrors/{mirror}/freeze", "put")


def test_body_too_large(client: HttpClient) -> None:
    """16 KiB are read; a byte more is `body-too-large`, signed or not, before anything else is looked at."""
    mirror = client.mirrors[0]
    large = b"x" * (16 * 1024 + 1)

    assert_refused(client.raw("POST", f"/mirrors/{mirror.name}/claims", body=large), "body-too-large", retry=False)
    assert_refused(client.operator("POST", f"/mirrors/{mirror.name}/moves", large), "body-too-large", MOVES)
    assert_refused(client.raw("POST", f"/mirrors/{mirror.name}/claims", body=large[:-1]), "signature-missing")


def test_chunked_request_is_told_to_send_a_length(client: HttpClient) -> None:
    """The host hands chunked bodies over empty: such a claim fails its digest, such a move is told what to send."""
    mirror = client.take()
    headers, body, path = client.prepared(mirror, mirror.b)

    def chunked(path: str, headers: dict[str, str], body: bytes) -> Reply:
        parts = urlsplit(client.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        connection.request("POST", path, body=iter([body]), headers=headers, encode_chunked=True)
        answer = connection.getresponse()
        found = Reply(status=answer.status, headers={k.lower(): v for k, v in answer.getheaders()}, body=answer.read())
        connection.close()
        return found

    move = json.dumps({"to": mirror.b, "reason": "r", "operator": "o"}).encode()
    assert_refused(chunked(path, headers, body), "signature-invalid")
    reply = chunked(f"/api/mirrors/{mirror.name}/moves", {"x-functions-key": client.functions_key}, move)
    assert_refused(reply, "body-invalid", MOVES)
    assert "Content-Length" in reply.json["detail"]


# -- 401 and 403 ----------------------------------------------------------------------------------------------------------


def test_signature_missing(client: HttpClient) -> None:
    """Without a signature, or with half of one."""
    mirror = client.mirrors[0]
    for name in ("Signature", "Signature-Input"):
        headers, body, path = client.prepared(mirror, mirror.b)
        del headers[name]
        assert_refused(exchange(client.url, "POST", path, headers=headers, body=body), "signature-missing")


def test_signature_expired(client: HttpClient) -> None:
    """Older or newer than the skew allows; the answer's Date is what the clock is corrected with."""
    mirror = client.mirrors[0]
    for offset_s in (-120, 60):
        reply = client.claim(mirror, mirror.b, at=time.time() + offset_s)
        assert_refused(reply, "signature-expired")
        assert "date" in reply.headers


def test_claim_replayed(client: HttpClient) -> None:
    """An accepted claim sent again, byte by byte, is refused for ever and moves nothing. (I6)"""
    mirror = client.take()
    headers, body, path = client.prepared(mirror, mirror.b)
    assert exchange(client.url, "POST", path, headers=headers, body=body).status == 200
    rows, writes = client.audit(mirror), client.writes()

    for _ in range(3):
        assert_refused(exchange(client.url, "POST", path, headers=headers, body=body), "claim-replayed", retry=False)

    assert (client.audit(mirror), client.writes()) == (rows, writes)


def test_key_not_for_member(client: HttpClient) -> None:
    """A genuine key that names another member, another mirror, or posts to another mirror's path: 403, known or not. (I6)"""
    mine, other = client.take(), client.mirrors[0]
    before = client.writes()
    replies = [
        client.claim(mine, mine.b, key_id=mine.key_a),
        client.claim(mine, mine.a, member=mine.b),
        client.claim(mine, mine.a, mirror=other.name),
        client.claim(mine, mine.a, mirror="NOPE"),
        client.claim(mine, mine.a, path=f"/mirrors/{other.name}/claims"),
        client.claim(mine, mine.a, path="/mirrors/NOPE/claims"),
        client.claim(
            mine,
            other.a,
            key_id=mine.key_a,
            secret=mine.keys[mine.key_a][1],
            path=f"/mirrors/{other.name}/claims",
            mirror=other.name,
        ),
    ]

    for reply in replies:
        assert_refused(reply, "key-not-for-member", retry=False)
    assert len({reply.json["detail"] for reply in replies[1:]}) == 1
    assert (client.audit(other), client.writes()) == ([], before)
    assert {row["event"] for row in client.audit(mine)} == {"claim.refused"}


# -- 404 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", MOVES, {"to": "A", "reason": "r", "operator": "o"}),
        ("PUT", "/mirrors/{mirror}/freeze", {"reason": "r", "operator": "o"}),
        ("DELETE", "/mirrors/{mirror}/freeze", None),
        ("GET", "/mirrors/{mirror}", None),
        ("GET", "/mirrors/{mirror}/audit", None),
        ("GET", "/mirrors/{mirror}/audit/verify", None),
    ],
)
def test_mirror_unknown(client: HttpClient, method: str, path: str, body: object) -> None:
    """A mirror that the document does not define, in whatever spelling; names are compared exactly."""
    for name in ("NOPE", client.mirrors[0].name.lower(), "%2e%2e%2fX", "M00001%20"):
        reply = client.operator(
            method, path.replace("{mirror}", name) + ("?operator=a&reason=b" if method == "DELETE" else ""), body
        )
        assert_refused(reply, "mirror-unknown", path, method.lower(), retry=False)


def test_member_unknown(client: HttpClient) -> None:
    """A move to a member that the mirror does not have; the answer names those that it has."""
    mirror = client.mirrors[0]
    reply = client.move(mirror, "NOPE")

    assert_refused(reply, "member-unknown", MOVES, retry=False)
    assert mirror.a in reply.json["detail"]


# -- 409, 423, 429 --------------------------------------------------------------------------------------------------------


def test_claim_superseded(client: HttpClient) -> None:
    """A claim that began before the decision in force for another member is over, however often it is sent."""
    mirror = client.take()
    assert client.claim(mirror, mirror.b).status == 200

    reply = client.claim(mirror, mirror.a, age_ms=60_000)

    assert_refused(reply, "claim-superseded", retry=False)
    assert client.carrier(mirror) == mirror.nic_b


def test_move_superseded(client: HttpClient) -> None:
    """A move whose swap is under way ends with 409 once a newer move for another member is accepted; that one wins. (I1)"""
    mirror = client.take()
    client.azure("PUT", "switches", {"latency_of": {mirror.nic_a: "fixed:2"}})
    replies: list[Reply] = []
    first = threading.Thread(target=lambda: replies.append(client.move(mirror, mirror.b)))
    first.start()
    _until(lambda: client.state(mirror)["desired"] == mirror.b)

    second = client.move(mirror, mirror.a)
    first.join()

    assert_refused(replies[0], "move-superseded", MOVES, retry=False)
    assert second.status == 200
    assert client.carrier(mirror) == mirror.nic_a


def test_pages_hold_a_claim(client: HttpClient) -> None:
    """While a peer's page says primary, or the claimant's that it is not, a claim is held: 409, Retry-After, no NIC written."""
    mirror = client.take(pages=True)
    writes = client.writes()

    assert_refused(client.claim(mirror, mirror.b), "peer-still-primary", retry=True)
    client.azure("PUT", f"pages/{mirror.a}", {"mode": "refuse"})
    assert_refused(client.claim(mirror, mirror.b), "claimant-not-primary", retry=True)
    assert_refused(client.move(mirror, mirror.b), "claimant-not-primary", MOVES, retry=True)
    assert_refused(client.claim(mirror, mirror.b, event="watch"), "claimant-not-primary")

    assert client.writes() == writes
    assert client.move(mirror, mirror.b, force=True).status == 200


def test_flapping(client: HttpClient) -> None:
    """More changes of holder than VIP_MAX_CHANGES are held and recorded; an operator's move is never held."""
    mirror = client.take()
    for member in (mirror.a, mirror.b, mirror.a, mirror.b):
        assert client.claim(mirror, member).status == 200

    assert_refused(client.claim(mirror, mirror.a), "flapping", retry=True)
    assert [row["event"] for row in client.audit(mirror)[:2]] == ["claim.recorded", "claim.refused"]
    assert client.state(mirror)["recorded_claim"]["code"] == "flapping"
    assert client.move(mirror, mirror.a).status == 200


def test_address_taken(client: HttpClient) -> None:
    """An address that a stranger's NIC holds stops the move before anything is detached; `detail` names the holder. (I10)"""
    mirror, stranger = client.take(), client.take()
    client.azure("POST", f"nics/{mirror.nic_a}", {"what": "drops-config"})
    client.azure("POST", f"nics/{stranger.nic_b}", {"what": "takes-address", "address": mirror.address})
    writes = client.writes()

    reply = client.move(mirror, mirror.b)

    assert_refused(reply, "address-taken", MOVES, retry=True)
    assert stranger.nic_b in reply.json["detail"]
    assert client.writes() == writes


def test_mirror_frozen(client: HttpClient) -> None:
    """During a freeze a claim is recorded and refused, a move only refused; at the unfreeze the timer carries the claim out."""
    mirror = client.take()
    path = f"/mirrors/{mirror.name}/freeze"
    assert client.operator("PUT", path, {"reason": "upgrade", "operator": "ann"}).status == 200

    assert_refused(client.claim(mirror, mirror.b), "mirror-frozen", retry=True)
    assert_refused(client.move(mirror, mirror.b), "mirror-frozen", MOVES, retry=True)
    assert client.state(mirror)["recorded_claim"]["member"] == mirror.b
    assert client.carrier(mirror) == mirror.nic_a

    assert client.operator("DELETE", path + "?operator=ann&reason=done").status == 200
    client.timer()
    _until(lambda: client.carrier(mirror) == mirror.nic_b)


def test_too_many_requests(client: HttpClient) -> None:
    """More than a burst of 30 per key: 429 with Retry-After, no row; another key of the same member is not held."""
    mirror = client.take()

    replies = [client.claim(mirror, mirror.b, dry_run=True) for _ in range(45)]

    assert {reply.status for reply in replies[:30]} == {200}
    assert_refused(replies[-1], "too-many-requests", retry=True)
    assert client.claim(mirror, mirror.b, key_id=f"{mirror.name}-b2", dry_run=True).status == 200
    assert client.audit(mirror) == []


# -- 500, 502, 503 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/mirrors/{mirror}", "/mirrors/{mirror}/audit", "/mirrors/{mirror}/audit/verify"])
def test_faulty_mirror(client: HttpClient, path: str) -> None:
    """A mirror with a fault answers 500 with its faults on its own routes; the others are served."""
    reply = client.operator("GET", path.replace("{mirror}", "BROKEN"))

    assert_refused(reply, "configuration-invalid", path, "get", retry=False)
    assert "each member needs its own" in reply.json["detail"]


def test_azure_denied(client: HttpClient) -> None:
    """A missing right is found before anything is detached; the answer names action and scope. (I10)"""
    mirror = client.take()
    scope = f"{NETWORK}/networkInterfaces/{mirror.nic_b}"
    client.azure("PUT", "switches", {"denied": [{"action": "Microsoft.Network/networkInterfaces/write", "scope": scope}]})
    writes = client.writes()
    try:
        reply = client.move(mirror, mirror.b)
    finally:
        client.azure("PUT", "switches", {"denied": []})

    assert_refused(reply, "azure-denied", MOVES, retry=True)
    assert "Microsoft.Network/networkInterfaces/write" in reply.json["detail"]
    assert mirror.nic_b in reply.json["detail"]
    assert client.writes() == writes


def test_azure_failed(client: HttpClient) -> None:
    """A NIC that does not exist: `azure-failed`, nothing changed."""
    reply = client.operator("POST", "/mirrors/GHOST/moves", {"to": "A", "reason": "r", "operator": "o"})

    assert_refused(reply, "azure-failed", MOVES, retry=True)
    assert "none-a" in reply.json["detail"]


STRUCK: dict[str, dict[str, Any]] = {
    "busy": {"match": {"method": "PUT", "kind": "nic"}, "fault": {"kind": "answer", "name": "PreconditionFailed"}},
    "outcome-unknown": {"match": {"method": "PUT", "kind": "nic"}, "fault": {"kind": "lost", "when": "before"}},
}


@pytest.mark.parametrize("code", STRUCK)
def test_azure_in_trouble(client: HttpClient, code: str) -> None:
    """Others change the NIC all the time, or no write is answered: 503, and the decision stands."""
    mirror = client.take()
    script = json.loads(json.dumps(STRUCK[code]))
    for nic in (mirror.nic_a, mirror.nic_b):
        script["match"]["name"] = nic
        client.azure("POST", "scripts", {**script, "times": 1000})
    try:
        reply = client.move(mirror, mirror.b)
    finally:
        client.azure("DELETE", "scripts")

    assert_refused(reply, code, MOVES, retry=True)
    assert client.state(mirror)["in_progress"]["to"] == mirror.b


# -- the order of checks --------------------------------------------------------------------------------------------------


def test_order_of_checks(client: HttpClient) -> None:
    """Size, signature, freshness, body, mirror and member, replay, superseded, frozen: each fault hides those after it."""
    mirror = client.take()
    assert client.claim(mirror, mirror.b).status == 200
    client.operator("PUT", f"/mirrors/{mirror.name}/freeze", {"reason": "r", "operator": "o"})
    stale = time.time() - 3600
    wrong: dict[str, Any] = {"secret": bytes(32), "at": stale, "event": "x", "key_id": mirror.key_b, "age_ms": 10**9}

    expected = []
    for fault in ("secret", "at", "event", "key_id", "age_ms"):
        expected.append(client.claim(mirror, mirror.a, **wrong).code)
        del wrong[fault]
    expected.append(client.claim(mirror, mirror.a).code)

    assert expected == [
        "signature-invalid", "signature-expired", "body-invalid", "key-not-for-member", "claim-superseded", "mirror-frozen",
    ]  # fmt: skip


def test_replay_comes_before_superseded(client: HttpClient) -> None:
    """A replay is told to be one even where its claim would be superseded too."""
    mirror = client.take()
    headers, body, path = client.prepared(mirror, mirror.a)
    assert exchange(client.url, "POST", path, headers=headers, body=body).status == 200
    assert client.claim(mirror, mirror.b).status == 200

    assert_refused(exchange(client.url, "POST", path, headers=headers, body=body), "claim-replayed")


# -- rotation -------------------------------------------------------------------------------------------------------------


def test_keys_are_rotated_without_downtime(client: HttpClient) -> None:
    """Two keys of a member are valid at once, each with a mark of its own, and the trail names which was used."""
    mirror = client.take()
    claim_id = str(uuid.uuid4())

    assert client.claim(mirror, mirror.b, key_id=f"{mirror.name}-b", claim_id=claim_id).status == 200
    assert client.claim(mirror, mirror.b, key_id=f"{mirror.name}-b2", claim_id=claim_id).status == 200

    assert {row["actor"] for row in client.audit(mirror)} == {f"key:{mirror.name}-b", f"key:{mirror.name}-b2"}


def _until(holds: Any, *, within_s: float = 20.0) -> None:
    """Ask again until it holds; each look is a request, which takes its own time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.02)
