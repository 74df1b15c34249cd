"""The `curl` line of each action, ready to paste into a shell. Pure.

`$KEY` stands for the header with the operator's function key, as in docs/operations.md; no line holds a secret. What comes
from outside (names of members) is quoted for the shell.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", re.IGNORECASE)


class Action(NamedTuple):
    """`key`: names it among the others of its page; `what`: what it does; `line`: to paste; `why`: when one does that.

    The key keeps a line where it is when the page refreshes itself: nobody who copies one gets another.
    """

    key: str
    what: str
    line: str
    why: str


def api(url: str) -> str:
    """The address of the API as the request named it, or `$API` where that is none that a line should hold."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    prefix = parts.path.rpartition("/dashboard")[0]
    safe = _ORIGIN.fullmatch(origin) and re.fullmatch(r"(/[A-Za-z0-9_.~-]+)*", prefix)
    return origin + prefix if safe else "$API"


def of_mirror(api_url: str, mirror: Mapping[str, Any]) -> list[Action]:
    """The actions on a mirror, those that its state asks for first."""
    url = f"{api_url}/mirrors/{mirror['mirror']}"
    names = [member["name"] for member in mirror["members"]]
    held = (mirror["placement"]["members"] or ()) if mirror["placement"]["state"] == "placed" else ()
    found: list[Action] = []
    force = {"force": True} if mirror["frozen"] else {}
    done = "Answers when the VIP is there." + (" With force, as the mirror is frozen." if force else "")
    for number, name in enumerate(names, 1):
        if name in held and len(held) < len(names):
            continue
        body = {"to": name, "reason": "WHY", "operator": "YOU"}
        why = "A dry run: what a move would write, and whether it would work. Changes nothing."
        found.append(
            Action(f"try-{number}", f"Try a move to {name}", _curl(f"{url}/moves?format=text", {**body, "dry_run": True}), why)
        )
        key = f"force-{number}" if force else f"move-{number}"
        found.append(Action(key, f"Move the VIP to {name}", _curl(f"{url}/moves", {**body, **force}), done))
    freeze = _curl(f"{url}/freeze", {"reason": "WHY", "operator": "YOU"}, method="PUT")
    thaw = _curl(f"{url}/freeze?operator=YOU&reason=WHY", method="DELETE")
    stops = [
        Action("thaw", "Lift the freeze", thaw, "Swaps may begin again; a claim that waits is judged anew."),
        Action("freeze", "Freeze", freeze, "No swap begins until it is lifted; one that is under way ends."),
    ]
    if mirror["frozen"]:
        found = [stops[0], *found, stops[1]]
    else:
        found += [stops[1], stops[0]]
    look = "Do now what the timer does every 30 s: finish what is unfinished, attach what is on no NIC."
    return [
        *found,
        Action("timer", "Run the timer now", _curl(f"{api_url}/reconcile", {}), look),
        Action("text", "Status as text", _curl(f"{url}?format=text"), "What this page shows, in a terminal."),
        Action("verify", "Verify the trail", _curl(f"{url}/audit/verify"), "Recompute the chain of hashes from row 1 on."),
    ]


def of_all(api_url: str) -> list[Action]:
    """The actions that are about no single mirror."""
    return [
        Action("text", "Status of all as text", _curl(f"{api_url}/mirrors?format=text"), "What this page shows, in a terminal."),
        Action(
            "monitor",
            "What a monitor is told",
            _curl(f"{api_url}/health/mirrors"),
            "200 where all is well, else 503 and what is not.",
        ),
        Action("timer", "Run the timer now", _curl(f"{api_url}/reconcile", {}), "Do now what it does every 30 s."),
    ]


def _curl(url: str, body: Mapping[str, Any] | None = None, *, method: str = "") -> str:
    """The line. curl takes POST where there is a body; another method is named."""
    parts: Sequence[str] = (
        'curl -sS -H "$KEY"',
        f"-X {method}" if method else "",
        f'"{url}"' if url.startswith("$API") else shlex.quote(url),
        f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}" if body is not None else "",
    )
    return " ".join(part for part in parts if part)
