"""Faults strike after the genuine check, on the genuine path, as often as they were planned."""

import json
from typing import Any

import pytest

from simulator.core.errors import ERRORS
from simulator.core.faults import Answer, Ends, Fault, Hangs, Lands, Late, Lost, Match, Status, Stranger, Twice, fault_from_json
from tests.simulator.desk import NIC_A, NIC_B, Desk, configs, error_of


def content(nic: Any) -> Any:
    """A NIC's document without its etags."""
    text = json.dumps(nic)
    return json.loads(text.replace(json.dumps(nic["etag"]), '""'))


PUT = Match(method="PUT", kind="nic")
GET = Match(method="GET", kind="nic")


@pytest.mark.parametrize("name", ERRORS)
def test_every_row_can_be_produced_by_name(name: str) -> None:
    """Every row of the error tables strikes a NIC PUT with its status, code and envelope, and nothing is carried out."""
    desk = Desk()
    row = ERRORS[name]
    before = desk.get(NIC_A)["etag"]
    desk.script(PUT, fault=Answer(name=name))

    answer = desk.detach()

    if row.layer == "async":
        desk.clock.advance(10)
        error = desk.poll(answer).json()["error"]
    else:
        assert answer.status == row.status
        assert desk.get(NIC_A)["etag"] == before
        if row.layer == "empty":
            assert answer.body == b""
            return
        error = answer.json()["error"]
    assert error["code"] == row.code
    assert "<" not in error["message"]
    assert ("details" in error) is (row.layer != "gateway")
    assert (answer.headers.get("x-ms-failure-cause") == "gateway") is (row.layer == "gateway")
    assert ("x-ms-arm-service-request-id" in answer.headers) is (row.layer != "gateway")
    if row.detail is not None:
        assert error["details"][0]["code"] == row.detail[0]
    if row.layer != "async":
        assert ("retry-after" in answer.headers) is row.retry_after


def test_words_and_retry_after_of_an_answer_can_be_chosen() -> None:
    """The words of the message and Retry-After are the caller's, 0 meaning no header."""
    desk = Desk()
    name = "RetryableError.RetryableErrorDueToAnotherOperation"
    desk.script(PUT, fault=Answer(name=name, retry_after=7, words={"seconds": 7}))
    desk.script(PUT, fault=Answer(name=name, retry_after=0))

    first, second = desk.detach(), desk.detach()

    assert first.headers["retry-after"] == "7"
    assert "retried in 7 seconds" in first.json()["error"]["details"][0]["message"]
    assert "retry-after" not in second.headers


def test_a_genuine_refusal_comes_before_the_fault_and_does_not_use_it_up() -> None:
    """A PUT that Azure refuses anyway is refused genuinely; the planned fault waits for one that passes the checks."""
    desk = Desk()
    script = desk.script(PUT, fault=Status(status=500))

    assert error_of(desk.attach()) == (400, "PrivateIPAddressIsAllocated")
    assert script.struck == 0
    assert desk.detach().status == 500
    assert script.struck == 1
    assert desk.detach().status == 200


def test_times_and_skip() -> None:
    """A script lets `skip` fitting requests pass and strikes the next `times`."""
    desk = Desk()
    desk.script(GET, fault=Status(status=503), times=2, skip=1)

    assert [desk.ask("GET", NIC_A).status for _ in range(5)] == [200, 503, 503, 200, 200]


def test_matches_by_name_principal_and_path() -> None:
    """A script strikes only what its match describes."""
    desk = Desk()
    desk.script(Match(name="MIRRORB280_Z2"), fault=Status(status=500))
    desk.script(Match(path=r"publicIPAddresses/my"), fault=Status(status=502))
    desk.script(Match(principal="other"), fault=Status(status=503))

    assert desk.ask("GET", NIC_A).status == 200
    assert desk.ask("GET", NIC_B).status == 500
    assert desk.ask("GET", NIC_A.replace("networkInterfaces/mirrora290_z1", "publicIPAddresses/my_vip_ip")).status == 502
    assert desk.ask("GET", NIC_A, authorization=desk.cloud.bearer("other")).status == 503


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
    """`before`: nothing was carried out. `after`: it was, and only the answer is missing or wrong."""
    desk = Desk()
    desk.script(PUT, fault=fault)

    answer = desk.detach()

    assert answer.lost is lost
    if not lost:
        assert answer.body == b""
    assert (len(configs(desk.get(NIC_A))) == 1) is done
    exchange = desk.cloud.history[-2]
    assert (exchange.method, exchange.lost, exchange.etag_before != exchange.etag_after) == ("PUT", lost, done)


def test_polls_may_answer_503_with_an_empty_body() -> None:
    """A poll too can get an empty 503, and the operation goes on."""
    desk = Desk()
    desk.script(Match(kind="poll"), fault=Status(status=503))
    put = desk.detach()

    first = desk.poll(put)
    assert (first.status, first.body) == (503, b"")
    desk.clock.advance(10)
    assert desk.poll(put).json() == {"status": "Succeeded"}


def test_a_late_answer_is_the_genuine_one() -> None:
    """The fault late only delays the answer."""
    desk = Desk()
    desk.script(GET, fault=Late(delay_s=45))

    answer = desk.ask("GET", NIC_A)
    assert (answer.status, answer.delay_s) == (200, 45)


def test_a_write_may_land_minutes_later() -> None:
    """The fault lands: no answer, no effect now; later the request arrives and passes the checks of that time."""
    desk = Desk()
    desk.script(PUT, fault=Lands(after_s=180))

    assert desk.detach().lost
    assert len(configs(desk.get(NIC_A))) == 2
    desk.clock.advance(180)
    assert desk.get(NIC_A)["properties"]["provisioningState"] == "Updating"
    assert len(configs(desk.get(NIC_A))) == 1


def test_a_request_may_arrive_twice() -> None:
    """The fault twice answers genuinely and delivers the same request again later, which the history shows."""
    desk = Desk()
    desk.script(PUT, fault=Twice(after_s=3))
    assert desk.detach().status == 200
    desk.clock.advance(3)
    desk.cloud.settle()

    assert [e.status for e in desk.cloud.history if e.method == "PUT"] == [200, 200]


def test_a_late_write_fails_under_if_match_when_the_nic_was_rewritten() -> None:
    """A write that lands after somebody rewrote the NIC is refused because of its If-Match, and the history shows it."""
    desk = Desk()
    desk.script(PUT, fault=Lands(after_s=180))
    desk.detach(if_match=desk.get(NIC_A)["etag"])
    desk.ask("PUT", NIC_A, desk.get(NIC_A))

    desk.clock.advance(180)
    assert len(configs(desk.get(NIC_A))) == 2
    landed = [e for e in desk.cloud.history if e.method == "PUT"][-1]
    assert (landed.status, landed.code) == (412, "PreconditionFailed")


@pytest.mark.parametrize("what", ["bumps-etag", "changes-tag", "adds-config", "drops-config"])
def test_a_stranger_writes_between_our_get_and_our_put(what: str) -> None:
    """The stranger acts right after the GET was answered: its etag is stale, and If-Match protects the change."""
    desk = Desk()
    desk.script(GET, fault=Stranger(what=what))
    seen = desk.get(NIC_A)
    now = desk.get(NIC_A)

    assert now["etag"] != seen["etag"]
    assert (content(now) == content(seen)) is (what == "bumps-etag")
    assert desk.ask("PUT", NIC_A, seen, if_match=seen["etag"]).status == 412


def test_a_stranger_takes_the_address() -> None:
    """A stranger that takes a free address makes our claim of it fail."""
    desk = Desk()
    desk.detach()
    desk.clock.advance(10)
    desk.cloud.stranger(desk.cloud.nic_named("mirrora290_z1"), "takes-address", address="10.0.0.254")

    assert error_of(desk.attach()) == (400, "PrivateIPAddressIsAllocated")


def test_a_stranger_by_switch_acts_so_many_times() -> None:
    """The switch stranger acts after the first GETs of NICs, stranger_times times."""
    desk = Desk(stranger="changes-tag", stranger_times=1)

    etags = [desk.get(NIC_A)["etag"] for _ in range(3)]
    assert len(set(etags)) == 2
    assert etags[1] == etags[2]


def test_faults_by_chance_are_seeded() -> None:
    """The rates strike about as often as they say, and the same requests in every run of a seed."""

    def statuses(seed: int) -> list[int]:
        desk = Desk(seed=seed, error_503_rate=0.3)
        return [desk.ask("GET", NIC_A).status for _ in range(200)]

    assert statuses(1) == statuses(1)
    assert statuses(1) != statuses(2)
    assert 30 < statuses(1).count(503) < 90


def test_the_global_end_of_operations() -> None:
    """The switch operation_end applies to every NIC operation, or with operation_end_rate to a part of them."""
    desk = Desk(operation_end="failed-kept")
    put = desk.detach()
    desk.clock.advance(10)
    assert desk.poll(put).json()["status"] == "Failed"

    desk = Desk(operation_end="failed-kept", operation_end_rate=0.0)
    put = desk.detach()
    desk.clock.advance(10)
    assert desk.poll(put).json()["status"] == "Succeeded"


def test_faults_from_json() -> None:
    """The management's JSON builds the same faults and refuses unknown kinds, members and values."""
    assert fault_from_json({"kind": "ends", "how": "gone"}) == Ends(how="gone")
    assert fault_from_json({"kind": "hangs", "for_s": 3}) == Hangs(for_s=3)
    for bad in ({}, {"kind": "x"}, {"kind": "late"}, {"kind": "late", "y": 1}, {"kind": "answer", "name": "Nope"}):
        with pytest.raises(ValueError, match=r"fault|error"):
            fault_from_json(bad)
