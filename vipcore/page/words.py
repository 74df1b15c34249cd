"""What the page calls the state of a mirror and of its members, and how urgent each is. Pure.

Each state has a word, a tone and so a shape: nothing on the page is told by colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vipcore import instants
from vipcore.instants import Instant
from vipcore.model import BUT_FAILED


class State(NamedTuple):
    """`word`: what it is called; `tone`: bad, unknown, warn, frozen, busy or good; `rank`: the lower, the more urgent."""

    word: str
    tone: str
    rank: int


FAULTY: Final = State("Not served", "bad", 0)
AWAY: Final = State("Table away", "bad", 0)
UNPLACED: Final = State("On no NIC", "bad", 1)
SPLIT: Final = State("Split", "bad", 1)
FOREIGN: Final = State("Address held", "bad", 1)
STUCK: Final = State("Swap stuck", "bad", 2)
DRIFTED: Final = State("Drifted", "bad", 3)
UNKNOWN: Final = State("Unknown", "unknown", 4)
NOT_READY: Final = State("Not ready", "warn", 5)
FROZEN: Final = State("Frozen", "frozen", 6)
SWAPPING: Final = State("Swapping", "busy", 7)
STALE: Final = State("Not looked at", "unknown", 8)
WELL: Final = State("In order", "good", 9)
STATES: Final = (
    FAULTY, AWAY, UNPLACED, SPLIT, FOREIGN, STUCK, DRIFTED, UNKNOWN, NOT_READY, FROZEN, SWAPPING, STALE, WELL,
)  # fmt: skip
"""All of them; docs/dashboard.md says what each means."""

_PLACED: Final = {"unplaced": UNPLACED, "split": SPLIT, "foreign": FOREIGN, "unknown": UNKNOWN}


def state(mirror: Mapping[str, Any], wrong: Sequence[str]) -> State:
    """The most urgent state of a mirror. `wrong`: what a monitor is told of it."""
    if mirror.get("fault"):
        return FAULTY
    if "head" in mirror:
        return AWAY
    placement, progress = mirror["placement"] or {"state": "unknown", "members": []}, mirror["in_progress"]
    ready = readiness(mirror)
    signs = (
        (bool(progress and progress["last_error"]), STUCK),
        (bool(progress), SWAPPING),
        (_is_in_part(placement), DRIFTED),
        (placement["state"] != "placed", _PLACED.get(placement["state"], UNKNOWN)),
        (bool(mirror["drift"]) or mirror["desired"] not in (None, *(placement["members"] or ())), DRIFTED),
        (bool(mirror["frozen"]), FROZEN),
        (False in ready, NOT_READY),
        (bool(wrong) or None in ready, STALE),
    )
    return next((state for seen, state in signs if seen), WELL)


def _is_in_part(placement: Mapping[str, Any]) -> bool:
    """Whether the only member that has anything of the VIPs has not all of it: Azure's `split` with one side."""
    return placement["state"] == "split" and len(placement["members"] or ()) == 1


def readiness(mirror: Mapping[str, Any]) -> list[bool | None]:
    """Of each member, from a list's item or from a single status."""
    if "ready" in mirror:
        return list(mirror["ready"].values())
    return [member["ready"] for member in mirror["members"]]


def holder(placement: Mapping[str, Any] | None) -> str:
    """Who has the VIP, in the words of a cell of a table."""
    names = ", ".join(placement["members"] or ()) if placement else ""
    match placement["state"] if placement else "unknown":
        case "placed":
            return names
        case "unplaced":
            return "nobody"
        case "split":
            return f"{names}, in part" if placement and _is_in_part(placement) else f"{names}: several"
        case "foreign":
            return "somebody else"
        case _:
            return f"unknown; {names} has one" if names else "unknown"


def answer(mirror: Mapping[str, Any]) -> str:
    """Who has the VIP, as the sentence that everything else explains. entry/text.py says it in a terminal."""
    placement, progress = mirror["placement"], mirror["in_progress"]
    names = ", ".join(placement["members"] or ())
    if progress and placement["state"] in ("placed", "unplaced"):
        return _under_way(progress, names, stuck=bool(progress["last_error"]))
    if _is_in_part(placement):
        return f"{names} has a part of the VIP, or has it in another form than it should."
    failed = any(one["name"] == names and one["provisioning_state"] == "Failed" for one in mirror.get("members", ()))
    return {
        "placed": f"{names} has the VIP{BUT_FAILED if failed else ''}.",
        "unplaced": "The VIP is on no NIC: clients cannot connect.",
        "split": f"The VIPs are on several members: {names}.",
        "foreign": "Somebody else holds what the VIP needs.",
    }.get(placement["state"], "Nobody can see where the VIP is.")


def _under_way(progress: Mapping[str, Any], names: str, *, stuck: bool) -> str:
    """Where the VIP is while a swap is not over: `names` has it, or, where that is empty, nobody."""
    source, to = progress["from"], progress["to"]
    if names:
        if names == to:
            return f"The VIP is arriving at {to}; Azure has not confirmed it yet."
        return f"{names} has the VIP; its swap to {to} is stuck." if stuck else f"{names} has the VIP; it is to go to {to}."
    way = f"from {source} to {to}" if source else f"to {to}"
    return f"The VIP is on no NIC: its swap {way} is stuck." if stuck else f"The VIP is on its way {way}."


def ago(at: str | None, now: Instant) -> str:
    """`49 min ago`; `never` where there is no time."""
    if not at:
        return "never"
    past = int((now - instants.from_text(at)).total_seconds())
    if past <= 0:
        return "just now" if past > -2 else f"in {instants.length(-past)}"
    return f"{instants.length(past)} ago"
