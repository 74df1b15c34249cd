"""`POST /mirrors/{mirror}/moves`: an operator moves the VIPs, or asks with `dry_run` what a move would do."""

import asyncio
from collections.abc import Mapping
from functools import partial

from vipcore.decision import document, rules
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.decide import carry_out
from vipcore.decision.glances import GLANCE_S_MAX
from vipcore.decision.request import Request
from vipcore.entry import bodies
from vipcore.errors import Refusal
from vipcore.ledger.audit import Caller
from vipcore.model import Json, Mirror, Move, Page
from vipcore.swap import plan, preflight
from vipcore.swap.plan import Kind


async def move(controller: Controller, mirror_name: str, body: bytes, correlation_id: str) -> Json:
    """The outcome of the move, or for a dry run what it would do. Raises Refusal."""
    mirror = controller.mirror(mirror_name)
    with storage_needed():
        arrived = await controller.store.arrival()
    asked = bodies.move(mirror_name, body, arrived)
    if mirror.member(asked.to) is None:
        known = ", ".join(member.name for member in mirror.members)
        raise Refusal("member-unknown", f"Mirror {mirror.name} has no member of that name; it has {known}.")
    if asked.dry_run:
        return await _planned(controller, mirror, asked)
    caller = Caller(f"operator:{asked.operator}", correlation_id)
    request = Request(mirror=mirror, member=asked.to, began=asked.began, caller=caller, move=asked)
    return (await carry_out(controller, request)).view()


async def _planned(controller: Controller, mirror: Mirror, asked: Move) -> Json:
    """What a move would do, and what would stop it. Writes nothing."""
    head = await controller.load_head(mirror.name)
    observed = await document.read_known(partial(controller.glances.of, head), mirror, head)
    mirror = observed.mirror
    observed.recall(head.carried)
    now = controller.clock.now()
    stopped = rules.move_frozen(head, asked, now)
    detail = stopped.detail if stopped else "the mirror is not frozen"
    checks: list[Json] = [{"name": "freeze", "ok": stopped is None, "detail": detail}]
    if mirror.has_pages:
        checks.append(_pages_view(asked, mirror, await controller.pages(mirror), controller.probes.unread))
    found = observed.plan(asked.to)
    if isinstance(found, plan.Blocked):
        checks.append({"name": "placement", "ok": False, "detail": plan.refusal(observed, found).detail})
        return {"outcome": "planned", "steps": [], "checks": checks}
    cache, writing = controller.preflight_cache, preflight.may_be_writing(head, now)
    try:
        async with asyncio.timeout(GLANCE_S_MAX):
            looks = preflight.check(cache, mirror, observed, asked.to, within_s=preflight.FRESH_S, writing=writing)
            preflighted = await looks
    except TimeoutError:
        late = f"what a swap needs could not be looked at within {GLANCE_S_MAX:g} s, as reads for a dry run give way to swaps"
        preflighted = [preflight.Check(ok=None, detail=late, name="preflight")]
    steps: list[Json] = [
        {"action": step.kind.value, "member": step.member, "nic": mirror.nic_id(step.member), "vips": list(step.vips)}
        for step in found.steps
    ]
    carried = {vip.name: sorted(observed.carried.get(vip.private_ip, ())) for vip in mirror.vips}
    for step in steps:
        if step["action"] == Kind.ATTACH.value:
            step["carried"] = {name: carried[name] for name in found.attach.vips} if found.attach else {}
    return {"outcome": "planned", "steps": steps, "checks": [*checks, *(check.view() for check in preflighted)]}


def _pages_view(asked: Move, mirror: Mirror, pages: Mapping[str, Page], unread: Mapping[str, str]) -> Json:
    """What the status pages say of a move; `ok` None where one could not be read, which stops nothing. `unread`: URL -> why."""
    if said := rules.contradiction(mirror, asked.to, "NotifyBecomePrimary", pages):
        detail = said.detail if asked.force else rules.forcible(said).detail
        return {"name": "status pages", "ok": asked.force, "detail": detail}
    silent = [member for member in mirror.members if member.status_url and pages.get(member.name) is Page.UNKNOWN]
    if silent:
        whys = {unread[url] for member in silent if (url := member.status_url or "") in unread}
        detail = f"the page of {', '.join(member.name for member in silent)} could not be read; it stops nothing"
        return {"name": "status pages", "ok": None, "detail": ": ".join([detail, *sorted(whys)])}
    return {"name": "status pages", "ok": True, "detail": "nothing against it"}
