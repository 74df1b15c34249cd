"""The life of a NIC: the state table of the simulator's specification, row by row."""

import pytest

from simulator.core.faults import Ends, Hangs, Match
from tests.simulator.desk import NIC_A, NIC_B, PIP, SUBNET, VNET, Desk, configs, error_of, vip

PUT = Match(method="PUT", kind="nic")


def test_a_new_nic_is_there_at_once_with_the_lowest_free_address() -> None:
    """A valid PUT of an absent NIC answers 201 Succeeded without an AO header."""
    desk = Desk()

    answer = desk.nic("new")

    assert answer.status == 201
    assert "azure-asyncoperation" not in answer.headers
    assert answer.json()["properties"]["provisioningState"] == "Succeeded"
    assert configs(answer.json())[0]["properties"]["privateIPAddress"] == "10.0.0.6"


def test_update_without_a_vm_is_synchronous_with_one_new_etag() -> None:
    """A PUT of an unattached NIC answers 200 Succeeded without AO, and a GET shows the etag of the PUT."""
    desk = Desk()
    created = desk.nic("new").json()

    answer = desk.nic("new", tags={"a": "b"})

    assert (answer.status, "azure-asyncoperation" in answer.headers) == (200, False)
    assert answer.json()["etag"] != created["etag"]
    assert desk.get(created["id"])["etag"] == answer.json()["etag"]


def test_an_ao_header_on_a_synchronous_put_is_a_switch() -> None:
    """As until 2023, a synchronous PUT may carry an AO whose first poll says Succeeded."""
    desk = Desk(sync_ao=True)

    answer = desk.nic("new")

    assert answer.json()["properties"]["provisioningState"] == "Succeeded"
    assert "retry-after" not in answer.headers
    assert desk.poll(answer).json() == {"status": "Succeeded"}


def test_put_on_a_running_vm_is_updating_with_the_new_content_and_two_etags() -> None:
    """Accepted: 200, AO, body and GET already show the content with Updating; the end brings another etag."""
    desk = Desk()
    before = desk.get(NIC_A)

    answer = desk.detach()
    shown = desk.get(NIC_A)
    desk.clock.advance(10)
    after = desk.get(NIC_A)

    assert answer.status == 200
    assert answer.json() == shown
    assert [c["name"] for c in configs(shown)] == ["ipconfig1"]
    assert shown["properties"]["provisioningState"] == configs(shown)[0]["properties"]["provisioningState"] == "Updating"
    assert after["properties"]["provisioningState"] == "Succeeded"
    assert len({before["etag"], shown["etag"], after["etag"]}) == 3
    assert configs(after)[0]["etag"] == after["etag"]


def test_operation_id_is_the_request_id_of_the_write() -> None:
    """x-ms-request-id of the write is the id in the AO header, which leads back to the host that the client used."""
    desk = Desk()

    answer = desk.detach()

    url = answer.headers["azure-asyncoperation"]
    assert url.startswith("http://127.0.0.1:18080/subscriptions/")
    assert f"/operations/{answer.headers['x-ms-request-id']}?" in url


def test_dropped_addresses_stay_held_until_the_operation_ends() -> None:
    """While the release is Updating, a claim gets 400; afterwards it is accepted."""
    desk = Desk()
    desk.detach()

    early = desk.attach()
    desk.clock.advance(10)
    late = desk.attach()

    assert error_of(early) == (400, "PrivateIPAddressIsAllocated")
    assert late.status == 200
    assert desk.cloud.shown_on("10.0.0.254") == ["mirrorb280_z2"]


def test_release_at_acceptance_is_a_switch() -> None:
    """With released_at=acceptance both writes run at the same time, and the public IP ends on the second NIC."""
    desk = Desk(released_at="acceptance")
    desk.detach()

    assert desk.attach().status == 200
    desk.clock.advance(10)
    assert desk.get(PIP)["properties"]["ipConfiguration"]["id"] == f"{NIC_B}/ipConfigurations/vip"


def test_public_ip_changes_when_the_nic_operation_ends() -> None:
    """The PIP's etag and back-reference change at the end of the NIC's operation though nobody PUT the PIP."""
    desk = Desk()
    before = desk.get(PIP)

    desk.detach()
    during = desk.get(PIP)
    desk.clock.advance(10)
    after = desk.get(PIP)

    assert during == before
    assert before["properties"]["ipConfiguration"]["id"] == f"{NIC_A}/ipConfigurations/vip"
    assert "ipConfiguration" not in after["properties"]
    assert after["etag"] != before["etag"]


def test_vnet_changes_its_etag_with_the_addresses_in_it() -> None:
    """A NIC that leaves a subnet is a new etag of the virtual network."""
    desk = Desk()
    before = desk.get(VNET)["etag"]

    desk.detach()
    desk.clock.advance(10)

    assert desk.get(VNET)["etag"] != before


@pytest.mark.parametrize(
    ("how", "status", "code", "state", "kept"),
    [
        ("failed-kept", "Failed", "InternalExecutionError", "Failed", True),
        ("failed-rolled-back", "Failed", "InternalExecutionError", "Failed", False),
        ("not-allowed", "Failed", "OperationNotAllowed", "Failed", True),
        ("GwmOperationTimeOut", "Failed", "GwmOperationTimeOut", "Failed", True),
        ("canceled", "Canceled", "Canceled", "Succeeded", False),
    ],
)
def test_operations_end_badly_as_planned(how: str, status: str, code: str, state: str, kept: bool) -> None:
    """A bad end is HTTP 200 with the error in the body; the content is kept or rolled back as the fault says."""
    desk = Desk()
    desk.script(PUT, fault=Ends(how=how))

    answer = desk.detach()
    desk.clock.advance(10)
    poll = desk.poll(answer)

    assert poll.status == 200
    assert (poll.json()["status"], poll.json()["error"]["code"]) == (status, code)
    nic = desk.get(NIC_A)
    assert nic["properties"]["provisioningState"] == state
    assert ([c["name"] for c in configs(nic)] == ["ipconfig1"]) is kept
    assert ("ipConfiguration" in desk.get(PIP)["properties"]) is not kept


def test_a_failed_nic_is_repaired_by_putting_it_again() -> None:
    """A PUT of a Failed NIC as it is ends in Succeeded."""
    desk = Desk()
    desk.script(PUT, fault=Ends(how="failed-kept"))
    desk.detach()
    desk.clock.advance(10)

    assert desk.ask("PUT", NIC_A, desk.get(NIC_A)).status == 200
    desk.clock.advance(10)
    assert desk.get(NIC_A)["properties"]["provisioningState"] == "Succeeded"


def test_a_gone_operation_answers_404_but_took_effect() -> None:
    """Polls of an operation whose id is gone answer 404; the NIC gets there all the same."""
    desk = Desk()
    desk.script(PUT, fault=Ends(how="gone"))

    answer = desk.detach()

    assert error_of(desk.poll(answer)) == (404, "NotFound")
    desk.clock.advance(10)
    assert desk.poll(answer).status == 404
    assert desk.get(NIC_A)["properties"]["provisioningState"] == "Succeeded"


def test_a_hanging_operation_takes_so_much_longer() -> None:
    """The fault hangs delays the end and nothing else."""
    desk = Desk()
    desk.script(PUT, fault=Hangs(for_s=600))

    answer = desk.detach()
    desk.clock.advance(609)
    assert desk.poll(answer).json() == {"status": "InProgress"}
    desk.clock.advance(1)
    assert desk.poll(answer).json() == {"status": "Succeeded"}


def test_a_second_put_supersedes_the_first() -> None:
    """The earlier poll says Canceled and names both operations; the later content wins; nothing is freed in between."""
    desk = Desk()
    first = desk.detach()
    desk.clock.advance(5)

    again = desk.get(NIC_A)
    again["tags"] = {"by": "somebody"}
    second = desk.ask("PUT", NIC_A, again)
    desk.clock.advance(6)

    error = desk.poll(first).json()["error"]
    assert error["details"][0]["code"] == "CanceledAndSupersededDueToAnotherOperation"
    assert second.headers["x-ms-request-id"] in error["details"][0]["message"]
    assert desk.poll(second).json() == {"status": "InProgress"}
    assert error_of(desk.attach()) == (400, "PrivateIPAddressIsAllocated")
    desk.clock.advance(4)
    assert desk.poll(second).json() == {"status": "Succeeded"}
    assert desk.attach().status == 200


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("locked", (429, "RetryableError:RetryableErrorDueToAnotherOperation")),
        ("conflict", (409, "AnotherOperationInProgress")),
    ],
)
def test_a_second_put_may_be_refused_instead(switch: str, expected: tuple[int, str]) -> None:
    """With second_put=locked or conflict the running operation is left alone."""
    desk = Desk(second_put=switch)
    first = desk.detach()

    second = desk.ask("PUT", NIC_A, desk.get(NIC_A))

    assert error_of(second) == expected
    desk.clock.advance(10)
    assert desk.poll(first).json() == {"status": "Succeeded"}


def test_delete_holds_references_until_its_end() -> None:
    """DELETE answers 202 with Location; until its end the public IP cannot be deleted; then Location answers 204."""
    desk = Desk()
    desk.detach()
    desk.clock.advance(10)
    nic = desk.nic("new", vip())
    assert nic.status == 201

    deleted = desk.ask("DELETE", nic.json()["id"])
    location = deleted.headers["location"].removeprefix("http://127.0.0.1:18080")

    assert (deleted.status, deleted.headers["retry-after"], deleted.body) == (202, "10", b"")
    assert desk.get(nic.json()["id"])["properties"]["provisioningState"] == "Deleting"
    assert error_of(desk.ask("DELETE", PIP)) == (400, "PublicIPAddressCannotBeDeleted")
    assert desk.ask("GET", location).status == 202
    desk.clock.advance(10)
    assert desk.poll(deleted).json() == {"status": "Succeeded"}
    assert desk.ask("GET", location).status == 204
    assert error_of(desk.ask("GET", nic.json()["id"])) == (404, "ResourceNotFound")
    assert desk.ask("DELETE", PIP).status == 202


def test_a_nic_that_is_being_deleted_takes_no_write() -> None:
    """A PUT while the DELETE runs is refused; afterwards it creates the NIC anew."""
    desk = Desk()
    nic = desk.nic("new").json()
    desk.ask("DELETE", nic["id"])

    assert error_of(desk.nic("new")) == (429, "RetryableError:RetryableErrorDueToAnotherOperation")
    desk.clock.advance(10)
    assert desk.nic("new").status == 201


def test_a_nic_of_a_vm_is_not_deleted() -> None:
    """DELETE of a NIC that belongs to a VM is refused."""
    assert error_of(Desk().ask("DELETE", NIC_A)) == (400, "NicInUse")


@pytest.mark.parametrize(
    ("state", "at_once", "after", "final"),
    [
        ("deallocated", True, 0, "Succeeded"),
        ("zone-dead-a", False, 10, "Succeeded"),
        ("zone-dead-b", False, 300, "Failed"),
        ("zone-dead-c", False, 900, "Succeeded"),
        ("deleting", False, 2, "Failed"),
    ],
)
def test_the_state_of_the_vm_decides(state: str, at_once: bool, after: float, final: str) -> None:
    """A deallocated VM makes a write synchronous; a dead zone makes it slow or fail; a VM being deleted refuses."""
    desk = Desk(vm_state={"MIRRORA": state})

    answer = desk.detach()

    assert ("azure-asyncoperation" not in answer.headers) is at_once
    if after:
        desk.clock.advance(after - 0.5)
        assert desk.get(NIC_A)["properties"]["provisioningState"] == "Updating"
        desk.clock.advance(0.5)
    nic = desk.get(NIC_A)
    assert nic["properties"]["provisioningState"] == final
    assert [c["name"] for c in configs(nic)] == ["ipconfig1"]


def test_put_replaces_and_keeps_what_it_does_not_know() -> None:
    """Absent members return to their defaults, unknown ones are given back, read-only ones are ignored."""
    desk = Desk()
    nic = desk.get(NIC_A)
    nic["properties"].update({"enableIPForwarding": True, "futureThing": {"x": 1}, "macAddress": "00-00"})
    nic["tags"] = {"a": "b"}
    configs(nic)[0]["properties"]["futureToo"] = [1]
    desk.ask("PUT", NIC_A, nic)
    desk.clock.advance(10)
    shown = desk.get(NIC_A)

    assert shown["properties"]["enableIPForwarding"] is True
    assert shown["properties"]["futureThing"] == {"x": 1}
    assert configs(shown)[0]["properties"]["futureToo"] == [1]
    assert shown["properties"]["macAddress"] != "00-00"

    bare = {"location": "eastus", "properties": {"ipConfigurations": configs(shown)}}
    desk.ask("PUT", NIC_A, bare)
    desk.clock.advance(10)
    shown = desk.get(NIC_A)
    assert shown["properties"]["enableIPForwarding"] is False
    assert not {"futureThing", "networkSecurityGroup"} & shown["properties"].keys()
    assert "tags" not in shown
    assert "virtualMachine" in shown["properties"]


def test_the_primary_configuration_comes_first() -> None:
    """Whatever the order in the PUT, the answer shows the primary ip configuration first; it may change in one PUT."""
    desk = Desk()
    nic = desk.get(NIC_A)
    configs(nic).reverse()
    assert [c["name"] for c in configs(desk.ask("PUT", NIC_A, nic).json())] == ["ipconfig1", "vip"]

    nic = desk.get(NIC_A)
    configs(nic)[0]["properties"]["primary"] = False
    configs(nic)[1]["properties"]["primary"] = True
    assert [c["name"] for c in configs(desk.ask("PUT", NIC_A, nic).json())] == ["vip", "ipconfig1"]


def test_lists_may_lag_behind() -> None:
    """With list_lag_s a new NIC is missing from the list for so long, but not from GET."""
    desk = Desk(list_lag_s=60)
    nic = desk.nic("new").json()
    listed = nic["id"].rpartition("/")[0]

    assert desk.get(nic["id"])["name"] == "new"
    assert len(desk.get(listed)["value"]) == 2
    desk.clock.advance(60)
    assert len(desk.get(listed)["value"]) == 3


def test_subnet_lists_who_holds_addresses() -> None:
    """GET of the subnet with $expand shows every ip configuration, one that is being released included."""
    desk = Desk()
    desk.detach()
    expanded = desk.get(f"{SUBNET}?$expand=ipConfigurations")["properties"]["ipConfigurations"]
    plain = desk.get(SUBNET)["properties"]["ipConfigurations"]

    assert {c["properties"]["privateIPAddress"] for c in expanded} == {"10.0.0.4", "10.0.0.5", "10.0.0.254"}
    assert {"id": f"{NIC_A}/ipConfigurations/vip"} in plain
    desk.clock.advance(10)
    assert len(desk.get(SUBNET)["properties"]["ipConfigurations"]) == 2


def test_check_ip_address_availability() -> None:
    """CheckIPAddressAvailability tells free, taken and reserved addresses, and refuses one outside all subnets."""
    desk = Desk()
    url = f"{VNET}/CheckIPAddressAvailability?ipAddress="

    assert desk.get(url + "10.0.0.77") == {"available": True, "isPlatformReserved": False}
    taken = desk.get(url + "10.0.0.254")
    assert taken["available"] is False
    assert taken["availableIPAddresses"][0] == "10.0.0.6"
    assert desk.get(url + "10.0.0.1")["isPlatformReserved"] is True
    assert error_of(desk.ask("GET", url + "10.9.9.9")) == (400, "PrivateIPAddressNotInAnySubnet")


def test_same_seed_same_answers() -> None:
    """Two clouds with one seed give byte for byte the same answers; another seed gives other ids."""
    runs = []
    for seed in (7, 7, 8):
        desk = Desk(seed=seed)
        answers = [desk.detach(), desk.ask("GET", NIC_A)]
        desk.clock.advance(10)
        runs.append([*answers, desk.attach(), desk.ask("GET", PIP)])

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_states_and_ledger_tell_who_carried_the_address_when() -> None:
    """The log of states and the log of the ledger hold every change with its time."""
    desk = Desk()
    start = desk.clock()
    desk.detach()
    desk.clock.advance(12)
    desk.attach()
    desk.clock.advance(10)
    desk.cloud.settle()

    changes = [(s.at - start, s.nic, s.cause, s.state) for s in desk.cloud.states if s.cause != "world"]
    assert changes == [
        (0, "mirrora290_z1", "put", "Updating"),
        (10, "mirrora290_z1", "completed", "Succeeded"),
        (12, "mirrorb280_z2", "put", "Updating"),
        (22, "mirrorb280_z2", "completed", "Succeeded"),
    ]
    held = [(h.at - start, h.nic) for h in desk.cloud.ledger.log if h.what.endswith("|10.0.0.254")]
    assert held == [(0, "mirrora290_z1"), (10, ""), (12, "mirrorb280_z2")]


@pytest.mark.parametrize(
    ("data_path", "left", "reached"),
    [("before-completion", 2, 14), ("after-completion", 12, 24), ("never", None, None)],
)
def test_the_data_path_is_not_what_arm_says(data_path: str, left: float | None, reached: float | None) -> None:
    """Traffic moves a while after acceptance, after completion, or never, as the switch data_path says."""
    desk = Desk(data_path=data_path)
    start = desk.clock()
    desk.detach()
    desk.clock.advance(12)
    desk.attach()
    desk.clock.advance(60)

    def carrier(after: float) -> str:
        return desk.cloud.carrier("10.0.0.254", start + after)

    if left is None or reached is None:
        assert carrier(70) == "mirrora290_z1"
        return
    assert [carrier(left - 0.1), carrier(left), carrier(reached - 0.1), carrier(reached)] == [
        "mirrora290_z1",
        "",
        "",
        "mirrorb280_z2",
    ]


def test_busy_after_completion() -> None:
    """For some seconds after an operation, writes in the same subnet may get 429 ReferencedResourceNotProvisioned."""
    desk = Desk(busy_after_completion_s=3)
    desk.detach()
    desk.clock.advance(10)

    busy = desk.attach()
    assert error_of(busy) == (429, "RetryableError:ReferencedResourceNotProvisioned")
    assert "retry-after" not in busy.headers
    desk.clock.advance(3)
    assert desk.attach().status == 200
