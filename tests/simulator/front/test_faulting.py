"""Faults strike after Azure's own checks, as often as planned."""

import json
from typing import Any

import pytest

from simulator.core.faults import Fault, Lands, Late, Lost, Match, Status, Stranger, Twice
from tests.simulator.client import NIC_A, NIC_B, Client, ask_token, configs, error_of, page


def content(nic: Any) -> Any:
    """A NIC's document without its etags."""
    text = json.dumps(nic)
    return json.loads(text.replace(json.dumps(nic["etag"]), '""'))


PUT = Match(method="PUT", kind="nic")


GET = Match(method="GET", kind="nic")


def test_a_genuine_refusal_comes_before_the_fault_and_does_not_use_it_up() -> None:
    """A PUT that fails Azure's own checks gets their answer; the planned fault waits for a PUT that passes them."""
    client = Client()
    script = client.script(PUT, fault=Status(status=500))

    assert error_of(client.attach()) == (400, "PrivateIPAddressIsAllocated")
    assert script.struck == 0
    assert client.detach().status == 500
    assert script.struck == 1
    assert client.detach().status == 200


def test_times_and_skip() -> None:
    """A script lets `skip` matching requests pass and strikes the next `times`."""
    client = Client()
    client.script(GET, fault=Status(status=503), times=2, skip=1)

    assert [client.ask("GET", NIC_A).status for _ in range(5)] == [200, 503, 503, 200, 200]


def test_matches_by_name_principal_and_path() -> None:
    """A script strikes only what its match describes."""
    client = Client()
    client.script(Match(name="MIRRORB280_Z2"), fault=Status(status=500))
    client.script(Match(path=r"publicIPAddresses/my"), fault=Status(status=502))
    client.script(Match(principal="other"), fault=Status(status=503))

    assert client.ask("GET", NIC_A).status == 200
    assert client.ask("GET", NIC_B).status == 500
    assert client.ask("GET", NIC_A.replace("networkInterfaces/mirrora290_z1", "publicIPAddresses/my_vip_ip")).status == 502
    assert client.ask("GET", NIC_A, authorization=client.cloud.bearer("other")).status == 503


@pytest.mark.parametrize(
    ("fault", "done", "lost"),
    [
        (Lost(when="before"), False, True),
        (Lost(when="after"), True, True),
        (Lost(when="before", reset=True), False, True),
        (Lost(when="after", reset=True), True, True),
        (Status(status=500), False, False),
        (Status(status=503, when="after"), True, False),
    ],
)
def test_replies_are_lost_before_or_after_the_effect(fault: Fault, done: bool, lost: bool) -> None:
    """`before`: the request has no effect. `after`: it has, and only the answer is missing or wrong."""
    client = Client()
    client.script(PUT, fault=fault)

    answer = client.detach()

    assert answer.lost is lost
    if not lost:
        assert answer.body == b""
    assert (len(configs(client.get(NIC_A))) == 1) is done
    exchange = client.cloud.history[-2]
    assert (exchange.method, exchange.lost, exchange.etag_before != exchange.etag_after) == ("PUT", lost, done)


def test_polls_may_answer_503_with_an_empty_body() -> None:
    """A poll can get an empty 503, and the operation continues."""
    client = Client()
    client.script(Match(kind="poll"), fault=Status(status=503))
    put = client.detach()

    first = client.poll(put)
    assert (first.status, first.body) == (503, b"")
    client.clock.advance(10)
    assert client.poll(put).json() == {"status": "Succeeded"}


def test_a_late_answer_is_the_genuine_one() -> None:
    """The fault Late only delays the answer."""
    client = Client()
    client.script(GET, fault=Late(delay_s=45))

    answer = client.ask("GET", NIC_A)
    assert (answer.status, answer.delay_s) == (200, 45)


def test_a_write_may_land_minutes_later() -> None:
    """The fault Lands: no answer and no effect now; the request arrives later and is checked then."""
    client = Client()
    client.script(PUT, fault=Lands(after_s=180))

    assert client.detach().lost
    assert len(configs(client.get(NIC_A))) == 2
    client.clock.advance(180)
    assert client.get(NIC_A)["properties"]["provisioningState"] == "Updating"
    assert len(configs(client.get(NIC_A))) == 1


def test_a_request_may_arrive_twice() -> None:
    """The fault Twice gives the real answer and delivers the request again later; the history shows both."""
    client = Client()
    client.script(PUT, fault=Twice(after_s=3))
    assert client.detach().status == 200
    client.clock.advance(3)
    client.cloud.settle()

    assert [e.status for e in client.cloud.history if e.method == "PUT"] == [200, 200]


def test_a_late_write_fails_under_if_match_when_the_nic_was_rewritten() -> None:
    """A write that lands after another write of the NIC fails its If-Match, and the history shows it."""
    client = Client()
    client.script(PUT, fault=Lands(after_s=180))
    client.detach(if_match=client.get(NIC_A)["etag"])
    client.ask("PUT", NIC_A, {**client.get(NIC_A), "tags": {"rewritten": "yes"}})

    client.clock.advance(180)
    assert len(configs(client.get(NIC_A))) == 2
    landed = [e for e in client.cloud.history if e.method == "PUT"][-1]
    assert (landed.status, landed.code) == (412, "PreconditionFailed")


@pytest.mark.parametrize("what", ["bumps-etag", "changes-tag", "adds-config", "drops-config"])
def test_a_stranger_writes_between_our_get_and_our_put(what: str) -> None:
    """The other client writes right after our GET: our etag is stale, and If-Match protects its change."""
    client = Client()
    client.script(GET, fault=Stranger(what=what))
    seen = client.get(NIC_A)
    now = client.get(NIC_A)

    assert now["etag"] != seen["etag"]
    assert (content(now) == content(seen)) is (what == "bumps-etag")
    assert client.ask("PUT", NIC_A, seen, if_match=seen["etag"]).status == 412


def test_a_stranger_takes_the_address() -> None:
    """If another client takes a free address, our PUT with that address fails."""
    client = Client()
    client.detach()
    client.clock.advance(10)
    client.cloud.stranger(client.cloud.nic_named("mirrora290_z1"), "takes-address", address="10.0.0.254")

    assert error_of(client.attach()) == (400, "PrivateIPAddressIsAllocated")


def test_a_stranger_by_switch_acts_so_many_times() -> None:
    """With the switch `stranger`, another client writes after the first `stranger_times` GETs of NICs."""
    client = Client(stranger="changes-tag", stranger_times=1)

    etags = [client.get(NIC_A)["etag"] for _ in range(3)]
    assert len(set(etags)) == 2
    assert etags[1] == etags[2]


def test_faults_by_chance_are_seeded() -> None:
    """Faults strike about as often as their rate says, and the same requests in every run of a seed."""

    def statuses(seed: int) -> list[int]:
        client = Client(seed=seed, error_503_rate=0.3)
        return [client.ask("GET", NIC_A).status for _ in range(200)]

    assert statuses(1) == statuses(1)
    assert statuses(1) != statuses(2)
    assert 30 < statuses(1).count(503) < 90


def test_the_global_end_of_operations() -> None:
    """The switch operation_end applies to every NIC operation, or with operation_end_rate to a share of them."""
    client = Client(operation_end="failed-kept")
    put = client.detach()
    client.clock.advance(10)
    assert client.poll(put).json()["status"] == "Failed"

    client = Client(operation_end="failed-kept", operation_end_rate=0.0)
    put = client.detach()
    client.clock.advance(10)
    assert client.poll(put).json()["status"] == "Succeeded"


def test_tokens_and_pages_can_be_struck_too() -> None:
    """Scripts also apply to the token endpoint and the status pages."""
    client = Client()
    client.script(Match(kind="token"), fault=Status(status=500))
    client.script(Match(kind="page", name="MIRRORA"), fault=Late(delay_s=9))

    assert ask_token(client).status == 500
    assert ask_token(client).status == 200
    assert page(client, "MIRRORA").delay_s == 9
