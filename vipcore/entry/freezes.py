"""`PUT` and `DELETE /mirrors/{mirror}/freeze`: an operator stops the swaps of a mirror, and lets them go on.

A freeze lets an unfinished swap finish and starts no other.
"""

from collections.abc import Mapping
from dataclasses import replace

from vipcore import instants
from vipcore.decision import rules
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.reconcile import lift_freeze
from vipcore.entry import bodies
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Frozen, Head
from vipcore.model import Json


async def put(controller: Controller, mirror_name: str, body: bytes, correlation_id: str) -> Json:
    """Set the freeze, or replace the one that is set. Raises Refusal."""
    mirror = controller.mirror(mirror_name)
    reason, operator, until = bodies.freeze(body)
    with storage_needed():
        now = await controller.store.arrival()
    if until is not None and until <= now:
        raise Refusal("body-invalid", f"/until: lies in the past; it is {instants.to_text(now)} here.")
    caller = Caller(f"operator:{operator}", correlation_id)

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        at = newest.frozen.at if newest.frozen else now
        frozen = Frozen(reason=reason, operator=operator, at=at, until=until)
        ends = f"until {instants.to_text(until)}" if until else "until it is lifted"
        return replace(newest, frozen=frozen), [caller.entry("frozen", detail=f"Frozen {ends}. Reason: {reason}")]

    with storage_needed():
        head = await controller.ledger.load_head(mirror.name)
        await controller.ledger.put_work_item(mirror.name)  # for its end, and for the members' readiness
        head = await controller.store.commit(head, change)
    return {"mirror": mirror.name, "frozen": view(head, controller.clock.now())}


async def delete(controller: Controller, mirror_name: str, query: Mapping[str, str], correlation_id: str) -> Json:
    """Lift the freeze; a mirror that is not frozen stays as it is. Raises Refusal."""
    mirror = controller.mirror(mirror_name)
    reason, operator = (bodies.text(name, query.get(name)) for name in ("reason", "operator"))
    with storage_needed():
        head = await controller.ledger.load_head(mirror.name)
        if head.frozen is None:
            head = await controller.store.caught_up(head)  # a head that was lost may have lost its freeze
        if head.frozen is not None:
            await controller.ledger.put_work_item(mirror.name)
            head = await lift_freeze(controller, head, Caller(f"operator:{operator}", correlation_id), reason)
    return {"mirror": mirror.name, "frozen": view(head, controller.clock.now())}


def view(head: Head, now: Instant) -> Json | None:
    """`frozen` as status shows it; None too where its time is over, although the timer has not lifted it yet."""
    frozen = head.frozen
    if frozen is None or not rules.frozen(head, now):
        return None
    until = instants.to_text(frozen.until) if frozen.until else None
    return {"reason": frozen.reason, "operator": frozen.operator, "at": instants.to_text(frozen.at), "until": until}
