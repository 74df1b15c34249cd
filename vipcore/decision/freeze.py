"""An operator's stop sign for one mirror: set it, lift it. A freeze lets an unfinished swap finish and starts no other."""

from collections.abc import Sequence
from dataclasses import replace

from vipcore import instants
from vipcore.decision.controller import Controller, storage_needed
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Frozen, Head
from vipcore.model import Mirror


async def freeze(
    controller: Controller, mirror: Mirror, *, reason: str, operator: str, until: Instant | None, correlation_id: str
) -> Head:
    """Set the freeze, or replace the one that is set. Raises Refusal."""
    now = await controller.arrival()
    if until is not None and until <= now:
        raise Refusal("body-invalid", f"/until: lies in the past; it is {instants.to_text(now)} here.")
    caller = Caller(f"operator:{operator}", correlation_id)

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        at = newest.frozen.at if newest.frozen else now
        frozen = Frozen(reason=reason, operator=operator, at=at, until=until)
        ends = f"until {instants.to_text(until)}" if until else "until it is lifted"
        return replace(newest, frozen=frozen), [caller.entry("frozen", detail=f"Frozen {ends}. Reason: {reason}")]

    with storage_needed():
        head = await controller.ledger.load_head(mirror.name)
        if until is not None:
            await controller.ledger.put_work_item(mirror.name)
        return await controller.store.commit(head, change)


async def unfreeze(controller: Controller, mirror: Mirror, *, reason: str, operator: str, correlation_id: str) -> Head:
    """Lift the freeze; a mirror that is not frozen stays as it is. Raises Refusal."""
    with storage_needed():
        head = await controller.ledger.load_head(mirror.name)
        if head.frozen is None:
            head = await controller.store.caught_up(head)  # a head that was lost may have lost its freeze
        if head.frozen is None:
            return head
        await controller.ledger.put_work_item(mirror.name)
        return await lift_freeze(controller, head, Caller(f"operator:{operator}", correlation_id), reason)


async def lift_freeze(controller: Controller, head: Head, caller: Caller, reason: str) -> Head:
    """The head without its freeze. The hour of a recorded claim goes on from where the freeze stopped it."""
    now = controller.clock.now()
    frozen = head.frozen

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        if newest.frozen is None or newest.frozen != frozen:
            return newest, []
        recorded = newest.recorded_claim
        if recorded is not None:
            stood_still = max(now - max(recorded.recorded_at, newest.frozen.at), instants.seconds(0))
            recorded = recorded._replace(recorded_at=recorded.recorded_at + stood_still)
        entry = caller.entry("unfrozen", detail=f"Unfrozen. Reason: {reason}")
        return replace(newest, frozen=None, recorded_claim=recorded), [entry]

    return await controller.store.commit(head, change)
