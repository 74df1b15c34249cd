"""A refusal or confirmation like the last one of that key writes at most one row a minute; the next row counts those left out."""

from dataclasses import replace
from typing import Final

from vipcore import instants
from vipcore.decision.request import Request
from vipcore.instants import Instant
from vipcore.ledger.head import Head, Repeat, repeated

REPEAT_S: Final = 60.0


def is_repeat(head: Head, request: Request, what: str, now: Instant) -> bool:
    """Whether this claim's key was told the same less than a minute ago. Moves are never left out."""
    last = head.repeats.get(request.caller.actor)
    return bool(request.claim and last and last.what == what and now - last.at < instants.seconds(REPEAT_S))


def left_out(head: Head, request: Request) -> Head:
    """The head with one more row of this key left out."""
    actor = request.caller.actor
    last = head.repeats[actor]
    return replace(head, repeats={**head.repeats, actor: last._replace(left_out=last.left_out + 1)})


def told(head: Head, request: Request, what: str, now: Instant) -> Head:
    """The head after a row of this key that a like one may follow within a minute."""
    return repeated(head, request.caller.actor, Repeat(what=what, at=now)) if request.claim else head


def reset_left_out(head: Head, request: Request) -> Head:
    """The head after another row of this key: it tells how many were left out before it, so the next one need not."""
    actor = request.caller.actor
    last = head.repeats.get(actor)
    return head if last is None else replace(head, repeats={**head.repeats, actor: last._replace(left_out=0)})


def with_count(detail: str, head: Head, request: Request) -> str:
    """The detail of a row, with how many rows of this key were left out before it."""
    last = head.repeats.get(request.caller.actor)
    if last is None or not last.left_out:
        return detail
    return f"{detail} {last.left_out} earlier ones like this were counted and not written.".lstrip()
