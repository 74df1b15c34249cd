"""New NICs and the addresses chosen for them."""

from tests.simulator.client import Client, configs


def test_a_new_nic_is_there_at_once_with_the_lowest_free_address() -> None:
    """A PUT of a new NIC answers 201 Succeeded without an operation URL."""
    client = Client()

    answer = client.nic("new")

    assert answer.status == 201
    assert "azure-asyncoperation" not in answer.headers
    assert answer.json()["properties"]["provisioningState"] == "Succeeded"
    assert configs(answer.json())[0]["properties"]["privateIPAddress"] == "10.0.0.6"
