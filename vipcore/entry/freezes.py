"""`PUT` and `DELETE /mirrors/{mirror}/freeze`: an operator stops the swaps of a mirror, and lets them go on."""

from collections.abc import Mapping

from vipcore import instants
from vipcore.decision.controller import Controller
from vipcore.decision.freeze import freeze, unfreeze
from vipcore.entry import bodies
from vipcore.instants import Instant
from vipcore.ledger.head import Head
from vipcore.model import Json


async def put(controller: Controller, mirror_name: str, body: bytes, correlation_id: str) -> Json:
    """Set the freeze, or replace the one that is set. Raises Refusal."""
    mirror = controller.mirror(mirror_name)
    reason, operator, until = bodies.freeze(body)
    head = await freeze(controller, mirror, reason=reason, operator=operator, until=until, correlation_id=correlation_id)
    return {"mirror": mirror.name, "frozen": view(head, controller.clock.now())}


async def delete(controller: Controller, mirror_name: str, query: Mapping[str, str], correlation_id: str) -> Json:
    """Lift the freeze, if there is one. Raises Refusal."""
    mirror = controller.mirror(mirror_name)
    reason, operator = (bodies.text(name, query.get(name)) for name in ("reason", "operator"))
    head = await unfreeze(controller, mirror, reason=reason, operator=operator, correlation_id=correlation_id)
    return {"mirror": mirror.name, "frozen": view(head, controller.clock.now())}


def view(head: Head, now: Instant) -> Json | None:
    """`frozen` as status shows it; None too where its time is over, although the timer has not lifted it yet."""
    frozen = head.frozen
    if frozen is None or (frozen.until is not None and frozen.until <= now):
        return None
    until = instants.to_text(frozen.until) if frozen.until else None
    return {"reason": frozen.reason, "operator": frozen.operator, "at": instants.to_text(frozen.at), "until": until}
