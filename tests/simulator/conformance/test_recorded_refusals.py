"""Errors recorded on other resources: the simulator gives the same errors for NICs, word for word except for names."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core.switches import Switches
from simulator.core.wire import Request, Response
from simulator.front.front import handle
from simulator.state.world import SUBSCRIPTION
from tests.simulator.conformance.matching import Names, compare
from tests.simulator.conformance.scenarios import ASO_HEADERS, KIT_HEADERS
from tests.simulator.conformance.tapes import Step, load

_NETWORK: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network"
_NIC_A: Final = f"{_NETWORK}/networkInterfaces/mirrora290_z1"
_NIC_B: Final = f"{_NETWORK}/networkInterfaces/mirrorb280_z2"
_OLD: Final = Switches(latency="fixed:20", json="pretty", front_door=False, ao_url="short", headers_2026=False)


class _Simulated:
    """The default world with a clock that stands still until it is moved."""

    def __init__(self, switches: Switches) -> None:
        self.time = 1_600_000_000.0
        self.cloud = Cloud(worlds.default(), now=lambda: self.time, switches=switches)

    def ask(self, method: str, resource: str, body: Any = None) -> Response:
        """One request of the controller's identity."""
        headers = {"authorization": self.cloud.bearer()}
        content = json.dumps(body).encode() if body else b""
        return handle(self.cloud, Request(method, f"{resource}?api-version=2020-11-01", headers, content))

    def tag(self, nic: str, value: str) -> Response:
        """A PUT that changes nothing but a tag."""
        return self.ask("PUT", nic, {**self.ask("GET", nic).json(), "tags": {"t": value}})


def _assert_same(
    step: Step, response: Response, renamed: Mapping[str, str], ignored: Mapping[str, str], names: Names | None = None
) -> None:
    text = json.dumps(step.answer)
    for recorded, simulated in renamed.items():
        assert recorded in text, f"{recorded} is not in the recorded answer"
        text = text.replace(recorded, simulated)
    ignored = {**ignored, "date": "each side's own clock"}
    differences = compare(replace(step, answer=json.loads(text)), response, names or Names(), ignored_headers=ignored)
    assert [str(d) for d in differences] == []


def test_a_locked_nic_answers_429_as_recorded() -> None:
    """A PUT to a resource that another operation holds: 429 (connection monitor, 2020)."""
    simulated = _Simulated(replace(_OLD, second_put="locked"))
    simulated.tag(_NIC_A, "first")
    simulated.time += 9.0

    response = simulated.tag(_NIC_A, "second")

    step = load("cli-2020-locked").step(1)
    recorded = step.answer["error"]["details"][0]["message"].split(" is updating resource ")[1].split(". The call")[0]
    renamed = {recorded: _NIC_A, "PutMultiEndpointConnectionMonitorOperation": "PutNicOperation"}
    _assert_same(step, response, renamed, KIT_HEADERS)


def test_a_reference_that_is_being_updated_answers_429_as_recorded() -> None:
    """A PUT that names a public IP that is being written: 429 without Retry-After (NAT gateway, 2024)."""
    simulated = _Simulated(replace(_OLD, latency_pip_s=5.0))
    pip = f"{_NETWORK}/publicIPAddresses/new"
    simulated.ask(
        "PUT",
        pip,
        {"location": "eastus", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}},
    )
    nic = simulated.ask("GET", _NIC_B).json()
    nic["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"] = {"id": pip}

    response = simulated.ask("PUT", _NIC_B, nic)

    tape = load("aso-2024-busy")
    gateway = tape.step(2).target.partition("?")[0]
    renamed = {gateway: _NIC_B, tape.step(3).target.partition("?")[0]: pip}
    _assert_same(tape.step(2), response, renamed, ASO_HEADERS)
    assert "retry-after" not in response.headers


def test_a_subnet_that_is_busy_after_an_operation_answers_429_as_recorded() -> None:
    """Seconds after a NIC operation ended, a neighbour answers 429 (load balancer, 2020)."""
    simulated = _Simulated(replace(_OLD, busy_after_completion_s=5.0))
    simulated.tag(_NIC_A, "first")
    simulated.time += 21.0

    response = simulated.tag(_NIC_B, "second")

    step = load("cli-2020-busy").step(59)
    message = step.answer["error"]["details"][0]["message"]
    recorded = message.split(" because resource ")[1].split(" used by")[0]
    said = response.json()["error"]["details"][0]["message"]
    simulated_busy = said.split(" because resource ")[1].split(" used by")[0]
    renamed = {
        recorded: simulated_busy,
        "used by resource lb1 ": f"used by resource {said.split('used by resource ')[1].split(' ')[0]} ",
    }
    _assert_same(step, response, renamed, KIT_HEADERS)
