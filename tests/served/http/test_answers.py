"""What the routes answer when all is well: the bodies, the headers, and that the OpenAPI document describes them all."""

import csv
import io
import json
import re
import uuid
from typing import Any

import jsonschema
import pytest
import referencing
import referencing.jsonschema

from tests.served.http.http_client import PAGE_KEY, HttpClient, Mirror, Reply, exchange
from vipcore import VERSION
from vipcore.entry import openapi

DOCUMENT: Any = json.loads(json.dumps(openapi.document()))


def closed(schema: Any) -> Any:
    """The schema with every object closed, so that a property that is not described is found."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if "properties" in found and "type" in found and "$ref" not in found:
        found.setdefault("additionalProperties", False)
    return found


REGISTRY: Any = referencing.Registry().with_resource(
    "urn:client", referencing.Resource.from_contents(closed(DOCUMENT), default_specification=referencing.jsonschema.DRAFT202012)
)


def assert_described(reply: Reply, method: str, path: str, *, openly: bool = False) -> None:
    """The answer is one that the document describes for that route: status, type, headers, body."""
    described = DOCUMENT["paths"][path][method]["responses"][str(reply.status)]
    media_type = reply.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    root = {"$ref": f"urn:client#/components/schemas/{schema['$ref'].rsplit('/', 1)[1]}"} if "$ref" in schema else None
    body = reply.json if media_type.endswith("json") else reply.body.decode()
    if root and not openly:
        jsonschema.Draft202012Validator(root, registry=REGISTRY).validate(body)
    else:
        components = {"$defs": {}, "components": DOCUMENT["components"], **schema}
        jsonschema.Draft202012Validator(components).validate(body)
    assert str(uuid.UUID(reply.headers["x-correlation-id"])) == reply.headers["x-correlation-id"]
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-mirror-vip-version"] == VERSION
    if media_type.endswith("json"):  # people read it in a terminal
        assert reply.body == (json.dumps(reply.json, indent=2) + "\n").encode()


@pytest.fixture(scope="module")
def moved(client: HttpClient) -> Mirror:
    """A mirror after a claim of B."""
    mirror = client.take(pages=True)
    reply = client.claim(mirror, mirror.b, event="CheckBecomePrimaryOK")
    assert (reply.status, reply.code) == (409, "peer-still-primary")
    client.azure("PUT", f"pages/{mirror.a}", {"mode": "backup"})
    client.azure("PUT", f"pages/{mirror.b}", {"mode": "primary"})
    reply = client.claim(mirror, mirror.b)
    assert reply.status == 200, reply
    return mirror


def test_claim_moves_the_vip(client: HttpClient) -> None:
    """200 `moved`: the packets of the VIP reach the claimant's NIC, and the answer names phases and times. (I1, I4)"""
    mirror = client.take()

    reply = client.claim(mirror, mirror.b, evidence={"journal": 12})

    assert_described(reply, "post", "/mirrors/{mirror}/claims")
    assert reply.json["outcome"] == "moved"
    assert (reply.json["from"], reply.json["holder"], reply.json["epoch"]) == (mirror.a, mirror.b, 1)
    assert reply.json["phases"]
    assert client.carrier(mirror) == mirror.nic_b


def test_claim_for_what_is_there_is_confirmed(client: HttpClient, moved: Mirror) -> None:
    """200 `confirmed`: no NIC is written. (I4)"""
    writes = client.writes()

    reply = client.claim(moved, moved.b)

    assert_described(reply, "post", "/mirrors/{mirror}/claims")
    assert reply.json["outcome"] == "confirmed"
    assert client.writes() == writes


def test_dry_run_of_a_claim_spends_nothing(client: HttpClient, moved: Mirror) -> None:
    """A dry run answers from the head alone, writes no row, no NIC, and leaves its `issued_at` unspent."""
    rows, writes = client.audit(moved), client.writes()
    headers, body, path = client.prepared(moved, moved.b, dry_run=True)
    first = exchange(client.url, "POST", path, headers=headers, body=body)
    second = exchange(client.url, "POST", path, headers=headers, body=body)

    assert_described(first, "post", "/mirrors/{mirror}/claims")
    assert first.json == second.json
    decided = {"outcome": "planned", "desired": moved.b, "epoch": 1, "frozen": None, "in_progress": None, "holder": moved.b}
    assert {name: first.json[name] for name in decided} == decided
    assert (client.audit(moved), client.writes()) == (rows, writes)


def test_refused_dry_run_leaves_no_row(client: HttpClient, moved: Mirror) -> None:
    """A dry run writes nothing, not even its refusal."""
    rows = client.audit(moved)

    assert client.claim(moved, moved.b, dry_run=True, member=moved.a).code == "key-not-for-member"
    assert client.claim(moved, moved.b, dry_run=True, age_ms=-1).code == "body-invalid"
    assert client.audit(moved) == rows


def test_dry_run_of_a_move_shows_steps_and_checks(client: HttpClient, moved: Mirror) -> None:
    """A move's dry run names the NIC writes it would make and what would stop it, and makes none."""
    rows, writes = client.audit(moved), client.writes()

    reply = client.move(moved, moved.a, dry_run=True)

    assert_described(reply, "post", "/mirrors/{mirror}/moves")
    assert [(step["action"], step["member"]) for step in reply.json["steps"]] == [("detach", moved.b), ("attach", moved.a)]
    assert {check["name"]: check["ok"] for check in reply.json["checks"]}["status pages"] is False
    assert (client.audit(moved), client.writes()) == (rows, writes)


def test_move_moves_and_its_rows_carry_its_correlation_id(client: HttpClient) -> None:
    """An operator's move moves; the id of its answer is in the rows it left and in the log."""
    mirror = client.take()

    reply = client.move(mirror, mirror.b)

    assert_described(reply, "post", "/mirrors/{mirror}/moves")
    correlation_id = reply.headers["x-correlation-id"]
    rows = client.audit(mirror)
    assert {row["correlation_id"] for row in rows} == {correlation_id}
    assert [row["event"] for row in rows] == ["swap.completed", *["nic.write"] * (len(rows) - 2), "move.accepted"]
    assert rows[-1]["actor"] == "operator:ann"
    assert correlation_id in client.log.read_text()


def test_trail_as_csv(client: HttpClient, moved: Mirror) -> None:
    """The trail as CSV is a download of the rows that the JSON shows, for a period where one is given."""
    rows = client.audit(moved)
    reply = client.operator("GET", f"/mirrors/{moved.name}/audit?format=csv")
    empty = client.operator("GET", f"/mirrors/{moved.name}/audit?format=csv&to={rows[-1]['at']}")

    assert (reply.status, reply.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert reply.headers["content-disposition"] == f'attachment; filename="{moved.name}-audit.csv"'
    assert_described(reply, "get", "/mirrors/{mirror}/audit")
    found = list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))
    assert [(line["mirror"], line["seq"], line["hash"]) for line in found] == [
        (moved.name, str(row["seq"]), row["hash"]) for row in rows
    ]
    assert empty.body.decode().split(",")[0] == "mirror"
    assert empty.body.count(b"\n") == 1


def test_status_of_one_and_of_all(client: HttpClient, moved: Mirror) -> None:
    """Status shows placement and readiness from reads; the list shows every mirror, a faulty one with its fault."""
    one, every = client.operator("GET", f"/mirrors/{moved.name}"), client.operator("GET", "/mirrors")

    assert_described(one, "get", "/mirrors/{mirror}")
    assert_described(every, "get", "/mirrors")
    assert one.json["placement"] == {"state": "placed", "members": [moved.b]}
    assert [member["ready"] for member in one.json["members"]] == [True, True]
    listed = {entry["mirror"]: entry for entry in every.json["mirrors"]}
    assert list(listed) == sorted(listed)
    assert "each member needs its own" in listed["BROKEN"]["fault"]
    assert listed[moved.name]["desired"] == moved.b


def test_status_as_text(client: HttpClient, moved: Mirror) -> None:
    """`Accept: text/plain` and `?format=text` give lines for a terminal; what is refused stays a problem document."""
    accept = {"x-functions-key": client.functions_key, "Accept": "text/plain"}
    for path, described in ((f"/mirrors/{moved.name}", "/mirrors/{mirror}"), ("/mirrors", "/mirrors")):
        by_header, by_query = client.raw("GET", path, headers=accept), client.operator("GET", path + "?format=text")
        for reply in (by_header, by_query):
            assert_described(reply, "get", described)
            assert reply.headers["content-type"] == "text/plain; charset=utf-8"
            assert max(map(len, reply.body.decode().splitlines())) <= 100
    assert client.operator("GET", f"/mirrors/{moved.name}?format=text").body.decode().startswith(f"{moved.name}: {moved.b} has")
    trail = client.operator("GET", f"/mirrors/{moved.name}/audit?format=text")
    assert_described(trail, "get", "/mirrors/{mirror}/audit")
    assert trail.body.decode().startswith("SEQ ")
    assert client.operator("GET", "/mirrors?format=xml").code == "body-invalid"
    assert client.raw("GET", "/mirrors/NOBODY", headers=accept).code == "mirror-unknown"
    dry = client.operator(
        "POST", f"/mirrors/{moved.name}/moves?format=text", {"to": moved.a, "reason": "r", "operator": "o", "dry_run": True}
    )
    assert_described(dry, "post", "/mirrors/{mirror}/moves")
    assert f"A move of {moved.name} to {moved.a} would" in dry.body.decode()


def test_freeze_is_set_and_lifted(client: HttpClient) -> None:
    """PUT answers with the freeze, DELETE without one; both leave a row with the operator's words."""
    mirror = client.take()
    path = f"/mirrors/{mirror.name}/freeze"

    put = client.operator("PUT", path, {"reason": "upgrade", "operator": "ann", "until": "2099-01-01T00:00:00+01:00"})
    again = client.operator("PUT", path, {"reason": "upgrade, longer", "operator": "bob"})
    gone = client.operator("DELETE", path + "?operator=ann&reason=done")
    twice = client.operator("DELETE", path + "?operator=ann&reason=done")

    for reply, method in ((put, "put"), (again, "put"), (gone, "delete"), (twice, "delete")):
        assert_described(reply, method, "/mirrors/{mirror}/freeze")
    assert put.json["frozen"]["until"] == "2098-12-31T23:00:00.000000Z"
    assert (again.json["frozen"]["until"], again.json["frozen"]["at"]) == (None, put.json["frozen"]["at"])
    assert gone.json == twice.json == {"mirror": mirror.name, "frozen": None}
    assert [(row["event"], row["actor"]) for row in client.audit(mirror)] == [
        ("unfrozen", "operator:ann"), ("frozen", "operator:bob"), ("frozen", "operator:ann"),
    ]  # fmt: skip


def test_trail_in_pages(client: HttpClient, moved: Mirror) -> None:
    """Newest first; `next` leads through all pages to null, and every row is in exactly one."""
    seqs, path = [], f"/mirrors/{moved.name}/audit?limit=2"
    while True:
        page = client.operator("GET", path)
        assert_described(page, "get", "/mirrors/{mirror}/audit")
        seqs += [row["seq"] for row in page.json["records"]]
        if page.json["next"] is None:
            break
        path = f"/mirrors/{moved.name}/audit?limit=2&before={page.json['next']}"

    assert seqs == list(range(seqs[0], 0, -1))
    assert len(seqs) >= 4


def test_chain_verifies_in_pages(client: HttpClient, moved: Mirror) -> None:
    """The whole chain verifies, in one look and page by page, and is keyed from the first row. (I8)"""
    whole = client.operator("GET", f"/mirrors/{moved.name}/audit/verify")
    assert_described(whole, "get", "/mirrors/{mirror}/audit/verify")
    assert (whole.json["intact"], whole.json["keyed_from"]) == (True, 1)

    records, path = 0, f"/mirrors/{moved.name}/audit/verify?limit=2"
    while True:
        page = client.operator("GET", path)
        assert_described(page, "get", "/mirrors/{mirror}/audit/verify")
        records += page.json["records"]
        if "next" not in page.json:
            break
        path = f"/mirrors/{moved.name}/audit/verify?limit=2&from={page.json['next']}"
    assert (records, page.json["head_hash"]) == (whole.json["records"], whole.json["head_hash"])


def test_last_hash_is_in_the_log(client: HttpClient, moved: Mirror) -> None:
    """Each new head hash goes to the log, a second place of trust, so that a cut-off tail shows. (I8)"""
    head_hash = client.operator("GET", f"/mirrors/{moved.name}/audit/verify").json["head_hash"]

    assert f"hash={head_hash}" in client.log.read_text()


def test_health_tells_nothing_else(client: HttpClient) -> None:
    """`/health` needs no key and says one word."""
    reply = client.raw("GET", "/health")

    assert_described(reply, "get", "/health")
    assert reply.json == {"status": "degraded"}


def test_openapi_document_is_served_to_anybody(client: HttpClient) -> None:
    """`/openapi.json` needs no key and is the document that the code makes."""
    reply = client.raw("GET", "/openapi.json")

    assert_described(reply, "get", "/openapi.json", openly=True)
    assert reply.json == DOCUMENT


def test_every_served_route_is_described(client: HttpClient) -> None:
    """The functions that the runtime indexed and the operations of the document are the same."""
    indexed = re.findall(r"Function Name: (\w+)", client.log.read_text())

    assert {*indexed} - {"reconcile_timer"} == {route.name for route in openapi.ROUTES}


@pytest.mark.parametrize(
    ("method", "path"),
    [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method, found in item.items() if found["security"]],
)
def test_operators_routes_need_a_function_key(client: HttpClient, moved: Mirror, method: str, path: str) -> None:
    """Without a function key, or with a wrong one, the host answers 401 without a body; `?code=` opens as the header does."""
    where = path.replace("{mirror}", moved.name)

    for headers, query in (({}, ""), ({"x-functions-key": "wrong"}, ""), ({}, "?code=wrong"), ({"x-functions-key": ""}, "")):
        reply = client.raw(method, where + query, headers=headers, body=b"{}" if method != "GET" else None)
        assert (reply.status, reply.body) == (401, b"")
    opened = client.raw(method, f"{where}?code={client.functions_key}").status
    assert opened in ((200, 503) if path == "/health/mirrors" else (200, 400))


def test_key_of_the_page_opens_the_page_alone(client: HttpClient, moved: Mirror) -> None:
    """docs/dashboard.md: the key in the page's address is one of its own, so who finds it can read and change nothing else."""
    code = client.settings[PAGE_KEY]
    keyed = [
        (method.upper(), path.replace("{mirror}", moved.name))
        for path, item in DOCUMENT["paths"].items()
        for method, found in item.items()
        if found["security"]
    ]

    opened = [
        where
        for where in keyed
        if client.raw(where[0], f"{where[1]}?code={code}", body=b"{}" if where[0] != "GET" else None).status != 401
    ]

    assert opened == [("GET", "/dashboard")]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("GET", "/mirrors/X/claims"), ("PATCH", "/mirrors"), ("GET", "/mirrors/a/b/c/d"), ("GET", "/")],
)
def test_what_is_no_route_is_the_hosts_404(client: HttpClient, method: str, path: str) -> None:
    """An unknown route or method is answered by the host: 404 without a body."""
    reply = client.operator(method, path)

    assert (reply.status, reply.body) == (404, b"")
