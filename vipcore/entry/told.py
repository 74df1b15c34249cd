"""What the texts say of a mirror, on its own page and in the list of all: who has the VIP, what is in the way, what to do.

`shown` is a status (entry/status.py), or what the list tells in that form. Pure.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

from vipcore.entry.terminal import curl, move_to, when, wrapped
from vipcore.errors import NEEDS_SOMEBODY
from vipcore.instants import Instant
from vipcore.model import BUT_FAILED, PHASES, Json
from vipcore.swap.plan import FAILED

ASK_IRIS: Final = "`iris qlist` on it tells"
"""Who is primary, where no status page says it (docs/nodes.md)."""


def holder(shown: Json, now: Instant) -> str:
    """Who has the VIP, and since when as far as the head tells."""
    placement, last = shown["placement"], shown["last_swap"]
    names = ", ".join(placement["members"] or ())
    match placement["state"]:
        case "placed":
            since = f" since {when(last['at'], now)}" if last and last["to"] == names else ""
            failed = any(one["name"] == names and one["provisioning_state"] == FAILED for one in shown.get("members", ()))
            return f"{names} has the VIP{since}{BUT_FAILED if failed else ''}."
        case "unplaced":
            return "the VIP is on NO NIC; clients cannot connect."
        case "split":
            return f"NOT every VIP is on one member as the mirrors document defines it; {names} has one or a part of one."
        case "foreign":
            return "what a VIP needs is held by an ip configuration that is NOT a VIP of this mirror."
        case _:
            seen = f"; {names} has one" if names else ""
            return f"NOBODY KNOWS where the VIP is: a NIC could not be read{seen}."


def stops(shown: Json, now: Instant, pad: str = "") -> Iterator[str]:
    """What an operator must know before anything else, with the line to paste."""
    name, placement, desired, is_frozen = shown["mirror"], shown["placement"], shown["desired"], bool(shown["frozen"])
    progress, say = shown["in_progress"], partial(wrapped, indent=pad)
    if not progress and desired not in (None, *(placement["members"] or ())):
        yield from say(f"It should be on {desired}.")
    if frozen := shown["frozen"]:
        until = f" until {when(frozen['until'], now)}" if frozen["until"] else ""
        yield from say(f"FROZEN by {frozen['operator']} since {when(frozen['at'], now)}{until}: {frozen['reason']}")
        yield from say(f"Ask {frozen['operator']} first: no failover works until the freeze is lifted. This lifts it:")
        yield from curl(f"mirrors/{name}/freeze?operator=YOU&reason=WHY", method="DELETE")
    if claim := shown["recorded_claim"]:
        who, since = claim["member"], when(claim["recorded_at"], now)
        missed = f" Until it is carried out, clients do not reach {who}." if [who] != placement["members"] else ""
        then = " once the freeze is lifted" if is_frozen else ""
        again = f"{missed} The timer judges it again by itself{then}."
        yield from say(f"A claim of {who}, to be primary, WAITS since {since}: {claim['code']}.{again}")
    if shown["drift"]:
        yield from say(f"DRIFT: {shown['drift']}")
    if desired and not progress and (placement["state"] == "split" or desired not in (placement["members"] or (desired,))):
        here = f" (name {placement['members'][0]} instead if it belongs there)" if placement["state"] == "placed" else ""
        yield from say(f"To bring it to {desired}{here}:")
        yield from move_to(name, desired, force=is_frozen)
    if is_stuck(progress):
        error, since = progress["last_error"], when(progress["since"], now)
        yield from say(f"STUCK since {since} on its way to {progress['to']}: {error['code']}: {error['detail']}")
        again = f"{_next_try(progress, now)} To try at once:"
        yield from say(f"It will not mend itself: each try fails until that cause is removed. {again}")
        yield from move_to(name, progress["to"], force=is_frozen)
        if others := [one["name"] for one in shown["members"] if one["movable"] and one["name"] != progress["to"]]:
            yield from say(f"Or, where IRIS is primary on {others[0]} ({ASK_IRIS}), move the VIP there; that would work now:")
            yield from move_to(name, others[0], force=is_frozen)
    elif placement["state"] == "unplaced" and is_frozen:
        yield from say("Nothing attaches it until the freeze is lifted.")
    elif placement["state"] == "unplaced" and not desired:
        yield from say("Nothing was ever decided for this mirror, so nothing attaches it. Name the member that is primary:")
        yield from move_to(name, shown["members"][0]["name"])
    elif placement["state"] == "unplaced":
        yield from say("The timer attaches it within a minute; this asks for it now:")
        yield from curl("reconcile", body="")


def _next_try(progress: Json, now: Instant) -> str:
    """Whether a swap that is not over is tried again by itself, and when."""
    if progress["driven"]:
        return "A try is under way now."
    if at := progress["retry_at"]:
        return f"The timer tries again by itself after {when(at, now)}."
    return "The timer tries again by itself within a minute."


def is_stuck(progress: Json | None) -> bool:
    """Whether a swap is under way that somebody must help."""
    return bool(progress and progress["last_error"] and progress["last_error"]["code"] in NEEDS_SOMEBODY)


def holds(shown: Json, member: Json) -> bool:
    """Whether the member has every VIP."""
    return shown["placement"]["state"] == "placed" and member["name"] in shown["placement"]["members"]


def told_above(shown: Json) -> str:
    """What `stops` has said of the last try, or nothing."""
    progress = shown["in_progress"]
    return str(progress["last_error"]["detail"]) if is_stuck(progress) else ""


def by_hand(shown: Json, member: Json, pad: str) -> Iterator[str]:
    """An operator's move to the member, where that would work although its claim would not."""
    if member["ready"] is False and member["movable"] and not holds(shown, member) and not is_stuck(shown["in_progress"]):
        by = f", past the freeze (ask {frozen['operator']} first)" if (frozen := shown["frozen"]) else ""
        yield from wrapped(f"By hand{by} it would work, once IRIS has made {member['name']} primary ({ASK_IRIS}):", indent=pad)
        yield from move_to(shown["mirror"], member["name"], force=bool(shown["frozen"]))


def under_way(shown: Json, now: Instant, pad: str = "") -> Iterator[str]:
    """The swap that is not over, what became of its tries, and when the next one is."""
    progress = shown["in_progress"]
    if progress is None:
        yield f"{pad}Nothing is under way."
        return
    of = f"from {progress['from']} to {progress['to']}" if progress["from"] else f"to {progress['to']}"
    doing = PHASES.get(progress["phase"], progress["phase"])
    yield from wrapped(f"A swap {of} is under way since {when(progress['since'], now)}: {doing}.", indent=pad)
    again = _next_try(progress, now)
    failed = f"{progress['failures']} {'try' if progress['failures'] == 1 else 'tries'} failed"
    if is_stuck(progress):
        yield from wrapped(f"{failed}, the last as said above.", indent="  ")
    elif error := progress["last_error"]:
        yield from wrapped(f"{failed}, the last with {error['code']}: {error['detail']} {again}", indent="  ")
    elif not progress["driven"]:
        yield from wrapped(again, indent="  ")
