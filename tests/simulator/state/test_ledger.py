"""When the ledger frees an address, and what it records."""

from tests.simulator.client import NIC_B, PIP, Client, error_of


def test_dropped_addresses_stay_held_until_the_operation_ends() -> None:
    """While the releasing operation runs, a PUT with the address gets 400; after it, the PUT is accepted."""
    client = Client()
    client.detach()

    early = client.attach()
    client.clock.advance(10)
    late = client.attach()

    assert error_of(early) == (400, "PrivateIPAddressIsAllocated")
    assert late.status == 200
    assert client.cloud.shown_on("10.0.0.254") == ["mirrorb280_z2"]


def test_release_at_acceptance_is_a_switch() -> None:
    """With released_at=acceptance both operations run at the same time, and the public IP ends on the second NIC."""
    client = Client(released_at="acceptance")
    client.detach()

    assert client.attach().status == 200
    client.clock.advance(10)
    assert client.get(PIP)["properties"]["ipConfiguration"]["id"] == f"{NIC_B}/ipConfigurations/vip"


def test_states_and_ledger_tell_who_carried_the_address_when() -> None:
    """The states and the ledger's log have every change with its time."""
    client = Client()
    start = client.clock()
    client.detach()
    client.clock.advance(12)
    client.attach()
    client.clock.advance(10)
    client.cloud.settle()

    changes = [(s.at - start, s.nic, s.cause, s.state) for s in client.cloud.states if s.cause != "world"]
    assert changes == [
        (0, "mirrora290_z1", "put", "Updating"),
        (10, "mirrora290_z1", "completed", "Succeeded"),
        (12, "mirrorb280_z2", "put", "Updating"),
        (22, "mirrorb280_z2", "completed", "Succeeded"),
    ]
    held = [(h.at - start, h.nic) for h in client.cloud.ledger.log if h.what.endswith("|10.0.0.254")]
    assert held == [(0, "mirrora290_z1"), (10, ""), (12, "mirrorb280_z2")]
