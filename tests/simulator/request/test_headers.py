"""Headers and JSON styles of the answers."""

from tests.simulator.client import NIC_A, Client


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
