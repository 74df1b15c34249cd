"""`GET /mirrors` and `GET /mirrors/{mirror}`: what is stored of a mirror and what its NICs show. Nothing here writes anything."""

import asyncio
from collections.abc import Mapping

from vipcore import instants
from vipcore.arm import nic
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.glances import GLANCE_S_MAX
from vipcore.entry import freezes
from vipcore.ledger.head import Head
from vipcore.model import Json, Member, Mirror, Missing, Nic, Observation, Unreadable
from vipcore.swap import plan, preflight


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
    observed = await controller.glances.of(found, head)
    seen = observed.placement()
    members = await asyncio.gather(*(_member_view(controller, found, member, observed) for member in found.members))
    return {
        **_head_view(controller, head),
        "placement": {"state": seen.state.value, "members": list(seen.members)},
        "members": list(members),
    }


async def _member_view(controller: Controller, found: Mirror, member: Member, observed: Mapping[str, Observation]) -> Json:
    observation = observed[member.name]
    ready, reasons = await _readiness(controller, found, member, observed)
    shown, unread = observation if isinstance(observation, Nic) else None, isinstance(observation, Unreadable)
    return {
        "name": member.name,
        "nic": member.nic_id,
        "provisioning_state": shown.state if shown else None,
        "vips": None if unread else [vip.name for vip in found.vips if shown and nic.carries(shown.document, vip)],
        "ready": ready,
        "reasons": reasons,
    }


async def _readiness(
    controller: Controller, found: Mirror, member: Member, observed: Mapping[str, Observation]
) -> tuple[bool | None, list[str]]:
    """Whether the VIP could move to this member now, as far as reads can tell."""
    observation = observed[member.name]
    if isinstance(observation, Unreadable):
        return None, [f"the NIC could not be read: {str(observation.error)[:300]}"]
    if isinstance(observation, Missing):
        return False, ["the NIC does not exist"]
    planned = plan.plan(found, observed, member.name)
    if isinstance(planned, plan.Blocked):
        return (None if planned.unread else False), [planned.reason]
    try:
        async with asyncio.timeout(GLANCE_S_MAX):
            checks = await preflight.check(controller.preflight_cache, found, observed, member.name)
    except TimeoutError:
        return None, [f"what a swap needs could not be looked at within {GLANCE_S_MAX:g} s"]
    wrong = [f"{check.name}: {check.detail}" for check in checks if check.ok is False]
    unsure = [f"{check.name}: {check.detail}" for check in checks if check.ok is None]
    return not wrong, [*wrong, *unsure]
