"""What the last look at a mirror showed, as the head keeps it: where the VIPs were, and what stands in the way of each member.

Only what was seen is kept (I9): a member that could not be looked at keeps what an earlier look showed, with its older time.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vipcore import instants
from vipcore.instants import Instant

REASONS_MAX: Final = 2
REASON_CHARS_MAX: Final = 500
REASONS_CHARS_MAX: Final = 16_000
NAME_CHARS_MAX: Final = 60
TOLD_CHARS_MAX: Final = 120
"""A column of the table takes 32,768 characters, and a mirror has up to 32 members."""


class Found(NamedTuple):
    """What a look showed of one member. `wrong`: what is in the way of its claim, by a short name, as sentences."""

    at: Instant
    wrong: Mapping[str, str] = {}


class Readiness(NamedTuple):
    """`looked_at`: when a look last saw all members; after one that did not, the next comes soon. `placement`, `holders`: where
    the VIPs were at `seen_at`, empty where no look told.

    `told`: member -> the names of what was in its way when a row last told of it; empty for one that was ready.
    """

    looked_at: Instant = instants.NEVER
    seen_at: Instant = instants.NEVER
    placement: str = ""
    holders: tuple[str, ...] = ()
    members: Mapping[str, Found] = {}
    told: Mapping[str, str] = {}


def cut(wrong: Mapping[str, str], members: int) -> dict[str, str]:
    """What the head keeps of it, for each of so many members."""
    most = min(REASON_CHARS_MAX, REASONS_CHARS_MAX // (REASONS_MAX * members))
    return {name[:NAME_CHARS_MAX]: why[:most] for name, why in list(wrong.items())[:REASONS_MAX]}


def names(wrong: Mapping[str, str]) -> str:
    """What is in the way, as `told` keeps it."""
    return ", ".join(wrong)[:TOLD_CHARS_MAX]


def from_plain(data: Mapping[str, Any]) -> Readiness:
    """A record from its JSON form. Raises ValueError, KeyError or TypeError where it is damaged."""
    members = {name: Found(instants.from_text(one["at"]), dict(one["wrong"])) for name, one in data["members"].items()}
    looked_at, seen_at = (instants.from_text(data[name]) for name in ("looked_at", "seen_at"))
    return Readiness(looked_at, seen_at, str(data["placement"]), tuple(data["holders"]), members, dict(data["told"]))
