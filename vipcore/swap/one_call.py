"""One call instead of two writes: `moveIpConfigurations` (preview, azure.md section 14), where the subscription has it.

It carries no etag, and it is refused in ways that nobody has published; so it is tried at most once in a drive, for a plain
move from one holder while no earlier write may still come, and whatever comes of it but success leaves the NICs to the two
writes of converge.py, after a fresh look.
`auto` tries it for private addresses only, the third swap of a mirror first and then one in so many, and keeps to what worked.
"""

from typing import Final

from vipcore.arm import nic
from vipcore.arm.errors import ArmError, Cause
from vipcore.errors import NoReply, NotSent
from vipcore.model import Nic
from vipcore.swap import write
from vipcore.swap.driver import Driver
from vipcore.swap.plan import SUCCEEDED, Kind, Plan, Step
from vipcore.swap.write import Written

EXPLORE_EVERY: Final = 25


def fits(driver: Driver, found: Plan) -> bool:
    """Whether this plan is a plain move that the strategy wants tried in one call."""
    mirror, desired = driver.mirror, driver.desired
    if mirror.strategy == "put" or driver.moved_at_once or len(found.detaches) != 1 or found.attach is None:
        return False
    if driver.fences or driver.unanswered:
        # Only a write that carries an etag makes sure that one which may still come fails (promise 2).
        return False
    source, target = driver.observed[found.detaches[0].member], driver.observed[desired]
    if not isinstance(source, Nic) or not isinstance(target, Nic) or {source.state, target.state} != {SUCCEEDED}:
        return False
    if not all(nic.carries(source.document, vip) and not nic.named(target.document, vip.name) for vip in mirror.vips):
        return False
    if mirror.strategy == "atomic":
        return True
    known, swaps = driver.head.overlap_memory.get("atomic"), int(driver.head.overlap_memory.get("swaps", 0))
    private = all(vip.public_ip_id is None for vip in mirror.vips)
    return private and (known == "works" or swaps % EXPLORE_EVERY == 2)


async def move(driver: Driver, found: Plan) -> bool:
    """Try it. True: the NICs were looked at again and the loop plans anew; False: nothing happened, go on with two writes.

    Raises AzureRefusal at the deadline, LostLease, Unreachable.
    """
    holder, desired = found.detaches[0].member, driver.desired
    driver.moved_at_once = True
    source, target = driver.observed[holder], driver.observed[desired]
    subnet_id = nic.subnet_of(target.document) if isinstance(target, Nic) else None
    if not isinstance(source, Nic) or not isinstance(target, Nic) or subnet_id is None:
        return False
    items = [(f"{source.id}/ipConfigurations/{v.name}", f"{target.id}/ipConfigurations/{v.name}") for v in driver.mirror.vips]
    await driver.take_turn(1)
    await driver.fence(holder, desired)
    driver.before.setdefault(holder, source.document)
    driver.before.setdefault(desired, target.document)
    driver.fresh, sent_at = False, driver.now()
    driver.unanswered |= {holder, desired}
    try:
        accepted = await driver.arm.move(subnet_id[: subnet_id.lower().index("/subnets/")], items, (source, target))
    except (ArmError, NotSent, NoReply) as exc:
        return await _not_accepted(driver, holder, source, target, exc)
    driver.unanswered -= {holder, desired}
    driver.wrote_at = driver.now()
    detail = (
        f"Moved {', '.join(found.attach.vips if found.attach else ())} from the NIC of {holder} to that of {desired} in one call."
    )
    driver.drafts.append(
        driver.row(
            "nic.write",
            member=desired,
            from_member=holder,
            arm_request_ids=driver.ids(accepted.request_id),
            duration_ms=round((driver.now() - sent_at) * 1000),
            outcome="accepted",
            detail=detail,
        )
    )
    step = Step(kind=Kind.ATTACH, member=desired)
    written = Written(
        step=step, operation=accepted.operation, request_id=accepted.request_id, pending=accepted.pending, sent_at=sent_at
    )
    if await write.finish(driver, written):
        driver.overlap_memory["atomic"] = "works"
    await write.read(driver, holder, desired)
    driver.mark("move")
    return True


async def _not_accepted(driver: Driver, holder: str, source: Nic, target: Nic, exc: ArmError | NotSent | NoReply) -> bool:
    """A refusal had no effect and says that this is not to be had here; a lost answer is settled by a look, if it can be."""
    members = {holder, driver.desired}
    if isinstance(exc, ArmError) and exc.request_id:
        driver.refused.append(exc.request_id)
    if isinstance(exc, NotSent) or (isinstance(exc, ArmError) and exc.cause is not Cause.TRANSIENT):
        driver.unanswered -= members
        if isinstance(exc, ArmError) and exc.cause in (Cause.THROTTLED, Cause.LOCKED):
            await driver.pause(exc.retry_after_s or 1.0)
            await write.read(driver, *members)
            return True
        driver.overlap_memory["atomic"] = "refused"
        driver.store.log("move.refused", mirror=driver.mirror.name, why=str(exc)[:300])
        return False
    # The call may still come. The two writes that follow give both NICs another content and etag; what it does after that, the
    # watch over the mirror finds (promise 2).
    await driver.pause(1.0)
    await write.read(driver, *members)
    for member, shown in ((holder, source), (driver.desired, target)):
        again = driver.observed[member]
        if isinstance(again, Nic) and again.etag != shown.etag:
            driver.unanswered.discard(member)
            driver.wrote_at = driver.now()
            await write.settle(driver, member, within_s=float("inf"))
    detail = "A move of the VIPs in one call got no answer; both NICs were read again, and are written one by one where needed."
    driver.drafts.append(driver.row("nic.write", member=driver.desired, from_member=holder, outcome="unknown", detail=detail))
    return True
