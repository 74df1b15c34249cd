"""The mirrors document changes under a head that an earlier one made: what the names in it mean now, and who may act on that.

A head names members; `Head.nics` says which NICs it meant. So a member that has only a new name inherits *desired* (`follow`),
a NIC that has left the document is still read and written as long as the VIP, or a write in flight, may be on it (`read_known`),
and a write in flight is overwritten whatever its member is called now (`in_flight`).

During a deployment two instances serve two documents. Invariant: they change nothing in turns. What a claim or move asks for,
every instance carries out as its own document says. Unasked, only an instance whose document is *in force* changes what another
document has placed: the document in force is replaced only by that of a process that was started later than the one that put it
in force. So each process changes what is in force at most once, and a document that is rolled back wins, too. An instance whose
document is not in force attaches a VIP that is on no NIC, finishes swaps that others left, and reports nothing
(docs/adr/0016-documents-that-change.md).
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

from vipcore.decision.controller import Controller
from vipcore.instants import Instant, seconds
from vipcore.ledger.audit import Caller, Entry
from vipcore.ledger.head import OF_LOST_HEAD, Document, Head
from vipcore.model import Epoch, Member, Mirror, Unreadable
from vipcore.swap.plan import Observed


def digest(mirror: Mirror) -> str:
    """A name for what the document says of the mirror's members and VIPs."""
    members = [(member.name, member.nic_id.lower()) for member in mirror.members]
    vips = [(vip.name.lower(), vip.private_ip, (vip.public_ip_id or "").lower()) for vip in mirror.vips]
    return hashlib.sha256(repr((members, vips)).encode()).hexdigest()[:16]


def may_change(controller: Controller, head: Head) -> bool:
    """Whether this instance's document is in force, or replaces the one that is."""
    if head.document is None or head.document.digest == digest(controller.config.mirrors[head.mirror]):
        return True
    return _started(controller) > head.document.since


def _started(controller: Controller) -> Instant:
    """When this process began to serve its document."""
    return controller.clock.now() - seconds(asyncio.get_running_loop().time() - controller.store.started_at)


def stamped(controller: Controller, mirror: Mirror, head: Head) -> Head:
    """The head as a decision leaves it to others: with the NICs of its members, and this document in force if it may be."""
    head = replace(head, nics={member.name: member.nic_id for member in mirror.members})
    if not may_change(controller, head):
        return head
    since = max(_started(controller), head.document.since) if head.document else _started(controller)
    return replace(head, document=Document(digest(controller.config.mirrors[head.mirror]), since))


def name_now(mirror: Mirror, head: Head, name: str) -> str | None:
    """What the document calls the member that the head calls so; None where it has neither its NIC nor its name."""
    return mirror.member_of(head.nics.get(name)) or (name if mirror.member(name) else None)


def in_flight(mirror: Mirror, head: Head) -> set[str]:
    """The members, by their names of today, whose NICs an earlier driver may still write."""
    if head.lease and head.lease.owner == OF_LOST_HEAD:
        return {member.name for member in mirror.members}
    left = head.swap.maybe_in_flight if head.swap else ()
    return {name for one in left if (name := name_now(mirror, head, one))}


async def read_known(read: Callable[[Mirror], Awaitable[Observed]], mirror: Mirror, head: Head) -> Observed:
    """The NICs of the members, and those outside of the document on which the head knows that a VIP may be.

    Such a one that cannot be read is left out: Azure itself says before a swap begins whether somebody has the address.
    """
    names = {member.name for member in mirror.members}
    left = [
        Member(name=f"{name} (former)" if name in names else name, nic_id=nic_id)
        for name, nic_id in head.nics.items()
        if mirror.member_of(nic_id) is None
    ]
    if not left:
        return await read(mirror)
    observed = await read(replace(mirror, members=(*mirror.members, *left)))
    unread = {member.name for member in left if isinstance(observed[member.name], Unreadable)}
    known = tuple(member for member in observed.mirror.members if member.name not in unread)
    return Observed(replace(mirror, members=known), {member.name: observed[member.name] for member in known})


def has_left(mirror: Mirror, head: Head) -> bool:
    """Whether the head knows of a NIC that the document no longer has."""
    return any(mirror.member_of(nic_id) is None for nic_id in head.nics.values())


async def follow(controller: Controller, mirror: Mirror, head: Head, caller: Caller) -> Head:
    """The head with desired under its member's new name, where only the name has changed and nobody drives."""
    old = head.desired or ""
    name = name_now(mirror, head, old)
    if name is None or name == old or head.lease_live(controller.clock.now()) or not may_change(controller, head):
        return head
    now_called = {one: name_now(mirror, head, one) or one for one in (old, *head.nics)}

    def change(newest: Head) -> tuple[Head, list[Entry]]:
        if newest.etag != head.etag:
            return newest, []
        swap, late = newest.swap, newest.late_writes
        if swap is not None:
            swap = swap._replace(
                from_member=now_called.get(swap.from_member or "", swap.from_member),
                maybe_in_flight=tuple(sorted(now_called.get(one, one) for one in swap.maybe_in_flight)),
            )
        after = replace(
            stamped(controller, mirror, newest),
            desired=name,
            epoch=Epoch(newest.epoch + 1),
            swap=swap,
            late_writes=late._replace(members=tuple(sorted(now_called.get(one, one) for one in late.members))),
            holds={},
            backup_seen={},
        )
        detail = f"The mirrors document calls the member with the NIC of {old} {name} now; desired follows it."
        operation_id = swap.operation_id if swap else None
        return after, [caller.entry("drift.repaired", member=name, operation_id=operation_id, outcome="renamed", detail=detail)]

    await controller.ledger.put_work_item(mirror.name)
    return await controller.store.commit(head, change)
