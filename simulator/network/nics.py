"""The life cycle of a NIC: a write is accepted, its operation runs and ends (docs/facts/azure.md section 16)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.core.model import ConfigDoc, ConfigFacts, Nic, NicDoc, Operation
from simulator.network import balancing, operations
from simulator.network.documents import with_addresses
from simulator.network.factory import choose_addresses, new_nic
from simulator.state.latency import nic_latency_s
from simulator.state.ledger import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.core.faults import Ends, Hangs
    from simulator.core.wire import Json
    from simulator.state.state import State


def accept_put(
    state: State, nic_id: str, doc: NicDoc, *, who: str, delay_s: float, fault: Ends | Hangs | None
) -> tuple[Nic, Operation, bool, bool]:
    """Apply a PUT that has passed all checks.

    delay_s: the duration of the PUT call itself; the operation starts after it. fault: how the operation ends.
    Returns the NIC, the operation, whether the NIC is new, and whether the operation is asynchronous.
    """
    doc = with_addresses(doc, choose_addresses(state, doc))
    nic = state.resources.nics.get(nic_id.lower())
    created = nic is None
    if nic is None:
        nic = new_nic(state, nic_id, doc)
        before = replace(doc, configs=(), facts=())
    else:
        before = nic.doc
        if nic.state != "Updating":
            nic.stable = nic.doc
        nic.doc, nic.etag = doc, state.ids.etag()
    asynchronous = fault is not None or _is_asynchronous(state, nic, before, created=created)
    seconds, ending = _plan(state, nic) if asynchronous else (0.0, "succeeded")
    operation = operations.start(state, "PutNicOperation", "nic", nic, seconds + delay_s, ending)
    operations.apply_fault(state, operation, fault)
    operations.supersede(state, nic, operation)
    nic.last_operation = "PutNicOperation"
    _move_paths(state, nic, before, doc, operation)
    state.ledger.claim(nic, doc.facts)
    if not asynchronous:
        operations.finish(state, operation, "Succeeded")
        nic.state = "Succeeded"
        _let_go(state, nic, (before, nic.stable))
        nic.stable = doc
        state.record(nic, "put", who, operation.id)
        return nic, operation, created, False
    nic.state, nic.operation = "Updating", operation
    if state.switches.released_at == "acceptance":
        state.ledger.keep_only(nic, doc.facts)
    state.record(nic, "put", who, operation.id)
    nic_now = nic
    state.clock.later(operation.ends_at, lambda: end_operation(state, nic_now, operation))
    return nic, operation, created, True


def _is_asynchronous(state: State, nic: Nic, before: NicDoc, *, created: bool) -> bool:
    if nic.vm is not None and operations.vm_state(state, nic.vm) != "deallocated":
        return True
    if any(balancing.is_slow(state, doc) for doc in (nic.doc, before)):
        return True
    return not created and bool(balancing.security_groups(nic.doc) - balancing.security_groups(before))


def _plan(state: State, nic: Nic) -> tuple[float, str]:
    """How long the NIC operation will take, and how it will end."""
    switches = state.switches
    ending = switches.operation_end
    if ending != "succeeded" and switches.operation_end_rate < 1.0:
        ending = ending if state.faults.rng.random() < switches.operation_end_rate else "succeeded"
    machine = operations.vm_state(state, nic.vm) if nic.vm is not None else "deallocated"
    if machine == "deallocated":
        return switches.latency_balancer_s, ending
    if machine == "zone-dead-b":
        return switches.latency_fabric_timeout_s, "failed-kept"
    if machine == "zone-dead-c":
        return switches.latency_slow_zone_s, ending
    seconds = nic_latency_s(switches.latency_of.get(nic.name, switches.latency), state.latency_rng)
    return (min(seconds, 2.0), "not-allowed") if machine == "deleting" else (seconds, ending)


def end_operation(state: State, nic: Nic, operation: Operation) -> None:
    """End the NIC's operation as planned, unless another one has superseded it."""
    if operation.status != "InProgress" or nic.operation is not operation:
        return
    new, stable = nic.doc, nic.stable
    ending = operation.ending
    if ending in ("failed-rolled-back", "canceled") and _someone_took(state, nic, stable):
        ending = "failed-kept"
    if ending in ("failed-rolled-back", "canceled"):
        _move_paths(state, nic, new, stable, operation)
        state.ledger.claim(nic, stable.facts)
        nic.doc = stable
    nic.operation, nic.etag = None, state.ids.etag()
    nic.state = "Succeeded" if ending in ("succeeded", "gone", "canceled") else "Failed"
    _fail_or_succeed(state, operation, nic, ending)
    _let_go(state, nic, (new, stable))
    nic.stable = nic.doc
    causes = {
        "succeeded": "completed",
        "gone": "completed",
        "failed-rolled-back": "rolled-back",
        "canceled": "canceled",
    }
    state.record(nic, causes.get(ending, "failed"), "", operation.id)
    if state.switches.busy_after_completion_s > 0:
        for subnet in {f.subnet for f in (*new.facts, *stable.facts)}:
            operations.mark_busy(state, subnet, state.switches.busy_after_completion_s)


def _fail_or_succeed(state: State, operation: Operation, nic: Nic, ending: str) -> None:
    if ending in ("succeeded", "gone"):
        operations.finish(state, operation, "Succeeded")
        return
    words: dict[str, object] = {
        "vm_name": nic.vm.name if nic.vm else "",
        "operation": operation.name,
        "operation_id": operation.id,
        "last_operation": "PutNicOperation",
        "later_id": state.ids.guid(),
    }
    operations.end_badly(state, operation, ending, words)


def _someone_took(state: State, nic: Nic, doc: NicDoc) -> bool:
    keys = (key for fact in doc.facts for key in keys_of(fact))
    return any(state.ledger.foreign_holder(key, nic.key) for key in keys)


def _let_go(state: State, nic: Nic, earlier: Iterable[NicDoc]) -> None:
    """Free what the NIC no longer shows, and update the public IPs concerned."""
    state.ledger.keep_only(nic, nic.doc.facts)
    docs = (nic.doc, *earlier)
    show_public_ips(state, {fact.pip for doc in docs for fact in doc.facts if fact.pip})


def show_public_ips(state: State, keys: Iterable[str]) -> None:
    """Update the `ipConfiguration` of these public IPs. A change gives the public IP a new etag, although no client put it."""
    for key in sorted(keys):
        pip, held = state.resources.pips.get(key), state.ledger.holder(key)
        if pip is None:
            continue
        settled = held is not None and held[0].operation is None
        shown = f"{held[0].id}/ipConfigurations/{held[1]}" if held is not None and settled else ""
        if shown != pip.shown_holder:
            pip.shown_holder, pip.etag = shown, state.ids.etag()


def _move_paths(state: State, nic: Nic, old: NicDoc, new: NicDoc, operation: Operation) -> None:
    switches = state.switches
    if switches.data_path == "never":
        return
    if switches.data_path == "before-completion":
        at = min(state.clock.at + switches.data_path_s, max(operation.ends_at, state.clock.at))
    else:
        at = max(operation.ends_at, state.clock.at) + switches.data_path_s
    before, after = {f.address for f in old.facts if f.address}, {f.address for f in new.facts if f.address}
    for address in sorted(before - after):
        state.paths.leaves(address, nic.name, at)
    for address in sorted(after - before):
        state.paths.leads(address, nic.name, at)


def accept_delete(state: State, nic: Nic, who: str, fault: Ends | Hangs | None) -> Operation:
    """Apply a DELETE that has passed all checks. The NIC keeps its addresses until the operation ends."""
    operation = operations.start(state, "DeleteNicOperation", "delete", nic, state.switches.latency_delete_s)
    operations.apply_fault(state, operation, fault)
    operations.supersede(state, nic, operation)
    nic.state, nic.operation = "Deleting", operation
    state.record(nic, "deleting", who, operation.id)

    def end() -> None:
        if operation.status == "InProgress":
            operations.finish(state, operation, "Succeeded")
            pips = {f.pip for doc in (nic.doc, nic.stable) for f in doc.facts if f.pip}
            nic.doc = replace(nic.doc, configs=(), facts=(), references=())
            state.ledger.keep_only(nic, ())
            state.resources.nics.pop(nic.key, None)
            show_public_ips(state, pips)
            state.record(nic, "deleted", "", operation.id)

    state.clock.later(operation.ends_at, end)
    return operation


def stranger_writes(state: State, nic: Nic, what: str, *, address: str = "", who: str = "stranger") -> None:
    """A write by another client that completes at once. Raises ValueError for an unknown `what`."""
    state.clock.settle()
    doc = nic.doc
    match what:
        case "bumps-etag":
            pass
        case "changes-tag":
            tags = {**doc.top.get("tags", {}), "touched": f"{who} {len(state.records.states)}"}
            doc = replace(doc, top={**doc.top, "tags": tags})
        case "adds-config":
            doc = _with_config(doc, f"stranger{len(state.records.states)}", "")
        case "takes-address":
            doc = _with_config(doc, f"stranger{len(state.records.states)}", address)
        case "drops-config":
            doc = _without_secondaries(doc)
        case _:
            raise ValueError(f"a stranger cannot do {what!r}")
    doc = with_addresses(doc, choose_addresses(state, doc))
    for fact in doc.facts:
        for key in keys_of(fact):
            if state.ledger.foreign_holder(key, nic.key):
                return  # Azure would refuse this write
    before, stable, nic.doc, nic.etag = nic.doc, nic.stable, doc, state.ids.etag()
    state.ledger.claim(nic, doc.facts)
    if nic.operation is None:
        nic.stable = doc
        _let_go(state, nic, (before, stable))
    state.record(nic, "stranger", who)
    now = operations.instant(state, nic)
    _move_paths(state, nic, before, doc, now)


def _with_config(doc: NicDoc, name: str, address: str) -> NicDoc:
    first, fact = doc.configs[0], doc.facts[0]
    properties = {
        "privateIPAllocationMethod": "Static" if address else "Dynamic",
        "privateIPAddressVersion": "IPv4",
        "primary": False,
    }
    if "subnet" in first.properties:
        properties["subnet"] = first.properties["subnet"]
    if address:
        properties["privateIPAddress"] = address
    added = ConfigFacts(name, fact.subnet, address, "", primary=False)
    return replace(doc, configs=(*doc.configs, ConfigDoc(name, {}, properties)), facts=(*doc.facts, added))


def _without_secondaries(doc: NicDoc) -> NicDoc:
    kept = [i for i, fact in enumerate(doc.facts) if fact.primary]
    return replace(doc, configs=tuple(doc.configs[i] for i in kept), facts=tuple(doc.facts[i] for i in kept))


def replace_tags(state: State, nic: Nic, tags: Json, who: str) -> None:
    """Replace the NIC's tags at once, without affecting its operation (UpdateTags)."""
    top = {k: v for k, v in nic.doc.top.items() if k != "tags"}
    nic.doc = replace(nic.doc, top={**top, "tags": tags})
    if nic.operation is None:
        nic.stable = nic.doc
    nic.etag = state.ids.etag()
    state.record(nic, "put", who)


def change_content(state: State, nic: Nic, doc: NicDoc) -> None:
    """Replace the NIC's content at the end of a move. The caller updates the ledger."""
    before, nic.doc = nic.doc, doc
    _move_paths(state, nic, before, doc, operations.instant(state, nic))
