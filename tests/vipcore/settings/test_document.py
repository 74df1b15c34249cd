"""The mirrors document: every fault at once, each where it belongs, and none that hurts more than it must."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipcore.entry import bodies
from vipcore.settings import document

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
OTHER_SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
NETWORK = "providers/Microsoft.Network"


def nic_id(name: str, *, subscription: str = SUBSCRIPTION, group: str = "rg") -> str:
    """A NIC's resource id."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}/{NETWORK}/networkInterfaces/{name}"


def mirror(letter: str, **more: Any) -> dict[str, Any]:
    """A mirror of two members on NICs of its own."""
    return {
        "members": {f"{letter}1": {"nic": f"nic{letter}1"}, f"{letter}2": {"nic": f"nic{letter}2"}},
        "vips": [{"name": f"vip{letter}", "private_ip": f"10.0.0.{ord(letter)}", "public_ip": f"pip{letter}"}],
        **more,
    }


def good() -> dict[str, Any]:
    """Two mirrors that have nothing to do with each other."""
    return {
        "defaults": {"subscription_id": SUBSCRIPTION, "resource_group": "rg"},
        "mirrors": {"A": mirror("A"), "B": mirror("B")},
        "keys": {"a-1": {"mirror": "A", "member": "A1"}, "b-1": {"mirror": "B", "member": "B1"}},
    }


def read(data: Any) -> document.Document:
    """The document of a value."""
    return document.read(json.dumps(data))


def edited(change: Callable[[dict[str, Any]], object]) -> document.Document:
    """The good document, with one change."""
    data = good()
    change(data)
    return read(data)


def test_document_of_the_contract_is_read() -> None:
    """Short names are completed with the defaults, full ids stay, and what is left out has its default."""
    found = read(
        {
            "defaults": {"subscription_id": SUBSCRIPTION, "resource_group": "rg"},
            "mirrors": {
                "PROD": {
                    "members": {
                        "MIRRORA": {"nic": "mirrora290_z1", "status_url": "http://10.0.0.4:52773/csp/bin/mirror_status.cxw"},
                        "MIRRORB": {"nic": nic_id("b", group="rg2")},
                    },
                    "vips": [{"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"}],
                    "path_probe": "tcp://10.0.0.254:1972",
                    "hold_s": 30,
                    "follow_primary": False,
                    "strategy": "auto",
                }
            },
            "keys": {
                "mirrora-1": {"mirror": "PROD", "member": "MIRRORA"},
                "mirrora-2": {"mirror": "PROD", "member": "MIRRORA"},
            },
        }
    )

    prod = found.mirrors["PROD"]
    assert found.faults == ()
    assert [member.nic_id for member in prod.members] == [nic_id("mirrora290_z1"), nic_id("b", group="rg2")]
    assert prod.vips[0].public_ip_id == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/{NETWORK}/publicIPAddresses/my_vip_ip"
    assert {member.nic_id.split("/")[2] for member in prod.members} == {SUBSCRIPTION}
    assert (prod.hold_s, prod.follow_primary, prod.strategy) == (30.0, False, "auto")
    assert found.key_ids == {"mirrora-1": ("PROD", "MIRRORA"), "mirrora-2": ("PROD", "MIRRORA")}


def at(data: dict[str, Any], *path: Any) -> Any:
    """The part of a document at a path."""
    for part in path:
        data = data[part]
    return data


WITHIN_A: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown field": (lambda d: at(d, "mirrors", "A").update(typo=1), "/mirrors/A"),
    "no members": (lambda d: at(d, "mirrors", "A").pop("members"), "/mirrors/A"),
    "no vips": (lambda d: at(d, "mirrors", "A").update(vips=[]), "/mirrors/A/vips"),
    "one member": (lambda d: at(d, "mirrors", "A", "members").pop("A1"), "/mirrors/A/members"),
    "mirror is no object": (lambda d: at(d, "mirrors").update(A="x"), "/mirrors/A"),
    "unknown field of a member": (lambda d: at(d, "mirrors", "A", "members", "A1").update(nik="x"), "/mirrors/A/members/A1"),
    "member without nic": (lambda d: at(d, "mirrors", "A", "members", "A1").pop("nic"), "/mirrors/A/members/A1"),
    "nic is no name": (lambda d: at(d, "mirrors", "A", "members", "A1").update(nic="a b"), "/mirrors/A/members/A1/nic"),
    "nic with a newline": (lambda d: at(d, "mirrors", "A", "members", "A1").update(nic="a\n"), "/mirrors/A/members/A1/nic"),
    "nic is another resource": (
        lambda d: at(d, "mirrors", "A", "members", "A1").update(nic=nic_id("x").replace("networkInterfaces", "virtualNetworks")),
        "/mirrors/A/members/A1/nic",
    ),
    "member name with a control character": (
        lambda d: at(d, "mirrors", "A", "members").update({"A\x07": {"nic": "x"}}),
        "/mirrors/A/members",
    ),
    "member name too long": (
        lambda d: at(d, "mirrors", "A", "members").update({"A" * 65: {"nic": "x"}}),
        "/mirrors/A/members",
    ),
    "one nic for two members": (lambda d: at(d, "mirrors", "A", "members", "A2").update(nic="nicA1"), "/mirrors/A"),
    "one nic for two members, in another case": (
        lambda d: at(d, "mirrors", "A", "members", "A2").update(nic=nic_id("NICA1", group="RG")),
        "/mirrors/A",
    ),
    "nics in two subscriptions": (
        lambda d: at(d, "mirrors", "A", "members", "A2").update(nic=nic_id("x", subscription=OTHER_SUBSCRIPTION)),
        "/mirrors/A",
    ),
    "vip address is none": (
        lambda d: at(d, "mirrors", "A", "vips", 0).update(private_ip="10.0.0.256"),
        "/mirrors/A/vips/0/private_ip",
    ),
    "vip address of loopback": (
        lambda d: at(d, "mirrors", "A", "vips", 0).update(private_ip="127.0.0.1"),
        "/mirrors/A/vips/0/private_ip",
    ),
    "vip address with a zone": (
        lambda d: at(d, "mirrors", "A", "vips", 0).update(private_ip="fe80::1%eth0"),
        "/mirrors/A/vips/0/private_ip",
    ),
    "vip name is none": (lambda d: at(d, "mirrors", "A", "vips", 0).update(name="-"), "/mirrors/A/vips/0/name"),
    "public ip is no name": (
        lambda d: at(d, "mirrors", "A", "vips", 0).update(public_ip="../x"),
        "/mirrors/A/vips/0/public_ip",
    ),
    "vip name twice": (
        lambda d: at(d, "mirrors", "A", "vips").append({"name": "VIPA", "private_ip": "10.0.0.9"}),
        "/mirrors/A",
    ),
    "vip address twice": (
        lambda d: at(d, "mirrors", "A", "vips").append({"name": "v2", "private_ip": "10.0.0.65"}),
        "/mirrors/A",
    ),
    "public ip twice": (
        lambda d: at(d, "mirrors", "A", "vips").append({"name": "v2", "private_ip": "10.0.0.9", "public_ip": "PIPA"}),
        "/mirrors/A",
    ),
    "status url is none": (
        lambda d: at(d, "mirrors", "A", "members", "A1").update(status_url="ftp://x"),
        "/mirrors/A/members/A1/status_url",
    ),
    "status url without a host": (
        lambda d: at(d, "mirrors", "A", "members", "A1").update(status_url="http:///x"),
        "/mirrors/A/members/A1/status_url",
    ),
    "status url with half a bracket": (
        lambda d: at(d, "mirrors", "A", "members", "A1").update(status_url="http://[::1/x"),
        "/mirrors/A/members/A1/status_url",
    ),
    "path probe without a port": (lambda d: at(d, "mirrors", "A").update(path_probe="tcp://10.0.0.9"), "/mirrors/A/path_probe"),
    "hold below zero": (lambda d: at(d, "mirrors", "A").update(hold_s=-1), "/mirrors/A/hold_s"),
    "hold is a text": (lambda d: at(d, "mirrors", "A").update(hold_s="30"), "/mirrors/A/hold_s"),
    "strategy unknown": (lambda d: at(d, "mirrors", "A").update(strategy="quick"), "/mirrors/A/strategy"),
    "follow_primary is a text": (lambda d: at(d, "mirrors", "A").update(follow_primary="yes"), "/mirrors/A/follow_primary"),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHIN_A)
def test_fault_within_a_mirror_stops_that_mirror_alone(name: str) -> None:
    """A fault within a mirror has its pointer, disables that mirror, and leaves the other one and its key as they were."""
    change, where = WITHIN_A[name]

    found = edited(change)

    assert where in [fault.where for fault in found.faults]
    assert set(found.faulty) == {"A"}
    assert set(found.mirrors) == {"B"}
    assert found.key_ids["b-1"] == ("B", "B1")
    assert not found.fatal


def test_all_faults_are_reported_at_once() -> None:
    """Faults of several mirrors, of keys and of the rest come in one answer, each with its pointer."""
    data = good()
    data["extra"] = 1
    data["mirrors"]["A"]["hold_s"] = -1
    data["mirrors"]["A"]["vips"][0]["name"] = "-"
    data["mirrors"]["B"]["members"]["B1"]["nic"] = "a b"
    data["keys"]["a-1"]["typo"] = 1
    data["keys"]["b-1"]["member"] = "B9"

    found = read(data)

    assert {fault.where for fault in found.faults} == {
        "/", "/mirrors/A/hold_s", "/mirrors/A/vips/0/name", "/mirrors/B/members/B1/nic", "/keys/a-1", "/keys/b-1",
    }  # fmt: skip
    assert not found.fatal


def test_a_fault_hides_no_other() -> None:
    """Beside a fault of its shape a mirror is told what contradicts itself, or what another mirror has, in the same answer."""
    data = good()
    data["mirrors"]["A"]["colour"] = "blue"
    data["mirrors"]["A"]["vips"].append({"name": "x", "private_ip": "nowhere"})
    data["mirrors"]["A"]["members"]["A2"]["nic"] = "nicA1"
    data["mirrors"]["A"]["vips"][0]["public_ip"] = "pipB"

    found = read(data)

    told = "\n".join(str(fault) for fault in found.faults)
    assert "/mirrors/A: has a field that is not known here: 'colour' (known: members, vips," in told
    assert "/mirrors/A/vips/1/private_ip: 'nowhere' is not" in told
    assert "the NIC of member 'A2' is also another member's" in told
    assert "public IP 'pipb' is also mirror 'B''s" in told
    assert set(found.mirrors) == {"B"}, "a mirror that is not served takes nothing from one that is"


def test_a_faulty_mirrors_keys_stay() -> None:
    """A claim for a mirror whose members cannot be read is answered by that mirror, not as if its key were unknown."""
    found = edited(lambda d: d["mirrors"]["A"].update(members=None))

    assert found.key_ids["a-1"] == ("A", "A1")
    assert {fault.where for fault in found.faults} == {"/mirrors/A/members"}


def test_a_name_that_quotes_another_harms_only_itself() -> None:
    """A mirror whose name is refused and contains another's in quotes stops that one not."""
    found = edited(lambda d: d["mirrors"].update({"x'A'y": mirror("C")}))

    assert set(found.faulty) == {"x'A'y"}


@pytest.mark.parametrize("name", ["-A", "A B", "", "A/B", "A" * 64, "Ä", "A\n", "..", "A%2F"])
def test_mirror_names_have_one_spelling_in_a_path(name: str) -> None:
    """A mirror whose name could be spelled in two ways in a path is not served; the others are."""
    found = edited(lambda d: d["mirrors"].update({name: mirror("C")}))

    assert set(found.faulty) == {name}
    assert set(found.mirrors) == {"A", "B"}


CLASHES: dict[str, Callable[[dict[str, Any]], object]] = {
    "vip name on one nic": lambda d: (
        at(d, "mirrors", "B", "members", "B1").update(nic="nicA1"),
        at(d, "mirrors", "B", "vips", 0).update(name="VIPA"),
    ),
    "address on one nic": lambda d: (
        at(d, "mirrors", "B", "members", "B1").update(nic=nic_id("NICA1")),
        at(d, "mirrors", "B", "vips", 0).update(private_ip="10.0.0.65"),
    ),
    "public ip anywhere": lambda d: at(d, "mirrors", "B", "vips", 0).update(public_ip="PIPa"),
    "address of IPv6 in two spellings": lambda d: (
        at(d, "mirrors", "B", "members", "B1").update(nic="nicA1"),
        at(d, "mirrors", "A", "vips", 0).update(private_ip="2001:db8::1"),
        at(d, "mirrors", "B", "vips", 0).update(private_ip="2001:0DB8:0:0::0001"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASHES)
def test_two_mirrors_that_want_the_same_are_both_stopped(name: str) -> None:
    """Which of the two is right is not ours to guess: both are at fault and each sentence names the other."""
    found = edited(CLASHES[name])

    assert set(found.faulty) == {"A", "B"}
    assert "mirror 'B'" in found.faulty["A"][0].what
    assert "mirror 'A'" in found.faulty["B"][0].what
    assert not found.fatal


def test_mirrors_may_share_nics() -> None:
    """Several mirrors on the same VMs, each with its own VIP, are no fault; nor is one address on NICs that differ."""
    data = good()
    data["mirrors"]["B"]["members"] = {"B1": {"nic": "nicA1"}, "B2": {"nic": "nicA2"}}
    data["mirrors"]["C"] = mirror("C")
    data["mirrors"]["C"]["vips"] = [{"name": "vipA", "private_ip": "10.0.0.65"}]

    assert read(data).faults == ()


def test_ipv6_addresses_are_addresses() -> None:
    """A VIP may be an IPv6 address, in any spelling; it is kept in the canonical one."""
    found = edited(lambda d: at(d, "mirrors", "A", "vips").append({"name": "six", "private_ip": "2001:0DB8:0:0::0001"}))

    assert found.faults == ()
    assert found.mirrors["A"].vips[1].private_ip == "2001:db8::1"


def test_faulty_default_hurts_who_needs_it() -> None:
    """A default that is wrong stops the mirrors that use it, and none that gives full ids."""
    data = good()
    data["defaults"]["subscription_id"] = "my subscription"
    data["mirrors"]["B"]["members"] = {"B1": {"nic": nic_id("x")}, "B2": {"nic": nic_id("y")}}
    del data["mirrors"]["B"]["vips"][0]["public_ip"]

    found = read(data)

    assert set(found.mirrors) == {"B"}
    assert "/defaults/subscription_id" in [fault.where for fault in found.faults]
    assert "/mirrors/A/members/A1/nic" in [fault.where for fault in found.faulty["A"]]


def test_absent_default_is_named_where_it_is_needed() -> None:
    """Without defaults, a short name is a fault of its mirror, at the name's pointer."""
    found = edited(lambda d: d.pop("defaults"))

    assert set(found.faulty) == {"A", "B"}
    assert "/mirrors/A/vips/0/public_ip" in [fault.where for fault in found.faulty["A"]]


def test_key_of_nobody_is_disabled_alone() -> None:
    """A key for a member that the document does not define is left out; one of a faulty mirror stays, so that it is told why."""
    data = good()
    data["keys"]["x"] = {"mirror": "NOPE", "member": "A1"}
    data["keys"]["a b"] = {"mirror": "A", "member": "A1"}
    data["mirrors"]["A"]["hold_s"] = -1

    found = read(data)

    assert set(found.key_ids) == {"a-1", "b-1"}
    assert "/keys/x" in [fault.where for fault in found.faults]
    assert any("'a b'" in fault.what for fault in found.faults)


TWICE = {
    "in a mirror": ('"strategy": "put", "strategy": "auto", "vips"', '"vips"', "/mirrors/A/strategy", False),
    "in a member": ('"A1": {"nic": "other", "nic"', '"A1": {"nic"', "/mirrors/A/members/A1/nic", False),
    "member": ('"members": {"A1": {"nic": "x"}, "A1"', '"members": {"A1"', "/mirrors/A/members/A1", False),
    "mirror": ('"mirrors": {"A": {}, "A"', '"mirrors": {"A"', "/mirrors/A", False),
    "mirrors": ('"mirrors": {}, "mirrors"', '"mirrors"', "/mirrors", True),
}


@pytest.mark.parametrize("name", TWICE)
def test_name_that_stands_twice_is_a_fault_where_it_stands(name: str) -> None:
    """JSON names that stand twice have no single meaning: a fault of their mirror, of all if it is the mirrors themselves."""
    new, old, where, fatal = TWICE[name]
    text = json.dumps(good())
    assert text.count(old) >= 1

    found = document.read(text.replace(old, new, 1))

    assert where in [fault.where for fault in found.faults]
    assert found.fatal is fatal
    if not fatal:
        assert set(found.mirrors) == {"B"}


def test_two_sections_of_keys_are_no_keys() -> None:
    """Which keys may sign must not depend on which of two sections a reader takes."""
    found = document.read(json.dumps(good()).replace('"keys"', '"keys": {}, "keys"', 1))

    assert found.key_ids == {}
    assert set(found.mirrors) == {"A", "B"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"mirrors": []}', '{"mirrors": {}} x', "\x00", '{"mirrors": NaN}', '{"mirrors": "\\ud800"}']
)
def test_what_cannot_be_parsed_stops_all(text: str) -> None:
    """A text that is no mirrors document is one fatal fault of the setting."""
    found = document.read(text)

    assert found.fatal
    assert [fault.where for fault in found.faults] == ["VIP_MIRRORS"]


def test_secret_in_the_wrong_place_is_not_repeated() -> None:
    """An operator who pastes a key into the document does not find it in the log as well."""
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="
    data = good()
    data["keys"]["a-1"] = secret
    data["keys"]["b-1"] = {"mirror": "B", "member": "B1", "secret": secret}
    data["mirrors"]["A"]["strategy"] = secret
    data["mirrors"]["A"]["members"]["A1"]["status_url"] = f"ftp://user:{secret}@host/"
    data["mirrors"]["B"]["members"] = {secret[:10]: secret}

    found = read(data)

    assert len(found.faults) >= 5
    assert secret not in repr(found)
    assert secret not in " ".join(map(str, found.faults))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({"defaults", "mirrors", "keys", "members", "vips", "nic", "name", "private_ip", "A", "B", "A1", "A2", "B1", "a-1"})
POINTED = st.lists(st.sampled_from([*NAMES, 0]), min_size=1, max_size=5)


@given(path=POINTED, value=JSON_VALUES)
def test_whatever_stands_anywhere_is_read_or_reported(path: list[Any], value: Any) -> None:
    """Any JSON value at any place of the document: reading never raises, and no mirror is both served and at fault."""
    data: Any = copy.deepcopy(good())
    node = data
    for part in path[:-1]:
        node = node[part] if isinstance(node, dict) and part in node else node
    if isinstance(node, dict):
        node[str(path[-1])] = value

    found = read(data)

    assert not set(found.mirrors) & set(found.faulty)
    assert bool(found.faulty) <= bool(found.faults)
    assert all(fault.where and len(fault.what) < 1000 for fault in found.faults)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_document_or_a_fault(text: str) -> None:
    """Any text at all: reading never raises."""
    found = document.read(text)

    assert found.fatal == (not found.mirrors and bool(found.faults)) or not found.faults


TOLD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "subscription": (
        lambda d: d["defaults"].update(subscription_id="my subscription"),
        "/defaults/subscription_id: must be a subscription's id, such as 00000000-0000-0000-0000-000000000000",
    ),
    "one member": (
        lambda d: d["mirrors"]["A"]["members"].pop("A2"),
        "/mirrors/A/members: has too few entries: 2 or more are needed",
    ),
    "no NIC": (lambda d: d["mirrors"]["A"]["members"]["A1"].clear(), "/mirrors/A/members/A1: lacks the field 'nic'"),
    "name of a mirror": (
        lambda d: d["mirrors"].update({"A B": d["mirrors"].pop("A")}),
        "/mirrors: the name 'A B' must be 1 to 63 letters, digits, _ and -, the first a letter or a digit",
    ),
    "strategy": (lambda d: d["mirrors"]["A"].update(strategy="fast"), "/mirrors/A/strategy: must be one of auto, put, atomic"),
    "hold": (lambda d: d["mirrors"]["A"].update(hold_s=-1), "/mirrors/A/hold_s: must be 0 or more"),
    "probe without a port": (
        lambda d: d["mirrors"]["A"].update(path_probe="tcp://10.0.0.254"),
        "/mirrors/A/path_probe: must name a host, and with tcp:// a port, such as tcp://10.0.0.254:1972",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), TOLD.values(), ids=TOLD)
def test_a_fault_says_what_is_wanted(change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    """Whoever wrote the document mends it by the sentence alone."""
    assert sentence in [str(fault) for fault in edited(change).faults]


@pytest.mark.parametrize(
    "schema", [document.schema(), bodies.CLAIM, bodies.MOVE, bodies.FREEZE], ids=["document", "claim", "move", "freeze"]
)
def test_every_form_that_a_schema_demands_is_described(schema: Any) -> None:
    """What is told where a text has not its form is the schema's description, so none is without one."""
    keywords = {"pattern", "minLength", "maxLength", "const", "format"}

    def walk(part: Any, at: str) -> list[str]:
        inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        own = isinstance(part, dict) and part.get("type", "string") == "string" and keywords & part.keys()
        lacking = [at] if own and "description" not in part else []
        return lacking + [one for key, value in inner for one in walk(value, f"{at}/{key}")]

    assert walk(schema, "") == []
