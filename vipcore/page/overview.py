"""All mirrors at a glance, the worst first: what the template shows of them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from vipcore.instants import Instant
from vipcore.model import PHASES, Json, brief
from vipcore.page import words
from vipcore.page.words import State

PAGE: Final = 100
"""Mirrors on one page: with 1,000 of them the page stays small, and the worst are on its first."""

SHOWS: Final = ("all", "trouble", "frozen", "swapping")


class Asked(NamedTuple):
    """What of all mirrors is to be shown: those with this text in their name or a member's, of this kind, from this page."""

    text: str = ""
    show: str = "all"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """What a query asks for; what it says wrongly is left out."""
        show, number = query.get("show", ""), query.get("page", "")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 1
        return cls(query.get("q", "").strip()[:64], show if show in SHOWS else "all", max(1, page))

    def link(self, **changes: Any) -> str:
        """The query of this with some changes."""
        asked = self._replace(**{"page": 1, **changes})
        fields = {"q": asked.text, "show": asked.show, "page": asked.page}
        return "?" + urlencode({name: value for name, value in fields.items() if value not in ("", "all", 1)}, errors="replace")


class Line(NamedTuple):
    """A mirror as a line of the list. `primary`: whom its pages called primary, and when; empty where they were not asked."""

    name: str
    state: State
    why: str
    holder: str
    desired: str
    primary: str
    ready: tuple[tuple[str, bool | None], ...]
    seen: str
    link: str


class Overview(NamedTuple):
    """What the list shows. `counts`: per kind of SHOWS, of all mirrors; `fit`: how many fit what was asked for."""

    asked: Asked
    lines: tuple[Line, ...]
    counts: Mapping[str, int]
    fit: int
    pages: int


def overview(
    listed: Sequence[Json], wrong: Mapping[str, Sequence[str]], said: Mapping[str, str], asked: Asked, now: Instant
) -> Overview:
    """`listed`: the list's items; `wrong`: mirror -> what a monitor is told of it; `said`: mirror -> whom pages call primary."""
    states = {one["mirror"]: words.state(one, wrong.get(one["mirror"], ())) for one in listed}
    counts = {show: sum(_is(show, one, states[one["mirror"]]) for one in listed) for show in SHOWS}
    fit = [one for one in listed if _is(asked.show, one, states[one["mirror"]]) and _has(one, asked.text)]
    fit.sort(key=lambda one: (_rank(one, states[one["mirror"]]), one["mirror"]))
    pages = max(1, -(-len(fit) // PAGE))
    asked = asked._replace(page=min(asked.page, pages))
    shown = fit[(asked.page - 1) * PAGE : asked.page * PAGE]
    lines = (_line(one, states[one["mirror"]], wrong.get(one["mirror"], ()), said.get(one["mirror"], ""), now) for one in shown)
    return Overview(asked, tuple(lines), counts, len(fit), pages)


def mirror_link(name: str, **more: str | int) -> str:
    """The query of one mirror's page."""
    return "?" + urlencode({"mirror": name, **{key: value for key, value in more.items() if value}}, errors="replace")


def _is(show: str, one: Json, state: State) -> bool:
    """Whether a mirror is of that kind."""
    match show:
        case "trouble":
            return state not in (words.WELL, words.SWAPPING)
        case "frozen":
            return bool(one.get("frozen"))
        case "swapping":
            return bool(one.get("in_progress"))
        case _:
            return True


def _rank(one: Json, state: State) -> int:
    """How urgent the mirror is among others. A swap that is stuck weighs as much as a lost VIP where it has left the VIP so."""
    lost = state is words.STUCK and (one["placement"] or {}).get("state") == "unplaced"
    return words.UNPLACED.rank if lost else state.rank


def _has(one: Json, text: str) -> bool:
    """Whether the text is in the mirror's name or one of its members', without regard to case."""
    return text.casefold() in " ".join((one["mirror"], *one.get("ready", ()))).casefold()


def _line(one: Json, state: State, wrong: Sequence[str], primary: str, now: Instant) -> Line:
    name = one["mirror"]
    if "fault" in one:
        return Line(name, state, str(one["fault"]), "", "", "", (), "", mirror_link(name))
    frozen = one["frozen"]
    why = f"Frozen by {frozen['operator']}: {frozen['reason']}" if frozen and state is words.FROZEN else " ".join(wrong[:1])
    if progress := one["in_progress"]:
        error = progress["last_error"]
        why = f"{error['code']}: {error['detail']}" if error else f"To {progress['to']}: {PHASES[progress['phase']]}."
    return Line(
        name=name,
        state=state,
        why=brief(why),
        holder=words.holder(one["placement"]),
        desired=one["desired"] or "",
        primary=primary,
        ready=tuple(one["ready"].items()),
        seen=f"seen {words.ago(one['seen_at'], now)}" if one["seen_at"] else "nobody has looked yet",
        link=mirror_link(name),
    )
