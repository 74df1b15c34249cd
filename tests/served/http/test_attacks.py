"""The attacks of docs/threat-model.md, carried out on the served app: what is refused, and what an attacker cannot change."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.data.tables import TableClient, TableServiceClient, UpdateMode

from tests.served.http.http_client import HttpClient, Mirror, Reply, exchange, signed

FORMULAS = ['=HYPERLINK("http://x","y")', "+1+1", "-1+1", "@SUM(A1)", "|cmd", "\uff1d1+1"]


def send(client: HttpClient, lines: list[tuple[str, str]], path: str, body: bytes, *, method: str = "POST") -> Reply:
    """A request whose header lines go out as they are, doubled ones too."""
    parts = urlsplit(client.url)
    head = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *(f"{n}: {v}" for n, v in lines)]
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        connection.sendall("\r\n".join(head).encode() + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        with HTTPResponse(connection) as answer:
            answer.begin()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(status=answer.status, headers=headers, body=answer.read())


def trails(client: HttpClient) -> dict[tuple[str, str], str]:
    """Every entity of the table, by its keys, as its etag: two looks are equal if nothing at all was written between them."""
    with TableClient.from_connection_string(client.table, client.table_name) as table:
        return {
            (e["PartitionKey"], e["RowKey"]): str(e.metadata["etag"])
            for e in table.list_entities()
            if e["PartitionKey"] != ".auth"
        }


@pytest.fixture(scope="module")
def victim(client: HttpClient) -> Mirror:
    """A mirror whose VIP a genuine claim brought to B; its A is the attackers' aim."""
    mirror = client.take()
    assert client.claim(mirror, mirror.b).status == 200
    return mirror


@pytest.fixture
def unchanged(client: HttpClient, victim: Mirror) -> Iterator[None]:
    """After the attack no NIC, no head and no row is other than before. (I7)"""
    state = _state(client, victim)  # before the table is looked at: a status may keep a look at the members
    before = (client.writes(), trails(client))
    yield
    assert (client.writes(), trails(client)) == before
    assert _state(client, victim) == state


def _state(client: HttpClient, mirror: Mirror) -> dict[str, Any]:
    """The status of a mirror, without the times at which it was looked at."""
    found = client.state(mirror)
    for member in found["members"]:
        del member["checked_at"]
    return found


def prepared(client: HttpClient, mirror: Mirror) -> tuple[list[tuple[str, str]], bytes, str]:
    """A genuine claim of A that nobody has sent."""
    headers, body, path = client.prepared(mirror, mirror.a)
    return list(headers.items()), body, path


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", ["Signature", "Signature-Input", "Content-Digest", "Content-Type"])
def test_doubled_header_is_refused(client: HttpClient, victim: Mirror, name: str) -> None:
    """A signed header that comes twice is joined by the host; the signature does not hold for the joined value. (I6)"""
    lines, body, path = prepared(client, victim)
    value = dict(lines)[name]

    for extra in (value, "sha-256=:AAAA:" if name == "Content-Digest" else "x=:AAAA:" if name == "Signature" else "x=()"):
        for doubled in ([*lines, (name, extra)], [(name, extra), *lines]):
            reply = send(client, doubled, path, body)
            # Two content types are refused by the HTTP server itself, as no request may have them.
            assert (reply.status, reply.code) in [(401, "signature-invalid"), *([(400, "")] if name == "Content-Type" else [])]


@pytest.mark.usefixtures("unchanged")
def test_two_signatures_with_our_tag_are_refused(client: HttpClient, victim: Mirror) -> None:
    """Exactly one signature with our tag: two genuine ones of two keys are refused, so that none can hide behind another. (I6)"""
    headers, body, path = client.prepared(victim, victim.a)
    other = signed(
        "POST", path, body, key_id=victim.key_b, secret=victim.keys[victim.key_b][1], created=int(time.time()), label="two"
    )
    for name in ("Signature", "Signature-Input"):
        headers[name] += ", " + other[name]

    reply = exchange(client.url, "POST", path, headers=headers, body=body)
    assert (reply.status, reply.code) == (401, "signature-invalid")


ALGORITHMS = ["hmac-sha512", "rsa-v1_5-sha256", "ecdsa-p256-sha256", "ed25519", "none", "", "HMAC-SHA256"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_other_algorithms_are_refused(client: HttpClient, victim: Mirror, alg: str) -> None:
    """The app decides the algorithm, never the request: a genuine HMAC under any other name is refused. (I6)"""
    reply = client.claim(victim, victim.a, sign={"alg": alg})

    assert (reply.status, reply.code) == (401, "signature-invalid")


def _forgeries(mirror: Mirror, path: str, body: bytes) -> dict[str, dict[str, str]]:
    """Headers that somebody without the key can make."""
    now, key_id = int(time.time()), mirror.key_a
    good: dict[str, Any] = {"key_id": key_id, "secret": mirror.keys[key_id][1], "created": now}
    genuine = signed("POST", path, body, **good)
    flipped = bytearray(base64.b64decode(genuine["Signature"].partition(":")[2][:-1]))
    flipped[0] ^= 1
    return {
        "the empty key": signed("POST", path, body, **{**good, "secret": b""}),
        "the key id as the key": signed("POST", path, body, **{**good, "secret": key_id.encode()}),
        "a key of zeros": signed("POST", path, body, **{**good, "secret": bytes(32)}),
        "the unknown key's stand-in": signed(
            "POST", path, body, **{**good, "key_id": "nobody", "secret": hashlib.sha256(b"no such key").digest()}
        ),
        "an unknown key id": signed("POST", path, body, **{**good, "key_id": "nobody"}),
        "a key id with a path": signed("POST", path, body, **{**good, "key_id": "../" + key_id}),
        "a bit flipped": {**genuine, "Signature": f"sig=:{base64.b64encode(flipped).decode()}:"},
        "cut short": {**genuine, "Signature": genuine["Signature"][:-10] + ":"},
        "an empty signature": {**genuine, "Signature": "sig=::"},
        "a text for a signature": {**genuine, "Signature": 'sig="' + genuine["Signature"].partition(":")[2][:-1] + '"'},
        "another tag": signed("POST", path, body, **good, tag="other"),
        "a life too long": signed("POST", path, body, **good, expires=now + 61),
        "an end before the beginning": signed("POST", path, body, **good, expires=now - 1),
        "another method": signed("PUT", path, body, **good),
        "another body": signed("POST", path, body + b" ", **good),
    }


@pytest.mark.usefixtures("unchanged")
def test_forgeries_are_refused_alike(client: HttpClient, victim: Mirror) -> None:
    """Whatever is wrong with a signature, the answer is the same to the letter: nothing is learnt of keys and fields. (I6)"""
    _, body, path = client.prepared(victim, victim.a)

    details = set()
    for name, headers in _forgeries(victim, path, body).items():
        reply = exchange(client.url, "POST", path, headers=headers, body=body)
        assert (name, reply.status, reply.code) == (name, 401, "signature-invalid")
        details.add(reply.json["detail"])
    assert len(details) == 1


PATHS = [
    "/mirrors/{mirror}/claims/", "/mirrors/{mirror}//claims", "/mirrors/x/../{mirror}/claims", "/mirrors/./{mirror}/claims",
    "/mirrors/{mirror}/%63laims", "/mirrors/%4D{rest}/claims", "/mirrors/{mirror}%2Fclaims", "/mirrors/{mirror}/claims?x=y",
    "/mirrors/{mirror}/claims;x=y", "/Mirrors/{mirror}/Claims", "/mirrors/{mirror}/claims#x", "/mirrors/{mirror}%00/claims",
]  # fmt: skip


@pytest.mark.parametrize("spelling", PATHS)
def test_path_in_another_spelling_reaches_no_other_mirror(client: HttpClient, victim: Mirror, spelling: str) -> None:
    """A path has one spelling that counts: however it is written, a claim reaches the mirror it names or none. (I6)"""
    path = client.prefix + spelling.replace("{mirror}", victim.name).replace("{rest}", victim.name[1:])
    target = client.mirrors[0]
    before = trails(client)
    other = {key: etag for key, etag in before.items() if key[0] != victim.name}

    for sign_path in (path, f"{client.prefix}/mirrors/{victim.name}/claims", f"{client.prefix}/mirrors/{target.name}/claims"):
        reply = client.claim(victim, victim.b, path=path.removeprefix(client.prefix), sign_path=sign_path)
        assert reply.status in (200, 400, 401, 403, 404)
        if reply.status == 200:
            assert reply.json["mirror"] == victim.name

    assert {key: etag for key, etag in trails(client).items() if key[0] != victim.name} == other


def test_stolen_key_pulls_the_vip_to_its_own_member_only(client: HttpClient) -> None:
    """A stolen agent key pulls the VIP to that member and does nothing else; its use is in the trail under the key's id. (I6)"""
    mirror, other = client.take(), client.mirrors[0]
    stolen: dict[str, Any] = {"key_id": mirror.key_b, "secret": mirror.keys[mirror.key_b][1]}
    # The swap that the key is good for counts among the subscription's writes.
    others = {key: etag for key, etag in trails(client).items() if mirror.name not in " ".join(key) and key[0] != ".writes"}

    assert client.claim(mirror, mirror.b, **stolen).json["holder"] == mirror.b
    aims: list[tuple[str, dict[str, Any]]] = [
        (mirror.a, {}),
        (mirror.b, {"mirror": other.name}),
        (other.a, {"mirror": other.name}),
    ]
    for member, fields in aims:
        assert client.claim(mirror, member, **stolen, **fields).code == "key-not-for-member"
    for method, path in (("POST", "/moves"), ("PUT", "/freeze"), ("DELETE", "/freeze"), ("GET", ""), ("GET", "/audit")):
        headers, body, _ = client.prepared(mirror, mirror.b, **stolen)
        assert client.raw(method, f"/mirrors/{mirror.name}{path}", headers=headers, body=body).status == 401

    assert client.carrier(mirror) == mirror.nic_b
    assert {row["actor"] for row in client.audit(mirror)} <= {f"key:{mirror.key_b}"} | {None} | {"reconciler"}
    after = trails(client)
    assert {key: after[key] for key in others} == others
    assert {key for key in after if mirror.name not in " ".join(key) and key[0] != ".writes"} == set(others)


def test_flood_without_a_key_writes_no_rows(client: HttpClient, victim: Mirror) -> None:
    """Hundreds of requests that fail authentication: no row of any mirror, at most the one counter row of the instance. (I7)"""
    before = (client.writes(), trails(client))
    headers, body, path = client.prepared(victim, victim.a, key_id="nobody")
    codes = set()
    for number in range(300):
        sent = headers if number % 2 else {}
        codes.add(exchange(client.url, "POST", path, headers=sent, body=body).code)

    assert codes == {"signature-invalid", "signature-missing"}
    assert (client.writes(), trails(client)) == before
    with TableClient.from_connection_string(client.table, client.table_name) as table:
        assert len(list(table.query_entities("PartitionKey eq '.auth'"))) <= 1


def test_flood_with_a_key_is_bounded(client: HttpClient) -> None:
    """A key that is sent wild gets 429, and its refusals leave one row a minute, not one a request. (I7)"""
    mirror = client.take()
    assert client.claim(mirror, mirror.a).status == 200
    rows = len(client.audit(mirror))

    codes = [client.claim(mirror, mirror.b, event="nonsense").code for _ in range(60)]

    assert set(codes) == {"body-invalid", "too-many-requests"}
    assert len(client.audit(mirror)) == rows + 1


@pytest.mark.parametrize("text", ["a\nclaim.accepted mirror=X", "a\r\nb", "\x1b[2J", "a\u2028b", "\x85"], ids=ascii)
def test_texts_cannot_write_lines_of_their_own_into_the_log(client: HttpClient, text: str) -> None:
    """Control characters in reason, operator, names or evidence are refused or escaped: no line of the log is forged."""
    mirror = client.take()
    lines = len(client.log.read_text().splitlines())
    for fields in ({"reason": text}, {"operator": text}, {"to": text}):
        assert client.move(mirror, fields.get("to", mirror.b), **{k: v for k, v in fields.items() if k != "to"}).status == 400
    assert client.claim(mirror, mirror.b, member=text).status == 400
    assert client.claim(mirror, mirror.b, mirror=text).status == 400
    assert client.claim(mirror, mirror.b, event="manual", evidence={"x": text, text: "y"}).status == 200

    new = client.log.read_text().splitlines()[lines:]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ ", line) for line in new)
    assert not any("\x1b" in line or "\u2028" in line for line in new)
    evidence = next(row["evidence"] for row in client.audit(mirror) if row["event"] == "claim.accepted")
    assert json.loads(evidence) == {"x": text, text: "y"}
    assert "\n" not in evidence
    assert "\x1b" not in evidence


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_cannot_start_a_cell(client: HttpClient, text: str) -> None:
    """No column that others fill begins with what they wrote: opened in a spreadsheet, a row computes nothing."""
    mirror = client.take()

    assert client.move(mirror, mirror.b, reason=text, operator=text).status == 200
    assert client.operator("PUT", f"/mirrors/{mirror.name}/freeze", {"reason": text, "operator": text}).status == 200
    assert client.claim(mirror, mirror.b, evidence={text: text}).status in (200, 423)

    with TableClient.from_connection_string(client.table, client.table_name) as table:
        for entity in table.query_entities(f"PartitionKey eq '{mirror.name}' and RowKey gt 'audit-' and RowKey lt 'audit.'"):
            cells = [value for value in entity.values() if isinstance(value, str)]
            assert not [cell for cell in cells if cell[:1] in "=+-@|\t\r\uff1d"]


def test_rows_tampered_with_in_the_table_are_found(client: HttpClient) -> None:
    """Whoever changes, deletes or adds a row in the table itself is found out by `audit/verify`. (I8)"""
    mirror = client.take()
    assert client.move(mirror, mirror.b).status == 200
    verify = f"/mirrors/{mirror.name}/audit/verify"
    with TableServiceClient.from_connection_string(client.table) as service:
        table = service.get_table_client(client.table_name)
        rows = list(table.query_entities(f"PartitionKey eq '{mirror.name}' and RowKey gt 'audit-' and RowKey lt 'audit.'"))
        newest, second = rows[0], rows[1]

        table.update_entity({**second, "Detail": "nothing happened"}, mode=UpdateMode.REPLACE)
        assert client.operator("GET", verify).json["broken_seq"] == second["Seq"]
        # Not even with a hash that fits: the rows are keyed.
        columns = {k: getattr(v, "value", v) for k, v in {**second, "Detail": "x"}.items() if k != "Hash"}
        data = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        table.update_entity({**second, "Detail": "x", "Hash": hashlib.sha256(data).hexdigest()}, mode=UpdateMode.REPLACE)
        assert client.operator("GET", verify).json["intact"] is False
        table.update_entity(second, mode=UpdateMode.REPLACE)
        assert client.operator("GET", verify).json["intact"] is True

        table.delete_entity(newest)
        found = client.operator("GET", verify).json
        assert (found["intact"], found["broken_seq"]) == (False, newest["Seq"])


def test_auditor_with_the_audit_key_recomputes_the_table(client: HttpClient, victim: Mirror) -> None:
    """The rows as they lie in the table hash to their Hash by its definition, without our code. (I8)"""
    key = base64.b64decode(client.settings["VIP_AUDIT_KEY"])
    with TableClient.from_connection_string(client.table, client.table_name) as table:
        rows = list(table.query_entities(f"PartitionKey eq '{victim.name}' and RowKey gt 'audit-' and RowKey lt 'audit.'"))
    previous = "0" * 64
    for row in reversed(rows):
        columns = {name: getattr(value, "value", value) for name, value in row.items() if name != "Hash"}
        assert columns["PrevHash"] == previous
        data = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        previous = hmac.new(key, data, hashlib.sha256).hexdigest()
        assert row["Hash"] == previous


@pytest.mark.usefixtures("unchanged")
def test_slow_and_half_requests_harm_nobody_else(client: HttpClient, victim: Mirror) -> None:
    """Connections that send half a request, or nothing, do not keep others from being answered."""
    parts = urlsplit(client.url)
    idle = [socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) for _ in range(50)]
    try:
        for number, connection in enumerate(idle):
            if number % 2:
                connection.sendall(b"POST /api/mirrors/x/claims HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        started = time.monotonic()
        assert client.raw("GET", "/health").status == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in idle:
            connection.close()


def test_key_in_the_url_is_neither_told_nor_logged(client: HttpClient) -> None:
    """A function key in `?code=` is in no problem document and in no line of the log."""
    reply = client.raw("GET", f"/mirrors/NOPE?code={client.functions_key}")

    assert reply.code == "mirror-unknown"
    assert client.functions_key not in reply.body.decode()
    assert client.functions_key not in client.log.read_text()
    guess = secrets.token_urlsafe(12)
    client.raw("GET", f"/mirrors?code={guess}")
    assert guess not in client.log.read_text()
