"""`follow_primary`: a member whose status page turned primary after the last decision is treated as if it had claimed.

Only a page that was seen to say *not primary* since that decision can turn: an isolated old primary that goes on believing in
itself never does. Which pages were seen so is in the head, since the process may change between looks.
"""

from dataclasses import replace
from typing import Final

from vipcore.decision.controller import Controller
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import Head
from vipcore.model import Claim, Mirror, Page

LOOKS_NEEDED: Final = 3
"""So many looks in a row must say primary."""


async def follow_primary(controller: Controller, mirror: Mirror, caller: Caller) -> Claim | None:
    """The claim to carry out for the member whose page turned, or None. Raises Refusal, Unreachable.

    Time and head are taken before the pages are asked, so that a decision made meanwhile is a later one.
    """
    now = controller.clock.now()
    head = await controller.load_head(mirror.name)
    pages = await controller.pages(mirror)
    backups = set(head.backup_seen.get("backup", ()))
    new = {name for name, page in pages.items() if page is Page.NOT_PRIMARY} - backups
    if new:

        def change(newest: Head) -> tuple[Head, list[Entry]]:
            if newest.epoch != head.epoch or newest.began != head.began:
                return newest, []
            detail = f"Status pages seen to say not primary since the last decision: {', '.join(sorted(new))}."
            return replace(newest, backup_seen={"backup": sorted(backups | new)}), [
                caller.entry("readiness.changed", detail=detail)
            ]

        head = await controller.store.commit(head, change)
    primary = [name for name, page in pages.items() if page is Page.PRIMARY]
    candidate = primary[0] if len(primary) == 1 and primary[0] in backups and primary[0] != head.desired else None
    member, looks = controller.primary_seen.pop(mirror.name, ("", 0))
    if candidate is None:
        return None
    looks = looks + 1 if member == candidate else 1
    if looks < LOOKS_NEEDED:
        controller.primary_seen[mirror.name] = (candidate, looks)
        return None
    return Claim(
        mirror=mirror.name,
        member=candidate,
        claim_id=controller.clock.new_id(),
        key_id="",
        issued_at=now,
        began=now,
        event="NotifyBecomePrimary",
    )
