"""`GET /dashboard`: the operators' page. All mirrors from their heads, or, with ?mirror=, one with a fresh look at its NICs.

It shows what `status`, `health` and `trail` tell, and reads nothing else of a mirror but its newest rows. It changes nothing.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from vipcore import instants
from vipcore.decision.controller import Controller
from vipcore.entry import health, status
from vipcore.entry import trail as trail_route
from vipcore.entry.bodies import Text
from vipcore.errors import Refusal
from vipcore.ledger.audit import EVENTS
from vipcore.ledger.verify import Verified
from vipcore.model import Json, Page
from vipcore.page import actions, mirror, overview, render, timeline, trail, words
from vipcore.page.overview import Asked
from vipcore.page.trail import Filter

REFRESH_S: Final = 10
REFRESH_BUSY_S: Final = 3
"""While a swap is under way."""

ROWS: Final = 40
"""Rows on one page of the trail."""

ROWS_LOOKED_AT_MAX: Final = 1000
"""How many rows one request looks at for a filter: what it costs does not grow with the length of the trail."""

ROWS_OF_SWAPS: Final = 60
"""The newest rows, of which the last swaps are drawn."""

LOOKED_AT_MAX: Final = 12
"""Mirrors whose NICs are read for the list while the table is away."""

SAID_S_MAX: Final = 600.0
"""How old a look at a mirror's status pages may be to be shown in the list."""

_AWAY: Final = frozenset({"storage-unavailable", "identity-unavailable"})
_TITLES: Final = {
    "mirror-unknown": "There is no such mirror.",
    "configuration-invalid": "This is not served: its configuration is faulty.",
    "storage-unavailable": "The table is away.",
    "identity-unavailable": "The app's identity has no token, so the table is away.",
}


class Chain(NamedTuple):
    """The last verification of the trail, as the page tells it."""

    tone: str
    word: str
    text: str


class Request(NamedTuple):
    """`url`: the address that was asked for, for the lines to paste; `version`: the app's."""

    query: Mapping[str, str]
    url: str
    correlation_id: str
    version: str


async def page(controller: Controller, request: Request) -> Text:
    """The page. What cannot be shown is told by a page, too: only a defect raises."""
    query, name, api = request.query, request.query.get("mirror", ""), actions.api(request.url)
    try:
        shown = await (_mirror(controller, name, request, api) if name else _overview(controller, query, api))
    except Refusal as refusal:
        shown = await _refused(controller, request, refusal, api)
    html = render.html(shown.template, at=instants.to_text(controller.clock.now()), version=request.version, **shown.values)
    return Text(html, "text/html", render.headers(), shown.status)


class Filled(NamedTuple):
    """A template and what it shows."""

    template: str
    values: dict[str, Any]
    status: int = 200


async def _refused(controller: Controller, request: Request, refusal: Refusal, api: str) -> Filled:
    """Why nothing is shown; where the table is away, what Azure shows."""
    name, away = request.query.get("mirror", ""), refusal.code in _AWAY
    values = {
        "refresh_s": REFRESH_S,
        "title": _TITLES.get(refusal.code, "This cannot be shown now."),
        "code": refusal.code,
        "detail": refusal.detail,
        "back": bool(name),
        "mirrors": await _placements(controller, request, refusal.detail) if away and not name else [],
        "actions": actions.of_all(api),
    }
    return Filled("away.html", values, refusal.status)


async def _overview(controller: Controller, query: Mapping[str, str], api: str) -> Filled:
    """All mirrors. Raises Refusal."""
    listed, now = (await status.mirrors(controller))["mirrors"], controller.clock.now()
    wrong = {one["mirror"]: [found.reason for found in health.wrong(one, now)] for one in listed}
    said = {one["mirror"]: _primary(controller, one["mirror"]) for one in listed}
    shown = overview.overview(listed, wrong, said, Asked.of(query), now)
    busy = REFRESH_BUSY_S if shown.counts["swapping"] else REFRESH_S
    return Filled("overview.html", {"refresh_s": busy, "shown": shown, "actions": actions.of_all(api)})


def _primary(controller: Controller, name: str) -> str:
    """Whom the mirror's pages called primary when this process last asked them, if that was lately. Nobody is asked for it."""
    pages, at = controller.glances.said.get(name, ({}, instants.NEVER))
    now = controller.clock.now()
    if not pages or now - at > instants.seconds(SAID_S_MAX):
        return ""
    primary = ", ".join(member for member, page in pages.items() if page is Page.PRIMARY)
    silent = all(page is Page.UNKNOWN for page in pages.values())
    return f"{primary or ('unknown' if silent else 'nobody')}, {words.ago(instants.to_text(at), now)}"


async def _mirror(controller: Controller, name: str, request: Request, api: str) -> Filled:
    """One mirror. Raises Refusal."""
    asked = Filter.of(request.query, EVENTS)
    found = await status.mirror(controller, name, request.correlation_id)
    newest: list[Json] = []
    rows = None
    if "head" not in found:
        with suppress(Refusal):  # the table went away in between: the page says so
            newest = (await trail_route.audit(controller, name, {"limit": str(ROWS_OF_SWAPS)}))["records"]
            rows = await _rows(controller, name, asked)
    values = {
        "refresh_s": REFRESH_BUSY_S if found["in_progress"] else REFRESH_S,
        "shown": mirror.shown(found, newest, controller.clock.now()),
        "actions": actions.of_mirror(api, found),
        "trail": rows,
        "chain": _chain(controller.store.verified.get(name)),
        "events": EVENTS,
        "members": [member["name"] for member in found["members"]],
        "phases": ("read", "accept", "decide", "wait", "detach", "attach", "verify", "path"),
        "unfiltered": overview.mirror_link(name),
        "told": timeline.told,
    }
    return Filled("mirror.html", values)


async def _rows(controller: Controller, name: str, asked: Filter) -> trail.Trail:
    """A page of the rows that are asked for; at most ROWS_LOOKED_AT_MAX are looked at. Raises Refusal."""
    found: list[Json] = []
    looked_at, before = 0, asked.before
    limit = 200 if asked.is_set else ROWS
    while True:
        query = {**asked.query(), "limit": str(limit), **({"before": str(before)} if before else {})}
        read = await trail_route.audit(controller, name, query)
        looked_at += len(read["records"])
        before = read["next"] or 0
        found += [row for row in read["records"] if asked.has(row)]
        older = asked.since and read["records"] and str(read["records"][-1].get("at", "")) < asked.since
        if len(found) > ROWS:
            found, before = found[:ROWS], found[ROWS - 1]["seq"]
        if not before or older or len(found) >= ROWS or looked_at >= ROWS_LOOKED_AT_MAX:
            return trail.trail(name, asked, found, looked_at, None if older and len(found) < ROWS else before or None)


def _chain(verified: Verified | None) -> Chain:
    """The last look that this process made by itself at the newest rows, as the page tells it."""
    if verified is None:
        wait = "The timer does so within ten minutes of a start, and once a day."
        return Chain(
            "unknown", "Not verified yet", f"This instance has not verified the newest rows since it was started. {wait}"
        )
    when = f"{instants.clock(instants.to_text(verified.at))} UTC"
    if verified.broken:
        return Chain("bad", "Chain broken", f"At row {verified.broken.seq}: {verified.broken.detail}. Verified {when}.")
    if verified.reached.seq < verified.first:
        return Chain("good", "Chain intact", f"There were no newer rows when it was verified last, {when}.")
    more = " The rows after them are next." if verified.more else ""
    return Chain("good", "Chain intact", f"Rows {verified.first} to {verified.reached.seq}, verified {when}.{more}")


async def _placements(controller: Controller, request: Request, away: str) -> list[tuple[str, str, str, str]]:
    """Name, link, tone and holder of each mirror while the table is away, of the first few by a look at Azure.

    The table is not asked a second time: the page's script waits 30 s for it, and a table that hangs has taken half of them.
    """
    text = Asked.of(request.query).text.casefold()
    names = [name for name in sorted(controller.config.mirrors) if text in name.casefold()]
    looks = await asyncio.gather(
        *(status.mirror(controller, name, request.correlation_id, away=away) for name in names[:LOOKED_AT_MAX]),
        return_exceptions=True,
    )
    seen: dict[str, tuple[str, str]] = {}
    for name, look in zip(names, looks, strict=False):
        if isinstance(look, dict):
            placement = look["placement"]
            tone = {"placed": "good", "unknown": "unknown"}.get(placement["state"], "bad")
            seen[name] = (tone, words.holder(placement))
    return [(name, overview.mirror_link(name), *seen.get(name, ("", ""))) for name in names[: overview.PAGE]]
