"""One call instead of two writes: the preview `moveIpConfigurations`, for mirrors whose strategy is `atomic`.

docs/facts/azure.md section 14 tells what is known of it. The call carries no etag, and nobody has published in which ways Azure
refuses it. So it is tried at most once in a drive, for a plain move from one holder, while no earlier write may still land.
Anything but success leaves the NICs to two writes, after a fresh read.
"""

from vipcore.arm import nic
from vipcore.arm.errors import ArmError, Cause
from vipcore.errors import NoReply, NotSent
from vipcore.model import Nic
from vipcore.swap.drive import Drive
from vipcore.swap.plan import SUCCEEDED, Kind, Plan, Step
from vipcore.swap.write import Written, finish, without_effect


async def move(drive: Drive, found: Plan) -> bool:
    """Try it, where the plan is a plain move that the strategy wants tried in one call.

    True: the NICs were read again and the loop plans anew; False: nothing happened, go on with two writes. Raises AzureRefusal at
    the deadline, LostLease, Unreachable.
    """
    nics = _nics_of_a_plain_move(drive, found)
    subnet_id = nic.subnet_of(nics[drive.desired].document) if nics else None
    if nics is None or subnet_id is None:
        return False
    drive.attempts.try_one_call()
    (holder, source), (desired, target) = nics.items()
    items = [(f"{source.id}/ipConfigurations/{v.name}", f"{target.id}/ipConfigurations/{v.name}") for v in drive.mirror.vips]
    await drive.hold_permits(1)
    with drive.attempts.permits.one() as permit:
        await drive.lease.check_before_write(*nics)
        for member, shown in nics.items():
            drive.in_flight.sent(member, shown.document)
        sent_at = drive.now()
        try:
            vnet_id = subnet_id[: subnet_id.lower().index("/subnets/")]
            reply = await drive.arm.move_in_one_call(vnet_id, items, (source, target), permit)
        except (ArmError, NotSent, NoReply) as exc:
            return await _not_accepted(drive, nics, exc, sent_at)
    for member in nics:
        drive.in_flight.accepted(member, drive.now())
    vips = ", ".join(vip.name for vip in drive.mirror.vips)
    step, operation = Step(kind=Kind.ATTACH, member=desired), reply.operation or reply.headers.get("location")
    pending, request_id = reply.status == 202, reply.request_id
    outcome = "accepted" if pending else "completed"
    detail = f"Azure {outcome} the move of {vips} from the NIC of {holder} to that of {desired} in one call."
    columns = {"member": desired, "from_member": holder}
    drive.report.add(drive.write_entry(outcome, detail, sent_at, request_id, **columns))
    await finish(drive, Written(step=step, operation=operation, request_id=request_id, pending=pending, sent_at=sent_at))
    await drive.read(*nics)
    drive.end_phase("move")
    return True


def _nics_of_a_plain_move(drive: Drive, found: Plan) -> dict[str, Nic] | None:
    """The holder's NIC and desired's, by member; None where the two writes are to be made."""
    mirror = drive.mirror
    if mirror.strategy != "atomic" or drive.attempts.one_call_tried or len(found.detaches) != 1 or found.attach is None:
        return None
    if drive.in_flight.late:
        # Only a write that carries an etag makes sure that one which may still land fails (I2).
        return None
    holder, desired = found.detaches[0].member, drive.desired
    source, target = drive.observed[holder], drive.observed[desired]
    if not isinstance(source, Nic) or not isinstance(target, Nic) or {source.state, target.state} != {SUCCEEDED}:
        return None
    plain = all(nic.carries(source.document, vip) and not nic.ours(target.document, [vip]) for vip in mirror.vips)
    return {holder: source, desired: target} if plain else None


async def _not_accepted(drive: Drive, nics: dict[str, Nic], exc: ArmError | NotSent | NoReply, sent_at: float) -> bool:
    """A refusal had no effect and says that this is not to be had here; a lost answer is settled by a read, if it can be."""
    holder, desired = nics
    columns = {"member": desired, "from_member": holder}
    request_id = exc.request_id if isinstance(exc, ArmError) else ""
    if without_effect(exc):
        for member in nics:
            drive.in_flight.refused(member)
        if isinstance(exc, ArmError):
            detail = f"Azure refused the move of the VIPs in one call: {exc}"
            drive.report.add(drive.write_entry("refused", detail, sent_at, request_id, **columns))
        if isinstance(exc, ArmError) and exc.cause in (Cause.THROTTLED, Cause.LOCKED):
            await drive.pause(exc.retry_after_s or 1.0)
            await drive.read(*nics)
            return True
        drive.log("one-call.refused", detail=f"Azure refused the move in one call; two writes follow: {exc}")
        return False
    for member in nics:
        drive.in_flight.lost(member)
    # The call may still come. The two writes that follow give both NICs another content and etag; what it does after that, the
    # watch for late writes finds (I2).
    await drive.pause(1.0)
    await drive.read(*nics)
    for member, shown in nics.items():
        again = drive.observed[member]
        if isinstance(again, Nic) and again.etag != shown.etag:
            drive.in_flight.settled(member, drive.now())
            await drive.wait_until_stable(member)
    detail = "A move of the VIPs in one call got no answer; both NICs were read again, and are written one by one where needed."
    drive.report.add(drive.write_entry("unknown", detail, sent_at, request_id, **columns))
    return True
