"""Status and dry runs as text for a terminal: the answer first, then why, then what happened last. Lines of 100 columns at most.

It shows what `status` and `moves` give, and reads nothing else of a mirror but its newest rows.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from vipcore import instants, strictjson
from vipcore.decision.controller import Controller
from vipcore.entry import events, health, moves, status, terminal
from vipcore.entry.bodies import Text
from vipcore.entry.terminal import ago, move_to, to_paste, wrapped
from vipcore.errors import NEEDS_SOMEBODY, Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.model import Json, Seen, said_once
from vipcore.swap.plan import FAILED

FORMATS: Final = ("json", "text")
_PHASES: Final = {
    "accepted": "nobody has taken it up yet", "detach": "the first write is on its way", "attach": "the last write is on its way",
    "verify": "all is written, and is being looked at", "waiting": "it waits for its next try", "takeover": "its next try is due",
}  # fmt: skip


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
    name, placement, desired = shown["mirror"], shown["placement"], shown["desired"]
    yield from wrapped(f"{name}: {_holder(shown, now)}")
    if "head" in shown:
        why = f"The table is away, so only what Azure shows is known: {shown['head_detail']}. No claim can be carried out now."
        yield from wrapped(why)
        yield "Agents go on asking. Where IRIS has failed over, move the VIP by hand (docs/operations.md)."
    elif desired not in (None, *(placement["members"] or ())):
        yield from wrapped(f"It should be on {desired}.")
    if "head" not in shown:
        yield from _stops(shown, now)
    yield from wrapped(_primary(shown["members"]))
    yield ""
    yield "Would a failover work now?"
    for member in shown["members"]:
        yield from _failover(shown, member, now)
    if "head" in shown:
        return
    yield ""
    yield from _under_way(shown, now)
    yield ""
    yield "Last events (UTC), the newest first:" if rows else "No events are in the trail."
    for event in events.last(rows):
        yield from events.lines(event)
    if len(rows) > events.EVENTS:
        curl, url = '  ... all of them: curl -H "$KEY"', f'"$API/mirrors/{name}/audit?format=text"'
        yield from to_paste(f"{curl} {url}", f"{curl} \\\n    {url}")


def _holder(shown: Json, now: Instant) -> str:
    """Who has the VIP, and since when as far as the head tells."""
    placement, last = shown["placement"], shown["last_swap"]
    names = ", ".join(placement["members"] or ())
    match placement["state"]:
        case "placed":
            since = f" since {ago(last['at'], now)}" if last and last["to"] == names else ""
            failed = any(one["name"] == names and one["provisioning_state"] == FAILED for one in shown.get("members", ()))
            but = ", but its NIC is FAILED in Azure: clients may not reach it" if failed else ""
            return f"{names} has the VIP{since}{but}."
        case "unplaced":
            return "the VIP is on NO NIC; clients cannot connect."
        case "split":
            return f"NOT every VIP is on one member as the mirrors document defines it; {names} has one or a part of one."
        case "foreign":
            return "what a VIP needs is held by an ip configuration that is NOT a VIP of this mirror."
        case _:
            seen = f"; {names} has one" if names else ""
            return f"NOBODY KNOWS where the VIP is: a NIC could not be read{seen}."


def _stops(shown: Json, now: Instant) -> Iterator[str]:
    """What an operator must know before anything else, with the line to paste. `$API` and `$KEY` are as in docs/operations.md."""
    name, placement, desired, is_frozen = shown["mirror"], shown["placement"], shown["desired"], bool(shown["frozen"])
    if frozen := shown["frozen"]:
        until = f" until {instants.clock(frozen['until'])} UTC" if frozen["until"] else ""
        yield from wrapped(f"FROZEN by {frozen['operator']} since {ago(frozen['at'], now)}{until}: {frozen['reason']}")
        path, query = f'"$API/mirrors/{name}/freeze', '?operator=YOU&reason=WHY"'
        curl = '  curl -X DELETE -H "$KEY"'
        yield from to_paste(f"{curl} {path}{query}", f"{curl} \\\n    {path}\\\n{query}")
    if claim := shown["recorded_claim"]:
        when = ago(claim["recorded_at"], now)
        yield from wrapped(f"A claim of {claim['member']}, to be primary, WAITS since {when}: {claim['code']}.")
    if shown["drift"]:
        yield from wrapped(f"DRIFT: {shown['drift']}")
    progress = shown["in_progress"]
    if desired and not progress and (placement["state"] == "split" or desired not in (placement["members"] or (desired,))):
        here = f" (name {placement['members'][0]} instead if it belongs there)" if placement["state"] == "placed" else ""
        yield from wrapped(f"To bring it to {desired}{here}:")
        yield from move_to(name, desired, force=is_frozen)
    if _is_stuck(progress):
        error, since = progress["last_error"], ago(progress["since"], now)
        yield from wrapped(f"STUCK since {since} on its way to {progress['to']}: {error['code']}: {error['detail']}")
        again = f" (tried again at {progress['retry_at'][11:19]} UTC)" if progress["retry_at"] else ""
        yield f"It will not mend itself. Remove that cause{again}, then ask for it now:"
        yield from move_to(name, progress["to"], force=is_frozen)
        if others := [one["name"] for one in shown["members"] if one["movable"] and one["name"] != progress["to"]]:
            yield from wrapped(f"Or, where IRIS can be primary on {others[0]}, bring it there; that would work now:")
            yield from move_to(name, others[0], force=is_frozen)
    elif placement["state"] == "unplaced" and is_frozen:
        yield "Nothing attaches it until the freeze is lifted."
    elif placement["state"] == "unplaced" and not desired:
        yield "Nothing was ever decided for this mirror, so nothing attaches it. Name the member that is primary:"
        yield from move_to(name, shown["members"][0]["name"])
    elif placement["state"] == "unplaced":
        yield "The timer attaches it within a minute; this asks for it now:"
        yield '  curl -X POST -H "$KEY" $API/reconcile -d ""'


def _is_stuck(progress: Json | None) -> bool:
    """Whether a swap is under way that somebody must help."""
    return bool(progress and progress["last_error"] and progress["last_error"]["code"] in NEEDS_SOMEBODY)


def _primary(members: list[Json]) -> str:
    said = [member["name"] for member in members if member["primary"]]
    if said:
        return f"Primary by the status pages: {', '.join(said)}."
    silent = all(member["primary"] is None for member in members)
    return "No status page tells who is primary." if silent else "No status page says primary."


def _failover(shown: Json, member: Json, now: Instant) -> Iterator[str]:
    """Whether a claim of this member would be carried out, and why not; whether an operator's move would."""
    placement = shown["placement"]
    holds = placement["state"] == "placed" and member["name"] in placement["members"]
    name, nic = member["name"] + (" (has it)" if holds else ""), member["nic"].rpartition("/")[2]
    verdict = {True: "yes", False: "NO", None: "UNKNOWN"}[member["ready"]]
    said_at = member["last_heard_at"]
    heard = f"its agent was heard {ago(said_at, now, long=False)}" if said_at else "its agent was never heard"
    yield from wrapped(f"to {name}: {verdict}; NIC {nic}; {heard}", indent=" " * 6, first="  ")
    progress = shown["in_progress"]
    told = progress["last_error"]["detail"] if _is_stuck(progress) else ""
    for reason in member["reasons"]:
        yield from wrapped(said_once(reason, told), indent=" " * 8, first="      - ")
    if member["ready"] is False and member["movable"] and not holds and not _is_stuck(progress):
        yield "      By hand it would work, once IRIS has made this member primary:"
        yield from move_to(shown["mirror"], member["name"], force=bool(shown["frozen"]))


def _under_way(shown: Json, now: Instant) -> Iterator[str]:
    progress = shown["in_progress"]
    if progress is None:
        yield "Nothing is under way."
        return
    of = f"from {progress['from']} to {progress['to']}" if progress["from"] else f"to {progress['to']}"
    doing = _PHASES.get(progress["phase"], progress["phase"])
    yield from wrapped(f"A swap {of} is under way since {ago(progress['since'], now)}: {doing}.")
    again = f" The next is at {progress['retry_at'][11:19]} UTC." if progress["retry_at"] else ""
    failed = f"{progress['failures']} {'try' if progress['failures'] == 1 else 'tries'} failed"
    if _is_stuck(progress):
        yield from wrapped(f"{failed}, the last as said above.{again}", indent="  ")
    elif error := progress["last_error"]:
        yield from wrapped(f"{failed}, the last with {error['code']}: {error['detail']}{again}", indent="  ")


# -- all mirrors, and a dry run ----------------------------------------------------------------------------------------------


def _of_mirrors(listed: list[Json], now: Instant) -> Iterator[str]:
    wrong = {one["mirror"]: found for one in listed if (found := health.wrong(one, now))}
    dark = {one["mirror"] for one in listed if (one.get("placement") or {}).get("state") == Seen.UNPLACED.value}
    out = {name for name, found in wrong.items() if any(one.severity == health.OUTAGE for one in found)}
    need = f"in need of somebody: {len(wrong)}" if wrong else "all are well"
    need += f" (outages: {len(out)})" if out else ""
    yield f"Mirrors: {len(listed)}, {need}. It is {instants.clock(instants.to_text(now))} UTC."

    def urgency(one: Json) -> tuple[object, ...]:
        return tuple(one["mirror"] not in worse for worse in (dark, out, wrong)), one["mirror"]

    for one in sorted(listed, key=urgency):
        mark = "!" if one["mirror"] in wrong else " "
        placement = one.get("placement")
        seen = f"; seen {ago(one['seen_at'], now, long=False)}" if placement else ""
        where = _holder({"last_swap": None, **one}, now) if placement else "nobody knows where the VIP is."
        yield from wrapped(f"{one['mirror']}: {where[:-1]}{seen}.", indent="    ", first=f"{mark} ")
        yield from _reasons(wrong.get(one["mirror"], ()), (one.get("in_progress") or {}).get("last_error"))


def _reasons(wrong: Sequence[health.Wrong], error: Json | None) -> Iterator[str]:
    """Each reason once, with all whom it is about; what the swap says of its last try, its member need not say again."""
    about: dict[str, list[str]] = {}
    for one in wrong:
        if one.member is None or error is None or not one.reason.endswith(error["detail"]):
            about.setdefault(one.reason, []).extend([one.member] if one.member else [])
    for reason, members in about.items():
        of = f"{', '.join(members)}: " if members else ""
        yield from wrapped(f"{of}{reason}", indent=" " * 6, first="    - ", most=4)


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
