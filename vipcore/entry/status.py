"""What is known of mirrors, as plain values for JSON, a text and a page: all from their heads, or one with a fresh look.

A status decides nothing. Its reads come after all others (docs/adr/0015-reads-for-people.md). Where a look of a single mirror
shows that a member's readiness has changed, its row is written (decision/readiness.py).
"""

import asyncio
import contextlib
from functools import partial

from vipcore import instants
from vipcore.arm import nic
from vipcore.decision import document, readiness, rules
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.readiness import Look
from vipcore.entry import freezes
from vipcore.errors import Unreachable
from vipcore.instants import Instant
from vipcore.ledger.audit import RECONCILER, Caller
from vipcore.ledger.head import Head, Swap
from vipcore.model import Json, Member, Nic, Page, Placement, Seen, Unreadable
from vipcore.swap.plan import Observed


async def mirrors(controller: Controller) -> Json:
    """`GET /mirrors`: all of them, from the heads alone. Raises Refusal."""
    config = controller.config
    config.check_usable()
    with storage_needed():
        heads = await controller.glances.heads.all(sorted(config.mirrors))
    now = controller.clock.now()
    listed = [_listed(controller, head, now) for head in heads.values()]
    listed += [{"mirror": name, "fault": "its head row is damaged"} for name in config.mirrors if name not in heads]
    listed += [{"mirror": name, "fault": "; ".join(str(fault) for fault in faults[:5])} for name, faults in config.faulty.items()]
    return {"mirrors": sorted(listed, key=lambda item: str(item["mirror"]))}


def _listed(controller: Controller, head: Head, now: Instant) -> Json:
    """What the head tells, the last look at the NICs included."""
    names = [member.name for member in controller.config.mirrors[head.mirror].members]
    verdicts = {name: readiness.verdict(controller, head, name, now) for name in names}
    seen, looked = readiness.last_seen(head), [one.at for one in verdicts.values()]
    return {
        **_head_view(controller, head, now),
        "placement": _placement_view(seen[0]) if seen else None,
        "seen_at": instants.to_text(seen[1]) if seen else None,
        "ready": {name: one.ready for name, one in verdicts.items()},
        "movable": {name: one.movable for name, one in verdicts.items()},
        "failed_nics": [name for name, one in verdicts.items() if one.nic_failed],
        "reasons": {name: list(one.reasons) for name, one in verdicts.items() if one.reasons},
        "checked_at": instants.to_text(min(at for at in looked if at)) if all(looked) else None,
    }


def _placement_view(seen: Placement) -> Json:
    """`members` None where nobody could look: a NIC that could not be read is never shown as one without a VIP (I9)."""
    unseen = seen.state is Seen.UNKNOWN and not seen.members
    return {"state": seen.state.value, "members": None if unseen else list(seen.members)}


def _head_view(controller: Controller, head: Head, now: Instant) -> Json:
    """What was decided, and what became of it."""
    config = controller.config
    shown: Json = {
        "mirror": head.mirror,
        "desired": head.desired,
        "epoch": head.epoch,
        "frozen": freezes.view(head, now),
        "in_progress": _progress_view(head, head.swap, now) if head.swap else None,
        "recorded_claim": None,
        "drift": head.drift,
        "last_swap": None,
        "changes": {"in_window": len(rules.recent_changes(head, now, config.max_changes_s)), "max": config.max_changes},
    }
    if claim := head.recorded_claim:
        shown["recorded_claim"] = {
            "member": claim.member,
            "claim_id": claim.claim_id,
            "code": claim.code,
            "recorded_at": instants.to_text(claim.recorded_at),
        }
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


def _progress_view(head: Head, swap: Swap, now: Instant) -> Json:
    failure = head.failure if head.failure and head.failure.operation_id == swap.operation_id else None
    return {
        "operation_id": swap.operation_id,
        "to": head.desired,
        "from": swap.from_member,
        "since": instants.to_text(swap.started_at),
        "driven": head.lease_live(now),
        "phase": _phase(head, swap, now),
        "failures": swap.failures,
        "last_error": {"code": failure.code, "detail": failure.detail} if failure else None,
        "retry_at": instants.to_text(swap.retry_at) if swap.retry_at > now else None,
    }


def _phase(head: Head, swap: Swap, now: Instant) -> str:
    """How far the swap is, as its head tells: which NICs may be written next."""
    if not head.lease_live(now):
        return "waiting" if now < swap.retry_at else "takeover" if swap.begun else "accepted"
    if not swap.begun:
        return "accepted"
    return "detach" if set(swap.maybe_in_flight) - {head.desired} else "attach" if swap.maybe_in_flight else "verify"


async def mirror(controller: Controller, name: str, correlation_id: str, *, away: str = "") -> Json:
    """`GET /mirrors/{mirror}`: the head, and placement and readiness from a fresh look at all its NICs. Raises Refusal.

    Where the table is away, what Azure shows is told all the same. `away`: why it is, if that is known: it is not asked again.
    """
    found = controller.mirror(name)
    head, heard, pages = Head(mirror=name), dict[str, Instant](), asyncio.ensure_future(controller.pages(found))
    if not away:
        try:
            head, said_at = await asyncio.gather(controller.ledger.load_head(name), controller.ledger.load_heard(name))
            heard.update(said_at)
        except Unreachable as exc:
            away = str(exc)[:300] or "the table did not answer"
    observed = await document.read_known(partial(controller.glances.of, head), found, head)
    looks = await readiness.look(controller, head, observed)
    if not away:
        with contextlib.suppress(Unreachable):
            await readiness.keep(controller, head, Caller(RECONCILER, correlation_id), observed, looks)
    now, said = controller.clock.now(), await pages
    shown = _head_view(controller, head, now)
    if away:
        shown = dict.fromkeys(shown) | {"mirror": name, "head": "unavailable", "head_detail": away}
    members = []
    for member in found.members:
        seen = _member_view(controller, head, member, observed, looks[member.name], said.get(member.name, Page.UNKNOWN))
        if away:
            why = "No claim can be carried out until the table answers again."
            seen |= {"ready": False, "movable": False, "reasons": [why, *seen["reasons"]]}
        at = max(filter(None, (heard.get(member.name), controller.admission.heard.get((name, member.name)))), default=None)
        members.append({**seen, "last_heard_at": instants.to_text(at) if at else None})
    return {**shown, "placement": _placement_view(observed.placement()), "members": members}


def _member_view(controller: Controller, head: Head, member: Member, observed: Observed, look: Look, page: Page) -> Json:
    observation = observed[member.name]
    shown, unread = observation if isinstance(observation, Nic) else None, isinstance(observation, Unreadable)
    verdict = readiness.verdict(controller, head, member.name, controller.clock.now(), look)
    reasons = list(verdict.reasons)
    if why := controller.probes.unread.get(member.status_url or ""):
        reasons.append(f"its status page could not be read: {why}")
    return {
        "name": member.name,
        "nic": member.nic_id,
        "provisioning_state": shown.state if shown else None,
        "vips": None if unread else [vip.name for vip in observed.mirror.vips if shown and nic.carries(shown.document, vip)],
        "primary": None if page is Page.UNKNOWN else page is Page.PRIMARY,
        "ready": verdict.ready,
        "movable": verdict.movable,
        "reasons": reasons,
        "checked_at": instants.to_text(verdict.at) if verdict.at else None,
    }
