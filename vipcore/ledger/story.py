"""What the log tells of a row of the trail: the row's event, its ids and its sentence, once it is committed. Pure.

So whatever the trail knows is in the log too, and one line says what a swap did: from whom, to whom, in how many milliseconds,
for which claim, in which request.
"""

from typing import Any, Final

from vipcore.ledger.audit import Row

_NAMES: Final = {"ms": "DurationMs", "claim": "ClaimId", "correlation": "CorrelationId", "actor": "Actor", "epoch": "Epoch"}
_CODED: Final = (".refused", ".recorded", ".failed", "readiness.changed")
"""Events whose Outcome says why, or what is wrong."""

_SENTENCES: Final = {
    "claim.accepted": "The claim of {to} is accepted.",
    "move.accepted": "The move to {to} is accepted.",
    "claim.confirmed": "The claim of {to} is confirmed.",
    "move.confirmed": "The move to {to} is confirmed.",
    "claim.refused": "The claim of {to} is refused.",
    "move.refused": "The move to {to} is refused.",
    "claim.recorded": "The claim of {to} is recorded.",
    "swap.completed": "Swap {from} to {to} completed in {took}.",
    "swap.failed": "Swap {from} to {to} failed after {took}.",
    "swap.resumed": "Swap {from} to {to} is resumed.",
}
"""Event -> how its line's sentence begins; the row's own Detail follows, and is all where the event is not here."""


def fields(row: Row) -> dict[str, Any]:
    """The fields of the row's line."""
    columns = row.columns
    event, outcome = str(columns["Event"]), columns.get("Outcome")
    swap_of = event in _SENTENCES or event.startswith("drift.")
    told: dict[str, Any] = {"mirror": row.mirror, "to" if swap_of else "member": columns.get("Member")}
    told["from"] = columns.get("FromMember")
    told |= {name: columns.get(column) for name, column in _NAMES.items()}
    told["code" if event.endswith(_CODED) else "outcome"] = outcome
    begins = _SENTENCES.get(event, "").format(to=told.get("to"), took=_took(told["ms"]), **{"from": told["from"] or "nobody"})
    told["detail"] = f"{begins} {columns.get('Detail', '')}".strip()
    return told


def _took(ms: int | None) -> str:
    seconds = (ms or 0) / 1000
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
