"""`GET /mirrors` and `GET /mirrors/{mirror}`: what is stored of a mirror and what its NICs show. Nothing here writes anything."""

import asyncio
from functools import partial

from vipcore import instants
from vipcore.arm import nic
from vipcore.decision import document
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.glances import GLANCE_S_MAX
from vipcore.entry import freezes
from vipcore.ledger.head import Head
from vipcore.model import Json, Member, Missing, Nic, Unreadable
from vipcore.swap import plan, preflight
from vipcore.swap.plan import Observed


async def mirrors(controller: Controller) -> Json:
    """`GET /mirrors`: all of them, from the heads alone. Raises Refusal."""
    config = controller.config
    config.check_usable()
    with storage_needed():
        heads = await controller.ledger.load_heads(sorted(config.mirrors))
    listed = [_head_view(controller, head) for head in heads.values()]
    listed += [{"mirror": name, "fault": "its head row is damaged"} for name in config.mirrors if name not in heads]
    listed += [{"mirror": name, "fault": "; ".join(str(fault) for fault in faults[:5])} for name, faults in config.faulty.items()]
    return {"mirrors": sorted(listed, key=lambda item: str(item["mirror"]))}


def _head_view(controller: Controller, head: Head) -> Json:
    """What the head alone tells."""
    now = controller.clock.now()
    shown: Json = {
        "mirror": head.mirror,
        "desired": head.desired,
        "epoch": head.epoch,
        "frozen": freezes.view(head, now),
        "in_progress": None,
        "pending": None,
        "drift": head.drift,
        "last_swap": None,
    }
    if swap := head.swap:
        shown["in_progress"] = {
            "operation_id": swap.operation_id,
            "to": head.desired,
            "from": swap.from_member,
            "since": instants.to_text(swap.started_at),
            "driven": head.lease_live(now),
            "failures": swap.failures,
        }
    if claim := head.recorded_claim:
        recorded_at = instants.to_text(claim.recorded_at)
        shown["pending"] = {"member": claim.member, "claim_id": claim.claim_id, "code": claim.code, "recorded_at": recorded_at}
    if last := head.last_swap:
        shown["last_swap"] = {
            "operation_id": last.operation_id,
            "from": last.from_member,
            "to": last.to,
            "at": instants.to_text(last.at),
            "total_ms": last.total_ms,
            "phases": [{"name": name, "ms": ms} for name, ms in last.phases],
        }
    return shown


async def mirror(controller: Controller, name: str) -> Json:
    """`GET /mirrors/{mirror}`: the head, and the placement from a fresh read of all its NICs. Raises Refusal."""
    found = controller.mirror(name)
    head = await controller.load_head(name)
    observed = await document.read_known(partial(controller.glances.of, head), found, head)
    seen = observed.placement()
    writing = preflight.may_be_writing(head, controller.clock.now())
    members = await asyncio.gather(*(_member_view(controller, member, observed, writing=writing) for member in found.members))
    return {
        **_head_view(controller, head),
        "placement": {"state": seen.state.value, "members": list(seen.members)},
        "members": list(members),
    }


async def _member_view(controller: Controller, member: Member, observed: Observed, *, writing: bool) -> Json:
    observation = observed[member.name]
    ready, reasons, age_s = await _readiness(controller, member, observed, writing=writing)
    shown, unread = observation if isinstance(observation, Nic) else None, isinstance(observation, Unreadable)
    if why := controller.probes.unread.get(member.status_url or ""):
        reasons = [*reasons, f"its status page could not be read: {why}"]
    return {
        "name": member.name,
        "nic": member.nic_id,
        "provisioning_state": shown.state if shown else None,
        "vips": None if unread else [vip.name for vip in observed.mirror.vips if shown and nic.carries(shown.document, vip)],
        "ready": ready,
        "reasons": reasons,
        "checked_at": instants.to_text(controller.clock.now() - instants.seconds(age_s)),
    }


async def _readiness(
    controller: Controller, member: Member, observed: Observed, *, writing: bool
) -> tuple[bool | None, list[str], float]:
    """Whether the VIP could move to this member now, as far as reads can tell; why not; and how old the oldest reading is."""
    observation = observed[member.name]
    if isinstance(observation, Unreadable):
        return None, [f"the NIC could not be read: {str(observation.error)[:300]}"], 0.0
    if isinstance(observation, Missing):
        return False, ["the NIC does not exist"], 0.0
    planned = observed.plan(member.name)
    if isinstance(planned, plan.Blocked):
        return (None if planned.unread else False), [planned.reason], 0.0
    try:
        async with asyncio.timeout(GLANCE_S_MAX):
            cache, within_s = controller.preflight_cache, preflight.FRESH_S
            checks = await preflight.check(cache, observed.mirror, observed, member.name, within_s=within_s, writing=writing)
    except TimeoutError:
        return None, [f"what a swap needs could not be looked at within {GLANCE_S_MAX:g} s"], 0.0
    wrong = [f"{check.name}: {check.detail}" for check in checks if check.ok is False]
    unsure = [f"{check.name}: {check.detail}" for check in checks if check.ok is None]
    return not wrong, [*wrong, *unsure], max((check.age_s for check in checks), default=0.0)
