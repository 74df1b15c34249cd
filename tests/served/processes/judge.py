"""The promises, judged from outside: by what the simulated Azure and the table show, with an auditor's own reading of both."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EntityProperty, TableClient

from simulator.worlds import FleetMirror
from tests.served.processes.harness import TABLE, Harness, member, nic
from trail import chain

WINDOW_S: Final = 5.0
"""How long before a kill an answer may have come whose row was not committed; mostly it is milliseconds."""

Row = Mapping[str, Any]


@dataclass(slots=True)
class Found:
    """What the table and the simulated Azure show at the end."""

    heads: dict[str, Row] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    writes: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, set[str]] = field(default_factory=dict)
    """NIC -> addresses it shows last."""
    states: dict[str, str] = field(default_factory=dict)

    def events(self, mirror: str, event: str) -> list[dict[str, Any]]:
        """The rows of an event, oldest first."""
        return [row for row in self.rows.get(mirror, []) if row["Event"] == event]

    def count(self, event: str) -> int:
        """How many rows of an event all mirrors have."""
        return sum(len(self.events(mirror, event)) for mirror in self.rows)


def head(harness: Harness, mirror: FleetMirror) -> Row:
    """The mirror's head; empty if there is none."""
    with TableClient.from_connection_string(harness.connection, TABLE) as client:
        try:
            return dict(client.get_entity(mirror.name, "head"))
        except ResourceNotFoundError:
            return {}


def look(harness: Harness) -> Found:
    """Read everything: the whole table, the NICs' last states, the writes."""
    found = Found()
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with TableClient.from_connection_string(harness.connection, TABLE) as client:
        for entity in client.list_entities():
            plain = {name: value.value if isinstance(value, EntityProperty) else value for name, value in entity.items()}
            if plain["RowKey"] == "head":
                found.heads[plain["PartitionKey"]] = plain
            elif plain["RowKey"].startswith("audit-"):
                rows[plain["PartitionKey"]].append(plain)
    found.rows = {mirror: sorted(trail_rows, key=lambda row: int(row["Seq"])) for mirror, trail_rows in rows.items()}
    for state in harness.ask("GET", "states")["value"]:
        found.shown[state["nic"]] = {config["address"] for config in state["configs"]}
        found.states[state["nic"]] = state["state"]
    found.writes = harness.nic_writes()
    return found


def judge(
    harness: Harness,
    found: Found,
    *,
    last: Mapping[str, str],
    kills: Sequence[float] = (),
    mirrors: Sequence[FleetMirror] | None = None,
) -> list[str]:
    """Every violation, as a sentence. `last`: mirror -> the side that claimed last; `kills`: when an app was killed.

    `mirrors`: those that are judged; all if it is not given.
    """
    faults: list[str] = []
    judged = harness.mirrors if mirrors is None else mirrors
    for mirror in judged:
        faults += placed(mirror, found, last.get(mirror.name, "A"))
        faults += chained(mirror, found, harness.scale.settings.get("VIP_AUDIT_KEY", ""))
    faults += written(judged, found, kills)
    faults += healthy(harness)
    return faults


def healthy(harness: Harness) -> Iterator[str]:
    """No served app met a defect of its own."""
    for log in sorted(harness.folder.glob("app*.log")):
        # What asyncio says of connections that are open when the process ends is no defect.
        errors = (line for line in log.read_text(errors="replace").splitlines() if " ERROR " in line)
        lines = [line for line in errors if "asyncio Unclosed" not in line]
        if lines:
            yield f"I0 {log.name} has {len(lines)} errors, the first: {lines[0]}"


def takeovers_s(found: Found, kills: Sequence[float]) -> list[float]:
    """Seconds from a driver's death to the row of who took its swap over, for every lease that ran out."""
    took: list[float] = []
    for rows in found.rows.values():
        drove = [row for row in rows if row["Event"] in ("claim.accepted", "move.accepted", "swap.resumed")]
        for before, row in pairwise(drove):
            began, resumed = (datetime.fromisoformat(str(one["At"])).timestamp() for one in (before, row))
            died = max((kill for kill in kills if began < kill < resumed), default=None)
            if row["Event"] == "swap.resumed" and "ran out" in str(row["Detail"]) and died is not None:
                took.append(resumed - died)
    return sorted(took)


def placed(mirror: FleetMirror, found: Found, side: str) -> Iterator[str]:
    """I1: the VIP is on the NIC of who claimed last, on no other, and nothing is left to do."""
    on = [other for other in "AB" if mirror.private_ip in found.shown[nic(mirror, other)]]
    if on != [side]:
        yield f"I1 {mirror.name}: the VIP is on {on}, the last claim was for {side}"
    if found.states[nic(mirror, side)] != "Succeeded":
        yield f"I1 {mirror.name}: the NIC of {side} is {found.states[nic(mirror, side)]}"
    head = found.heads.get(mirror.name, {})
    if head and head.get("Desired") != member(mirror, side):
        yield f"I1 {mirror.name}: desired is {head.get('Desired')}, the last claim was for {side}"
    if json.loads(head.get("Swap") or "null"):
        yield f"I1 {mirror.name}: a swap is left unfinished"


def chained(mirror: FleetMirror, found: Found, audit_key: str) -> Iterator[str]:
    """I8: no gap, each hash covers the one before, the head names the last; and no operation is completed twice."""
    rows = found.rows.get(mirror.name, [])
    if wrong := chain.check(reversed(rows), chain.keys(base64.b64decode(audit_key))).fault:
        yield f"I8 {mirror.name}: {wrong}"
    head = found.heads.get(mirror.name)
    end = (rows[-1]["Seq"], rows[-1]["Hash"]) if rows else (0, chain.FIRST_PREVIOUS)
    if head and (head["Seq"], head["HeadHash"]) != end:
        yield f"I8 {mirror.name}: the head names row {head['Seq']}, the last is {end[0]}"
    completed = Counter(row["OperationId"] for row in found.events(mirror.name, "swap.completed"))
    for operation, times in completed.items():
        if times > 1:
            yield f"I4 {mirror.name}: swap {operation} was completed {times} times"
    epochs = [int(row["Epoch"]) for row in rows if row["Event"] == "claim.accepted"]
    if epochs != sorted(epochs):
        yield f"I2 {mirror.name}: the epochs of accepted claims fall: {epochs}"


def written(mirrors: Sequence[FleetMirror], found: Found, kills: Sequence[float]) -> Iterator[str]:
    """I3: each NIC write follows a row with its intent, and has a row with ARM's request id unless a kill hid its answer."""
    of_nic = {nic(mirror, side): mirror.name for mirror in mirrors for side in "AB"}
    named = {
        name: {part for row in rows for part in row.get("ArmRequestIds", "").split(",")} for name, rows in found.rows.items()
    }
    for write in found.writes:
        name = write["resource"].rsplit("/", 1)[-1].lower()
        mirror = of_nic.get(name)
        if mirror is None:
            continue
        if not any(_stated(row) <= write["at"] for row in found.events(mirror, "claim.accepted")):
            yield f"I3 {mirror}: the write of {name} at {write['at']:.3f} has no intent before it"
        if write["request_id"] not in named.get(mirror, set()) and not _hidden(write["at"], kills):
            yield f"I3 {mirror}: the write of {name} at {write['at']:.3f} has no row with its request id {write['request_id']}"


def unrowed(found: Found) -> int:
    """How many accepted writes have no row with their request id."""
    named = {part for rows in found.rows.values() for row in rows for part in row.get("ArmRequestIds", "").split(",")}
    return sum(write["request_id"] not in named for write in found.writes)


def _hidden(at: float, kills: Sequence[float]) -> bool:
    return any(at <= killed + 0.1 and killed - at <= WINDOW_S for killed in kills)


def _stated(row: Row) -> float:
    return datetime.fromisoformat(str(row["At"])).timestamp()
