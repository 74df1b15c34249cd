"""Incidents of a night, replayed against the served app: each is told by `/health/mirrors`, the text, and the list of all."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.served.http import http_client
from tests.served.http.http_client import HttpClient, Mirror, key_setting
from tests.served.http.test_answers import assert_described

KEYLESS = "M00001"
"""The mirror whose A side has a key that the app cannot use."""

REFUSED = {"kind": "answer", "name": "AuthorizationFailed"}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, azurite: str) -> Iterator[HttpClient]:
    """An app of its own: what a pass does with the mirrors of other tests is not waited for."""
    with http_client.opened(tmp_path_factory.mktemp("night"), azurite, environ={key_setting(f"{KEYLESS}-a"): ""}) as opened:
        yield opened


def wrong(night: HttpClient, mirror: Mirror) -> list[tuple[str | None, str]]:
    """Member and reason of what a monitor is told of this mirror."""
    reply = night.operator("GET", "/health/mirrors")
    assert_described(reply, "get", "/health/mirrors")
    return [(one["member"], one["reason"]) for one in reply.json["wrong"] if one["mirror"] == mirror.name]


def refuse(night: HttpClient, nic: str) -> None:
    """From now on Azure refuses every write of that NIC."""
    night.azure("POST", "scripts", {"match": {"method": "PUT", "name": nic}, "fault": REFUSED, "times": 1000})


def missing_right(night: HttpClient, mirror: Mirror) -> None:
    """The identity may not write B's NIC, and nobody has claimed yet."""
    group = f"/subscriptions/{http_client.SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network"
    denied = [{"action": "Microsoft.Network/networkInterfaces/write", "scope": f"{group}/networkInterfaces/{mirror.nic_b}"}]
    night.azure("PUT", "switches", {"denied": denied})


def on_no_nic(night: HttpClient, mirror: Mirror) -> None:
    """Somebody took the VIP off, and Azure refuses to take it back."""
    refuse(night, mirror.nic_b)
    night.azure("POST", f"nics/{mirror.nic_b}", {"what": "drops-config"})


def failed_nic(night: HttpClient, mirror: Mirror) -> None:
    """Every operation on A's NIC fails: it stays Failed, and a swap to it is stuck."""
    fault = {"kind": "ends", "how": "failed-kept"}
    night.azure("POST", "scripts", {"match": {"method": "PUT", "name": mirror.nic_a}, "fault": fault, "times": 1000})
    assert night.claim(mirror, mirror.a).status >= 500


def frozen(night: HttpClient, mirror: Mirror) -> None:
    """An operator forgot a freeze."""
    assert night.operator("PUT", f"/mirrors/{mirror.name}/freeze", {"reason": "patch", "operator": "pat"}).status == 200


def disabled_key(night: HttpClient, mirror: Mirror) -> None:
    """The setting of A's key is not there."""


def stuck_swap(night: HttpClient, mirror: Mirror) -> None:
    """Azure refuses the attach, whoever tries."""
    refuse(night, mirror.nic_a)
    assert night.claim(mirror, mirror.a).status == 502


Incident = Callable[[HttpClient, Mirror], None]
INCIDENTS: list[tuple[Incident, str, str, str]] = [
    # First: a right that was seen to be there within the last minute stands in.
    (missing_right, "B", "grant Microsoft.Network/networkInterfaces/write", "to {b}: NO"),
    (on_no_nic, "", "on no NIC", "the VIP is on NO NIC"),
    (failed_nic, "A", "is in state Failed", "the NIC of {a} is in state Failed"),
    (frozen, "A", "until the freeze is lifted", "FROZEN by pat"),
    (disabled_key, "A", "VIP_KEY_M00001_A", "to {a}: NO"),
    (stuck_swap, "", "The last try ended with azure-denied", "under way"),
]


@pytest.mark.parametrize(("incident", "side", "reason", "line"), INCIDENTS, ids=[one[0].__name__ for one in INCIDENTS])
def test_an_incident_is_told_to_who_asks(night: HttpClient, incident: Incident, side: str, reason: str, line: str) -> None:
    """One pass later: 503 with the reason, a line of the text within 100 columns, and a mark in the list of all mirrors."""
    keyless = incident is disabled_key
    mirror = next(m for m in night.mirrors if (m.name == KEYLESS) is keyless and int(m.name[1:]) % 2)
    night.mirrors.remove(mirror)
    if incident is not missing_right:
        assert night.claim(mirror, mirror.b).json["outcome"] == "moved"

    incident(night, mirror)
    text = night.operator("GET", f"/mirrors/{mirror.name}?format=text").body.decode()
    passed = night.operator("POST", "/reconcile", b"")

    assert_described(passed, "post", "/reconcile")
    member = {"": None, "A": mirror.a, "B": mirror.b}[side]
    assert any(one == member and reason in why for one, why in wrong(night, mirror)), wrong(night, mirror)
    text += night.operator("GET", f"/mirrors/{mirror.name}?format=text").body.decode()
    assert line.format(a=mirror.a, b=mirror.b).lower() in " ".join(text.split()).lower(), text
    assert f"! {mirror.name}: " in night.operator("GET", "/mirrors?format=text").body.decode()


def test_a_mirror_at_rest_is_not_among_what_is_wrong(night: HttpClient) -> None:
    """Beside all these incidents, a mirror that is well is told to be well."""
    mirror = night.take()
    assert night.claim(mirror, mirror.b).json["outcome"] == "moved"
    assert night.operator("POST", "/reconcile", b"").json["attended"] >= 1

    assert wrong(night, mirror) == []
    shown: dict[str, Any] = next(one for one in night.operator("GET", "/mirrors").json["mirrors"] if one["mirror"] == mirror.name)
    assert shown["ready"] == {mirror.a: True, mirror.b: True}
