"""Status and dry runs as text for a terminal: the answer first, then why, then what happened last. Lines of 100 columns at most.

It shows what `status` and `moves` give, and reads nothing else of a mirror but its newest rows.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from vipcore import instants, strictjson
from vipcore.decision.controller import Controller
from vipcore.entry import events, health, moves, status, terminal, told
from vipcore.entry.bodies import Text
from vipcore.entry.terminal import curl, when, wrapped
from vipcore.errors import Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.model import Json, Seen, said_once
from vipcore.swap.plan import FAILED

FORMATS: Final = ("json", "text")
_DENIED: Final = re.compile(r"(\bGrant \S+ on \S+ to the controller's identity)\. Azure says .*object id '([^']+)'.*", re.DOTALL)
"""What Azure says of a missing right, and all of it that whoever grants the right needs."""

_NOWHERE: Final = {"state": Seen.UNKNOWN.value, "members": None}


class Form(NamedTuple):
    """The form that a request asks for: `?format=`, and its Accept header."""

    named: str = ""
    accept: str = ""


def wanted(form: Form) -> bool:
    """Whether text is asked for: by `?format=`, else by an Accept header that prefers text/plain. Raises Refusal."""
    if form.named:
        if form.named not in FORMATS:
            raise Refusal("body-invalid", f"?format= must be one of {', '.join(FORMATS)}.")
        return form.named == "text"
    liked = {"text/plain": 0.0, "application/json": 0.0}
    for part in form.accept.lower().split(","):
        media_type, _, rest = part.partition(";")
        weight = re.search(r"q=(0(?:\.\d+)?|1(?:\.0+)?)\s*$", rest)
        if media_type.strip() in liked:
            liked[media_type.strip()] = float(weight[1]) if weight else 1.0
    return liked["text/plain"] > liked["application/json"]


async def mirrors(controller: Controller, form: Form) -> Json | Text:
    """`GET /mirrors`. Raises Refusal."""
    as_text, listed = wanted(form), await status.mirrors(controller)
    return terminal.answer(_of_mirrors(listed["mirrors"], controller.clock.now())) if as_text else listed


async def mirror(controller: Controller, name: str, form: Form, correlation_id: str) -> Json | Text:
    """`GET /mirrors/{mirror}`. Raises Refusal."""
    as_text, shown = wanted(form), await status.mirror(controller, name, correlation_id)
    if not as_text:
        return shown
    rows: list[Json] = []
    if "head" not in shown:
        with suppress(Unreachable):
            rows = [row.view() for row in await controller.ledger.newest_rows(name, before=None, limit=events.READ)]
    return terminal.answer(_of_mirror(shown, rows, controller.clock.now()))


async def move(controller: Controller, name: str, body: bytes, form: Form, correlation_id: str) -> Json | Text:
    """`POST /mirrors/{mirror}/moves`; only a dry run has a text. Raises Refusal."""
    as_text, answer = wanted(form), await moves.move(controller, name, body, correlation_id)
    if not as_text or answer["outcome"] != "planned":
        return answer
    return terminal.answer(_of_dry_run(name, strictjson.parse_strict(body)["to"], answer))


# -- one mirror --------------------------------------------------------------------------------------------------------------


def _of_mirror(shown: Json, rows: list[Json], now: Instant) -> Iterator[str]:
    name = shown["mirror"]
    yield from wrapped(f"{name}: {told.holder(shown, now)}")
    if "head" in shown:
        why = f"The table is away, so only what Azure shows is known: {shown['head_detail']}. No claim can be carried out now."
        yield from wrapped(why)
        yield "Agents go on asking. Where IRIS has failed over, move the VIP by hand (docs/operations.md)."
    else:
        yield from told.stops(shown, now)
    yield from wrapped(_primary(shown["members"]))
    yield ""
    yield "Would a failover work now?"
    for member in shown["members"]:
        yield from _failover(shown, member, now)
    if "head" in shown:
        return
    yield ""
    yield from told.under_way(shown, now)
    yield ""
    yield "Last events, the newest first:" if rows else "No events are in the trail."
    for event in events.last(rows):
        yield from events.lines(event, now)
    if len(rows) > events.EVENTS:
        yield "All of them:"
        yield from curl(f"mirrors/{name}/audit?format=text")


def _primary(members: list[Json]) -> str:
    said = [member["name"] for member in members if member["primary"]]
    if said:
        return f"Primary by the status pages: {', '.join(said)}."
    silent = all(member["primary"] is None for member in members)
    return f"No status page tells who is primary; of each server {told.ASK_IRIS}." if silent else "No status page says primary."


def _failover(shown: Json, member: Json, now: Instant) -> Iterator[str]:
    """Whether a claim of this member would be carried out, and why not; whether an operator's move would."""
    name, nic = member["name"] + (" (has it)" if told.holds(shown, member) else ""), member["nic"].rpartition("/")[2]
    verdict = {True: "yes", False: "NO", None: "UNKNOWN"}[member["ready"]]
    said_at = member["last_heard_at"]
    heard = f"its agent was heard {when(said_at, now)}" if said_at else "its agent was never heard"
    yield from wrapped(f"to {name}: {verdict}; NIC {nic}; {heard}", indent=" " * 6, first="  ")
    for reason in member["reasons"]:
        yield from wrapped(said_once(reason, told.told_above(shown)), indent=" " * 8, first="      - ")
    yield from told.by_hand(shown, member, " " * 6)


# -- all mirrors, and a dry run ----------------------------------------------------------------------------------------------


def _of_mirrors(listed: list[Json], now: Instant) -> Iterator[str]:
    wrong = {one["mirror"]: found for one in listed if (found := health.wrong(one, now))}
    dark = {one["mirror"] for one in listed if (one.get("placement") or {}).get("state") == Seen.UNPLACED.value}
    out = {name for name, found in wrong.items() if any(one.severity == health.OUTAGE for one in found)}
    need = f"in need of somebody: {len(wrong)}" if wrong else "all are well"
    need += f" (outages: {len(out)})" if out else ""
    yield f"Mirrors: {len(listed)}, {need}. It is {instants.clock(instants.to_text(now))} UTC."
    if seen := [one["seen_at"] for one in listed if one.get("seen_at")]:
        yield from wrapped(f"Each as the controller saw it last, at {when(min(seen), now)} or later.")
    if out:
        yield "OUTAGE: clients cannot reach the primary now, or may not."
    if len(wrong) > len(out):
        yield "RISK: no outage was seen, but a failover could fail."

    def urgency(one: Json) -> tuple[object, ...]:
        return tuple(one["mirror"] not in worse for worse in (dark, out, wrong)), one["mirror"]

    listed = sorted(listed, key=urgency)
    for one in listed[: len(wrong)]:
        yield ""
        yield from _in_need(one, now, is_out=one["mirror"] in out)
    if 0 < len(wrong) < len(listed):
        yield ""
    for one in listed[len(wrong) :]:
        yield from wrapped(f"{one['mirror']}: {_answer(_short(one), now)}", indent="    ", first="  ")
    if listed:
        name = listed[0]["mirror"]
        yield ""
        yield f"More of a mirror, here of {name}: how it is now, and its history:"
        yield from curl(f"mirrors/{name}?format=text")
        yield from curl(f"mirrors/{name}/audit?format=text&limit=20")
        yield 'Lines to paste take API=https://NAME.azurewebsites.net/api and KEY="x-functions-key: ..."'


def _in_need(one: Json, now: Instant, *, is_out: bool) -> Iterator[str]:
    """A mirror of the list that needs somebody: what its own page says first, and whether the others could take the VIP over."""
    first, pad = "OUTAGE " if is_out else "RISK ", "  "
    if "fault" in one:
        yield from wrapped(f"{one['mirror']}: not served until this is mended: {one['fault']}.", indent=pad, first=first)
        return
    shown = _short(one)
    yield from wrapped(f"{one['mirror']}: {_answer(shown, now)}", indent=pad, first=first)
    yield from told.stops(shown, now, pad)
    if shown["in_progress"] and not told.is_stuck(shown["in_progress"]):
        yield from told.under_way(shown, now, pad)
    if health.is_stale(one, now):
        yield from wrapped(health.STALE.format(when(one["checked_at"], now)), indent=pad)
    for reason, names in _untold(shown).items():
        yield from wrapped(f"{', '.join(names)}: {reason}", indent="    ", first=pad)
    for member in shown["members"] if is_out else ():
        yield from told.by_hand(shown, member, pad)


def _answer(shown: Json, now: Instant) -> str:
    """Who has the VIP, and which of the others could take it over."""
    said = [told.holder(shown, now)[:-1] if shown["seen_at"] else "nobody has looked yet where the VIP is"]
    others = [(one["name"], _could(one)) for one in shown["members"] if not told.holds(shown, one)]
    for could in ("could take over", "could NOT take over, except by hand", "could NOT take over", "could perhaps take over"):
        names = [name for name, its in others if its == could]
        said += [f"{', '.join(names)} {could}"] if names else []
    return "; ".join(said) + "."


def _could(member: Json) -> str:
    """Whether the member could take the VIP over: by a claim, or where that would be refused by an operator's move."""
    if member["ready"] is None:
        return "could perhaps take over"
    if member["ready"]:
        return "could take over"
    return "could NOT take over, except by hand" if member["movable"] else "could NOT take over"


def _untold(shown: Json) -> dict[str, list[str]]:
    """What is in the way of members, and of whom; without what `stops` has said already."""
    about: dict[str, list[str]] = {}
    for member in shown["members"]:
        for reason in () if member["ready"] else member["reasons"]:
            is_told = (error := told.told_above(shown)) and reason.endswith(error)
            if not is_told and not (shown["frozen"] and reason.startswith(f"Mirror {shown['mirror']} is frozen")):
                about.setdefault(reason, []).append(member["name"])
    return about


def _short(one: Json) -> Json:
    """A mirror of the list in the form of its status, as far as its head tells it; a missing right in one sentence."""
    members = [
        {
            "name": name,
            "provisioning_state": FAILED if name in one["failed_nics"] else None,
            "ready": ready,
            "movable": one["movable"][name],
            "reasons": [_in_short(reason) for reason in one["reasons"].get(name, ())],
        }
        for name, ready in one["ready"].items()
    ]
    progress = one["in_progress"]
    if progress and (error := progress["last_error"]):
        progress = {**progress, "last_error": {**error, "detail": _in_short(error["detail"])}}
    return {**one, "placement": one["placement"] or _NOWHERE, "members": members, "in_progress": progress}


def _in_short(reason: str) -> str:
    """The reason with what Azure says of a missing right in one sentence."""
    return _DENIED.sub(r"\1 (object id \2).", reason)


def _of_dry_run(name: str, to: str, planned: Json) -> Iterator[str]:
    against = [check for check in planned["checks"] if check["ok"] is False]
    verdict = "would NOT work now" if against else "would work now" if planned["steps"] else "would change nothing"
    yield from wrapped(f"A move of {name} to {to} {verdict}.")
    for check in against:
        yield from wrapped(f"{check['name']}: {check['detail']}", indent="    ", first="  - ")
    yield ""
    yield "What it would write:" if planned["steps"] else "It would write no NIC."
    for number, step in enumerate(planned["steps"], 1):
        side = "from" if step["action"] == "detach" else "to" if step["action"] == "attach" else "on"
        travels = sorted({one for names in step.get("carried", {}).values() for one in names})
        with_it = f", with {', '.join(travels)}" if travels else ""
        what = " ".join([step["action"], *step["vips"], side, step["member"]])
        yield from wrapped(f"{what} ({step['nic']}){with_it}", indent=" " * 5, first=f"  {number}. ")
    yield ""
    yield "What was looked at:"
    for check in planned["checks"]:
        mark = {True: "ok", False: "NO", None: "? "}[check["ok"]]
        yield from wrapped(f"{check['name']}: {check['detail']}", indent=" " * 6, first=f"  {mark}  ")
