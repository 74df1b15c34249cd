"""`GET /health/mirrors`: what a monitor is told of all mirrors, from their heads alone: nothing is wrong, or what is.

A mirror is well if its VIP was last seen on desired (where nothing was ever decided: on one member), every member was found
ready, nothing is under way or waits, and somebody has looked lately. So a timer that stopped shows here too.
"""

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from vipcore import instants
from vipcore.decision.controller import Controller
from vipcore.entry import status
from vipcore.entry.bodies import Text
from vipcore.errors import Refusal
from vipcore.instants import Instant
from vipcore.model import BUT_FAILED, PHASES, Json, Seen

STALE_S: Final = 1200.0
"""The timer looks at each mirror every ten minutes."""

STALE: Final = "Nobody could look at every member since {}: see whether the timer runs, and whether Azure answers."

OUTAGE: Final = "outage"
"""Clients may not reach the primary now; or the table is away, and nobody can know."""

WARNING: Final = "warning"
"""Clients reach the VIP where it should be, as far as anybody saw; a failover would not work, or has begun just now."""

_AWAY: Final = frozenset({"storage-unavailable", "identity-unavailable"})
_PLACED: Final = {
    Seen.UNPLACED.value: "The VIP is on no NIC.",
    Seen.SPLIT.value: "Not every VIP is on one member as the mirrors document defines it: {} has one or a part of one.",
    Seen.FOREIGN.value: "What a VIP needs is held by an ip configuration that is no VIP of this mirror.",
}


class Wrong(NamedTuple):
    """One thing that is wrong. `member`: None where it is the whole mirror; `severity`: OUTAGE or WARNING."""

    mirror: str
    member: str | None
    severity: str
    reason: str


async def mirrors(controller: Controller) -> Text:
    """200 where nothing is wrong, else 503, with what is. Without the table every mirror is wrong. Raises Refusal."""
    try:
        listed, now = (await status.mirrors(controller))["mirrors"], controller.clock.now()
        found = [one for mirror in listed for one in wrong(mirror, now)]
    except Refusal as refusal:
        if refusal.code not in _AWAY:
            raise
        names = sorted({*controller.config.mirrors, *controller.config.faulty})
        found = [Wrong(name, None, OUTAGE, refusal.detail) for name in names]
    body = {"status": "failing" if found else "ok", "wrong": [one._asdict() for one in found]}
    return Text(json.dumps(body, indent=2) + "\n", "application/json", status=503 if found else 200)


def wrong(listed: Json, now: Instant) -> list[Wrong]:
    """What is wrong with a mirror of the list."""
    name = listed["mirror"]
    if "fault" in listed:
        return [Wrong(name, None, WARNING, listed["fault"])]
    found = [Wrong(name, None, severity, reason) for severity, reason in _of_mirror(listed, now)]
    for member, ready in listed["ready"].items():
        found += [Wrong(name, member, WARNING, one) for one in listed["reasons"].get(member, []) if ready is not True]
    return found


def _of_mirror(listed: Json, now: Instant) -> Iterator[tuple[str, str]]:
    """What is wrong with the mirror as a whole, each with its severity."""
    placement, desired, progress = listed["placement"], listed["desired"], listed["in_progress"]
    if placement is None:
        yield WARNING, "Nobody has looked yet where the VIP is."
    elif placement["state"] in _PLACED:
        yield OUTAGE, listed["drift"] or _PLACED[placement["state"]].format(", ".join(placement["members"]))
    elif desired not in (None, *placement["members"]):
        moving = bool(progress and not progress["last_error"])
        why = listed["drift"] or f"The VIP is on {placement['members'][0]}; desired is {desired}."
        yield WARNING if moving else OUTAGE, why
    elif listed["drift"]:
        yield OUTAGE, listed["drift"]
    if placement and placement["state"] == Seen.PLACED.value and placement["members"][0] in listed["failed_nics"]:
        yield OUTAGE, f"{placement['members'][0]} has the VIP{BUT_FAILED}."
    if progress:
        error, again = progress["last_error"], progress["retry_at"]
        why = f" The last try ended with {error['code']}: {error['detail']}" if error else ""
        when = f" It is tried again at {again}." if again else ""
        text = f"A swap to {progress['to']} is under way since {progress['since']}: {PHASES[progress['phase']]}.{why}{when}"
        yield OUTAGE if error else WARNING, text
    if claim := listed["recorded_claim"]:
        there = placement is not None and placement["members"] == [claim["member"]]
        why = f"A claim of {claim['member']}, to be primary, waits since {claim['recorded_at']} because of {claim['code']}."
        yield WARNING if there else OUTAGE, why
    if is_stale(listed, now):
        yield WARNING, STALE.format(listed["checked_at"])


def is_stale(listed: Json, now: Instant) -> bool:
    """Whether the last look at every member of the mirror is too old to be believed."""
    checked = listed["checked_at"]
    return bool(checked) and now - instants.from_text(checked) > instants.seconds(STALE_S)
