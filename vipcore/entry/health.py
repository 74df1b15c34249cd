"""`GET /health/mirrors`: what a monitor is told of all mirrors, from their heads alone: nothing is wrong, or what is.

A mirror is well if its VIP was last seen on desired (where nothing was ever decided: on one member), every member was found
ready, nothing is under way, and somebody has looked lately. So a timer that stopped shows here too.
"""

import json
from collections.abc import Iterator
from typing import Final

from vipcore import instants
from vipcore.decision.controller import Controller
from vipcore.entry import status
from vipcore.entry.bodies import Text
from vipcore.instants import Instant
from vipcore.model import Json, Seen

STALE_S: Final = 1200.0
"""The timer looks at each mirror every ten minutes."""

_PLACED: Final = {
    Seen.UNPLACED.value: "The VIP is on no NIC.",
    Seen.SPLIT.value: "Not every VIP is on one member as the mirrors document defines it: {} has one or a part of one.",
    Seen.FOREIGN.value: "What a VIP needs is held by an ip configuration that is no VIP of this mirror.",
}


async def mirrors(controller: Controller) -> Text:
    """200 where nothing is wrong, else 503, with what is. Raises Refusal."""
    listed, now = (await status.mirrors(controller))["mirrors"], controller.clock.now()
    found = [one for mirror in listed for one in wrong(mirror, now)]
    body = {"status": "failing" if found else "ok", "wrong": found}
    return Text(json.dumps(body, indent=2) + "\n", "application/json", status=503 if found else 200)


def wrong(listed: Json, now: Instant) -> list[Json]:
    """What is wrong with a mirror of the list, as `mirror`, `member` (null where it is the whole mirror) and `reason`."""
    if "fault" in listed:
        return [{"mirror": listed["mirror"], "member": None, "reason": listed["fault"]}]
    found: list[Json] = [{"mirror": listed["mirror"], "member": None, "reason": reason} for reason in _of_mirror(listed, now)]
    for member, ready in listed["ready"].items():
        reasons = listed["reasons"].get(member, [])
        found += [{"mirror": listed["mirror"], "member": member, "reason": one} for one in reasons if ready is not True]
    return found


def _of_mirror(listed: Json, now: Instant) -> Iterator[str]:
    """What is wrong with the mirror as a whole."""
    placement, desired, progress = listed["placement"], listed["desired"], listed["in_progress"]
    if placement is None:
        yield "Nobody has looked yet where the VIP is."
    elif placement["state"] in _PLACED:
        yield listed["drift"] or _PLACED[placement["state"]].format(", ".join(placement["members"]))
    elif desired not in (None, *placement["members"]):
        yield listed["drift"] or f"The VIP is on {placement['members'][0]}; desired is {desired}."
    elif listed["drift"]:
        yield listed["drift"]
    if progress:
        error, again = progress["last_error"], progress["retry_at"]
        why = f" The last try ended with {error['code']}: {error['detail']}" if error else ""
        when = f" It is tried again at {again}." if again else ""
        yield f"A swap to {progress['to']} is under way since {progress['since']} ({progress['phase']}).{why}{when}"
    checked = listed["checked_at"]
    if checked and now - instants.from_text(checked) > instants.seconds(STALE_S):
        yield f"Nobody could look at every member since {checked}: see whether the timer runs, and whether Azure answers."
