"""Headers and JSON styles of the answers."""

import re

from simulator.state.world import TENANT
from tests.simulator.client import NIC_A, SUBNET, VNET, Client


def test_get_has_an_etag_header_and_put_has_none() -> None:
    """The ETag header of a GET equals the body's etag; a PUT has the etag in the body only."""
    client = Client()
    got = client.ask("GET", NIC_A)

    assert got.headers["etag"] == got.json()["etag"]
    assert "etag" not in client.detach().headers


def test_headers_that_every_answer_has() -> None:
    """Answers and errors have the headers for ids, rate limits, caching and Front Door."""
    client = Client()
    for answer in (client.ask("GET", NIC_A), client.ask("GET", NIC_A + "x")):
        found = answer.headers
        assert found["cache-control"] == "no-cache"
        assert found["x-cache"] == "CONFIG_NOCACHE"
        assert found["x-ms-routing-request-id"].startswith("EASTUS:20")
        assert found["x-ms-routing-request-id"].endswith(found["x-ms-correlation-request-id"])
        assert found["x-ms-ratelimit-remaining-subscription-reads"].isdigit()
    assert client.detach().headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"


def test_style_of_2019() -> None:
    """With the switches of 2019: JSON is indented with CRLF, `server` replaces Front Door's headers, ARM's errors are compact."""
    client = Client(json="pretty", front_door=False)

    got = client.ask("GET", NIC_A)

    assert got.body.startswith(b'{\r\n  "name"')
    assert "x-cache" not in got.headers
    assert got.headers["server"].startswith("Microsoft-HTTPAPI/2.0")
    assert b"\r\n" not in client.ask("GET", NIC_A + "x").body


def test_the_client_request_id_comes_back_when_asked_for() -> None:
    """x-ms-return-client-request-id: true returns x-ms-client-request-id; the client's correlation id is used."""
    client = Client()
    asked = {"x-ms-client-request-id": "c1", "x-ms-return-client-request-id": "true", "x-ms-correlation-request-id": "k1"}

    found = client.ask("GET", NIC_A, **asked).headers
    assert (found["x-ms-client-request-id"], found["x-ms-correlation-request-id"]) == ("c1", "k1")


def test_errors_of_the_provider_say_so() -> None:
    """Since 2026 the network provider's errors have x-ms-failure-cause: service. ARM's own say gateway, as ever."""
    client = Client()
    refused, missing = client.attach(), client.ask("GET", NIC_A + "x")

    assert refused.headers["x-ms-failure-cause"] == "service"
    assert "x-cache" in refused.headers
    assert missing.headers["x-ms-failure-cause"] == "gateway"
    assert "x-ms-failure-cause" not in client.ask("GET", NIC_A).headers
    client.switch(headers_2026=False)
    assert "x-ms-failure-cause" not in client.attach().headers


def test_answers_say_who_asked_since_2026() -> None:
    """x-ms-operation-identifier names the tenant, the caller and the region, and differs from answer to answer."""
    client = Client()
    first, second = (client.ask("GET", NIC_A).headers["x-ms-operation-identifier"] for _ in range(2))

    assert re.fullmatch(rf"tenantId={TENANT},objectId=[0-9a-f-]{{36}}/eastus/[0-9a-f-]{{36}}", first)
    assert first != second
    client.switch(headers_2026=False)
    assert "x-ms-operation-identifier" not in client.ask("GET", NIC_A).headers


def test_a_virtual_network_has_no_etag_header_since_2026() -> None:
    """Its etag is in the body only; a subnet and a NIC keep the header."""
    client = Client()

    assert "etag" not in client.ask("GET", VNET).headers
    assert client.ask("GET", SUBNET).headers["etag"] == client.get(SUBNET)["etag"]
    client.switch(headers_2026=False)
    assert client.ask("GET", VNET).headers["etag"] == client.get(VNET)["etag"]


def test_the_global_limits_are_those_of_2026() -> None:
    """All principals of a subscription together have 16,500 reads and 12,000 writes in their buckets."""
    client = Client()

    assert client.ask("GET", NIC_A).headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "16499"
    assert client.detach().headers["x-ms-ratelimit-remaining-subscription-global-writes"] == "11999"


def test_a_subnets_put_announces_notifications_since_2022() -> None:
    """Azure-AsyncNotification comes with every operation URL, in 2021 not with that of a subnet, in 2019 with none."""
    client = Client()

    def put(target: str) -> bool:
        client.clock.advance(60)
        answer = client.ask("PUT", target, {**client.get(target), "tags": {"at": str(client.clock())}})
        assert "azure-asyncoperation" in answer.headers
        return answer.headers.get("azure-asyncnotification") == "Enabled"

    assert (put(SUBNET), put(NIC_A)) == (True, True)
    client.switch(async_notification="not-on-subnets")
    assert (put(SUBNET), put(NIC_A)) == (False, True)
    client.switch(async_notification="never")
    assert (put(SUBNET), put(NIC_A)) == (False, False)
