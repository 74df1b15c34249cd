"""Headers, styles and rhythms of the answers: what azure.md sections 3 to 6 and 8 say."""

from typing import Any

import pytest

from simulator.core.faults import Hangs, Match
from tests.simulator.desk import GROUP, NIC_A, NIC_B, PIP, Desk, error_of


def waits(desk: Desk, put: Any, polls: int) -> list[str | None]:
    """Retry-After of the write and of the first polls."""
    looks = [desk.poll(put).headers.get("retry-after") for _ in range(polls)]
    return [put.headers.get("retry-after"), *looks]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("base-4", ["4", "4", "8", "8", "16", "16", "32", "32", "64", "40", "40"]),
        ("base-10", ["10", "10", "20", "20", "40", "40", "80", "160", "100", "100", "100"]),
        ("flat-10", ["10"] * 11),
        ("none", [None] * 11),
    ],
)
def test_retry_after_of_a_nic_operation(profile: str, expected: list[str | None]) -> None:
    """Retry-After escalates, stays, or is absent, as the profile says; the last poll has none."""
    desk = Desk(retry_after=profile)
    put = desk.detach()

    assert waits(desk, put, 10) == expected
    desk.clock.advance(10)
    assert "retry-after" not in desk.poll(put).headers


def test_retry_after_of_a_public_ip_starts_at_one() -> None:
    """A public IP's PUT is always Updating with AO and Retry-After 1; its polls escalate from 1, to 10."""
    desk = Desk()
    desk.script(Match(kind="pip", method="PUT"), fault=Hangs(for_s=600))
    body = {"location": "eastus", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}

    put = desk.ask("PUT", PIP + "2", body)

    assert (put.status, put.json()["properties"]["provisioningState"]) == (201, "Updating")
    assert "ipAddress" not in put.json()["properties"]
    assert waits(desk, put, 11) == ["1", "1", "2", "2", "4", "4", "8", "8", "16", "16", "10", "10"]


def test_a_public_ip_has_two_etags_per_write() -> None:
    """The etag changes at acceptance and at completion; a PUT can neither attach nor detach."""
    desk = Desk()
    before = desk.get(PIP)
    changed = {**before, "properties": {**before["properties"], "idleTimeoutInMinutes": 7, "ipConfiguration": None}}

    put = desk.ask("PUT", PIP, changed)
    desk.clock.advance(1)
    after = desk.get(PIP)

    assert put.status == 200
    assert len({before["etag"], put.json()["etag"], after["etag"]}) == 3
    assert after["properties"]["idleTimeoutInMinutes"] == 7
    assert after["properties"]["ipConfiguration"] == before["properties"]["ipConfiguration"]


def test_a_dynamic_public_ip_has_an_address_only_while_attached() -> None:
    """A Dynamic one that is on no NIC shows no ipAddress."""
    desk = Desk()
    desk.ask("PUT", PIP + "2", {"location": "eastus", "properties": {}})
    desk.clock.advance(5)

    assert "ipAddress" not in desk.get(PIP + "2")["properties"]


def test_get_has_an_etag_header_and_put_has_none() -> None:
    """The ETag header of a GET is the body's; a PUT has it in the body only."""
    desk = Desk()
    got = desk.ask("GET", NIC_A)

    assert got.headers["etag"] == got.json()["etag"]
    assert "etag" not in desk.detach().headers


def test_headers_that_every_answer_has() -> None:
    """Ids, rate limits, caching and Front Door's marks are on good answers and on refusals."""
    desk = Desk()
    for answer in (desk.ask("GET", NIC_A), desk.ask("GET", NIC_A + "x")):
        found = answer.headers
        assert found["cache-control"] == "no-cache"
        assert found["x-cache"] == "CONFIG_NOCACHE"
        assert found["x-ms-routing-request-id"].startswith("EASTUS:20")
        assert found["x-ms-routing-request-id"].endswith(found["x-ms-correlation-request-id"])
        assert found["x-ms-ratelimit-remaining-subscription-reads"].isdigit()
    assert desk.detach().headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"


def test_style_of_2019() -> None:
    """With the switches of 2019: pretty JSON with CRLF, `server`, no Front Door; errors of the gateway stay compact."""
    desk = Desk(json="pretty", front_door=False)

    got = desk.ask("GET", NIC_A)

    assert got.body.startswith(b'{\r\n  "name"')
    assert "x-cache" not in got.headers
    assert got.headers["server"].startswith("Microsoft-HTTPAPI/2.0")
    assert b"\r\n" not in desk.ask("GET", NIC_A + "x").body


def test_long_ao_urls_are_three_to_four_kilobytes_and_work() -> None:
    """The AO URL of 2024 carries t, c, s and h, is 3 to 4 kB long, and is polled as it is."""
    desk = Desk(ao_url="long")
    put = desk.detach()
    url = put.headers["azure-asyncoperation"]

    assert 3000 < len(url) < 4096
    assert all(f"&{name}=" in url for name in "tcsh")
    assert desk.poll(put).json() == {"status": "InProgress"}


def test_the_client_request_id_comes_back_when_asked_for() -> None:
    """x-ms-return-client-request-id: true echoes x-ms-client-request-id; a correlation id is taken over."""
    desk = Desk()
    asked = {"x-ms-client-request-id": "c1", "x-ms-return-client-request-id": "true", "x-ms-correlation-request-id": "k1"}

    found = desk.ask("GET", NIC_A, **asked).headers
    assert (found["x-ms-client-request-id"], found["x-ms-correlation-request-id"]) == ("c1", "k1")


def test_arm_buckets_empty_and_refill() -> None:
    """With throttling=arm a burst gets 429 with Retry-After, refused calls cost nothing, and tokens come back with time."""
    desk = Desk(throttling="arm", arm_reads=(5, 2))

    answers = [desk.ask("GET", NIC_A) for _ in range(7)]
    assert [a.status for a in answers] == [200] * 5 + [429] * 2
    assert error_of(answers[-1])[1] == "SubscriptionRequestsThrottled"
    assert answers[-1].headers["retry-after"] == "1"
    assert [a.headers.get("x-ms-ratelimit-remaining-subscription-reads") for a in answers[:5]] == ["4", "3", "2", "1", "0"]
    assert desk.ask("GET", NIC_A, authorization=desk.cloud.bearer("other")).status == 200
    desk.clock.advance(1)
    assert [desk.ask("GET", NIC_A).status for _ in range(3)] == [200, 200, 429]
    assert desk.ask("PUT", NIC_B, {}).status == 400


def test_polls_count_as_reads() -> None:
    """Looking at the operation takes from the read bucket."""
    desk = Desk(throttling="arm", arm_reads=(3, 0.1))
    put = desk.detach()

    assert [desk.poll(put).status for _ in range(3)] == [200, 200, 429]


def test_the_network_providers_five_minutes() -> None:
    """With throttling=nrp so many writes per 5 minutes pass; then 429 RetryableErrorDueToTooManyCalls, until the window moves."""
    desk = Desk(throttling="nrp", nrp_writes_per_5min=2)

    answers = [desk.ask("PUT", NIC_A, desk.get(NIC_A)) for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 429]
    assert error_of(answers[2])[1] == "RetryableErrorDueToTooManyCalls"
    assert answers[2].headers["retry-after"] == "300"
    desk.clock.advance(300)
    assert desk.ask("PUT", NIC_A, desk.get(NIC_A)).status == 200


def test_throttling_may_come_without_retry_after() -> None:
    """With throttle_retry_after off a 429 of throttling says no time."""
    desk = Desk(throttling="arm", arm_reads=(0.5, 1), throttle_retry_after=False)

    assert "retry-after" not in desk.ask("GET", NIC_A).headers


def test_the_put_calls_own_time_comes_before_the_operation() -> None:
    """With put_call_s the PUT's answer is delayed, and the operation takes its time after that."""
    desk = Desk(put_call_s=(3.0, 10.0))
    put = desk.detach()

    assert 3 <= put.delay_s <= 10
    desk.clock.advance(put.delay_s + 9.9)
    assert desk.poll(put).json() == {"status": "InProgress"}
    desk.clock.advance(0.2)
    assert desk.poll(put).json() == {"status": "Succeeded"}


def test_resource_groups_and_subscriptions_as_az_asks_for_them() -> None:
    """GET of groups, group, subscriptions and endpoints answer in ARM's shapes; paths ignore case."""
    desk = Desk()

    assert desk.get("/subscriptions")["value"][0]["state"] == "Enabled"
    assert desk.get(GROUP.replace("resourceGroups", "resourcegroups"))["name"] == "rg"
    assert [g["name"] for g in desk.get(GROUP.rpartition("/")[0])["value"]] == ["rg"]
    assert desk.get("/metadata/endpoints")["resourceManager"] == "http://127.0.0.1:18080"
    assert desk.get(NIC_A.upper().replace("SUBSCRIPTIONS", "subscriptions"))["name"] == "mirrora290_z1"
    created = desk.ask("PUT", GROUP + "2", {"location": "westus"})
    assert (created.status, created.json()["location"]) == (201, "westus")
    assert desk.ask("HEAD", GROUP + "3").status == 404


def test_the_history_tells_who_asked_what_and_what_came_of_it() -> None:
    """Every request is kept with its time, principal, status, code, ids and the etags before and after."""
    desk = Desk()
    desk.detach()
    desk.attach()

    put, _, refused = list(desk.cloud.history)[1:]
    assert (put.method, put.who, put.status, put.kind) == ("PUT", "controller", 200, "nic")
    assert put.operation_id == put.request_id
    assert put.etag_before != put.etag_after
    assert (refused.status, refused.code, refused.etag_before) == (400, "PrivateIPAddressIsAllocated", refused.etag_after)
