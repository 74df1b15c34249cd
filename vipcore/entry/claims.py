"""From a request's bytes to its answer: verify, in the contract's order (section 6), then `decide`; and the operators' moves.

Until the signature is verified nothing is read from the table and nothing is written to it: a flood without a key costs an HMAC.
From then on a refusal is written into the trail of the key's own mirror, so nothing is learnt about others.
"""

from collections.abc import Mapping
from typing import Any

from vipcore.decision import rules
from vipcore.decision.controller import Controller, storage_unavailable
from vipcore.decision.decide import carry_out
from vipcore.decision.freeze import view as frozen_view
from vipcore.decision.judge import refuse
from vipcore.decision.request import Request
from vipcore.entry import bodies, signatures
from vipcore.errors import Refusal, Unreachable
from vipcore.model import Claim, Key, Mirror, Move, Outcome, Page
from vipcore.swap import plan, preflight

Answer = dict[str, Any]


async def claim(controller: Controller, http_request: signatures.HttpRequest, mirror_name: str, correlation_id: str) -> Answer:
    """`POST /mirrors/{mirror}/claims`. Raises Refusal."""
    controller.config.check_usable()
    arrived = controller.clock.now()
    bodies.check_size(http_request.body)
    try:
        signed = signatures.verify(http_request, controller.config.keys)
        signed.check_fresh(arrived, controller.config.clock_skew_s)
    except Refusal as refusal:
        await controller.count_failure(refusal.code)
        raise
    key = signed.key
    controller.rates.take(key.key_id)
    try:
        asked = bodies.claim(http_request.body, signed, arrived)
        _check_addressed(key, asked, mirror_name)
    except Refusal as refusal:
        if not bodies.is_dry_run(http_request.body):
            await _refuse_unread(controller, key, refusal, correlation_id)
        raise
    mirror = controller.mirror(asked.mirror)
    if asked.dry_run:
        return await _planned(controller, asked)
    request = Request(
        mirror=mirror,
        member=asked.member,
        began=asked.began,
        actor=f"key:{key.key_id}",
        correlation_id=correlation_id,
        claim=asked,
    )
    return outcome_view(await carry_out(controller, request))


def _check_addressed(key: Key, asked: Claim, mirror_name: str) -> None:
    """A key speaks for its own member of its own mirror (promise 6). Raises Refusal `key-not-for-member`."""
    if (asked.mirror, asked.member) != (key.mirror, key.member) or mirror_name != key.mirror:
        raise Refusal("key-not-for-member", f"Key {key.key_id} is not for the mirror and member that this request names.")


async def _refuse_unread(controller: Controller, key: Key, refusal: Refusal, correlation_id: str) -> None:
    """Write down, in the key's own mirror, a claim that never got as far as its mirror's rules."""
    mirror = controller.config.mirrors.get(key.mirror)
    if mirror is None:
        return
    now = controller.clock.now()
    unread = Claim(mirror=key.mirror, member=key.member, claim_id="", key_id=key.key_id, issued_at=now, began=now, event="manual")
    request = Request(
        mirror=mirror, member=key.member, began=now, actor=f"key:{key.key_id}", correlation_id=correlation_id, claim=unread
    )
    try:
        head = await controller.ledger.load_head(mirror.name)
        await refuse(controller, request, head, rules.Deny(code=refusal.code, detail=refusal.detail))
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc


async def _planned(controller: Controller, asked: Claim) -> Answer:
    """A claim's dry run: verified like any other, spends nothing, reads the head alone."""
    head = await controller.load_head(asked.mirror)
    if deny := rules.replayed(head, asked):
        await controller.count_failure(deny.code)
        raise Refusal(deny.code, deny.detail)
    in_progress = {"operation_id": head.swap.operation_id, "to": head.desired} if head.swap else None
    return {
        "outcome": "planned",
        "desired": head.desired,
        "epoch": head.epoch,
        "frozen": frozen_view(head, controller.clock.now()),
        "in_progress": in_progress,
    }


async def move(controller: Controller, mirror_name: str, body: bytes, correlation_id: str) -> Answer:
    """`POST /mirrors/{mirror}/moves`. Raises Refusal."""
    mirror = controller.mirror(mirror_name)
    asked = bodies.move(mirror_name, body, controller.clock.now())
    if mirror.member(asked.to) is None:
        known = ", ".join(member.name for member in mirror.members)
        raise Refusal("member-unknown", f"Mirror {mirror.name} has no member of that name; it has {known}.")
    if asked.dry_run:
        return await _move_planned(controller, mirror, asked)
    request = Request(
        mirror=mirror,
        member=asked.to,
        began=asked.began,
        actor=f"operator:{asked.operator}",
        correlation_id=correlation_id,
        move=asked,
    )
    return outcome_view(await carry_out(controller, request))


async def _move_planned(controller: Controller, mirror: Mirror, asked: Move) -> Answer:
    """What a move would do, and what would stop it. Writes nothing."""
    head = await controller.load_head(mirror.name)
    observed = await controller.read_all(mirror)
    checks: list[Answer] = []
    stopped = rules.move_frozen(head, asked, controller.clock.now())
    checks.append({"name": "freeze", "ok": stopped is None, "detail": stopped.detail if stopped else "the mirror is not frozen"})
    if mirror.has_pages:
        checks.append(_pages_view(asked, mirror, await controller.pages(mirror)))
    found = plan.plan(mirror, observed, asked.to)
    if isinstance(found, plan.Blocked):
        checks.append({"name": "placement", "ok": False, "detail": plan.refusal(observed, found).detail})
        return {"outcome": "planned", "steps": [], "checks": checks}
    checks += [one.view() for one in await preflight.check(controller.arm, controller.readings, mirror, observed, asked.to)]
    steps = [_step_view(mirror, step) for step in found.steps]
    return {"outcome": "planned", "steps": steps, "checks": checks}


def _pages_view(asked: Move, mirror: Mirror, pages: Mapping[str, Page]) -> Answer:
    """What the status pages say of a move; `ok` None where one could not be read, which stops nothing."""
    said = rules.contradiction(mirror, asked.to, "NotifyBecomePrimary", pages)
    if said is not None:
        detail = said.detail if asked.force else rules.forcible(said).detail
        return {"name": "status pages", "ok": asked.force, "detail": detail}
    unread = [member.name for member in mirror.members if member.status_url and pages.get(member.name) is Page.UNKNOWN]
    if unread:
        return {
            "name": "status pages",
            "ok": None,
            "detail": f"the page of {', '.join(unread)} could not be read; it stops nothing",
        }
    return {"name": "status pages", "ok": True, "detail": "nothing against it"}


def _step_view(mirror: Mirror, step: plan.Step) -> Answer:
    member = mirror.member(step.member)
    return {
        "action": step.kind.value,
        "member": step.member,
        "nic": member.nic_id if member else "",
        "vips": list(step.vips),
    }


def outcome_view(outcome: Outcome) -> Answer:
    """An outcome as 200 answers it (contract section 6)."""
    return {
        "outcome": outcome.outcome,
        "mirror": outcome.mirror,
        "holder": outcome.holder,
        "epoch": outcome.epoch,
        "operation_id": outcome.operation_id,
        "from": outcome.from_member,
        "phases": [{"name": phase.name, "ms": phase.ms} for phase in outcome.phases],
        "total_ms": outcome.total_ms,
    }
