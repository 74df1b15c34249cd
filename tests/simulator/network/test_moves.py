"""moveIpConfigurations: its refusals, its success, and its failures."""

from typing import Any

import pytest

from simulator.core.faults import Answer, Ends, Match
from tests.simulator.client import NIC_A, NIC_B, PIP, VNET, Client, configs, error_of, vip

NEW = "?api-version=2025-09-01"


ITEMS = {
    "moveIpConfigurationItems": [
        {
            "sourceIpConfiguration": {"id": f"{NIC_A}/ipConfigurations/vip"},
            "targetIpConfiguration": {"id": f"{NIC_B}/ipConfigurations/vip"},
        }
    ]
}


def move(client: Client, version: str = NEW, body: Any = None) -> Any:
    """POST the move of the VIP from NIC A to NIC B, or another body."""
    return client.ask("POST", f"{VNET}/moveIpConfigurations{version}", ITEMS if body is None else body)


def without_public(client: Client) -> None:
    """Remove the public IP from the VIP."""
    nic = client.get(NIC_A)
    del configs(nic)[1]["properties"]["publicIPAddress"]
    client.ask("PUT", NIC_A, nic)
    client.clock.advance(10)


def names(client: Client) -> tuple[list[str], list[str]]:
    """The names of the ip configurations on NIC A and on NIC B."""
    a, b = ([c["name"] for c in configs(client.get(nic))] for nic in (NIC_A, NIC_B))
    return a, b


def test_it_is_refused_where_the_feature_is_missing_or_the_version_unknown() -> None:
    """By default the feature is not registered; older api-versions do not know the call."""
    assert error_of(move(Client())) == (400, "SubscriptionNotRegisteredForFeature")
    assert error_of(move(Client(move_ip_configurations="all"), "?api-version=2024-05-01")) == (400, "NoRegisteredProviderFound")
    assert error_of(move(Client(move_ip_configurations="version-unknown"))) == (400, "NoRegisteredProviderFound")


def test_it_moves_a_private_address_in_one_operation() -> None:
    """202 with operation URL, Location and Retry-After; both NICs are Updating; then the configuration is on the other NIC."""
    client = Client(move_ip_configurations="private")
    without_public(client)

    answer = move(client)

    assert answer.status == 202
    assert {"azure-asyncoperation", "location", "retry-after"} <= answer.headers.keys()
    assert names(client) == (["ipconfig1", "vip"], ["ipconfig1"])
    assert client.get(NIC_B)["properties"]["provisioningState"] == "Updating"
    client.clock.advance(10)
    assert client.poll(answer).json() == {"status": "Succeeded"}
    assert names(client) == (["ipconfig1"], ["ipconfig1", "vip"])
    moved = configs(client.get(NIC_B))[1]
    assert moved["id"] == f"{NIC_B}/ipConfigurations/vip"
    assert moved["properties"]["privateIPAddress"] == "10.0.0.254"


def test_public_addresses_are_refused_or_travel_along() -> None:
    """`private` refuses a configuration with a public IP; `all` moves both."""
    assert error_of(move(Client(move_ip_configurations="private"))) == (400, "MoveIpConfigurationsPublicIPAddressNotSupported")

    client = Client(move_ip_configurations="all")
    assert move(client).status == 202
    client.clock.advance(10)
    assert client.get(PIP)["properties"]["ipConfiguration"]["id"] == f"{NIC_B}/ipConfigurations/vip"


def test_it_may_answer_200_at_once() -> None:
    """With move_answer=200 the move is complete when it is answered."""
    client = Client(move_ip_configurations="all", move_answer=200)

    assert move(client).status == 200
    assert names(client) == (["ipconfig1"], ["ipconfig1", "vip"])


def test_it_may_be_slow() -> None:
    """With `slow` the move takes ten times as long as a NIC write."""
    client = Client(move_ip_configurations="slow")
    without_public(client)
    answer = move(client)

    client.clock.advance(99)
    assert client.poll(answer).json() == {"status": "InProgress"}
    client.clock.advance(1)
    assert client.poll(answer).json() == {"status": "Succeeded"}


def test_it_may_fail_half_way() -> None:
    """With `half-way` the configuration leaves the source and does not reach the target; both NICs are Failed."""
    client = Client(move_ip_configurations="half-way")
    without_public(client)
    answer = move(client)
    client.clock.advance(10)

    assert client.poll(answer).json()["status"] == "Failed"
    assert names(client) == (["ipconfig1"], ["ipconfig1"])
    assert client.get(NIC_A)["properties"]["provisioningState"] == "Failed"
    nic = client.get(NIC_B)
    configs(nic).append(vip(pip=""))
    assert client.ask("PUT", NIC_B, nic).status == 200


def test_a_failed_move_changes_nothing() -> None:
    """A move that ends Failed or Canceled leaves both NICs as they were."""
    for fault, status in ((Ends(how="failed-kept"), "Failed"), (Answer(name="Canceled"), "Canceled")):
        client = Client(move_ip_configurations="all")
        client.script(Match(kind="move"), fault=fault)
        answer = move(client)
        client.clock.advance(10)

        assert client.poll(answer).json()["status"] == status
        assert names(client) == (["ipconfig1", "vip"], ["ipconfig1"])
        assert client.cloud.carrier("10.0.0.254") == "mirrora290_z1"


def test_a_later_put_on_one_nic_cancels_the_move() -> None:
    """A PUT of the source during the move supersedes it; the move ends Canceled and attaches nothing."""
    client = Client(move_ip_configurations="all")
    answer = move(client)
    client.clock.advance(2)
    client.ask("PUT", NIC_A, client.get(NIC_A))
    client.clock.advance(20)

    assert client.poll(answer).json()["status"] == "Canceled"
    assert names(client) == (["ipconfig1", "vip"], ["ipconfig1"])
    assert client.get(NIC_B)["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        (f"{NIC_A}/ipConfigurations/ipconfig1", f"{NIC_B}/ipConfigurations/x", "MoveIpConfigurationsInvalidRequest"),
        (f"{NIC_A}/ipConfigurations/vip", f"{NIC_A}/ipConfigurations/x", "MoveIpConfigurationsInvalidRequest"),
        (f"{NIC_A}/ipConfigurations/vip", f"{NIC_B}/ipConfigurations/ipconfig1", "MoveIpConfigurationsInvalidRequest"),
        (f"{NIC_A}/ipConfigurations/none", f"{NIC_B}/ipConfigurations/x", "InvalidResourceReference"),
        (f"{NIC_A}x/ipConfigurations/vip", f"{NIC_B}/ipConfigurations/x", "InvalidResourceReference"),
        (NIC_A, NIC_B, "InvalidRequestFormat:InvalidRequest"),
    ],
)
def test_moves_that_cannot_be(source: str, target: str, code: str) -> None:
    """Primary configurations, a move to the same NIC or name, and unknown ids are refused."""
    item = {"sourceIpConfiguration": {"id": source}, "targetIpConfiguration": {"id": target}}
    answer = move(Client(move_ip_configurations="all"), body={"moveIpConfigurationItems": [item]})

    assert error_of(answer) == (400, code)


@pytest.mark.parametrize("body", [{}, {"moveIpConfigurationItems": []}, {"moveIpConfigurationItems": [1]}])
def test_bodies_without_items_are_refused(body: Any) -> None:
    """A body without usable items is a 400."""
    assert error_of(move(Client(move_ip_configurations="all"), body=body)) == (400, "InvalidRequestFormat:InvalidRequest")


def test_a_busy_nic_is_a_429() -> None:
    """A move is refused while another operation runs on one of the NICs."""
    client = Client(move_ip_configurations="all")
    client.ask("PUT", NIC_B, {**client.get(NIC_B), "tags": {"a": "b"}})

    assert error_of(move(client)) == (429, "RetryableError:RetryableErrorDueToAnotherOperation")
