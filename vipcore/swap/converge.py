"""Look, plan, write, look again, until every VIP is on desired's NIC: the one loop behind claims, moves, retries and the timer.

Order of effects: the caller has committed decision, row and lease in one transaction. Detaches go out side by side; each answer
becomes a `nic.write` row before the next write starts; the attach goes out; a read after the last write shows the end state;
`swap.completed`, the last rows and the end of the lease are one transaction; only then is the request answered.

If we die anywhere, the head says that a swap is unfinished (`Head.swap`), which NICs may have a write of ours in flight
(`Swap.open`) and until when nobody else drives (`Head.lease`). Who takes over a lease that ran out first rewrites the NICs in
`open` under the etag of a fresh read, so that a late write fails, and then does what this module always does.

Overlap: Azure keeps a dropped address until the detach's operation ends, or, unknown to anybody here, lets go when it accepts
it (azure.md sections 13 and 17). `strategy: put` tries the attach at acceptance; `auto` does so where that has worked, and now
and then to find out; a refused try costs one write and no time.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from vipcore import instants
from vipcore.arm import nic
from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.rate_limit import prioritise
from vipcore.errors import AzureRefusal, Refusal, Unreachable
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, LastSwap
from vipcore.model import Missing, Nic, Unreadable
from vipcore.swap import one_call, plan, write
from vipcore.swap.driver import Driver, LostLease
from vipcore.swap.plan import Blocked, Kind, Plan, Step
from vipcore.swap.write import Written

REPAIRS_MAX: Final = 3
UNREAD_LOOKS_MAX: Final = 4
PATH_PROBE_S: Final = 3.0
EXPLORE_EVERY: Final = one_call.EXPLORE_EVERY
"""With `auto`, one swap in so many tries whether Azure has begun to let go at acceptance."""

BACKOFF_S_MAX: Final = 300.0
LATER_S: Final = 3600.0
LATER_WAIT_S_MAX: Final = 15.0
_T = TypeVar("_T")


async def converge(driver: Driver) -> Head:
    """Drive to the end and return the head that says so. The lease is released on every way out that leaves nothing in flight.

    Raises Refusal (what the request answers; the swap stays unfinished and is gone on with), LostLease, Unreachable.
    """
    prioritise()
    keeping = asyncio.ensure_future(driver.keep())
    try:
        await _to_the_end(driver)
        return await _complete(driver)
    except Refusal as refusal:
        await _failed(driver, refusal)
        raise
    except LostLease as lost:
        await _let_go(driver, lost.head)
        raise
    finally:
        driver.return_turns()
        # Not waited for: the heartbeat may be at a table that hangs, and the request's answer is due.
        ending = asyncio.ensure_future(_wind_up(driver, keeping))
        _LATER.add(ending)
        ending.add_done_callback(_LATER.discard)


async def _wind_up(driver: Driver, keeping: asyncio.Future[None]) -> None:
    """End the heartbeat, but not in the middle of a commit of its own, and write down what is left to write down."""
    async with driver.lock:
        keeping.cancel()
    _tell_the_rest(driver)
    if driver.drafts:
        await _write_down_later(driver)


async def _to_the_end(driver: Driver) -> None:
    tries: dict[str, int] = {}
    unread = 0
    while True:
        found = plan.plan(driver.mirror, driver.observed, driver.desired)
        if isinstance(found, Blocked):
            unread += 1
            await _blocked(driver, found, unread)
            continue
        plan.check_invariants(driver.mirror, found, driver.desired)
        written_by_plan = {step.member for step in found.steps}
        # A write of our own that may still come is fenced like one of a driver that died: nothing ends while it is unanswered.
        if lone := sorted((driver.fences | driver.unanswered) - written_by_plan):
            await _rewrite(driver, lone, tries)
        elif found.done and _proven(driver):
            return
        elif found.done:
            await write.read(driver, driver.desired)
        elif not found.steps:
            await write.settle(driver, driver.desired, within_s=float("inf"))
        else:
            await _carry_out(driver, found, tries)


def _proven(driver: Driver) -> bool:
    """Whether what is known of desired's NIC comes from a read that was sent after our last write was answered (promise 4)."""
    shown = driver.observed[driver.desired]
    return isinstance(shown, Nic) and shown.read_at >= driver.wrote_at


def _read_since_written(driver: Driver, member: str) -> bool:
    """Whether what is known of this NIC comes from a read, not from the answer to our write of it."""
    shown = driver.observed[member]
    return isinstance(shown, Nic) and shown.read_at >= 0


async def _all(*waits: Coroutine[Any, Any, _T]) -> list[_T]:
    """Side by side to the very end: an error of one is raised only when no other is under way any more."""
    results = await asyncio.gather(*waits, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def _blocked(driver: Driver, found: Blocked, times: int) -> None:
    """Look again at what could not be read, a few times; nothing else helps by itself."""
    first = next((driver.observed[name] for name in found.unread), None)
    error = first.error if isinstance(first, Unreadable) else None
    hopeless = isinstance(error, ArmError) and error.cause is Cause.DENIED
    if not found.unread or hopeless or times >= UNREAD_LOOKS_MAX:
        raise plan.refusal(driver.observed, found)
    wait = error.retry_after_s if isinstance(error, ArmError) and error.retry_after_s else 0.5 * times
    await driver.pause(wait)
    await write.read(driver, *found.unread)


async def _rewrite(driver: Driver, members: list[str], tries: dict[str, int]) -> None:
    """Rewrite NICs as they are, so that what a dead driver sent meets another etag."""
    for member in members:
        for _ in range(UNREAD_LOOKS_MAX):
            if isinstance(driver.observed[member], Unreadable):
                await driver.pause(0.5)
                await write.read(driver, member)
        if isinstance(driver.observed[member], Missing):
            driver.fences.discard(member)
            driver.unanswered.discard(member)
            continue
        if isinstance(driver.observed[member], Unreadable):
            _unfenced(driver, member)
            continue
        await write.settle(driver, member, within_s=write.SETTLE_HOLDER_S)
        written = await write.write(driver, Step(kind=Kind.FENCE, member=member), tries=tries)
        if written is not None:
            await write.finish(driver, written)
            await write.read(driver, member)


def _unfenced(driver: Driver, member: str) -> None:
    """What cannot be read cannot be rewritten: of a driver before us it is watched for, of our own it stays unanswered."""
    if member in driver.unanswered:
        raise AzureRefusal(
            "outcome-unknown",
            f"A write of the NIC of {member} got no answer, and the NIC cannot be read; it is rewritten when it can be.",
        )
    driver.remarks.append(f"The NIC of {member} could not be read; a late write of a driver that died is watched for.")
    driver.fences.discard(member)


async def _carry_out(driver: Driver, found: Plan, tries: dict[str, int]) -> None:
    """The plan's next write or writes. Returns early whenever something is not as it was planned for."""
    if not await _settled(driver, found):
        return
    if found.repair:
        await _repair(driver, found.repair, tries)
    elif not (one_call.fits(driver, found) and await one_call.move(driver, found)):
        await _one_by_one(driver, found, tries)


async def _one_by_one(driver: Driver, found: Plan, tries: dict[str, int]) -> None:
    """The detaches, and the attach as soon as Azure lets go of the addresses."""
    accepted = await _detach(driver, found, tries)
    if accepted is None:
        return
    pending = [written for written in accepted if written.pending]
    early: Written | None = None
    if found.attach and pending and _overlaps(driver):
        early = await _early(driver, found.attach, pending, tries)
    if not await _finish_all(driver, accepted):
        if early:
            await _finish_all(driver, [early])
        return
    if found.detaches:
        driver.mark("detach")
    if found.attach is None or (early is None and _has_everything(driver)):
        await write.read(driver, *(step.member for step in found.detaches))
        return
    await _attach(driver, found, early, tries)


async def _settled(driver: Driver, found: Plan) -> bool:
    """Wait for what others do to the NICs of the plan. Whether the plan is still the right one."""
    driver.mark("wait")
    for step in found.detaches:
        await write.settle(driver, step.member, within_s=write.SETTLE_HOLDER_S)
    # Also where only something is to be detached: an older look at a NIC that is `Updating` may show what it no longer has.
    await write.settle(driver, driver.desired, within_s=float("inf"))
    return plan.plan(driver.mirror, driver.observed, driver.desired) == found


async def _detach(driver: Driver, found: Plan, tries: dict[str, int]) -> list[Written] | None:
    """Send the detaches side by side. None where one was not accepted; the NICs were looked at again then."""
    await driver.take_turn(len(found.steps))
    driver.permits += len(found.steps)
    detaching = await _all(*(write.write(driver, step, tries=tries) for step in found.detaches))
    accepted = [written for written in detaching if written is not None]
    if len(accepted) == len(detaching):
        return accepted
    await _finish_all(driver, accepted)
    await write.read(driver, *(step.member for step in found.detaches))
    return None


def _has_everything(driver: Driver) -> bool:
    """Whether desired's NIC was seen to have what it needs: an early try may have taken effect although its answer was lost."""
    found = plan.plan(driver.mirror, driver.observed, driver.desired)
    return isinstance(found, Plan) and found.attach is None


async def _repair(driver: Driver, step: Step, tries: dict[str, int]) -> None:
    """Put desired's failed NIC back as it is; where that does not help a few times, the swap stops with everything in place."""
    written = await _attach_when_free(driver, step, tries)
    if written is None:
        return
    repaired = await write.finish(driver, written)
    driver.mark("repair")
    await write.read(driver, driver.desired)
    driver.repairs += 1
    if not repaired and driver.repairs >= REPAIRS_MAX:
        raise AzureRefusal(
            "azure-failed",
            f"The NIC of {driver.desired} is Failed, and putting it back as it is {REPAIRS_MAX} times did not repair it; "
            f"see what is wrong with it or its VM. The last answer: {driver.trouble.get(driver.desired)}",
        )


async def _attach(driver: Driver, found: Plan, early: Written | None, tries: dict[str, int]) -> None:
    """Write the attach, unless an early try was accepted, follow it, and read the NICs that were written."""
    assert found.attach is not None
    others = [step.member for step in found.detaches if not _read_since_written(driver, step.member)]
    # The reads that verify the detaches go out while Azure works on the attach.
    verifying = asyncio.ensure_future(write.read(driver, *others))
    try:
        written = early or await _attach_when_free(driver, found.attach, tries)
        if written is not None and await write.finish(driver, written):
            driver.mark("attach")
            await asyncio.gather(verifying, *(() if _proven(driver) else (write.read(driver, driver.desired),)))
            driver.mark("verify")
    finally:
        await asyncio.wait([verifying])


async def _attach_when_free(driver: Driver, step: Step, tries: dict[str, int]) -> Written | None:
    """Write the attach; where Azure says that a NIC of ours still has the address, wait or help it let go, and plan anew."""
    known = dict(driver.observed)
    try:
        return await write.write(driver, step, tries=tries)
    except ArmError as exc:
        holder = _member_named(driver, exc.holder)
        if holder is None or holder == driver.desired:
            raise exc.refusal() from exc
        before = known[holder]
        if isinstance(before, Nic) and before.state == plan.FAILED:
            # A failed operation may keep what the NIC no longer shows; putting the NIC again makes Azure let go.
            driver.fences.add(holder)
        await driver.pause(min(0.3 * 2 ** tries[step.member], 5.0) * (0.75 + 0.5 * driver.store.clock.jitter()))
        await write.read(driver, holder, driver.desired)
        await write.settle(driver, holder, within_s=float("inf"))
        return None


async def _early(driver: Driver, step: Step, pending: list[Written], tries: dict[str, int]) -> Written | None:
    """Try the attach while the detach is still at work. A refusal is the expected answer of an Azure that lets go at the end."""
    await driver.flush()
    try:
        written = await write.write(driver, step, tries=tries, early=True)
    except ArmError as exc:
        # The old wording names no resource (azure.md section 7); then it is most likely our own, which is being let go.
        if exc.holder and _member_named(driver, exc.holder) not in {item.step.member for item in pending}:
            raise exc.refusal() from exc
        driver.overlap_memory["release"] = "completion"
        tries[step.member] -= 1
        return None
    if written is not None:
        driver.overlap_memory["release"] = "acceptance"
    return written


def _overlaps(driver: Driver) -> bool:
    """Whether to try the attach before the detach has ended."""
    known = driver.head.overlap_memory
    if driver.mirror.strategy == "put" or known.get("release") == "acceptance":
        return True
    # The first swap of a mirror plays safe; the second finds out, and then one in EXPLORE_EVERY.
    swaps = int(known.get("swaps", 0))
    return swaps % EXPLORE_EVERY == 1


async def _finish_all(driver: Driver, written: list[Written]) -> bool:
    return all(await _all(*(write.finish(driver, item) for item in written)))


def _member_named(driver: Driver, resource_id: str | None) -> str | None:
    """The member whose NIC an id of an ip configuration lies below."""
    below = (resource_id or "").lower().split("/ipconfigurations/")[0]
    return next((m.name for m in driver.mirror.members if m.nic_id.lower() == below), None)


async def _complete(driver: Driver) -> Head:
    """Prove it, probe the path, and commit the end."""
    changed = _changed_otherwise(driver)
    path = await _probe(driver)
    total_ms = round((driver.now() - driver.began) * 1000)
    swap, refused = driver.head.swap, list(driver.refused)
    assert swap is not None
    last = LastSwap(
        operation_id=swap.operation_id,
        from_member=swap.from_member,
        to=driver.desired,
        at=driver.store.clock.now(),
        total_ms=total_ms,
        phases=tuple((phase.name, phase.ms) for phase in driver.phases),
    )
    sentences = [
        f"Every VIP is on the NIC of {driver.desired}, shown by a read after the last write.",
        *driver.remarks,
        *path,
    ]
    sentences += [f"The NIC of {member} also differs at {', '.join(where)[:200]}; not by our write." for member, where in changed]
    row = driver.row(
        "swap.completed",
        member=driver.desired,
        from_member=swap.from_member,
        arm_request_ids=driver.ids(),
        duration_ms=total_ms,
        outcome="moved",
        detail=" ".join(sentences),
    )
    rows = [row]
    if driver.closes:
        rows.append(driver.row(driver.closes, member=driver.desired, detail=f"The VIP is on the NIC of {driver.desired} again."))

    def change(head: Head) -> tuple[Head, list[Entry]]:
        driver.check_mine(head)
        swaps = int(head.overlap_memory.get("swaps", 0)) + 1
        overlap_memory: dict[str, Any] = {**head.overlap_memory, **driver.overlap_memory, "swaps": swaps}
        done = replace(driver.noted(head), swap=None, lease=None, last_swap=last, overlap_memory=overlap_memory, drift=None)
        return done, [*driver.drafts, *rows]

    try:
        stored = await driver.reached(lambda: driver.record(driver.head, change))
    except LostLease:
        driver.refused = refused  # the end is not ours to tell, the answers are
        raise
    # Where the answer to that commit was lost, `stored` may be a later head: what we completed is ours to tell all the same.
    return replace(stored, epoch=driver.head.epoch, last_swap=last)


def _changed_otherwise(driver: Driver) -> list[tuple[str, list[str]]]:
    """What differs on the NICs that were written besides our VIPs (promise 5)."""
    found = []
    for member, before in driver.before.items():
        shown = driver.observed[member]
        where = nic.differences(before, shown.document, driver.mirror.vips) if isinstance(shown, Nic) else []
        if where:
            driver.store.log("nic.differs", mirror=driver.mirror.name, member=member, where=",".join(where)[:500])
            found.append((member, where))
    return found


async def _probe(driver: Driver) -> list[str]:
    """The path probe as a phase of its own; it never undoes anything."""
    if driver.mirror.path_probe is None:
        return []
    within = min(PATH_PROBE_S, max(0.1, driver.deadline - driver.now()))
    took = await driver.probes.path(driver.mirror.path_probe, within_s=within)
    driver.mark("path")
    if took is None:
        return [f"The path probe {driver.mirror.path_probe} did not answer within {within:g} s."]
    return [f"The path probe answered after {round(took * 1000)} ms."]


async def _failed(driver: Driver, refusal: Refusal) -> None:
    """Say so in the trail, set the time of the next try, and release the lease if nothing of ours is in flight."""
    now = driver.store.clock.now()

    def change(head: Head) -> tuple[Head, list[Entry]]:
        driver.check_mine(head)
        assert head.swap is not None
        failures = head.swap.failures + 1
        backoff = min(5.0 * 2 ** min(failures - 1, 8), BACKOFF_S_MAX)
        swap = replace(head.swap, failures=failures, retry_at=now + instants.seconds(backoff))
        after = driver.noted(replace(head, swap=swap))
        if not driver.unanswered:
            # What a driver before us may have left is still to be rewritten by whoever comes next.
            left = replace(swap, open=tuple(sorted(driver.fences)))
            after = replace(after, lease=None, swap=left)
        return after, [*driver.drafts, row]

    swap, refused = driver.head.swap, list(driver.refused)
    row = driver.row(
        "swap.failed",
        member=driver.head.desired,
        from_member=swap.from_member if swap else None,
        duration_ms=round((driver.now() - driver.began) * 1000),
        arm_request_ids=driver.ids(),
        outcome=refusal.code,
        detail=" ".join([refusal.detail[:1000], *driver.remarks]),
    )
    try:
        await driver.record(driver.head, change)
    except LostLease as lost:
        driver.refused = refused  # the failure is not ours to tell any more, the answers are
        await _let_go(driver, lost.head)
    except Unreachable:
        driver.drafts.append(row)
        driver.store.log("swap.unrecorded", mirror=driver.mirror.name, code=refusal.code)


def _tell_the_rest(driver: Driver) -> None:
    """What no row of this driver has told yet, and no later one will: refusals, and writes no read has judged (promise 3)."""
    if driver.refused:
        detail = "Azure refused these writes; the swap went on under another decision or another driver."
        driver.drafts.append(driver.row("nic.write", arm_request_ids=driver.ids(), outcome="refused", detail=detail))
    for member, (step, _) in driver.untold.items():
        detail = (
            f"A write of the NIC of {member} ({step.kind.value}) got no answer; this driver let go before a read could tell more."
        )
        driver.drafts.append(driver.row("nic.write", member=member, outcome="unknown", detail=detail))
    driver.untold.clear()


async def _let_go(driver: Driver, head: Head) -> None:
    """Somebody else decides or drives now: write down what we did, and hand over a lease that is still ours."""
    _tell_the_rest(driver)
    try:
        await _handed_over(driver, head)
    except Unreachable:
        driver.store.log("lease.kept", mirror=driver.mirror.name, why="the table did not answer")


async def _handed_over(driver: Driver, head: Head) -> None:
    """Commit the waiting rows, and release the lease if it is ours and no write of ours may still land. Raises Unreachable."""

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.lease is None or newest.lease.owner != driver.owner:
            # Whoever judges now must not take a read of before our writes for a fresh one.
            return (replace(newest, wrote_at=driver.noted(newest).wrote_at) if driver.drafts else newest), driver.drafts
        after = driver.noted(newest)
        if after.swap is not None:
            left = tuple(sorted(driver.fences | driver.unanswered))
            after = replace(after, swap=replace(after.swap, open=left))
        return (after if driver.unanswered else replace(after, lease=None)), driver.drafts

    await driver.record(head, change)


_LATER: Final[set[asyncio.Task[None]]] = set()
"""What goes on after a request was answered, such as rows that wait for the table; the set keeps the tasks alive."""


async def _write_down_later(driver: Driver) -> None:
    """The table was away when the rows of writes that Azure answered had to be committed: they follow when it is back.

    Only the end of this process may lose them (promise 3).
    """
    wait, until = 1.0, driver.now() + LATER_S
    while driver.drafts and driver.now() < until:
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, LATER_WAIT_S_MAX)
        try:
            await _handed_over(driver, await driver.store.ledger.load_head(driver.mirror.name))
        except Unreachable:
            continue
