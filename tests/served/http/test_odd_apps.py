"""The app with faulty settings, without its table, and under Azure's throttle: what it serves then, and what it says."""

import asyncio
import base64
import json
import os
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from serve import azurite, process
from tests.served.http import http_client
from tests.served.http.http_client import NEVER, HttpClient, exchange
from tests.served.http.test_answers import DOCUMENT, assert_described
from tests.served.http.test_refusals import MOVES, assert_refused
from tests.vipcore.adapters.ledgers import behind, port_of
from tests.vipcore.adapters.wire import proxied

DESCRIBED = [(method, path) for path, item in DOCUMENT["paths"].items() for method in item if path != "/health"]
BODY = {"to": "A", "reason": "r", "operator": "o"}


@pytest.fixture(scope="module")
def misconfigured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The url and the log of an app with faults everywhere."""
    log = tmp_path_factory.mktemp("misconfigured") / "app.log"
    mirrors = http_client.document(http_client.fleet()[:1], "http://127.0.0.1:1")
    settings = {
        "PATH": os.environ["PATH"],
        "PORT": "0",
        "FUNCTIONS_KEY": "local",
        "VIP_MIRRORS": json.dumps({**mirrors, "extra": 1}),
        "VIP_KEY_M00000_A": "c2VjcmV0LXNlY3JldC1zZWNyZXQ=",
        "VIP_KEY_M00000_B": "not base64, and secret",
        "VIP_ARM_ENDPOINT": "http://arm.example",
        "VIP_MAX_CHANGES": "many",
        "VIP_AUDIT_KEY": "c2hvcnQtYW5kLXNlY3JldA==",
        "VIP_RECONCILE_SCHEDULE": "now and then",
    }
    with process.running("serve", environment=settings, log=log) as app:
        yield app.url, log


@pytest.mark.parametrize(("method", "path"), DESCRIBED)
def test_misconfigured_app_serves_health_alone(misconfigured: tuple[str, Path], method: str, path: str) -> None:
    """A faulty global setting: every route answers 500 `configuration-invalid`, claims included, before anything is looked at."""
    url, _ = misconfigured
    where = "/api" + path.replace("{mirror}", "M00000")
    body = None if method == "get" else json.dumps(BODY).encode()

    reply = exchange(url, method.upper(), where, headers={"x-functions-key": "local"}, body=body)

    assert (reply.status, reply.code) == (500, "configuration-invalid")
    assert "VIP_ARM_ENDPOINT" in reply.json["detail"]
    assert reply.headers["x-correlation-id"]


def test_misconfigured_app_says_so(misconfigured: tuple[str, Path]) -> None:
    """`/health` answers 503 `misconfigured` and tells nothing else."""
    reply = exchange(misconfigured[0], "GET", "/api/health")

    assert (reply.status, reply.json) == (503, {"status": "misconfigured"})


def test_log_names_every_fault_and_no_secret(misconfigured: tuple[str, Path]) -> None:
    """All faults are in the log at once, each with its setting's name or its pointer, and no value of a secret."""
    text = misconfigured[1].read_text()

    for where in (
        "VIP_TABLE", "VIP_KEY_M00000_A", "VIP_KEY_M00000_B", "VIP_ARM_ENDPOINT", "VIP_MAX_CHANGES", "VIP_AUDIT_KEY",
        "VIP_RECONCILE_SCHEDULE", "/mirrors/BROKEN", "VIP_KEY_UNSET",
    ):  # fmt: skip
        assert f"configuration.fault where={where}" in text
    for secret in ("c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "not base64, and secret", "c2hvcnQtYW5kLXNlY3JldA=="):
        assert secret not in text


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[HttpClient]:
    """An app whose table is not there: its port is closed."""
    away = f"DefaultEndpointsProtocol=http;AccountName={azurite.ACCOUNT};AccountKey={azurite.KEY};TableEndpoint=http://127.0.0.1:9/x;"
    with http_client.opened(tmp_path, away) as opened:
        yield opened


def test_without_its_table_nothing_is_decided(lonely: HttpClient) -> None:
    """The Table service is away: 503 `storage-unavailable` with Retry-After on every route that needs it, no NIC written."""
    mirror = lonely.take()
    named = f"/mirrors/{mirror.name}"

    for reply, method, path in (
        (lonely.claim(mirror, mirror.b), "post", "/mirrors/{mirror}/claims"),
        (lonely.move(mirror, mirror.b), "post", MOVES),
        (lonely.operator("PUT", named + "/freeze", {"reason": "r", "operator": "o"}), "put", "/mirrors/{mirror}/freeze"),
        (lonely.operator("GET", "/mirrors"), "get", "/mirrors"),
        (lonely.operator("GET", named + "/audit"), "get", "/mirrors/{mirror}/audit"),
        (lonely.operator("GET", named + "/audit/verify"), "get", "/mirrors/{mirror}/audit/verify"),
    ):
        assert_refused(reply, "storage-unavailable", path, method, retry=True)
    status = lonely.operator("GET", named)
    assert_described(status, "get", "/mirrors/{mirror}")
    assert (status.json["head"], status.json["desired"]) == ("unavailable", None)
    assert status.json["placement"] == {"state": "placed", "members": [mirror.a]}
    assert lonely.writes() == 0
    assert lonely.raw("GET", "/health").status == 200
    assert http_client.leaks(lonely) == []


@pytest.fixture
def throttled(tmp_path: Path, azurite: str) -> Iterator[HttpClient]:
    """An app whose subscription Azure throttles for longer than a request lasts."""
    with http_client.opened(tmp_path, azurite) as opened:
        fault = {"kind": "status", "status": 429, "retry_after": 400}
        opened.azure("POST", "scripts", {"match": {"method": "GET", "kind": "nic"}, "fault": fault, "times": 1000})
        yield opened


def test_azure_throttled(throttled: HttpClient) -> None:
    """Azure's throttle is passed on: 503 with Azure's own Retry-After; an unreadable NIC is `unknown`, not empty. (I9)"""
    mirror = throttled.take()

    reply = throttled.move(mirror, mirror.b)

    assert_refused(reply, "azure-throttled", MOVES, retry=True)
    assert int(reply.headers["retry-after"]) > 300
    assert throttled.writes() == 0
    state = throttled.state(mirror)
    assert state["placement"]["state"] == "unknown"
    assert [member["ready"] for member in state["members"]] == [None, None]


def test_app_without_faults_is_ok(tmp_path: Path, azurite: str) -> None:
    """With nothing to complain about `/health` says `ok`."""
    mirrors = http_client.fleet()[:1]
    document = http_client.document(mirrors, "http://127.0.0.1:1")
    for name in ("BROKEN", "GHOST"):
        del document["mirrors"][name]
    del document["keys"]["unset"]
    keys = {http_client.key_setting(key_id): base64.b64encode(secret).decode() for key_id, (_, secret) in mirrors[0].keys.items()}
    settings = {
        "PATH": os.environ["PATH"], "PORT": "0", "VIP_TABLE": azurite, "VIP_TABLE_NAME": f"T{secrets.token_hex(8)}",
        "VIP_MIRRORS": json.dumps(document), "VIP_RECONCILE_SCHEDULE": NEVER, **keys,
    }  # fmt: skip
    log = tmp_path / "app.log"
    with process.running("serve", environment=settings, log=log) as app:
        reply = exchange(app.url, "GET", "/api/health")

    assert (reply.status, reply.json) == (200, {"status": "ok"})
    assert "configuration.fault" not in log.read_text()


@pytest.fixture
def ahead(tmp_path: Path, azurite: str) -> Iterator[HttpClient]:
    """An app whose wall clock is an hour behind its table's time."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def until(closing: asyncio.Event, port: asyncio.Future[int]) -> None:
        async with proxied(port_of(azurite)) as proxy:
            proxy.date = lambda: format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
            port.set_result(proxy.port)
            await closing.wait()

    async def begin() -> tuple[asyncio.Event, int, asyncio.Task[None]]:
        closing, port = asyncio.Event(), loop.create_future()
        task = loop.create_task(until(closing, port))
        return closing, await port, task

    closing, port, task = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    clean = http_client.document(http_client.fleet(), "http://127.0.0.1:1")
    del clean["mirrors"]["BROKEN"], clean["keys"]
    with http_client.opened(tmp_path, behind(azurite, port), environ={"VIP_MIRRORS": json.dumps(clean)}) as opened:
        yield opened
    loop.call_soon_threadsafe(closing.set)
    asyncio.run_coroutine_threadsafe(asyncio.wait([task]), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_instance_with_a_wrong_clock_goes_by_the_table_s_time(ahead: HttpClient) -> None:
    """A wall clock that is an hour off stops no swap: rows carry the table's time; log and `/health` say that it is off. (I2)"""
    mirror = ahead.take()
    assert ahead.raw("GET", "/health").json == {"status": "ok"}  # the table has said nothing yet

    assert ahead.move(mirror, mirror.b).json["outcome"] == "moved"

    at = datetime.fromisoformat(ahead.operator("GET", f"/mirrors/{mirror.name}/audit?limit=1").json["records"][0]["at"])
    assert timedelta(minutes=58) < at - datetime.now(UTC) < timedelta(minutes=62)
    assert "clock.off" in ahead.log.read_text()
    assert ahead.raw("GET", "/health").json == {"status": "degraded"}
