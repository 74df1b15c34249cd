"""A PUT that changes nothing: on NICs of VMs and on virtual networks it starts no operation and keeps the etag."""

from typing import Any

import pytest

from simulator.core.faults import Ends, Lands, Match
from tests.simulator.client import NIC_A, NIC_B, PIP, VNET, Client, configs, error_of

PUT = Match(method="PUT", kind="nic")


def test_a_nic_of_a_vm_that_is_put_back_as_it_was_read_keeps_its_etag() -> None:
    """200 Succeeded without operation URL and Retry-After, and the next GET shows the etag of before."""
    client = Client()
    before = client.get(NIC_A)

    answer = client.ask("PUT", NIC_A, before)
    client.clock.advance(60)

    assert (answer.status, answer.json()) == (200, before)
    assert not {"azure-asyncoperation", "azure-asyncnotification", "retry-after", "location"} & answer.headers.keys()
    assert client.get(NIC_A) == before
    assert client.cloud.resources.operations == {}
    put = next(e for e in client.cloud.history if e.method == "PUT")
    assert (put.operation_id, put.etag_before) == ("", put.etag_after)


def test_with_the_switch_off_it_has_an_operation_and_two_new_etags() -> None:
    """unchanged_put=rewritten: Updating with an operation URL; the etag changes at acceptance and at completion."""
    client = Client(unchanged_put="rewritten")
    before = client.get(NIC_A)

    answer = client.ask("PUT", NIC_A, before)
    client.clock.advance(10)

    assert answer.json()["properties"]["provisioningState"] == "Updating"
    assert client.poll(answer).json() == {"status": "Succeeded"}
    assert len({before["etag"], answer.json()["etag"], client.get(NIC_A)["etag"]}) == 3


def volatile(nic: Any) -> None:
    """Other volatile members."""
    nic["etag"] = nic["properties"]["provisioningState"] = "x"
    configs(nic)[0]["etag"] = "y"


def read_only(nic: Any) -> None:
    """Read-only members left out or changed."""
    for member in ("macAddress", "resourceGuid", "virtualMachine", "primary", "hostedWorkloads"):
        nic["properties"].pop(member, None)
    nic["properties"]["vnetEncryptionSupported"] = True


def defaults(nic: Any) -> None:
    """Defaults left out."""
    for member in ("enableIPForwarding", "nicType", "auxiliaryMode", "enableAcceleratedNetworking"):
        del nic["properties"][member]


def spelling(nic: Any) -> None:
    """The same in another spelling, and empty members."""
    nic["tags"] = {}
    configs(nic)[1]["properties"].update({"privateIPAllocationMethod": "static", "applicationSecurityGroups": []})
    nic["properties"]["networkSecurityGroup"]["id"] = (
        nic["properties"]["networkSecurityGroup"]["id"].upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")
    )


@pytest.mark.parametrize("edit", [volatile, read_only, defaults, spelling])
def test_what_a_client_cannot_set_is_no_change(edit: Any) -> None:
    """Volatile and read-only members, defaults spelled out or left out, and another spelling of the same are no change."""
    client = Client()
    before = client.get(NIC_A)
    edited = client.get(NIC_A)
    edit(edited)

    assert edited != before
    assert client.ask("PUT", NIC_A, edited).json() == before


def tag(nic: Any) -> None:
    """A tag with an empty value."""
    nic["tags"] = {"a": ""}


def forwarding(nic: Any) -> None:
    """Another value of a known member."""
    nic["properties"]["enableIPForwarding"] = True


def unknown(nic: Any) -> None:
    """A member that nobody knows."""
    nic["properties"]["futureThing"] = False


def dropped(nic: Any) -> None:
    """One ip configuration less."""
    del configs(nic)[1]


@pytest.mark.parametrize("edit", [tag, forwarding, unknown, dropped])
def test_a_small_change_is_a_change(edit: Any) -> None:
    """One member more, less or different: an operation and a new etag."""
    client = Client()
    before = client.get(NIC_A)
    edited = client.get(NIC_A)
    edit(edited)

    answer = client.ask("PUT", NIC_A, edited)

    assert "azure-asyncoperation" in answer.headers
    assert answer.json()["etag"] != before["etag"]


def test_the_checks_of_a_put_come_first() -> None:
    """A stale If-Match is refused although nothing would change."""
    client = Client()
    nic = client.get(NIC_A)

    assert client.ask("PUT", NIC_A, nic, if_match=nic["etag"]).status == 200
    assert client.ask("PUT", NIC_A, nic, if_match='W/"stale"').status == 412


def test_while_an_operation_runs_a_put_of_the_same_supersedes_it() -> None:
    """A NIC that is Updating is not settled: putting it as it is shown starts a second operation."""
    client = Client()
    first = client.detach()

    second = client.ask("PUT", NIC_A, client.get(NIC_A))

    assert client.poll(first).json()["status"] == "Canceled"
    assert client.poll(second).json() == {"status": "InProgress"}


def test_while_an_operation_runs_a_put_of_the_same_may_be_locked_out() -> None:
    """With second_put=locked it is refused like any other PUT."""
    client = Client(second_put="locked")
    client.detach()

    answer = client.ask("PUT", NIC_A, client.get(NIC_A))

    assert error_of(answer) == (429, "RetryableError:RetryableErrorDueToAnotherOperation")


def test_a_failed_nic_is_repaired_by_an_operation() -> None:
    """Putting a Failed NIC back as it is starts an operation that ends in Succeeded; putting it again then starts none."""
    client = Client()
    client.script(PUT, fault=Ends(how="failed-kept"))
    client.detach()
    client.clock.advance(10)
    failed = client.get(NIC_A)

    repaired = client.ask("PUT", NIC_A, failed)
    client.clock.advance(10)

    assert client.poll(repaired).json() == {"status": "Succeeded"}
    healthy = client.get(NIC_A)
    assert healthy["properties"]["provisioningState"] == "Succeeded"
    assert client.ask("PUT", NIC_A, healthy).json() == healthy


def test_a_planned_ending_needs_an_operation_to_end() -> None:
    """Where a test plans how the operation ends, there is one."""
    client = Client()
    client.script(PUT, fault=Ends(how="failed-kept"))

    answer = client.ask("PUT", NIC_A, client.get(NIC_A))
    client.clock.advance(10)

    assert client.poll(answer).json()["status"] == "Failed"


def test_a_nic_without_a_vm_gets_a_new_etag_all_the_same() -> None:
    """Nobody has recorded such a PUT there, so the simulator leaves it as it was."""
    client = Client()
    nic = client.nic("new").json()

    assert client.ask("PUT", nic["id"], nic).json()["etag"] != nic["etag"]


def test_a_rewrite_that_changes_nothing_does_not_stop_a_late_write() -> None:
    """The etag did not move, so the write of a dead client still passes its If-Match when it lands."""
    client = Client()
    client.script(PUT, fault=Lands(after_s=30))
    client.detach(if_match=client.get(NIC_A)["etag"])
    client.ask("PUT", NIC_A, client.get(NIC_A))

    client.clock.advance(30)

    assert [c["name"] for c in configs(client.get(NIC_A))] == ["ipconfig1"]


def test_a_virtual_network_that_is_put_back_keeps_its_etag() -> None:
    """GET, PUT, GET of a virtual network: one etag, no operation; the etags of its subnets stay, too."""
    client = Client()
    before = client.get(VNET)

    answer = client.ask("PUT", VNET, before)
    client.clock.advance(60)

    assert (answer.status, answer.json()) == (200, before)
    assert "azure-asyncoperation" not in answer.headers
    assert client.get(VNET) == before


@pytest.mark.parametrize("change", ["tags", "subnet", "switch", "running"])
def test_a_virtual_network_that_changes_has_an_operation(change: str) -> None:
    """Another tag, another subnet, an operation under way or the switch: an operation and a new etag."""
    client = Client(unchanged_put="rewritten" if change == "switch" else "kept")
    vnet = client.get(VNET)
    if change == "tags":
        vnet["tags"] = {"a": "b"}
    elif change == "subnet":
        vnet["properties"]["subnets"].append({"name": "more", "properties": {"addressPrefix": "10.0.1.0/24"}})
    elif change == "running":
        client.ask("PUT", VNET, {**vnet, "tags": {"a": "b"}})
        vnet = client.get(VNET)

    answer = client.ask("PUT", VNET, vnet)

    assert answer.json()["properties"]["provisioningState"] == "Updating"
    assert "azure-asyncoperation" in answer.headers
    client.clock.advance(2)
    assert len({vnet["etag"], answer.json()["etag"], client.get(VNET)["etag"]}) == 3


def test_a_public_ip_that_is_put_back_has_an_operation() -> None:
    """The PUT of a public IP is always Updating (recorded)."""
    client = Client()

    assert "azure-asyncoperation" in client.ask("PUT", PIP, client.get(PIP)).headers


def test_the_other_nic_is_settled_by_itself() -> None:
    """An operation on one NIC does not make an unchanged PUT of another one an operation."""
    client = Client()
    client.detach()

    assert "azure-asyncoperation" not in client.ask("PUT", NIC_B, client.get(NIC_B)).headers
