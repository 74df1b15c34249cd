"""Durations of calls, and Retry-After."""

from typing import Any

import pytest

from simulator.core.faults import Hangs, Match
from tests.simulator.client import PIP, Client


def waits(client: Client, put: Any, polls: int) -> list[str | None]:
    """Retry-After of the write and of the first polls."""
    looks = [client.poll(put).headers.get("retry-after") for _ in range(polls)]
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
    """Retry-After grows, is constant or is absent, depending on the profile; the last poll has none."""
    client = Client(retry_after=profile)
    put = client.detach()

    assert waits(client, put, 10) == expected
    client.clock.advance(10)
    assert "retry-after" not in client.poll(put).headers


def test_retry_after_of_a_public_ip_starts_at_one() -> None:
    """The PUT of a public IP is always Updating with Retry-After 1; the values of its polls grow from 1 to 16 and end at 10."""
    client = Client()
    client.script(Match(kind="pip", method="PUT"), fault=Hangs(for_s=600))
    body = {"location": "eastus", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}

    put = client.ask("PUT", PIP + "2", body)

    assert (put.status, put.json()["properties"]["provisioningState"]) == (201, "Updating")
    assert "ipAddress" not in put.json()["properties"]
    assert waits(client, put, 11) == ["1", "1", "2", "2", "4", "4", "8", "8", "16", "16", "10", "10"]


def test_the_put_calls_own_time_comes_before_the_operation() -> None:
    """With put_call_s the answer to the PUT is delayed, and the operation starts after it."""
    client = Client(put_call_s=(3.0, 10.0))
    put = client.detach()

    assert 3 <= put.delay_s <= 10
    client.clock.advance(put.delay_s + 9.9)
    assert client.poll(put).json() == {"status": "InProgress"}
    client.clock.advance(0.2)
    assert client.poll(put).json() == {"status": "Succeeded"}
