"""Asynchronous operations: their start, their end and their URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.core.errors import ERRORS, Words, envelope
from simulator.core.faults import Ends, Hangs
from simulator.core.model import Nic, Operation, OperationKind, Outcome, Resource, Status, Vm

if TYPE_CHECKING:
    from simulator.core.wire import Json
    from simulator.state.state import State


def start(
    state: State, name: str, kind: OperationKind, resource: Resource, seconds: float, ending: str = "succeeded"
) -> Operation:
    """A new operation that ends in `seconds`; its id is also the x-ms-request-id of the write."""
    operation = Operation(
        state.ids.guid(),
        name,
        resource.subscription,
        state.world.location,
        resource.id,
        state.clock.at,
        state.clock.at + seconds,
        kind,
        ending,
    )
    state.resources.operations[operation.id] = operation
    return operation


def instant(state: State, nic: Nic) -> Operation:
    """An operation that ends at once and cannot be polled, for writes of other clients."""
    return Operation(
        "", "InternalOperation", nic.subscription, state.world.location, nic.id, state.clock.at, state.clock.at, "nic"
    )


def apply_fault(state: State, operation: Operation, fault: Ends | Hangs | None) -> None:
    """Change how and when the operation will end."""
    match fault:
        case Ends():
            operation.ending = fault.how
            if fault.after_s is not None:
                operation.ends_at = state.clock.at + fault.after_s
        case Hangs():
            operation.ends_at += fault.for_s


def finish(state: State, operation: Operation, status: Status, error: Json | None = None, *, canceled_by: str = "") -> None:
    """End the operation with this status. canceled_by: the id of the operation that superseded it."""
    operation.outcome = Outcome(status, error, state.clock.at, canceled_by)


def supersede(state: State, nic: Nic, by: Operation) -> None:
    """Cancel the NIC's running operation, because a later write has been accepted. Its polls answer Canceled from now on."""
    earlier = nic.operation
    if earlier is None:
        return
    words = {
        "operation": earlier.name,
        "operation_id": earlier.id,
        "last_operation": by.name,
        "later_id": by.id,
    }
    finish(state, earlier, "Canceled", envelope(ERRORS["Canceled"], words), canceled_by=by.id)
    nic.operation = None


def vm_state(state: State, vm: Vm) -> str:
    """The VM's state: from the switch vm_state if set there, else its own."""
    return state.switches.vm_state.get(vm.name, vm.state)


def mark_busy(state: State, subnet_key: str, seconds: float) -> None:
    """For this long, answer writes to NICs in the subnet with 429 ReferencedResourceNotProvisioned."""
    subnet = state.resources.subnet(subnet_key)
    if subnet is not None:
        subnet.busy_until = state.clock.at + seconds


# As long as recorded in 2024 (docs/facts/azure.md section 4): the whole URL has 3 to 4 kB.
_CERTIFICATE = "MIIHhzCCBm-gAwIBAgITHgTqkPDiXMXxRCBkngAABOqQ8DANBgkqhkiG9w0BAQsFADBEMRMw" * 35
_SIGNATURE = "s1gn4tur3-0f-th3-s1mul4t0r_" * 13
TICKS_AT_1970 = 621355968000000000


def url(state: State, operation: Operation, kind: str, base_url: str, api_version: str) -> str:
    """The operation's URL, at the base URL that the client used. kind: operations or operationResults."""
    short = (
        f"{base_url}/subscriptions/{operation.subscription}/providers/Microsoft.Network/locations/"
        f"{operation.location}/{kind}/{operation.id}?api-version={api_version}"
    )
    if state.switches.ao_url == "short":
        return short
    ticks = int(operation.started_at * 10_000_000) + TICKS_AT_1970
    return f"{short}&t={ticks:018d}&c={_CERTIFICATE}&s={_SIGNATURE}&h={operation.id.replace('-', '')}simulated"


def end_plain(state: State, operation: Operation) -> None:
    """End an operation as planned, without effects on a NIC."""
    if operation.status != "InProgress":
        return
    if operation.ending in ("succeeded", "gone"):
        finish(state, operation, "Succeeded")
        return
    end_badly(state, operation, operation.ending, {"operation": operation.name, "operation_id": operation.id})


_ENDING_ROWS: Final = {"canceled": "Canceled", "not-allowed": "OperationNotAllowed"}


def end_badly(state: State, operation: Operation, ending: str, words: dict[str, object]) -> None:
    """End the operation as Failed or Canceled. ending: one of switches.ENDINGS or a row of ERRORS. words: for its message."""
    row = ERRORS[ending if ending in ERRORS else _ENDING_ROWS.get(ending, "InternalExecutionError")]
    if ending != "canceled":
        finish(state, operation, "Failed", envelope(row, words))
        return
    finish(state, operation, "Canceled", envelope(row, words), canceled_by=str(Words(words)["later_id"]))
