"""Surgery on NIC documents as real Azure wrote them: nothing changes but the VIP, and names decide, never places in a list."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from vipcore.arm import nic
from vipcore.model import Nic, Vip

DATA = Path(__file__).parents[2] / "simulator" / "conformance" / "data"
RECORDED: dict[str, Any] = {
    path.stem: json.loads(path.read_text())
    for folder in ("nics", "nics-assembled")
    for path in sorted((DATA / folder).glob("*.json"))
}
PUBLIC = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/publicIPAddresses/p"
VIPS = (
    Vip(name="vip", private_ip="10.99.0.254", public_ip_id=PUBLIC),
    Vip(name="vip6", private_ip="fd00:db8::fe"),
)
NAMES = [vip.name for vip in VIPS]


def looked(document: Any) -> Nic:
    """A NIC as a read showed it."""
    return Nic(id=document["id"], document=document, etag=document.get("etag", ""), state="Succeeded", read_at=0.0)


def added(before: Any, after: Any) -> list[Any]:
    """The ip configurations that are new."""
    had = [item["name"] for item in nic.configurations(before)]
    return [item for item in nic.configurations(after) if item["name"] not in had]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_nic_comes_back_unchanged(name: str) -> None:
    """A document of real Azure goes through attach and detach and is the same to the last property; the input stays. (I5)"""
    document = RECORDED[name]
    original = copy.deepcopy(document)

    with_vips = nic.attached(looked(document), VIPS)
    without = nic.detached(looked(with_vips), VIPS)

    assert without == original == document
    assert nic.differences(original, with_vips, VIPS) == []
    assert {**with_vips, "properties": {**with_vips["properties"], "ipConfigurations": None}} == {
        **original,
        "properties": {**original["properties"], "ipConfigurations": None},
    }
    assert with_vips["properties"]["ipConfigurations"][:-2] == original["properties"]["ipConfigurations"]


@pytest.mark.parametrize("name", RECORDED)
def test_attached_vip_is_carried(name: str) -> None:
    """What attach adds is seen as carried: a secondary, static configuration in the primary's subnet and security groups."""
    document = RECORDED[name]
    first = nic.primary(document)
    assert first is not None

    after = nic.attached(looked(document), VIPS)

    assert [nic.carries(after, vip) for vip in VIPS] == [True, True]
    assert [nic.is_primary(after, vip.name) for vip in VIPS] == [False, False]
    assert [nic.intruder(after, [vip]) for vip in VIPS] == [None, None]
    four, six = (item["properties"] for item in added(document, after))
    assert four["subnet"] == six["subnet"] == {"id": nic.subnet_of(document)}
    assert (four["privateIPAllocationMethod"], four["primary"]) == ("Static", False)
    assert (four["privateIPAddressVersion"], six["privateIPAddressVersion"]) == ("IPv4", "IPv6")
    assert four["publicIPAddress"] == {"id": PUBLIC}
    assert "publicIPAddress" not in six
    groups = [{"id": group["id"]} for group in first["properties"].get("applicationSecurityGroups", ())]
    assert four.get("applicationSecurityGroups", []) == six.get("applicationSecurityGroups", []) == groups


def test_there_is_a_nic_with_security_groups() -> None:
    """The test above would say nothing of them otherwise."""
    assert any("applicationSecurityGroups" in json.dumps(document) for document in RECORDED.values())


@pytest.mark.parametrize("name", RECORDED)
def test_attach_and_detach_are_idempotent(name: str) -> None:
    """What is right stays as it is, the very object; a second attach or detach changes nothing."""
    once = nic.attached(looked(RECORDED[name]), VIPS)

    assert nic.attached(looked(once), VIPS) == once
    assert nic.attached(looked(once), [])["properties"] == once["properties"]
    gone = nic.detached(looked(once), VIPS)
    assert nic.detached(looked(gone), VIPS) == gone


@pytest.mark.parametrize("name", [name for name in RECORDED if len(nic.configurations(RECORDED[name])) > 1])
def test_configurations_are_found_by_name_and_never_by_place(name: str) -> None:
    """In whatever order Azure lists them, detach takes those of our names, and the others keep their order and content."""
    document = nic.attached(looked(RECORDED[name]), VIPS)
    shuffled = copy.deepcopy(document)
    random.Random(1).shuffle(shuffled["properties"]["ipConfigurations"])
    others = [item for item in nic.configurations(shuffled) if item["name"] not in NAMES]

    assert (
        nic.configurations(
            nic.detached(looked(shuffled), [Vip(name="VIP", private_ip="10.99.0.1"), Vip(name="Vip6", private_ip="fd00:db8::1")])
        )
        == others
    )
    assert nic.differences(document, shuffled, VIPS) == []


def test_vip_that_is_not_as_defined_is_put_right() -> None:
    """A configuration of our name with another address or public IP is not carried, and attach replaces it alone."""
    document = nic.attached(looked(RECORDED["2024-cli-2configs"]), VIPS)
    for change in ({"privateIPAddress": "10.99.0.1"}, {"publicIPAddress": {"id": PUBLIC + "2"}}, {"publicIPAddress": None}):
        wrong = copy.deepcopy(document)
        entry = nic.named(wrong, "vip")
        assert entry is not None
        entry["name"] = "VIP"
        entry["properties"].update(change)

        assert not nic.carries(wrong, VIPS[0])
        right = nic.attached(looked(wrong), VIPS)
        assert nic.carries(right, VIPS[0])
        assert len(nic.configurations(right)) == len(nic.configurations(document))


def test_what_is_compared_without_case_or_spelling() -> None:
    """Names and resource ids are compared without case, IPv6 addresses by value, as Azure does."""
    document = nic.attached(looked(RECORDED["2024-cli-plain"]), VIPS)

    assert nic.carries(document, Vip(name="VIP", private_ip="10.99.0.254", public_ip_id=PUBLIC.upper()))
    assert nic.carries(document, Vip(name="Vip6", private_ip="FD00:0DB8:0:0:0::00FE"))


def test_stranger_with_our_address_is_seen() -> None:
    """What holds a VIP's public IP at another address, or its address as the NIC's primary one, is not ours to delete."""
    for index, change in (
        (0, {"privateIPAddress": VIPS[0].private_ip}),
        (1, {"privateIPAddress": "10.0.0.5", "publicIPAddress": {"id": PUBLIC.upper()}}),
    ):
        document = copy.deepcopy(RECORDED["2024-cli-2configs"])
        stranger = nic.configurations(document)[index]
        stranger["properties"].update(change)

        assert nic.intruder(document, [VIPS[0]]) == stranger["name"]
        assert not nic.carries(document, VIPS[0])
        assert nic.intruder(document, [VIPS[1]]) is None


def test_a_vip_is_found_by_its_address_or_else_by_its_name() -> None:
    """A secondary configuration at a VIP's address is that VIP, whatever its name; one of its name is, whatever its address."""
    document = nic.attached(looked(RECORDED["2024-cli-2configs"]), VIPS)
    renamed = Vip(name="vip-prod", private_ip=VIPS[0].private_ip, public_ip_id=PUBLIC)
    moved = Vip(name="vip", private_ip="10.99.0.77")

    for vip, has_address in ((renamed, True), (moved, False)):
        assert [item["name"] for item in nic.ours(document, [vip])] == ["vip"]
        assert nic.has_address(document, vip) == has_address
        assert not nic.carries(document, vip)
        assert nic.intruder(document, [vip, VIPS[1]]) is None
        assert len(nic.other_definitions(document, [vip, VIPS[1]])) == 1
        after = nic.attached(looked(document), [vip, VIPS[1]])
        assert [nic.carries(after, one) for one in (vip, VIPS[1])] == [True, True]
        assert len(nic.configurations(after)) == len(nic.configurations(document))


def test_what_a_vip_carries_travels_and_what_it_is_does_not() -> None:
    """Pools and what we do not know travel; address, subnet, public IP, security groups and Azure's own marks do not. (I5)"""
    carried = {"loadBalancerBackendAddressPools": [{"id": "/pool"}], "futureProperty": {"kept": [1]}}
    source = nic.attached(looked(RECORDED["2024-cli-2configs"]), VIPS[:1])
    entry = nic.named(source, "vip")
    assert entry is not None
    groups = {"applicationSecurityGroups": [{"id": "/of-the-source"}]}
    entry["properties"].update({**carried, **groups, "provisioningState": "Succeeded", "privateLinkConnectionProperties": {}})

    shown = nic.settings(source, VIPS)
    target = nic.attached(looked(RECORDED["2024-cli-plain"]), VIPS[:1], shown)

    assert shown == {VIPS[0].private_ip: carried}
    bare = nic.named(nic.attached(looked(RECORDED["2024-cli-plain"]), VIPS[:1]), "vip")
    assert bare is not None
    assert nic.named(target, "vip") == {"name": "vip", "properties": {**bare["properties"], **carried}}


def test_vips_that_exchange_their_names_keep_what_each_address_carries() -> None:
    """What a configuration carries belongs to the VIP at its address; its name tells only where no VIP has that address."""
    document = nic.attached(looked(RECORDED["2024-cli-2configs"]), VIPS, {VIPS[0].private_ip: {"mark": 1}})
    exchanged = [Vip(name="vip6", private_ip=VIPS[0].private_ip), Vip(name="vip", private_ip=VIPS[1].private_ip)]

    assert nic.settings(document, exchanged) == {VIPS[0].private_ip: {"mark": 1}, VIPS[1].private_ip: {}}
    assert nic.settings(document, [Vip(name="vip", private_ip="10.99.0.77")]) == {"10.99.0.77": {"mark": 1}}


CHANGES = {
    "a tag": lambda d: d.update(tags={"a": "b"}),
    "an unknown property": lambda d: d["properties"].update(somethingNew=True),
    "a property gone": lambda d: d["properties"].pop("enableIPForwarding"),
    "another's configuration gone": lambda d: d["properties"]["ipConfigurations"].pop(1),
    "another's configuration new": lambda d: d["properties"]["ipConfigurations"].append({"name": "new", "properties": {}}),
    "another's address": lambda d: d["properties"]["ipConfigurations"][1]["properties"].update(privateIPAddress="10.0.0.77"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_that_are_not_ours_are_seen(name: str) -> None:
    """Whatever else differs after a write is found, with its pointer. (I5)"""
    before = RECORDED["2024-cli-2configs"]
    after = copy.deepcopy(nic.attached(looked(before), VIPS))
    CHANGES[name](after)

    assert nic.differences(before, after, VIPS) != []


def test_azures_own_marks_are_no_changes() -> None:
    """Etags, provisioning states and the case of resource ids change by themselves; so do our own configurations by our write."""
    before = RECORDED["2024-cli-2configs"]
    after = copy.deepcopy(nic.attached(looked(before), VIPS))
    after["etag"] = 'W/"other"'
    after["properties"]["provisioningState"] = "Updating"
    for item in after["properties"]["ipConfigurations"]:
        item["etag"] = 'W/"other"'
        item["properties"]["provisioningState"] = "Updating"
        item["properties"]["subnet"]["id"] = item["properties"]["subnet"]["id"].upper()

    assert nic.differences(before, after, VIPS) == []


@pytest.mark.parametrize(
    "document",
    [{}, {"properties": {}}, {"properties": {"ipConfigurations": None}}, {"properties": {"ipConfigurations": [1, {}]}}],
)
def test_poor_documents_carry_nothing(document: Any) -> None:
    """A document without ip configurations, or with what is none, carries nothing and breaks nothing."""
    assert not nic.carries(document, VIPS[0])
    assert nic.intruder(document, [VIPS[0]]) is None
    assert nic.subnet_of(document) is None
