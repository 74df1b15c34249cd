"""One mirror: what the template shows of its state, its members, its last swaps and its trail's chain. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vipcore import instants
from vipcore.instants import Instant
from vipcore.model import PHASES, Json, brief, said_once
from vipcore.page import swaps, timeline, words
from vipcore.page.swaps import Swap
from vipcore.page.timeline import Bar, Tick
from vipcore.page.words import State

_READY: Final = {True: ("Ready", "good"), False: ("Not ready", "bad"), None: ("Unknown", "unknown")}
_PRIMARY: Final = {True: "Primary", False: "Not primary", None: "Primary? unknown"}
_ENDS: Final = {
    "completed": ("done", "good"), "failed": ("failed", "bad"), "running": ("under way", "busy"),
    "superseded": ("given up for a newer decision", "warn"),
}  # fmt: skip


class Card(NamedTuple):
    """A member. `nic`: the name and state of its NIC; `nic_id`: all of its resource id."""

    name: str
    holds: bool
    desired: bool
    ready: str
    tone: str
    primary: str
    reasons: tuple[str, ...]
    nic: str
    nic_id: str
    vips: str
    checked: str
    heard: str


class Lane(NamedTuple):
    """A swap as a lane of the drawing. `end`: how it ended, as a word; `parts`: its phases, each with its time, in order."""

    operation_id: str
    title: str
    at: str
    ago: str
    end: str
    tone: str
    total: str
    bars: tuple[Bar, ...]
    parts: tuple[tuple[str, str], ...]
    detail: str
    spoken: str


class Chart(NamedTuple):
    """The last swaps, newest first, all to one scale."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]


class Notice(NamedTuple):
    """What an operator must know of a mirror before anything else."""

    key: str
    tone: str
    title: str
    text: str


class Shown(NamedTuple):
    """All of one mirror but its trail and its actions."""

    name: str
    state: State
    answer: str
    since: str
    notices: tuple[Notice, ...]
    cards: tuple[Card, ...]
    chart: Chart | None
    facts: tuple[tuple[str, str], ...]


def shown(status: Json, rows: Sequence[Json], now: Instant) -> Shown:
    """`status`: as `GET /mirrors/{mirror}` tells it; `rows`: the newest of its trail, newest first."""
    away, members = "head" in status, status["placement"]["members"] or ()
    status = {**status, "drift": status["drift"] or _drift(status)}
    last, since = status["last_swap"], ""
    if last and status["placement"]["state"] == "placed" and last["to"] in members:
        since = f"Since {instants.clock(last['at'])} UTC, {words.ago(last['at'], now)}."
    return Shown(
        name=status["mirror"],
        state=words.state(status, ()),
        answer=words.answer(status),
        since=since,
        notices=tuple(_notices(status, now)),
        cards=tuple(_card(member, status, now) for member in status["members"]),
        chart=None if away else _chart(swaps.last_swaps(rows, status, now), now),
        facts=() if away else _facts(status),
    )


def _drift(status: Json) -> str:
    """What a fresh look shows although no timer pass has said it yet."""
    placement, desired = status["placement"], status["desired"]
    elsewhere = placement["state"] == "placed" and desired not in (None, *placement["members"])
    if not elsewhere or status["in_progress"]:
        return ""
    return f"{placement['members'][0]} has the VIP, and {desired} should; nobody is moving it."


def _notices(status: Json, now: Instant) -> list[Notice]:
    found = []
    if "head" in status:
        text = f"Only what Azure shows is known: {status['head_detail']}. No claim can be carried out until the table answers."
        found.append(Notice("table", "bad", "The table is away", text))
    if progress := status["in_progress"]:
        since, error = words.ago(progress["since"], now), progress["last_error"]
        source = f"From {progress['from']} to" if progress["from"] else "To"
        text = f"{source} {progress['to']}, begun {since}; {PHASES[progress['phase']]}."
        if error:
            again = f" Next try {words.ago(progress['retry_at'], now)}." if progress["retry_at"] else ""
            text += f" {error['code']}: {brief(error['detail'])}{again}"
        count = progress["failures"]
        tries = f"; {count} {'try has' if count == 1 else 'tries have'} failed" if count else ""
        found.append(Notice("swap", "bad" if error else "busy", f"A swap is under way{tries}", text))
    if drift := status["drift"]:
        found.append(Notice("drift", "bad", "Drift", drift))
    if frozen := status["frozen"]:
        until = f"until {instants.clock(frozen['until'])} UTC" if frozen["until"] else "until it is lifted"
        text = f"{frozen['reason']} — since {instants.clock(frozen['at'])} UTC ({words.ago(frozen['at'], now)}), {until}."
        found.append(Notice("frozen", "frozen", f"Frozen by {frozen['operator']}", text))
    if claim := status["recorded_claim"]:
        text = f"Recorded {words.ago(claim['recorded_at'], now)} because of {claim['code']}; the timer judges it again."
        found.append(Notice("claim", "warn", f"A claim of {claim['member']} waits", text))
    return found


def _card(member: Json, status: Json, now: Instant) -> Card:
    ready, tone = _READY[member["ready"]]
    error = status["in_progress"]["last_error"] if status["in_progress"] else None
    reasons = [brief(said_once(reason, error["detail"] if error else "")) for reason in member["reasons"]]
    if member["ready"] is False and member["movable"] and not member["vips"]:
        reasons.append("By hand a move would work, once IRIS has made this member primary.")
    vips, nic_id = member["vips"], str(member["nic"])
    return Card(
        name=member["name"],
        holds=bool(vips),
        desired=member["name"] == status["desired"],
        ready=ready,
        tone=tone,
        primary=_PRIMARY[member["primary"]],
        reasons=tuple(reasons),
        nic=f"{nic_id.rpartition('/')[2]}: {member['provisioning_state'] or 'could not be read'}",
        nic_id=nic_id,
        vips="could not be read" if vips is None else ", ".join(vips) or "none",
        checked=words.ago(member["checked_at"], now),
        heard=words.ago(member["last_heard_at"], now),
    )


def _chart(found: Sequence[Swap], now: Instant) -> Chart:
    whole = timeline.longest([swap.spans for swap in found])
    return Chart(tuple(_lane(swap, whole, now) for swap in found), tuple(timeline.ticks(whole)))


def _lane(swap: Swap, whole_ms: int, now: Instant) -> Lane:
    at = instants.to_text(swap.began)
    end, tone = _ENDS[swap.end]
    title = f"{swap.from_member or 'nobody'} → {swap.to}"
    parts = tuple((span.name, timeline.told(span.ms)) for span in swap.spans if span.ms)
    total = timeline.told(swap.total_ms)
    spoken = f"{title}, {end}, {total}: " + ", ".join(f"{name} {took}" for name, took in parts)
    bars = tuple(timeline.bars(swap.spans, whole_ms))
    return Lane(
        swap.operation_id, title, instants.clock(at), words.ago(at, now), end, tone, total, bars, parts, swap.detail, spoken
    )


def _facts(status: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    changes = status["changes"]
    return (
        ("Desired", status["desired"] or "nobody decided yet"),
        ("Epoch", str(status["epoch"])),
        ("Changes by claims", f"{changes['in_window']} of {changes['max']} allowed"),
    )
