"""Reading NICs in a drive, and waiting until one is no longer at work."""

from vipcore.model import Nic
from vipcore.swap.drive import Drive
from vipcore.swap.plan import FAILED, SUCCEEDED, Step


async def read(drive: Drive, *members: str) -> None:
    """Read these members' NICs side by side. What a read tells of a write without an answer becomes a row."""
    for name, observation in (await drive.arm.read_nics(drive.mirror, members, drive.observed)).items():
        drive.observed.saw(name, observation)
    for name in members:
        if isinstance(drive.observed[name], Nic) and (unreported := drive.in_flight.take_unreported(name)):
            tell_unanswered(drive, *unreported)


def tell_unanswered(drive: Drive, step: Step, before: Nic) -> None:
    """What the last read says of a write whose answer is lost; the row says it where ARM's request id cannot."""
    again = drive.observed[step.member]
    if not isinstance(again, Nic):
        drive.in_flight.report_later(step.member, step, before)
        return
    landed = again.etag != before.etag
    if landed:
        drive.in_flight.settled(step.member, drive.now())
    found = "has changed since" if landed else "is still as it was; the write may come late"
    detail = f"A write of the NIC of {step.member} ({step.kind.value}) got no answer; a fresh read found: the NIC {found}."
    drive.journal.add(drive.write_entry("unknown", detail, member=step.member))


async def wait_until_stable(drive: Drive, member: str, *, within_s: float = float("inf")) -> None:
    """Wait while the member's NIC is `Updating` by somebody else's operation, at most that long."""
    started = drive.now()
    subscription = drive.arm.subscription(drive.mirror.nic_id(member))
    while isinstance(shown := drive.observed[member], Nic) and shown.state not in (SUCCEEDED, FAILED):
        elapsed = drive.now() - started
        if elapsed >= within_s:
            return
        await drive.pause(subscription.poll_after(elapsed, drive.jitter()))
        await read(drive, member)
