"""One NIC write, from the fence to the end of its operation, and what each way it can go wrong means.

A write that was refused had no effect. A write whose answer is lost (`NoReply`, a 5xx) may have had one: nothing is repeated
before a fresh look, and the NIC stays in `Driver.unanswered` until a look or an accepted write of ours settles it. An operation
that failed may have changed the NIC all the same (azure.md section 7): only a look tells.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from vipcore.arm import nic
from vipcore.arm.client import Accepted
from vipcore.arm.errors import ArmError, Cause
from vipcore.errors import AzureRefusal, NoReply, NotSent
from vipcore.model import Json, Nic
from vipcore.swap.driver import Driver
from vipcore.swap.plan import FAILED, SUCCEEDED, Kind, Step

TRIES_MAX: Final = 12
"""Writes of one NIC in one drive, whatever their fate: a bound on what a stubborn fault may cost."""

REMARKS_MAX: Final = 8
REFUSED_MAX: Final = 64
BESIDE_S: Final = 1.0
FRESH_S: Final = 15.0
"""A NIC read longer ago is read again before it is written, since If-Match on NICs is undocumented (azure.md section 5)."""

POLL_FAULTS_MAX: Final = 6
"""Looks at an operation in a row that led to nothing; then the NIC itself is looked at."""

SETTLE_HOLDER_S: Final = 30.0
"""How long an `Updating` NIC that is to lose the VIP is waited for; then our write supersedes what is at work there."""


@dataclass(slots=True, kw_only=True)
class Written:
    """A write that Azure accepted. `operation`: where to look for its end, None where it already ended or only the NIC tells."""

    step: Step
    operation: str | None
    request_id: str
    pending: bool
    sent_at: float


def document(driver: Driver, step: Step, shown: Nic) -> Json:
    """What the step's PUT carries: the NIC as it is, but for our VIPs."""
    match step.kind:
        case Kind.DETACH:
            return nic.detached(shown, step.vips)
        case Kind.ATTACH:
            return nic.attached(shown, driver.mirror.vips)
        case Kind.REPAIR | Kind.FENCE:
            return shown.document


async def read(driver: Driver, *members: str) -> None:
    """Read these members' NICs side by side."""
    ids = [next(m.nic_id for m in driver.mirror.members if m.name == name) for name in members]
    found = await asyncio.gather(*(driver.arm.read_nic(nic_id) for nic_id in ids))
    driver.observed.update(zip(members, found, strict=True))
    for name in members:
        if name in driver.untold and isinstance(driver.observed[name], Nic):
            _judge_unanswered(driver, *driver.untold.pop(name))


async def settle(driver: Driver, member: str, *, within_s: float) -> None:
    """Wait while the member's NIC is `Updating` by somebody else's operation, at most that long."""
    started = driver.now()
    subscription = driver.arm.subscription(_nic_id(driver, member))
    while isinstance(shown := driver.observed[member], Nic) and shown.state not in (SUCCEEDED, FAILED):
        elapsed = driver.now() - started
        if elapsed >= within_s:
            return
        await driver.pause(subscription.poll_after(elapsed, driver.store.clock.jitter()))
        await read(driver, member)


async def write(driver: Driver, step: Step, *, tries: dict[str, int], early: bool = False) -> Written | None:
    """Carry out one step. None: the NIC is to be looked at and planned for again (it was looked at already).

    `early`: while something else is at work; a lock or a throttle is then not waited for here.

    Raises AzureRefusal where an operator or time must help, ArmError with ADDRESS where another NIC holds the address,
    LostLease, Unreachable.
    """
    tries[step.member] = tries.get(step.member, 0) + 1
    if tries[step.member] > TRIES_MAX:
        raise _in_vain(driver, step.member)
    await driver.take_turn(1)
    shown = driver.observed[step.member]
    if not isinstance(shown, Nic) or driver.now() - shown.read_at > FRESH_S:
        await read(driver, step.member)
        again = driver.observed[step.member]
        if not isinstance(shown, Nic) or not isinstance(again, Nic) or again.etag != shown.etag:
            return None
        shown = again
    await driver.fence(step.member)
    driver.before.setdefault(step.member, shown.document)
    driver.fresh = False
    sent_at = driver.now()
    earlier = step.member in driver.unanswered
    driver.unanswered.add(step.member)
    try:
        accepted = await driver.arm.put(shown, document(driver, step, shown))
    except (ArmError, NotSent, NoReply) as exc:
        if isinstance(exc, ArmError) and exc.request_id and len(driver.refused) < REFUSED_MAX:
            driver.refused.append(exc.request_id)
        held_up = isinstance(exc, ArmError) and exc.cause in (Cause.THROTTLED, Cause.LOCKED)
        if held_up:
            # Not a write in vain: Azure asked us to wait, and the deadline bounds how long we do.
            tries[step.member] -= 1
        if not _without_effect(exc):
            driver.untold[step.member] = (step, shown)
        elif not earlier:
            driver.unanswered.discard(step.member)
        if not (early and held_up):
            await _not_accepted(driver, step, shown, exc)
        return None
    return _accepted(driver, step, accepted, sent_at)


def _without_effect(exc: ArmError | NotSent | NoReply) -> bool:
    """Whether the write certainly did nothing. That says nothing of an earlier one to the same NIC that is still unanswered."""
    return isinstance(exc, NotSent) or (isinstance(exc, ArmError) and exc.cause is not Cause.TRANSIENT)


def _accepted(driver: Driver, step: Step, accepted: Accepted, sent_at: float) -> Written:
    driver.unanswered.discard(step.member)
    driver.fences.discard(step.member)
    driver.wrote_at = driver.now()
    driver.observed[step.member] = accepted.nic
    pending = accepted.nic.state not in (SUCCEEDED, FAILED)
    driver.drafts.append(
        driver.row(
            "nic.write",
            member=step.member,
            arm_request_ids=driver.ids(accepted.request_id),
            duration_ms=round((driver.now() - sent_at) * 1000),
            outcome="accepted",
            detail=_SENTENCE[step.kind].format(vips=", ".join(step.vips), member=step.member),
        )
    )
    return Written(step=step, operation=accepted.operation, request_id=accepted.request_id, pending=pending, sent_at=sent_at)


_SENTENCE: Final = {
    Kind.DETACH: "Detached {vips} from the NIC of {member}.",
    Kind.ATTACH: "Attached {vips} to the NIC of {member}.",
    Kind.REPAIR: "Put the failed NIC of {member} back as it is, to repair it.",
    Kind.FENCE: "Rewrote the NIC of {member} as it was read, so that an earlier write without an answer fails if it still comes.",
}


async def _not_accepted(driver: Driver, step: Step, shown: Nic, exc: ArmError | NotSent | NoReply) -> None:
    """Judge a write that was not accepted: return to have it planned anew after a look, or raise."""
    driver.trouble[step.member] = exc
    if isinstance(exc, ArmError):
        driver.store.log("nic.refused", mirror=driver.mirror.name, member=step.member, code=exc.code, request=exc.request_id)
        match exc.cause:
            case Cause.ADDRESS if step.kind in (Kind.ATTACH, Kind.REPAIR):
                raise exc
            case Cause.ADDRESS | Cause.DENIED | Cause.FATAL | Cause.GONE:
                raise exc.refusal()
            case Cause.THROTTLED | Cause.LOCKED:
                wait = exc.retry_after_s if exc.retry_after_s is not None else 1.0 + driver.store.clock.jitter()
                if driver.now() + wait >= driver.deadline:
                    raise exc.refusal()
                await driver.pause(wait)
            case Cause.TOKEN | Cause.TRANSIENT:
                await driver.pause((exc.retry_after_s or 0.5) + driver.store.clock.jitter() * 0.5)
            case _:
                await driver.pause(0.05 * driver.store.clock.jitter())
    else:
        await driver.pause(0.2 + 0.3 * driver.store.clock.jitter())
    driver.untold.pop(step.member, None)
    await read(driver, step.member)
    if step.member in driver.unanswered:
        _judge_unanswered(driver, step, shown)


def _in_vain(driver: Driver, member: str) -> AzureRefusal:
    """The end of a drive whose writes of one NIC led to nothing, with the code of what went wrong last."""
    before = f"{TRIES_MAX} writes of the NIC of {member} did not bring it to the wanted state. "
    match driver.trouble.get(member):
        case ArmError(cause=Cause.TRANSIENT) | NoReply() as exc:
            return AzureRefusal("outcome-unknown", f"{before}The last one got no answer that tells whether it took effect: {exc}")
        case ArmError(cause=Cause.ETAG):
            who = "Somebody else changed the NIC between each read of ours and the write; find out who writes it."
            return AzureRefusal("busy", f"{before}{who}")
        case ArmError() as exc:
            refusal = exc.refusal()
            return AzureRefusal(refusal.code, f"{before}{refusal.detail}", retry_after_s=refusal.retry_after_s)
        case NotSent() as exc:
            return AzureRefusal("azure-failed", f"{before}Azure could not be reached: {exc}")
        case _:
            return AzureRefusal("azure-failed", before.rstrip())


def _judge_unanswered(driver: Driver, step: Step, shown: Nic) -> None:
    """What a fresh read says of a write whose answer is lost; the row says it where the ARM id cannot."""
    again = driver.observed[step.member]
    if not isinstance(again, Nic):
        driver.untold[step.member] = (step, shown)
        return
    landed = again.etag != shown.etag
    if landed:
        # One PUT lands once: with the etag moved, ours either took effect or can no longer pass If-Match.
        driver.unanswered.discard(step.member)
        driver.wrote_at = driver.now()
    found = "has changed since" if landed else "is still as it was; the write may come late"
    driver.drafts.append(
        driver.row(
            "nic.write",
            member=step.member,
            arm_request_ids=driver.ids(),
            outcome="unknown",
            detail=f"A write of the NIC of {step.member} ({step.kind.value}) got no answer; a fresh read found: the NIC {found}.",
        )
    )


_ENDS: Final = frozenset({Cause.FAILED, Cause.CANCELED, Cause.GONE, Cause.LOCKED, Cause.DENIED, Cause.FATAL})
"""Answers to a poll that say that the operation is over, or that it is of no use to ask again."""


async def finish(driver: Driver, written: Written) -> bool:
    """Follow the write's operation to its end. True: succeeded. False: it failed or was superseded; the NIC was looked at again.

    Raises AzureRefusal `busy` at the deadline, LostLease, Unreachable.
    """
    if not written.pending:
        return True
    await driver.flush()
    if written.operation is None:
        await settle(driver, written.step.member, within_s=float("inf"))
        return True
    nic_id = _nic_id(driver, written.step.member)
    subscription = driver.arm.subscription(nic_id)
    faults, observed, before_s = 0, 0, 0.0
    # An operation that ran beside another one that has ended may have ended too.
    waits = driver.now() - written.sent_at < BESIDE_S or subscription.reads_low(driver.now())
    with subscription.polling():
        while True:
            if waits:
                await driver.pause(subscription.poll_after(driver.now() - written.sent_at, driver.store.clock.jitter(), observed))
            waits = True
            elapsed = driver.now() - written.sent_at
            try:
                if subscription.reads_low(driver.now()) and written.step.vips:
                    ended = await _ended_by_its_nic(driver, written)
                else:
                    ended = True if await driver.arm.poll(nic_id, written.operation) else None
                if ended is not None:
                    subscription.poll_ended(elapsed, before_s)
                    return ended
                observed, faults, before_s = observed + 1, 0, elapsed
            except (ArmError, NotSent, NoReply) as exc:
                if isinstance(exc, ArmError) and exc.cause in _ENDS:
                    return await _ended_badly(driver, written, exc)
                faults += not (isinstance(exc, ArmError) and exc.cause is Cause.THROTTLED)
                if isinstance(exc, NotSent) or faults >= POLL_FAULTS_MAX:
                    # The operation's address is none that we ask, or has stopped answering: the NIC tells as well.
                    await read(driver, written.step.member)
                    await settle(driver, written.step.member, within_s=float("inf"))
                    return True


async def _ended_by_its_nic(driver: Driver, written: Written) -> bool | None:
    """One read instead of two where reads are scarce: a NIC that is `Succeeded` again tells of the end and what came of it.

    None: not ended. True: it shows what was written. False: it shows something else. Raises as `Arm.poll`.
    """
    member, vips = written.step.member, written.step.vips
    await read(driver, member)
    shown = driver.observed[member]
    if not isinstance(shown, Nic) or shown.state == FAILED:
        operation = written.operation or ""
        return True if await driver.arm.poll(_nic_id(driver, member), operation) else None
    if shown.state != SUCCEEDED:
        return None
    if written.step.kind is Kind.DETACH:
        return not any(nic.named(shown.document, vip) for vip in vips)
    return all(nic.carries(shown.document, vip) for vip in driver.mirror.vips if vip.name in vips)


async def _ended_badly(driver: Driver, written: Written, exc: ArmError) -> bool:
    # Its row stands already, one per write; what became of it is told by the row that ends the swap.
    member = written.step.member
    driver.trouble[member] = exc
    what = f"The operation {written.request_id} on the NIC of {member} ended with {exc.code}: {exc.message}"
    driver.store.log("operation.ended", mirror=driver.mirror.name, member=member, code=exc.code, request=written.request_id)
    if len(driver.remarks) < REMARKS_MAX:
        driver.remarks.append(what[:300])
    await read(driver, member)
    await settle(driver, member, within_s=float("inf"))
    return False


def _nic_id(driver: Driver, member: str) -> str:
    return next(m.nic_id for m in driver.mirror.members if m.name == member)
