"""Driving a swap, waiting for somebody else's, and taking over one whose driver is gone."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from vipcore import instants
from vipcore.decision import rules
from vipcore.decision.controller import Controller
from vipcore.decision.judge import check_first
from vipcore.decision.request import HeadChanged, Request
from vipcore.errors import Refusal
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head, Lease, Swap, watching
from vipcore.model import Observation, Outcome, Phase
from vipcore.swap import plan
from vipcore.swap.converge import converge
from vipcore.swap.driver import LEASE_MARGIN_S, LEASE_TTL_S, WATCH_S, Driver, LostLease


def resumed(request: Request, before: Head) -> list[Entry]:
    """The row that says that an unfinished swap changes hands."""
    assert before.swap is not None
    how = "its driver's lease ran out" if before.lease else "its driver had let go"
    return [
        request.draft(
            "swap.resumed",
            operation_id=before.swap.operation_id,
            from_member=before.swap.from_member,
            detail=f"The swap to {before.desired} of epoch {before.epoch} was unfinished; {how}.",
        )
    ]


def take_lease(driver: Driver, head: Head) -> Head:
    """The head with the lease in this driver's hand; one that ran out puts the mirror under the timer's eye."""
    now = driver.store.clock.now()
    if head.lease is not None:
        head = watching(head, head.swap.open if head.swap else (), now, now + instants.seconds(WATCH_S))
    return replace(head, lease=Lease(owner=driver.owner, until=now + instants.seconds(LEASE_TTL_S)))


def driver_for(controller: Controller, request: Request, head: Head, observed: dict[str, Observation]) -> Driver:
    """The driver of a head whose lease was just taken for this ask."""
    return Driver(
        store=controller.store,
        probes=controller.probes,
        arm=controller.arm,
        mirror=request.mirror,
        head=head,
        owner=f"{controller.instance}/{controller.clock.new_id()}",
        actor=request.actor,
        correlation_id=request.correlation_id,
        deadline=request.deadline,
        began=request.asked_at,
        marked=request.asked_at,
        observed=observed,
    )


async def drive(controller: Controller, request: Request, driver: Driver) -> Outcome:
    """Drive to the end; where another driver took over the same decision, wait for that one."""
    operation_id = driver.head.swap.operation_id if driver.head.swap else ""
    try:
        return _moved(request, await converge(driver))
    except Refusal as refusal:
        if refusal.code == "azure-denied":
            # What was read of rights lately is not so any more: the next try asks before it detaches anything.
            public_ids = {vip.public_ip_id for vip in request.mirror.vips if vip.public_ip_id}
            nics = {member.nic_id for member in request.mirror.members}
            controller.readings.forget({*nics, *public_ids, *controller.readings.referred.get(request.mirror.name, ())})
        raise
    except LostLease as lost:
        return await wait_for_swap(controller, request, replace(lost.head), operation_id, epoch=driver.head.epoch)


async def wait_for_swap(
    controller: Controller, request: Request, head: Head, operation_id: str, *, epoch: int | None = None
) -> Outcome:
    """Wait for the swap under way; take the lease over where it is free. Raises Refusal."""
    epoch = head.epoch if epoch is None else epoch
    loop = asyncio.get_running_loop()
    wait = 0.1
    while True:
        if head.epoch != epoch:
            raise Refusal(
                f"{request.kind}-superseded",
                f"Meanwhile epoch {head.epoch} made {head.desired} the one that holds the VIP.",
            )
        if head.swap is None:
            if head.last_swap is not None and head.last_swap.operation_id == operation_id:
                return _moved(request, head)
            # Confirmed by somebody else, or finished and followed by more for the same member: look for ourselves.
            raise HeadChanged(head)
        if not head.lease_live(controller.clock.now(), margin_s=LEASE_MARGIN_S):
            try:
                return await take_over(controller, request, head)
            except HeadChanged as overtaken:
                head = overtaken.head  # somebody else was first: what is waited for is still the same swap
                continue
        if loop.time() + wait >= request.deadline:
            raise Refusal("busy", "The swap under way has not finished within this request's time; try the same again.")
        await asyncio.sleep(wait * (0.75 + 0.5 * controller.clock.jitter()))
        wait = min(wait * 1.5, 1.0)
        head = await controller.load_head(request.mirror.name)


async def take_over(controller: Controller, request: Request, head: Head) -> Outcome:
    """The lease is free and the swap unfinished: drive it."""
    observed = await controller.read_all(request.mirror)
    found = plan.plan(request.mirror, observed, request.member)
    await check_first(controller, request, head, observed, found)
    driver = driver_for(controller, request, head, observed)

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        if newest.etag != head.etag or newest.swap is None:
            raise HeadChanged(newest)
        # A member that the document no longer has cannot be looked at; what is written there can no longer be ours.
        driver.fences = set(newest.swap.open) & set(observed)
        seen = plan.placement(request.mirror, observed).members
        swap = newest.swap if newest.swap.begun else replace(newest.swap, from_member=seen[0] if seen else None, begun=True)
        driver.head = newest = replace(newest, swap=swap)
        return driver.noted(take_lease(driver, newest)), resumed(request, newest)

    driver.contact = driver.now()
    driver.took(await controller.store.commit(head, change))
    driver.mark("accept")
    return await drive(controller, request, driver)


def _moved(request: Request, head: Head) -> Outcome:
    last = head.last_swap
    assert last is not None
    return Outcome(
        outcome="moved",
        mirror=request.mirror.name,
        holder=last.to,
        epoch=head.epoch,
        operation_id=last.operation_id,
        from_member=last.from_member,
        phases=tuple(Phase(name=name, ms=ms) for name, ms in last.phases),
        total_ms=last.total_ms,
    )


async def drive_anew(
    controller: Controller,
    request: Request,
    head: Head,
    observed: dict[str, Observation],
    *,
    event: str,
    detail: str,
    closes: str | None,
) -> Outcome:
    """Drive to the decision in force although no swap is unfinished: drift, or a late write of a driver that died.

    `event` and `detail` are the row that states the intent; `closes` the event that ends it besides `swap.completed`: None where
    it is an unfinished swap, which a freeze lets finish.
    """
    await check_first(controller, request, head, observed, plan.plan(request.mirror, observed, request.member))
    await controller.ledger.put_work_item(request.mirror.name)
    driver = driver_for(controller, request, head, observed)
    driver.closes = closes
    seen = plan.placement(request.mirror, observed)
    operation_id = controller.clock.new_id()

    def change(newest: Head) -> tuple[Head, Sequence[Entry]]:
        if newest.etag != head.etag or (closes and rules.frozen(newest, controller.clock.now())):
            raise HeadChanged(newest)
        from_member = seen.members[0] if seen.members else None
        now = controller.clock.now()
        swap = Swap(operation_id=operation_id, from_member=from_member, started_at=now, actor=request.actor, begun=True)
        driver.head = replace(newest, swap=swap)
        row = request.draft(event, operation_id=operation_id, from_member=from_member, detail=detail)
        return driver.noted(take_lease(driver, driver.head)), [row]

    driver.contact = driver.now()
    driver.took(await controller.store.commit(head, change))
    driver.mark("accept")
    return await drive(controller, request, driver)
