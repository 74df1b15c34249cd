"""Readiness: if IRIS made this member primary now, would its claim be carried out?

Two kinds of obstacles. What head and settings tell is judged whenever somebody asks, so it is never out of date: a freeze,
flapping, no usable key, a last try that somebody must mend (`standing`). What only Azure tells needs reads: the NIC, and the
preflight (`look`). The last look is kept in the head with its time (`ledger/readiness.py`), so that a list of mirrors reads no
NIC.

Invariants: a row `readiness.changed` says what was seen, never a guess: what could not be looked at is null, changes nothing and
has no row (I9). A commit of readiness changes nothing else in the head, and none is made while somebody drives or after a
decision or NIC write that the look did not know of. Its reads come after all others (docs/adr/0017-readiness.md).

If we die here, the next look says it: nothing else hangs on it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from vipcore import instants
from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.rate_limit import ORDER, PEOPLE
from vipcore.decision import document, rules
from vipcore.decision.controller import Controller
from vipcore.decision.glances import GLANCE_S_MAX
from vipcore.errors import NEEDS_SOMEBODY, NoToken
from vipcore.instants import Instant
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Head
from vipcore.ledger.readiness import Found, Readiness, cut, names
from vipcore.model import Member, Missing, Nic, Placement, Seen, Unreadable
from vipcore.swap import plan, preflight
from vipcore.swap.plan import FAILED, Observed

LOOK_S: Final = 480.0
"""How old a look may grow before a mirror that the timer is at for another reason is looked at."""

LAST_TRY_S: Final = 3600.0
"""How long a try that failed counts against its member after another member got the VIP: a policy, for one, no read shows."""

_OF_CLAIMS: Final = frozenset({"frozen", "flapping", "key"})
"""What stops a claim and not an operator's move."""

_NIC_FAILED: Final = "The NIC of {} is in state Failed."
"""How the reason begins that a head keeps of such a NIC."""

_PASSING: Final = frozenset({Cause.THROTTLED, Cause.TRANSIENT, Cause.LOCKED})
"""What Azure answers for a moment: it says nothing about the NIC."""


class Look(NamedTuple):
    """What reads showed of one member. `wrong` None: not all of them could be made, and what was read has nothing against it.

    `unsure`: what could not be read or judged, and why. `at`: when the oldest reading for it was made.
    """

    wrong: Mapping[str, str] | None
    unsure: tuple[str, ...] = ()
    at: Instant = instants.NEVER


class Verdict(NamedTuple):
    """`ready` None: nobody could look. `reasons`: sentences; `at`: when the oldest reading for it was made, None: never.

    `movable`: the same for an operator's move, with force where the mirror is frozen; a move needs no key, and does not flap.
    `nic_failed`: whether its NIC was seen to be Failed.
    """

    ready: bool | None
    reasons: tuple[str, ...]
    at: Instant | None
    movable: bool | None = None
    nic_failed: bool = False


async def look(controller: Controller, head: Head, observed: Observed) -> dict[str, Look]:
    """What reads say of each member. Azure is asked after everybody else, for GLANCE_S_MAX at most."""
    writing, before = preflight.may_be_writing(head, controller.clock.now()), ORDER.set((PEOPLE, 0.0))
    members = [member.name for member in controller.config.mirrors[head.mirror].members]
    try:
        looks = await asyncio.gather(*(_look(controller, observed, name, writing=writing) for name in members))
    finally:
        ORDER.reset(before)
    return dict(zip(members, looks, strict=True))


async def _look(controller: Controller, observed: Observed, name: str, *, writing: bool) -> Look:
    seen = _nics(observed, name)
    if seen.wrong is None or isinstance(observed.plan(name), plan.Blocked):
        return seen._replace(at=_read_at(controller, observed))
    wrong = dict(seen.wrong)
    try:
        async with asyncio.timeout(GLANCE_S_MAX):
            cache, within_s = controller.preflight_cache, preflight.FRESH_S
            checks = await preflight.check(cache, observed.mirror, observed, name, within_s=within_s, writing=writing)
    except TimeoutError:
        late = f"What a swap needs could not be looked at within {GLANCE_S_MAX:g} s: reads for a status give way to swaps."
        return Look(wrong or None, (late,), _read_at(controller, observed))
    wrong |= {check.name: f"{check.name}: {check.detail}." for check in checks if check.ok is False}
    unsure = tuple(f"{check.name}: {check.detail}." for check in checks if check.ok is None)
    whole = all(check.looked for check in checks)
    oldest_s = max((check.age_s for check in checks), default=0.0)
    return Look(wrong if wrong or whole else None, unsure, _read_at(controller, observed, oldest_s))


def _read_at(controller: Controller, observed: Observed, oldest_s: float = 0.0) -> Instant:
    """When the oldest reading was made, of the NICs and of others that are so old. A process may have stood still since."""
    steady = asyncio.get_running_loop().time()
    ages = (steady - seen.read_at for seen in observed.values() if not isinstance(seen, Unreadable))
    return controller.clock.now() - instants.seconds(max(oldest_s, *ages, 0.0))


def _nics(observed: Observed, name: str) -> Look:
    """What the NICs themselves say, without another read."""
    shown, planned = observed[name], observed.plan(name)
    if isinstance(planned, plan.Blocked):
        errors = [seen.error for one in planned.unread if isinstance(seen := observed[one], Unreadable)]
        if isinstance(shown, Missing):
            return Look({"nic": f"{planned.reason}. Create it, or name the right one in the mirrors document."})
        why = plan.refusal(observed, planned).detail
        return Look(None, (why,)) if any(map(_passing, errors)) else Look({"nic" if errors else "placement": why})
    if isinstance(shown, Nic) and shown.state == FAILED:
        group, nic_name = shown.id.split("/")[4], shown.id.rsplit("/", 1)[-1]
        by_hand = f"by hand: (az network nic update -g {group} -n {nic_name})"
        why = f"{_NIC_FAILED.format(name)} A claim first writes it back unchanged; {by_hand}."
        return Look({"nic": f"{why} Where that did not help, see the NIC and its VM in Azure."})
    return Look({})


def _is_news(kept: Readiness, observed: Observed) -> bool:
    """Whether the NICs show something else than the last look did."""
    seen = observed.placement()
    if seen.state is not Seen.UNKNOWN and (seen.state.value, seen.members) != (kept.placement, kept.holders):
        return True
    shown = {member.name: _nics(observed, member.name).wrong for member in observed.mirror.members if member.name in kept.members}
    return any(
        wrong is not None and wrong.keys() != {"nic", "placement"} & kept.members[name].wrong.keys()
        for name, wrong in shown.items()
    )


def _passing(error: Exception) -> bool:
    """Whether this says nothing of the NIC: no answer, a throttle, a half document. A refusal of the identity does."""
    return error.cause in _PASSING if isinstance(error, ArmError) else not isinstance(error, NoToken)


def standing(controller: Controller, head: Head, name: str, now: Instant) -> dict[str, str]:
    """What head and settings have against a claim of this member, by a short name."""
    found, config = {}, controller.config
    if why := rules.frozen(head, now):
        found["frozen"] = f"{why}. A claim waits until the freeze is lifted."
    if flaps := rules.flapping(head, name, now, changes=config.max_changes, changes_s=config.max_changes_s):
        found["flapping"] = flaps.detail
    if why := config.why_no_key(head.mirror, name):
        found["key"] = why
    swap, failure = head.swap, head.failure
    if failure is None or failure.code not in NEEDS_SOMEBODY:
        return found
    ended = f"ended with {failure.code}: {failure.detail}"
    holders = head.readiness.holders if head.readiness else ()
    if swap and name == head.desired and failure.operation_id == swap.operation_id:
        found["last try"] = f"The last try to bring the VIP here {ended}"
    elif name == failure.to and name not in holders and now - failure.at < instants.seconds(LAST_TRY_S):
        tells = "No read shows whether that is mended; a move there would. An hour after that try, reads alone are believed."
        found["last try"] = (
            f"The last try to bring the VIP here, at {instants.clock(instants.to_text(failure.at))} UTC, {ended} {tells}"
        )
    return found


def verdict(controller: Controller, head: Head, name: str, now: Instant, seen: Look | None = None) -> Verdict:
    """The member's readiness by a look of now, or by the one that the head keeps."""
    stands = standing(controller, head, name, now)
    at: Instant | None
    wrong: Mapping[str, str] | None
    unsure: tuple[str, ...]
    if seen is not None:
        wrong, unsure, at = seen
    else:
        found = head.readiness.members.get(name) if head.readiness else None
        wrong, at = (found.wrong, found.at) if found else (None, None)
        unsure = () if found else ("Nobody has been able to look at its NIC yet.",)
    ready = False if stands or wrong else None if wrong is None else True
    movable = False if wrong or stands.keys() - _OF_CLAIMS else None if wrong is None else True
    nic_failed = (wrong or {}).get("nic", "").startswith(_NIC_FAILED.format(name))
    return Verdict(ready, (*stands.values(), *(wrong or {}).values(), *unsure), at, movable, nic_failed)


def last_seen(head: Head) -> tuple[Placement, Instant] | None:
    """Where a swap or a look last saw the VIPs, and when; None where nobody has looked."""
    last, kept = head.last_swap, head.readiness
    if last is not None and (kept is None or kept.seen_at <= last.at):
        return Placement(Seen.PLACED, (last.to,)), last.at
    return (Placement(Seen(kept.placement), kept.holders), kept.seen_at) if kept and kept.placement else None


def is_due(head: Head, now: Instant) -> bool:
    """Whether something has changed, or so much time has passed, since the last look that another is due."""
    if head.readiness is None:
        return True
    marks = [head.wrote_at, head.began]
    marks += [head.last_swap.at] if head.last_swap else []
    marks += [head.recorded_claim.recorded_at] if head.recorded_claim else []
    at = head.readiness.looked_at
    return max(marks) >= at or now - at > instants.seconds(LOOK_S)


async def keep(
    controller: Controller,
    head: Head,
    caller: Caller,
    observed: Observed | None = None,
    looks: Mapping[str, Look] | None = None,
) -> None:
    """Put into the head what a look shows, with a row for each member whose readiness changed. Raises Unreachable.

    `observed`: what was read already; without it a look is made where one is due. `looks`: what was found already, and then
    nothing is stored where no member's readiness has changed.
    """
    now, only_news, mirror = controller.clock.now(), looks is not None, controller.config.mirrors[head.mirror]
    if head.lease is not None or not document.may_change(controller, head):
        return
    if looks is None:
        before = head.readiness or Readiness()
        due = is_due(head, now) or any(_told(controller, head, before, one, None, now) is not None for one in mirror.members)
        if observed is None and due:
            observed = await document.read_known(partial(controller.glances.of, head), mirror, head)
        if observed is None or not (due or _is_news(before, observed)):
            return  # a small fleet's mirrors have their turn in every pass: what was found of them minutes ago stands
        looks = await look(controller, head, observed)
    assert observed is not None
    kept = _seen(head.readiness or Readiness(), observed, looks, _read_at(controller, observed))
    rows = any(_told(controller, head, kept, one, looks.get(one.name), now) is not None for one in mirror.members)
    if rows or _is_news(head.readiness or Readiness(), observed):
        await controller.ledger.put_work_item(mirror.name)  # who knows the heads of before reads this one again

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        same = (newest.epoch, newest.began, newest.swap, newest.wrote_at) == (head.epoch, head.began, head.swap, head.wrote_at)
        if not same or newest.lease is not None or newest.readiness != head.readiness:
            return newest, []  # somebody decides, drives or has looked meanwhile
        told = {one.name: kept.told[one.name] for one in mirror.members if one.name in kept.told}
        entries = []
        for member in mirror.members:
            news = _told(controller, newest, kept, member, looks.get(member.name), controller.clock.now())
            if news is not None:
                told[member.name] = names(news)
                entries.append(_row(caller, member, news))
        if only_news and not entries:
            return newest, []
        return replace(newest, readiness=kept._replace(told=told)), entries

    await controller.store.commit(head, change)


def _seen(before: Readiness, observed: Observed, looks: Mapping[str, Look], at: Instant) -> Readiness:
    """What is kept after these looks: of who could not be looked at, what was known before. `at`: when the NICs were read."""
    looked = {name: one for name, one in looks.items() if one.wrong is not None}
    members = {name: found for name, found in before.members.items() if name in looks}
    members |= {name: Found(one.at, cut(one.wrong or {}, len(looks))) for name, one in looked.items()}
    after, seen = before._replace(members=members), observed.placement()
    if len(looked) == len(looks):
        after = after._replace(looked_at=at)
    return after if seen.state is Seen.UNKNOWN else after._replace(seen_at=at, placement=seen.state.value, holders=seen.members)


def _told(
    controller: Controller, head: Head, kept: Readiness, member: Member, seen: Look | None, now: Instant
) -> dict[str, str] | None:
    """What is in the way of this member, where a row must tell of it: None where the last row says so, or nobody could look."""
    stands, found = standing(controller, head, member.name, now), kept.members.get(member.name)
    unknown = found is None or (seen is not None and seen.wrong is None)
    if unknown and not stands:
        return None
    against = {**stands, **(found.wrong if found else {})}
    return against if names(against) != kept.told.get(member.name, "") else None


def _row(caller: Caller, member: Member, against: Mapping[str, str]) -> Entry:
    detail = " ".join(against.values()) if against else f"A claim of {member.name} would be carried out now."
    outcome = "not-ready" if against else "ready"
    return caller.entry("readiness.changed", member=member.name, outcome=outcome, detail=detail[:1000])
