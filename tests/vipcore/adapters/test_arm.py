"""One exchange with ARM: what is sent, what comes back, and what may be concluded where nothing came back; the one-call move."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError

from simulator import server as simulator
from simulator import worlds
from simulator.cloud import Cloud
from tests.vipcore.adapters.wire import Scripted, Seen, scripted, with_identity
from vipcore.adapters.arm import ArmTransport
from vipcore.adapters.connections import Connections
from vipcore.adapters.token import Identity
from vipcore.arm.client import Arm
from vipcore.arm.errors import ArmError
from vipcore.arm.port import ArmRequest
from vipcore.arm.rate_limit import Permit
from vipcore.errors import NoReply, NoToken, NotSent
from vipcore.model import Nic

NIC = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces/n?api-version=2026-03-01"
GET = ArmRequest(method="GET", url=NIC)
PUT = ArmRequest(method="PUT", url=NIC, headers={"if-match": 'W/"1"'}, body={"a": 1})


class Tokens:
    """A credential that numbers its tokens, cached as Microsoft's are: one instance gives the same token again."""

    made = 0

    def __init__(self, lifetime_s: float = 3600) -> None:
        self.lifetime_s = lifetime_s
        self.token: AccessTokenInfo | None = None

    async def get_token_info(self, *_scopes: str, **_options: Any) -> AccessTokenInfo:
        if self.token is None or self.token.expires_on <= time.time():
            await asyncio.sleep(0)
            Tokens.made += 1
            self.token = AccessTokenInfo(f"t{Tokens.made}", int(time.time() + self.lifetime_s))
        return self.token

    async def close(self) -> None:
        return

    async def __aenter__(self) -> "Tokens":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return


class NoTokens(Tokens):
    async def get_token_info(self, *_scopes: str, **_options: Any) -> AccessTokenInfo:
        raise ClientAuthenticationError("no identity here")


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    """A server that answers as told."""
    async with scripted() as made:
        yield made


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    """Connections of one test."""
    made = Connections()
    yield made
    await made.close()


@pytest.fixture
def transport(server: Scripted, connections: Connections) -> ArmTransport:
    """The transport to that server."""
    Tokens.made = 0
    return ArmTransport(
        endpoint=server.url, audience="https://management.azure.com", identity=Identity(Tokens), connections=connections
    )


async def test_document_goes_out_and_comes_back_exactly(transport: ArmTransport, server: Scripted) -> None:
    """No property is added, dropped or changed, known to an SDK or not. (I5)"""
    document = {
        "id": "/x",
        "etag": 'W/"7"',
        "unknown": {"deep": [1, 2.5, 10**17, True, None, {"": "äöü € \U0001f512 \u2028"}]},
        "properties": {"ipConfigurations": [{"name": "vip", "x-new": {}}], "nullProperty": None, "empty": []},
    }

    async def echo(seen: Seen) -> web.StreamResponse:
        return web.Response(body=seen.body, content_type="application/json")

    server.answer = echo
    reply = await transport.send(ArmRequest(method="PUT", url=NIC, headers={"if-match": 'W/"7"'}, body=document))

    (seen,) = server.seen
    assert (seen.method, seen.path) == ("PUT", NIC)
    assert json.loads(seen.body) == document == reply.body
    assert list(json.loads(seen.body)) == list(document)
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["if-match"] == 'W/"7"'
    assert seen.headers["authorization"] == "Bearer t1"


async def test_each_request_has_an_id_of_its_own(transport: ArmTransport, server: Scripted) -> None:
    """Azure's support finds a request by the id that we gave it."""
    await asyncio.gather(*(transport.send(GET) for _ in range(5)))

    assert len({seen.headers["x-ms-client-request-id"] for seen in server.seen}) == 5


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"a":1}', "application/json", {"a": 1}),
        (b'{"a":1}', "text/plain", {"a": 1}),
        (b"[1]", "application/json", [1]),
        (b"", "application/json", None),
        (b"<html>", "text/html", None),
        (b"\xff\xfe{", "application/json", None),
    ],
)
async def test_answer_is_given_whatever_its_status(
    transport: ArmTransport, server: Scripted, body: bytes, content_type: str, expected: Any
) -> None:
    """Header names in lower case; a body that is no JSON is None; an error status is an answer like any other, asked once."""
    for status in (200, 202, 404, 409, 412, 429, 500, 503):
        server.seen.clear()

        async def answer(_seen: Seen, status: int = status) -> web.StreamResponse:
            headers = {"X-Ms-Request-Id": "r", "Retry-After": "1", "Content-Type": content_type}
            return web.Response(status=status, body=body, headers=headers)

        server.answer = answer
        reply = await transport.send(PUT)

        assert (reply.status, reply.body) == (status, expected)
        assert (reply.headers["x-ms-request-id"], reply.headers["retry-after"]) == ("r", "1")
        assert len(server.seen) == 1


@pytest.mark.parametrize("request_", [GET, PUT])
async def test_lost_reply_is_no_reply_and_sent_once(transport: ArmTransport, server: Scripted, request_: ArmRequest) -> None:
    """The connection ends after the request has arrived: it may have happened."""

    async def drop(seen: Seen) -> web.StreamResponse:
        return seen.drop()

    server.answer = drop
    with pytest.raises(NoReply):
        await transport.send(request_)

    assert len(server.seen) == 1


async def test_write_is_not_repeated_when_a_kept_connection_breaks(transport: ArmTransport, server: Scripted) -> None:
    """HTTP clients like to send a PUT again when a kept connection broke under it; ours must not."""
    await transport.send(GET)
    assert transport.connections.session().connector is not None

    async def drop(seen: Seen) -> web.StreamResponse:
        return seen.drop()

    server.answer = drop
    with pytest.raises(NoReply):
        await transport.send(PUT)

    assert [seen.method for seen in server.seen] == ["GET", "PUT"]


async def test_reply_that_breaks_off_is_no_reply(transport: ArmTransport, server: Scripted) -> None:
    """Half an answer is none."""

    async def half(seen: Seen) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100"})
        await response.prepare(seen.raw)
        await response.write(b'{"a":')
        seen.drop()
        return response

    server.answer = half
    with pytest.raises(NoReply):
        await transport.send(PUT)


async def test_hang_is_no_reply_within_the_requests_own_time(transport: ArmTransport, server: Scripted) -> None:
    """`timeout_s` is for the whole exchange, also where bytes keep trickling in."""
    never = asyncio.Event()

    async def trickle(seen: Seen) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(seen.raw)
        while not never.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    await transport.send(GET)
    server.answer = trickle
    began = asyncio.get_running_loop().time()
    with pytest.raises(NoReply):
        await transport.send(ArmRequest(method="PUT", url=NIC, body={}, timeout_s=0.4))
    never.set()

    assert asyncio.get_running_loop().time() - began < 2


async def test_refused_connection_is_not_sent(connections: Connections) -> None:
    """Nobody listens: the request certainly had no effect."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        transport = ArmTransport(endpoint=nobody, audience="a", identity=Identity(Tokens), connections=connections)
        with pytest.raises(NotSent):
            await transport.send(PUT)


async def test_tls_that_fails_is_not_sent(server: Scripted, connections: Connections) -> None:
    """A server that does not prove who it is gets neither token nor request."""
    endpoint = server.url.replace("http://", "https://")
    transport = ArmTransport(endpoint=endpoint, audience="a", identity=Identity(Tokens), connections=connections)

    with pytest.raises(NotSent):
        await transport.send(PUT)
    assert server.seen == []


async def test_without_a_token_nothing_is_sent(server: Scripted, connections: Connections) -> None:
    """A managed identity that is not there is NotSent, and ARM hears nothing."""
    transport = ArmTransport(endpoint=server.url, audience="a", identity=Identity(NoTokens), connections=connections)

    with pytest.raises(NoToken, match="no identity here"):
        await transport.send(PUT)
    assert server.seen == []


async def test_an_identity_that_throttles_is_told_and_left_alone(
    server: Scripted, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what the identity's endpoint answered, and requests that follow do not ask it again at once."""

    async def throttle(_seen: Seen) -> web.StreamResponse:
        return web.json_response({"error": {"code": "TooMany", "message": "slow down"}}, status=429)

    async with scripted(throttle) as endpoint:
        environment = {"IDENTITY_ENDPOINT": f"{endpoint.url}/msi/token", "IDENTITY_HEADER": "x"}
        transport = with_identity(server.url, environment, connections, monkeypatch)
        said = set()
        asked = []
        for _ in range(20):
            with pytest.raises(NoToken) as no_token:
                await transport.send(GET)
            said.add(str(no_token.value))
            asked.append(len(endpoint.seen))
        await transport.identity.close()

    assert said == {
        "the managed identity gave no token; its endpoint says HTTP 429: (TooMany) slow down Code: TooMany Message: slow down"
    }
    assert set(asked) == {asked[0]}
    assert server.seen == []


async def test_absolute_url_of_our_endpoint_is_asked(transport: ArmTransport, server: Scripted) -> None:
    """Azure gives operations as absolute URLs; their query goes back as it came."""
    operation = "/subscriptions/s/providers/Microsoft.Network/locations/eastus/operations/o?api-version=1&t=6&c=MII_a-b&s=x%3D"

    await transport.send(ArmRequest(method="GET", url=server.url + operation))

    assert [seen.path for seen in server.seen] == [operation]


async def test_foreign_url_is_not_asked(transport: ArmTransport, server: Scripted) -> None:
    """Our token goes to our endpoint only, however the URL is written."""
    async with scripted() as other:
        for url in (
            f"{other.url}/x",
            f"http://{server.host}@{other.host}/x",
            f"https://{server.host}/x",
            f"//{other.host}/x",
            "https://[/x",
            "operations/x",
        ):
            with pytest.raises(NotSent):
                await transport.send(ArmRequest(method="GET", url=url))
        assert other.seen == []
    assert server.seen == []


async def test_unusable_header_never_leaves(transport: ArmTransport, server: Scripted) -> None:
    """A value that would break out of its header never leaves."""
    with pytest.raises(NoReply):  # the HTTP library looks at it late, when it has a connection
        await transport.send(ArmRequest(method="PUT", url=NIC, headers={"if-match": "x\r\nx-evil: 1"}, body={}))
    assert server.seen == []


async def test_redirect_is_an_answer_and_not_followed(transport: ArmTransport, server: Scripted) -> None:
    """A redirect could carry the token elsewhere."""
    async with scripted() as other:

        async def redirect(_seen: Seen) -> web.StreamResponse:
            return web.Response(status=307, headers={"location": f"{other.url}/x"})

        server.answer = redirect
        assert (await transport.send(GET)).status == 307
        assert other.seen == []


async def test_one_token_serves_many_requests(transport: ArmTransport, server: Scripted) -> None:
    """Fetched once, also where 50 requests want it at the same time."""
    await asyncio.gather(*(transport.send(GET) for _ in range(50)))

    assert Tokens.made == 1
    assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer t1"}


async def test_refused_token_is_replaced_for_the_next_request(transport: ArmTransport, server: Scripted) -> None:
    """A 401 is handed on, not repeated; what comes next has a token that was fetched since, not the cached one."""

    async def refuse_first(seen: Seen) -> web.StreamResponse:
        good = seen.headers["authorization"] != "Bearer t1"
        challenge = 'Bearer error="insufficient_claims", claims="e30="'
        return web.json_response({}, status=200 if good else 401, headers={} if good else {"www-authenticate": challenge})

    server.answer = refuse_first
    assert [(await transport.send(GET)).status for _ in range(3)] == [401, 200, 200]
    assert len(server.seen) == 3
    assert Tokens.made == 2


async def test_plain_http_is_for_loopback_only(connections: Connections) -> None:
    """A token never travels in the clear."""
    transport = ArmTransport(endpoint="http://192.0.2.1", audience="a", identity=Identity(Tokens), connections=connections)

    with pytest.raises(NotSent, match="loopback"):
        await transport.send(GET)


async def test_managed_identity_on_the_simulated_azure(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real credential at the simulated identity endpoint: one token for many requests; a NIC goes round."""
    cloud = Cloud(worlds.default(), now=time.time)
    async with simulator.running(cloud) as edge:
        transport = with_identity(edge.url, edge.environment(), connections, monkeypatch)
        nic = NIC.replace("/s/", "/00000000-0000-0000-0000-000000000000/").replace("/n?", "/mirrora290_z1?")

        shown = [await transport.send(ArmRequest(method="GET", url=nic)) for _ in range(5)][-1]
        changed = {**shown.body, "tags": {"changed": "yes"}}
        written = await transport.send(ArmRequest(method="PUT", url=nic, headers={"if-match": shown.body["etag"]}, body=changed))
        operation = written.headers["azure-asyncoperation"]
        polled = await transport.send(ArmRequest(method="GET", url=operation))
        stale = await transport.send(ArmRequest(method="PUT", url=nic, headers={"if-match": 'W/"old"'}, body=shown.body))
        await transport.identity.close()

    assert (shown.status, written.status, polled.status, stale.status) == (200, 200, 200, 412)
    assert polled.body["status"] in ("InProgress", "Succeeded")
    assert len(cloud.tokens) == 1


GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network"
VNET = f"{GROUP}/virtualNetworks/vnet"
SOURCE = f"{GROUP}/networkInterfaces/mirrora290_z1"
TARGET = f"{GROUP}/networkInterfaces/mirrorb280_z2"
ITEMS = [(f"{SOURCE}/ipConfigurations/vip", f"{TARGET}/ipConfigurations/vip")]


@pytest.mark.parametrize(("available", "code"), [("all", ""), ("feature-missing", "SubscriptionNotRegisteredForFeature")])
async def test_the_first_answer_comes_as_azure_gave_it(available: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted: the operation to look at and ARM's request id. Refused: Azure's own code, and no retry."""
    cloud = Cloud(worlds.default(), now=time.time)
    cloud.switches = replace(cloud.switches, move_ip_configurations=available, latency="fixed:0.2")
    connections = Connections()
    async with simulator.running(cloud) as edge:
        transport = with_identity(edge.url, edge.environment(), connections, monkeypatch)
        arm = Arm(transport)
        source, target = await arm.read_nic(SOURCE), await arm.read_nic(TARGET)
        assert isinstance(source, Nic)
        assert isinstance(target, Nic)
        if code:
            with pytest.raises(ArmError) as refused:
                await arm.move_in_one_call(VNET, ITEMS, (source, target), Permit())
            assert refused.value.code == code
        else:
            moved = await arm.move_in_one_call(VNET, ITEMS, (source, target), Permit())
            assert moved.status == 202
            assert moved.operation is not None
            assert moved.operation.startswith(edge.url)
            assert moved.request_id in moved.operation
        await transport.identity.close()
    await connections.close()
    posts = [exchange for exchange in cloud.history if exchange.method == "POST"]

    assert len(posts) == 1
    assert json.loads(posts[0].request_body)["moveIpConfigurationItems"] == [
        {"sourceIpConfiguration": {"id": ITEMS[0][0]}, "targetIpConfiguration": {"id": ITEMS[0][1]}}
    ]
    assert posts[0].target.startswith(f"{VNET}/moveIpConfigurations?api-version=2026-03-01")


async def test_an_answer_that_never_comes_may_have_had_an_effect() -> None:
    """A server that takes the call and says nothing: NoReply, as for a NIC's write."""
    connections = Connections()
    async with scripted() as server:

        async def silent(seen: Seen) -> web.StreamResponse:
            return seen.drop()

        server.answer = silent
        transport = ArmTransport(endpoint=server.url, audience="a", identity=Identity(Tokens), connections=connections)
        with pytest.raises(NoReply):
            await transport.send(
                ArmRequest(method="POST", url=f"{VNET}/moveIpConfigurations?api-version=2026-03-01", body={}, timeout_s=5.0)
            )
        await transport.identity.close()
    await connections.close()
