"""Recorded NIC documents work in the simulated Azure: reads return what was recorded."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from simulator.cloud import Cloud
from simulator.core.switches import Switches
from simulator.core.wire import Request, Response
from simulator.front.front import handle
from tests.simulator.conformance import worlds
from tests.simulator.conformance.matching import Difference, Names, compare
from tests.simulator.conformance.tapes import DATA, Step, nic_documents

RECORDED = nic_documents()
ASSEMBLED = nic_documents("nics-assembled")
# From the table in data/README.md: the api-version under which each document was read.
_ROW = re.compile(r"^\| ([\w-]+)\.json \|.*\| ([\d-]{10}) \|$", re.MULTILINE)
VERSIONS = dict(_ROW.findall((DATA / "README.md").read_text()))
# The NIC of a NetApp volume is `primary` although it has no VM. The simulator has no such NICs.
KNOWN = {"2020-sdk-hosted": ["body/properties/primary"]}
READ_ONLY = re.compile(r"/(etag|resourceGuid|internalDomainNameSuffix|internalFqdn|appliedDnsServers.*|macAddress)$")
FAST = Switches(latency="fixed:1", latency_balancer_s=1.0)


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.t = 1_600_000_000.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.t


def _ask(cloud: Cloud, method: str, document: Any, version: str, body: Any = None) -> Response:
    target = f"{document['id']}?api-version={version}"
    return handle(cloud, Request(method, target, {"authorization": cloud.bearer()}, json.dumps(body).encode() if body else b""))


def _differences(document: Any, response: Response, names: Names) -> list[Difference]:
    step = Step(0, "GET", "", {}, None, 200, {}, document, "compact")
    every_header = dict.fromkeys(response.headers, "only documents are compared here")
    return list(compare(step, response, names, ignored_headers=every_header))


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_nic_reads_as_recorded(name: str) -> None:
    """A NIC created from a recorded document reads with the recorded members and values, at the recorded api-version."""
    document = RECORDED[name]
    cloud = Cloud(worlds.around([document], location=document["location"]), now=Clock(), switches=FAST)

    response = _ask(cloud, "GET", document, VERSIONS[name])

    differences = [d for d in _differences(document, response, Names()) if d.where not in KNOWN.get(name, ())]
    assert [str(d) for d in differences] == []


@pytest.mark.parametrize("unchanged_put", ["kept", "rewritten"])
@pytest.mark.parametrize("name", [*RECORDED, *ASSEMBLED])
def test_putting_a_nic_back_as_it_was_read_changes_nothing(name: str, unchanged_put: str) -> None:
    """GET, PUT of the same body, GET: only the etags change; with the switch on, those of a NIC of a VM do not either."""
    document = {**RECORDED, **ASSEMBLED}[name]
    version = VERSIONS.get(name, "2023-11-01")
    clock = Clock()
    switches = replace(FAST, unchanged_put=unchanged_put)
    cloud = Cloud(worlds.around([document], location=document["location"]), now=clock, switches=switches)
    before = _ask(cloud, "GET", document, version).json()

    put = _ask(cloud, "PUT", document, version, before)
    clock.t += 5.0
    after = _ask(cloud, "GET", document, version).json()

    assert put.status == 200, put.body
    kept = unchanged_put == "kept" and "virtualMachine" in before["properties"]
    assert (before["etag"] == after["etag"]) is kept
    assert put.json()["etag"] == before["etag"] or not kept
    assert json.dumps(before).replace(before["etag"][3:-1], "") == json.dumps(after).replace(after["etag"][3:-1], "")


@pytest.mark.parametrize("name", ASSEMBLED)
def test_members_nobody_knows_are_kept(name: str) -> None:
    """The simulated cloud shows every member of an assembled document that a client can set, with its value."""
    document = ASSEMBLED[name]
    cloud = Cloud(worlds.around([document], location=document["location"]), now=Clock(), switches=FAST)

    shown = _ask(cloud, "GET", document, "2025-05-01").json()

    lost = [d for d in _differences_of(document, shown) if not READ_ONLY.search(d)]
    assert lost == []


def _differences_of(recorded: Any, shown: Any, where: str = "") -> list[str]:
    if isinstance(recorded, dict):
        shown = shown if isinstance(shown, dict) else {}
        return [w for k, v in recorded.items() for w in _differences_of(v, shown.get(k), f"{where}/{k}")]
    if isinstance(recorded, list) and isinstance(shown, list) and len(recorded) == len(shown):
        return [w for i, v in enumerate(recorded) for w in _differences_of(v, shown[i], f"{where}/{i}")]
    return [] if recorded == shown else [where]
