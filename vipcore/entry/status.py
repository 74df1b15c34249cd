"""Read-only views: mirrors, one mirror, the audit trail, and its verification. Nothing here writes anything."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from vipcore import instants
from vipcore.arm import nic
from vipcore.decision.controller import Controller, storage_unavailable
from vipcore.decision.freeze import view as frozen_view
from vipcore.errors import Refusal, Unreachable
from vipcore.ledger import audit, chain
from vipcore.ledger.head import Head
from vipcore.ledger.seal import KEYED, Seal
from vipcore.model import Member, Mirror, Missing, Nic, Observation, Unreadable
from vipcore.swap import plan, preflight
from vipcore.swap.driver import LEASE_MARGIN_S

Answer = dict[str, Any]
AUDIT_LIMIT: Final = 50
AUDIT_LIMIT_MAX: Final = 1000
LOOK_S_MAX: Final = 10.0
VERIFY_LIMIT: Final = 5000
VERIFY_LIMIT_MAX: Final = 20000


async def mirrors(controller: Controller) -> Answer:
    """`GET /mirrors`: all of them, from the heads alone. Raises Refusal."""
    controller.config.check_usable()
    config = controller.config
    try:
        heads = await controller.ledger.load_heads(sorted(config.mirrors))
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc
    listed = [_head_view(controller, heads[name]) for name in heads]
    listed += [{"mirror": name, "fault": "its head row is damaged"} for name in config.mirrors if name not in heads]
    listed += [{"mirror": name, "fault": "; ".join(str(fault) for fault in faults[:5])} for name, faults in config.faulty.items()]
    return {"mirrors": sorted(listed, key=lambda item: str(item["mirror"]))}


def _head_view(controller: Controller, head: Head) -> Answer:
    """What the head alone tells."""
    return {
        "mirror": head.mirror,
        "desired": head.desired,
        "epoch": head.epoch,
        "frozen": frozen_view(head, controller.clock.now()),
        "in_progress": _in_progress(controller, head),
        "pending": _pending(head),
        "drift": head.drift,
        "last_swap": _last_swap(head),
    }


def _in_progress(controller: Controller, head: Head) -> Answer | None:
    if head.swap is None:
        return None
    driven = head.lease_live(controller.clock.now(), margin_s=LEASE_MARGIN_S)
    return {
        "operation_id": head.swap.operation_id,
        "to": head.desired,
        "from": head.swap.from_member,
        "since": instants.to_text(head.swap.started_at),
        "driven": driven,
        "failures": head.swap.failures,
    }


def _pending(head: Head) -> Answer | None:
    if head.recorded_claim is None:
        return None
    return {
        "member": head.recorded_claim.member,
        "claim_id": head.recorded_claim.claim_id,
        "code": head.recorded_claim.code,
        "recorded_at": instants.to_text(head.recorded_claim.recorded_at),
    }


def _last_swap(head: Head) -> Answer | None:
    last = head.last_swap
    if last is None:
        return None
    return {
        "operation_id": last.operation_id,
        "from": last.from_member,
        "to": last.to,
        "at": instants.to_text(last.at),
        "total_ms": last.total_ms,
        "phases": [{"name": name, "ms": ms} for name, ms in last.phases],
    }


async def mirror(controller: Controller, name: str) -> Answer:
    """`GET /mirrors/{mirror}`: the head, and the placement from a fresh read of all its NICs. Raises Refusal."""
    found = controller.mirror(name)
    head, looked = await asyncio.gather(
        controller.load_head(name), asyncio.gather(*(_look(controller, m) for m in found.members))
    )
    observed = {member.name: observation for member, observation in zip(found.members, looked, strict=True)}
    seen = plan.placement(found, observed)
    members = await asyncio.gather(*(_member_view(controller, found, member, observed) for member in found.members))
    return {
        **_head_view(controller, head),
        "placement": {"state": seen.state.value, "members": list(seen.members)},
        "members": list(members),
    }


async def _look(controller: Controller, member: Member) -> Observation:
    """The member's NIC. Under Azure's throttle its turn may come in minutes: who asks for a status is told that it is unknown."""
    try:
        async with asyncio.timeout(LOOK_S_MAX):
            return await controller.arm.read_nic(member.nic_id)
    except TimeoutError:
        return Unreadable(id=member.nic_id, error=TimeoutError(f"no answer within {LOOK_S_MAX:g} s"))


async def _member_view(controller: Controller, found: Mirror, member: Member, observed: Mapping[str, Observation]) -> Answer:
    observation = observed[member.name]
    ready, reasons = await _readiness(controller, found, member, observed)
    shown = observation if isinstance(observation, Nic) else None
    return {
        "name": member.name,
        "nic": member.nic_id,
        "provisioning_state": shown.state if shown else None,
        "vips": [vip.name for vip in found.vips if shown and nic.carries(shown.document, vip)],
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
        async with asyncio.timeout(LOOK_S_MAX):
            checks = await preflight.check(controller.arm, controller.readings, found, observed, member.name)
    except TimeoutError:
        return None, [f"what a swap needs could not be looked at within {LOOK_S_MAX:g} s"]
    wrong = [f"{check.name}: {check.detail}" for check in checks if check.ok is False]
    unsure = [f"{check.name}: {check.detail}" for check in checks if check.ok is None]
    return not wrong, [*wrong, *unsure]


def _number(name: str, text: str | None, default: int | None, most: int) -> int | None:
    """A whole number of the query, from 1 on. Raises Refusal `body-invalid`."""
    if text is None or text == "":
        return default
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise Refusal("body-invalid", f"?{name}= must be a whole number from 1 on.")
    return min(int(text), most)


async def trail(controller: Controller, name: str, query: Mapping[str, str]) -> Answer:
    """`GET /mirrors/{mirror}/audit?limit=&before=`: newest first; `next` is the value to pass as `before`. Raises Refusal."""
    controller.mirror(name)
    limit = _number("limit", query.get("limit"), AUDIT_LIMIT, AUDIT_LIMIT_MAX) or AUDIT_LIMIT
    before = _number("before", query.get("before"), None, 10**18)
    try:
        rows = await controller.ledger.newest_rows(name, before=before, limit=limit)
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc
    more = len(rows) == limit and rows[-1].seq > 1
    return {"records": [row.view() for row in rows], "next": rows[-1].seq if more else None}


async def verify(controller: Controller, name: str, query: Mapping[str, str]) -> Answer:
    """`GET /mirrors/{mirror}/audit/verify?from=&limit=`: recompute the chain, in pages. Raises Refusal.

    `records`: how many rows of this page were read. `next`: the value to pass as `from`, where the trail goes on. `keyed_from`:
    the first row under an audit key, as far as this page and the row before it show.
    """
    controller.mirror(name)
    first = _number("from", query.get("from"), 1, 10**18) or 1
    limit = _number("limit", query.get("limit"), VERIFY_LIMIT, VERIFY_LIMIT_MAX) or VERIFY_LIMIT
    ledger, seal = controller.ledger, controller.config.seal
    try:
        head = await ledger.load_head(name)
        start = chain.Link()
        if first > head.seq + 1:
            raise Refusal("body-invalid", f"?from={first} lies behind the end of the trail, row {head.seq}.")
        if first > 1:
            before = await ledger.load_row(name, first - 1)
            if before is None:
                return {"intact": False, "records": 0, "broken_seq": first - 1, "detail": f"row {first - 1} is missing"}
            keyed = first - 1 if str(before.columns.get("Alg", "")).startswith(KEYED) else None
            start = chain.Link(seq=first - 1, hash=before.hash, keyed_from=keyed)
        # One more than is checked, so that rows behind the end that the head tells are seen.
        rows = await ledger.rows_from(name, first, limit=limit + 1)
        wanted = min(limit, head.seq - start.seq)
        behind = rows[wanted:] if start.seq + wanted == head.seq else []
        # Rows committed since the head was read are the next look's; the head read after them must know of them.
        newest = (await ledger.load_head(name)).seq if behind else head.seq
    except Unreachable as exc:
        raise storage_unavailable(exc) from exc
    answer = _verdict(name, head, rows[:wanted], start, seal, wanted)
    if answer["intact"] and any(not head.seq < row.seq <= newest for row in behind):
        detail = f"the head says {head.seq} rows, and there are rows behind it: it was set back or removed, or they are forged"
        return {"intact": False, "records": len(rows), "broken_seq": head.seq + 1, "detail": detail}
    return answer


def _verdict(name: str, head: Head, rows: list[audit.Row], start: chain.Link, seal: Seal, wanted: int) -> Answer:
    """What the check of these rows says, of which there should be so many."""
    reached, read = chain.verify(name, rows, start, seal), len(rows)
    if isinstance(reached, chain.Broken):
        return {"intact": False, "records": read, "broken_seq": reached.seq, "detail": reached.detail}
    if read < wanted:
        detail = f"the head says {head.seq} rows; row {reached.seq + 1} is missing, and so are those after it in this page"
        return {"intact": False, "records": read, "broken_seq": reached.seq + 1, "detail": detail}
    if reached.seq == head.seq and reached.hash != head.head_hash:
        detail = "the last row's hash is not the head's: the tail was replaced"
        return {"intact": False, "records": read, "broken_seq": reached.seq, "detail": detail}
    answer: Answer = {"intact": True, "records": read, "head_hash": reached.hash, "keyed_from": reached.keyed_from}
    if reached.seq < head.seq:
        answer["next"] = reached.seq + 1
    return answer
