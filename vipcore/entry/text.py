"""Status and dry runs as text for a terminal: the answer first, then why, then what happened last. Lines of 100 columns at most.

It shows what `status` and `moves` give, and reads nothing else of a mirror but its newest rows.
"""

import json
import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from vipcore import instants, strictjson
from vipcore.decision.controller import Controller
from vipcore.entry import health, moves, status
from vipcore.entry.bodies import Text
from vipcore.errors import Refusal, Unreachable
from vipcore.instants import Instant
from vipcore.model import Json, Seen, brief
from vipcore.swap.plan import FAILED

COLUMNS: Final = 100
EVENTS: Final = 5
FORMATS: Final = ("json", "text")
_COMMAND: Final = re.compile(r"\(az [^()]+\)")
_KEPT: Final = "\0"
_PAD: Final = "\ue000"
"""Stands behind a character of two columns while lines are broken; `_plain` leaves none of its kind in a text."""


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
    return _text(_of_mirrors(listed["mirrors"], controller.clock.now())) if as_text else listed


async def mirror(controller: Controller, name: str, form: Form, correlation_id: str) -> Json | Text:
    """`GET /mirrors/{mirror}`. Raises Refusal."""
    as_text, shown = wanted(form), await status.mirror(controller, name, correlation_id)
    if not as_text:
        return shown
    events: list[Json] = []
    if "head" not in shown:
        with suppress(Unreachable):
            events = [row.view() for row in await controller.ledger.newest_rows(name, before=None, limit=EVENTS)]
    return _text(_of_mirror(shown, events, controller.clock.now()))


async def move(controller: Controller, name: str, body: bytes, form: Form, correlation_id: str) -> Json | Text:
    """`POST /mirrors/{mirror}/moves`; only a dry run has a text. Raises Refusal."""
    as_text, answer = wanted(form), await moves.move(controller, name, body, correlation_id)
    if not as_text or answer["outcome"] != "planned":
        return answer
    return _text(_of_dry_run(name, strictjson.parse_strict(body)["to"], answer))


def _text(lines: Iterable[str]) -> Text:
    return Text("".join(f"{line}\n" for line in lines), "text/plain")


def _plain(text: object) -> str:
    """What came from outside, on one line and without anything that a terminal would obey; resource ids by their last parts."""
    return brief("".join(c if c.isprintable() else " " for c in " ".join(str(text).split())))


def _wrapped(text: str, indent: str = "", first: str | None = None) -> list[str]:
    first = indent if first is None else first
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _KEPT), _plain(text))  # a line to paste is not broken
    padded = "".join(c + _PAD * (_width(c) - 1) for c in whole)
    columns = COLUMNS - (_PAD in padded)  # a line may end between a character and its pad
    lines = textwrap.wrap(padded, columns, initial_indent=first, subsequent_indent=indent)
    return [line.replace(_KEPT, " ").replace(_PAD, "") for line in lines] or [first.rstrip()]


def _width(text: str) -> int:
    """How many columns of a terminal it takes; a combining character counts as one."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _to_paste(whole: str, broken: str) -> list[str]:
    """A line to paste, or, where that is too wide, the same in pieces that a shell puts together again."""
    return [whole] if _width(whole) <= COLUMNS else broken.split("\n")


def _move_to(mirror: str, member: str) -> list[str]:
    """The line to paste that moves the VIP to the member, whose name may be anything."""
    fields = {"to": member, "operator": "YOU", "reason": "WHY"}
    body = shlex.quote(json.dumps(fields, ensure_ascii=not str(member).isprintable()))
    curl, url, split = '  curl -H "$KEY"', f"$API/mirrors/{mirror}/moves", body.replace('", "operator"', '",\n"operator"')
    return _to_paste(f"{curl} {url} -d {body}", f"{curl} \\\n    {url} \\\n    -d {split}")


def _ago(at: str, now: Instant, *, long: bool = True) -> str:
    """`2026-11-28 02:10:11 UTC (49 min ago)`, or only the last part of it."""
    past = instants.length(max(0, int((now - instants.from_text(at)).total_seconds())))
    return f"{instants.clock(at)} UTC ({past} ago)" if long else f"{past} ago"


# -- one mirror --------------------------------------------------------------------------------------------------------------


def _of_mirror(shown: Json, events: list[Json], now: Instant) -> Iterator[str]:
    name, placement, desired = shown["mirror"], shown["placement"], shown["desired"]
    yield from _wrapped(f"{name}: {_holder(shown, now)}")
    if "head" in shown:
        why = f"The table is away, so only what Azure shows is known: {shown['head_detail']}. No claim can be carried out now."
        yield from _wrapped(why)
    elif desired not in (None, *(placement["members"] or ())):
        yield from _wrapped(f"It should be on {desired}.")
    yield from _stops(shown, now)
    yield from _wrapped(_primary(shown["members"]))
    yield ""
    yield "Would a failover work now?"
    for member in shown["members"]:
        yield from _failover(member, now, holds=placement["state"] == "placed" and member["name"] in placement["members"])
    if "head" in shown:
        return
    yield ""
    yield from _under_way(shown, now)
    yield ""
    yield "Last events (UTC), the newest first:" if events else "No events are in the trail."
    for row in events:
        yield from _event(row)
    if len(events) == EVENTS:
        curl, url = '  ... all of them: curl -H "$KEY"', f'"$API/mirrors/{name}/audit?format=csv"'
        yield from _to_paste(f"{curl} {url}", f"{curl} \\\n    {url}")


def _holder(shown: Json, now: Instant) -> str:
    """Who has the VIP, and since when as far as the head tells."""
    placement, last = shown["placement"], shown["last_swap"]
    names = ", ".join(placement["members"] or ())
    match placement["state"]:
        case "placed":
            since = f" since {_ago(last['at'], now)}" if last and last["to"] == names else ""
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
    name, placement = shown["mirror"], shown["placement"]
    if frozen := shown["frozen"]:
        until = f" until {instants.clock(frozen['until'])} UTC" if frozen["until"] else ""
        yield from _wrapped(f"FROZEN by {frozen['operator']} since {_ago(frozen['at'], now)}{until}: {frozen['reason']}")
        path, query = f'"$API/mirrors/{name}/freeze', '?operator=YOU&reason=WHY"'
        curl = '  curl -X DELETE -H "$KEY"'
        yield from _to_paste(f"{curl} {path}{query}", f"{curl} \\\n    {path}\\\n{query}")
    if shown["drift"]:
        yield from _wrapped(f"DRIFT: {shown['drift']}")
    if shown["drift"] and placement["state"] == "placed":
        yield from _wrapped(f"To bring it back to {shown['desired']} (or, with another name, to leave it there):")
        yield from _move_to(name, shown["desired"])
    progress = shown["in_progress"]
    if placement["state"] == "unplaced" and progress and progress["last_error"]:
        yield "It will not mend itself: remove the cause of the last try's end (below), then ask for it now:"
        yield from _move_to(name, progress["to"])
    elif placement["state"] == "unplaced" and not shown["frozen"]:
        yield "The timer attaches it within a minute; this asks for it now:"
        yield '  curl -X POST -H "$KEY" $API/reconcile -d ""'


def _primary(members: list[Json]) -> str:
    said = [member["name"] for member in members if member["primary"]]
    if said:
        return f"Primary by the status pages: {', '.join(said)}."
    silent = all(member["primary"] is None for member in members)
    return "No status page tells who is primary." if silent else "No status page says primary."


def _failover(member: Json, now: Instant, *, holds: bool) -> Iterator[str]:
    """Whether a claim of this member would be carried out, and why not."""
    name = member["name"] + (" (has it)" if holds else "")
    verdict = {True: "yes", False: "NO", None: "UNKNOWN"}[member["ready"]]
    said_at = member["last_heard_at"]
    heard = f"; its agent was heard {_ago(said_at, now)}" if said_at else "; its agent was never heard"
    yield from _wrapped(f"to {name}: {verdict}{heard}", indent=" " * 6, first="  ")
    for reason in member["reasons"]:
        yield from _wrapped(reason, indent=" " * 8, first="      - ")


def _under_way(shown: Json, now: Instant) -> Iterator[str]:
    progress, recorded = shown["in_progress"], shown["recorded_claim"]
    if progress is None and recorded is None:
        yield "Nothing is under way."
    if progress:
        of = f"from {progress['from']} to {progress['to']}" if progress["from"] else f"to {progress['to']}"
        yield from _wrapped(f"A swap {of} is under way since {_ago(progress['since'], now)}; phase: {progress['phase']}.")
        if error := progress["last_error"]:
            again = f" Next try at {progress['retry_at'][11:19]} UTC." if progress["retry_at"] else ""
            tries = f"{progress['failures']} failed; the last" if progress["failures"] else "The last"
            yield from _wrapped(f"{tries} try ended with {error['code']}: {error['detail']}{again}", indent="  ")
    if recorded:
        when = _ago(recorded["recorded_at"], now)
        yield from _wrapped(f"A claim of {recorded['member']} waits since {when}, because of {recorded['code']}.")


def _event(row: Json) -> Iterator[str]:
    """A row in four lines at most. Any value may be anything, since a forged row may be shown too."""
    at, who, of, ms = str(row.get("at", "")), row.get("member", ""), row.get("from_member"), row.get("duration_ms")
    moved = f"{of} -> {who}" if of else who
    took = f"{ms / 1000:.1f} s" if isinstance(ms, int) else ""
    parts = [at[5:10], at[11:19], str(row.get("event", "")), moved, row.get("outcome", ""), took, f"by {row.get('actor', '')}"]
    yield from _wrapped("  ".join(str(part) for part in parts if part), indent=" " * 8, first="  ")[:2]
    yield from _wrapped(str(row.get("detail", "")), indent=" " * 8)[:2] if row.get("detail") else ()


# -- all mirrors, and a dry run ----------------------------------------------------------------------------------------------


def _of_mirrors(listed: list[Json], now: Instant) -> Iterator[str]:
    wrong = {one["mirror"]: found for one in listed if (found := health.wrong(one, now))}
    dark = {one["mirror"] for one in listed if (one.get("placement") or {}).get("state") == Seen.UNPLACED.value}
    need = f"in need of somebody: {len(wrong)}" if wrong else "all are well"
    need += f" (VIP on no NIC: {len(dark)})" if dark else ""
    yield f"Mirrors: {len(listed)}, {need}. It is {instants.clock(instants.to_text(now))} UTC."
    for one in sorted(listed, key=lambda one: (one["mirror"] not in dark, one["mirror"] not in wrong, one["mirror"])):
        mark = "!" if one["mirror"] in wrong else " "
        placement = one.get("placement")
        seen = f"; seen {_ago(one['seen_at'], now, long=False)}" if placement else ""
        where = _holder({"last_swap": None, **one}, now) if placement else "nobody knows where the VIP is."
        yield from _wrapped(f"{one['mirror']}: {where[:-1]}{seen}.", indent="    ", first=f"{mark} ")
        for reason in wrong.get(one["mirror"], ()):
            of = f"{reason['member']}: " if reason["member"] else ""
            yield from _wrapped(f"{of}{reason['reason']}", indent=" " * 6, first="    - ")


def _of_dry_run(name: str, to: str, planned: Json) -> Iterator[str]:
    against = [check for check in planned["checks"] if check["ok"] is False]
    verdict = "would NOT work now" if against else "would work now" if planned["steps"] else "would change nothing"
    yield from _wrapped(f"A move of {name} to {to} {verdict}.")
    for check in against:
        yield from _wrapped(f"{check['name']}: {check['detail']}", indent="    ", first="  - ")
    yield ""
    yield "What it would write:" if planned["steps"] else "It would write no NIC."
    for number, step in enumerate(planned["steps"], 1):
        side = "from" if step["action"] == "detach" else "to" if step["action"] == "attach" else "on"
        travels = sorted({one for names in step.get("carried", {}).values() for one in names})
        with_it = f", with {', '.join(travels)}" if travels else ""
        what = " ".join([step["action"], *step["vips"], side, step["member"]])
        yield from _wrapped(f"{what} ({step['nic']}){with_it}", indent=" " * 5, first=f"  {number}. ")
    yield ""
    yield "What was looked at:"
    for check in planned["checks"]:
        mark = {True: "ok", False: "NO", None: "? "}[check["ok"]]
        yield from _wrapped(f"{check['name']}: {check['detail']}", indent=" " * 6, first=f"  {mark}  ")
