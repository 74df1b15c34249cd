"""Mutants: promises broken on purpose, to see whether the checker notices.

A mutant replaces one function of the core while seeds run, and puts it back afterwards. Each breaks one promise; the first seed
that shows it is named, and so is what it was seen by.

    python -m tests.promises.mutants [NAME ...]
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.promises import line_mutants
from tests.promises.edits import Patches
from tests.promises.simulation import run_seed
from vipcore import instants
from vipcore.arm import client, nic
from vipcore.decision import accept, decide, drift, reconcile, request, rules, takeover
from vipcore.entry import timer
from vipcore.ledger import audit, head, store
from vipcore.ledger.audit import Entry
from vipcore.ledger.head import Head
from vipcore.model import Missing, Nic, Observation, Unreadable
from vipcore.swap import converge, ending, lease, one_call, plan, steps, write
from vipcore.swap.plan import Observed

SEEDS_MAX = 1500


@dataclass(frozen=True, slots=True)
class Mutant:
    """`breaks`: the number of the promise in docs/INVARIANTS.md; `make`: what is replaced by what."""

    name: str
    breaks: int
    make: Callable[[], Patches]


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The core with this defect."""
    patches = mutant.make()
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)


def hunt(mutant: Mutant, *, first: int = 1, most: int = SEEDS_MAX) -> tuple[int, list[str]] | None:
    """The first seed that shows the defect, and what was violated; None if none of `most` does."""
    with applied(mutant):
        for seed in range(first, first + most):
            violations, _ = run_seed(seed)
            if violations:
                return seed, violations
    return None


# -- the defects -----------------------------------------------------------------------------------------------------------


def _timer_off() -> Patches:
    """The timer does nothing."""

    async def nothing(*_: Any, **__: Any) -> None:
        return

    return [(timer.Timer, "run_pass", nothing)]


def _no_takeover() -> Patches:
    """A decision whose driver died is taken for done by whoever comes next."""

    def joins(head: Head, member: str) -> bool:
        return False

    async def nothing(*_: Any, **__: Any) -> None:
        return

    return [(reconcile, "take_over", nothing), (rules, "joins", joins)]


def _superseded_accepted() -> Patches:
    return [(rules, "superseded", lambda *_: None)]


def _epoch_kept() -> Patches:
    genuine = rules.decided

    def decided(newest: Head, *args: Any, **kwargs: Any) -> Head:
        return replace(genuine(newest, *args, **kwargs), epoch=newest.epoch)

    return [(rules, "decided", decided)]


def _no_hint() -> Patches:
    from tests.promises.ledger import MemoryLedger

    async def nothing(*_: Any) -> None:
        return

    return [(MemoryLedger, "put_work_item", nothing)]


def _no_fence() -> Patches:
    async def check(self: Any) -> None:
        return

    return [(lease.HeldLease, "_check", check)]


def _short_lease() -> Patches:
    """A lease that is about to run out will do."""
    return [(lease, "LEASE_MARGIN_S", -1000.0)]


def _lease_ignored() -> Patches:
    return [(head.Head, "lease_live", lambda self, now: False)]


def _no_rewrite() -> Patches:
    async def overwrite(drive: Any, members: list[str]) -> None:
        drive.in_flight.to_overwrite.clear()
        drive.in_flight.writes.clear()

    return [(converge, "_overwrite", overwrite)]


def _released_too_early() -> Patches:
    """A driver that gives up believes that nothing of its own is in flight."""
    genuine = ending.fail
    handed = ending._hand_over

    async def fail(drive: Any, refusal: Any) -> None:
        drive.in_flight.writes.clear()
        await genuine(drive, refusal)

    async def hand_over(drive: Any, newest: Head) -> None:
        drive.in_flight.writes.clear()
        await handed(drive, newest)

    return [(ending, "fail", fail), (ending, "_hand_over", hand_over)]


def _unanswered_forgotten() -> Patches:
    """A write without an answer counts as one without an effect."""
    return [(write, "without_effect", lambda exc: True), (one_call, "without_effect", lambda exc: True)]


def _confirmed_beside_a_driver() -> Patches:
    genuine = decide._decide

    async def decided(control: Any, asked: Any, newest: Head, reads: Any) -> Any:
        observed = await reads.observed(newest)
        found = observed.plan(asked.member)
        if isinstance(found, plan.Plan) and found.done and newest.desired == asked.member:
            return await accept.confirm(control, asked, newest, observed, None)
        return await genuine(control, asked, newest, reads)

    return [(decide, "_decide", decided)]


def _audit_after() -> Patches:
    """State first, rows in a transaction of their own."""
    genuine = store.Store.commit

    async def commit(self: Any, newest: Head, change: Any, *_: Any) -> Head:
        rows: list[Entry] = []

        def bare(current: Head) -> tuple[Head, Sequence[Entry]]:
            after, drafts = change(current)
            rows[:] = drafts
            return after, []

        stored = await genuine(self, newest, bare)
        return await genuine(self, stored, lambda current: (current, rows)) if rows else stored

    return [(store.Store, "commit", commit)]


def _rows_lost() -> Patches:
    """Rows that could not be committed at once are forgotten."""

    async def once(self: Any, work: Any) -> Any:
        return await work()

    return [(ending, "LATER_S", 0.0), (lease.HeldLease, "until_reachable", once)]


def _no_row_of_writes() -> Patches:
    kept = write._accepted

    def accepted(drive: Any, *args: Any) -> Any:
        result = kept(drive, *args)
        drive.report.waiting.pop()
        return result

    return [(write, "_accepted", accepted)]


def _unproven() -> Patches:
    """The answer to our own write is proof enough."""
    return [(steps, "proven", lambda drive: True)]


def _no_read() -> Patches:
    """What the last swap reached is taken for what is there now."""
    genuine = decide._decide

    async def decided(control: Any, asked: Any, newest: Head, reads: Any) -> Any:
        if newest.last_swap and newest.last_swap.to == newest.desired == asked.member and not newest.swap and not newest.lease:
            unread = {member.name: Missing(id=member.nic_id, read_at=0.0) for member in asked.mirror.members}
            return await accept.confirm(control, asked, newest, Observed(asked.mirror, unread), None)
        return await genuine(control, asked, newest, reads)

    return [(decide, "_decide", decided)]


def _cached_looks() -> Patches:
    """A NIC read within the last minute is not read again."""
    genuine = client.Arm.read_nic

    async def read_nic(self: Any, nic_id: str, **_: Any) -> Observation:
        now = asyncio.get_running_loop().time()
        kept = _CACHE.setdefault(id(self), {})
        if nic_id in kept and now - kept[nic_id][0] < 60.0:
            found = kept[nic_id][1]
            return replace(found, read_at=now) if isinstance(found, Nic) else found
        kept[nic_id] = (now, await genuine(self, nic_id))
        fresh: Observation = kept[nic_id][1]
        return fresh

    _CACHE.clear()
    return [(client.Arm, "read_nic", read_nic)]


_CACHE: dict[int, dict[str, Any]] = {}


def _no_if_match() -> Patches:
    genuine = client.Arm.put

    async def put(self: Any, shown: Nic, document: Any, permit: Any) -> Any:
        return await genuine(self, replace(shown, etag="*"), document, permit)

    return [(client.Arm, "put", put)]


def _properties_dropped() -> Patches:
    """Only what the SDK knows is sent back."""

    def rebuilt(document: Any, kept: list[Any]) -> Any:
        properties = {name: value for name, value in document["properties"].items() if name != "futureProperty"}
        return {**document, "properties": {**properties, "ipConfigurations": kept}}

    return [(nic, "_with", rebuilt)]


def _others_detached() -> Patches:
    """Every secondary configuration counts as ours."""

    def detached(shown: Nic, names: Sequence[str]) -> Any:
        return nic._with(shown.document, [nic.primary(shown.document) or {}])

    return [(nic, "detached", detached)]


def _mark_kept() -> Patches:
    return [(request.Request, "use_issued_at", lambda self, newest: newest)]


def _replay_accepted() -> Patches:
    return [(rules, "replayed", lambda *_: None)]


def _refusal_decides() -> Patches:
    """A recorded claim already changes desired."""
    genuine = rules.recorded

    def recorded(newest: Head, claim: Any, *args: Any) -> Head:
        return replace(genuine(newest, claim, *args), desired=claim.member)

    return [(rules, "recorded", recorded)]


def _freeze_ignored() -> Patches:
    return [(rules, "frozen", lambda *_: None)]


def _unlinked() -> Patches:
    genuine = audit.append

    def append(mirror: str, seq: int, prev_hash: str, *args: Any, **kwargs: Any) -> Any:
        return genuine(mirror, seq, audit.GENESIS, *args, **kwargs)

    return [(audit, "append", append)]


def _blind_commit() -> Patches:
    """The head is replaced whoever wrote it last."""

    async def commit(self: Any, newest: Head, change: Any, *_: Any) -> Head:
        after, drafts = change(newest)
        current = await self.ledger.load_head(newest.mirror)
        at = instants.to_text(self.clock.now())
        rows = audit.append(newest.mirror, current.seq, current.head_hash, drafts, at=at, epoch=after.epoch, seal=self.seal)
        seq, hashed = (rows[-1].seq, rows[-1].hash) if rows else (current.seq, current.head_hash)
        stored: Head = await self.ledger.commit(replace(after, seq=seq, head_hash=hashed, etag=current.etag), rows)
        return stored

    return [(store.Store, "commit", commit)]


def _unreadable_is_empty() -> Patches:
    genuine = plan.plan

    def planned(mirror: Any, observed: Mapping[str, Observation], desired: str) -> Any:
        seen = {
            name: Missing(id=observation.id, read_at=0.0) if isinstance(observation, Unreadable) else observation
            for name, observation in observed.items()
        }
        return genuine(mirror, seen, desired)

    return [(plan, "plan", planned)]


def _no_preflight() -> Patches:
    async def nothing(*_: Any) -> None:
        return

    return [(module, "check_first", nothing) for module in (decide, takeover, drift)]


MUTANTS: tuple[Mutant, ...] = (
    Mutant("the timer does nothing", 1, _timer_off),
    Mutant("an unfinished swap is nobody's work", 1, _no_takeover),
    Mutant("a superseded claim is accepted", 1, _superseded_accepted),
    Mutant("the epoch does not rise", 1, _epoch_kept),
    Mutant("no hint is written", 1, _no_hint),
    Mutant("the fence is skipped", 2, _no_fence),
    Mutant("a short lease will do", 2, _short_lease),
    Mutant("the lease is ignored", 2, _lease_ignored),
    Mutant("nothing is rewritten after an expired lease", 2, _no_rewrite),
    Mutant("the lease is released with a write unanswered", 2, _released_too_early),
    Mutant("an unanswered write counts as refused", 2, _unanswered_forgotten),
    Mutant("confirmed while another drives", 2, _confirmed_beside_a_driver),
    Mutant("audit after instead of with", 3, _audit_after),
    Mutant("rows are lost while the table is away", 3, _rows_lost),
    Mutant("accepted writes leave no row", 3, _no_row_of_writes),
    Mutant("completed without a fresh read", 4, _unproven),
    Mutant("confirmed by the head alone", 4, _no_read),
    Mutant("looks are cached", 4, _cached_looks),
    Mutant("If-Match is skipped", 5, _no_if_match),
    Mutant("unknown properties are dropped", 5, _properties_dropped),
    Mutant("foreign configurations are detached", 5, _others_detached),
    Mutant("the mark is not spent", 6, _mark_kept),
    Mutant("a replay is accepted", 6, _replay_accepted),
    Mutant("a refused claim decides", 7, _refusal_decides),
    Mutant("a freeze is ignored", 7, _freeze_ignored),
    Mutant("the chain is not linked", 8, _unlinked),
    Mutant("the head is replaced blindly", 8, _blind_commit),
    Mutant("an unreadable NIC counts as empty", 9, _unreadable_is_empty),
    Mutant("the preflight is skipped", 10, _no_preflight),
    *(Mutant(*slip) for slip in line_mutants.SEEN),
)


def main(names: list[str]) -> int:
    """Hunt every mutant, or those whose names contain one of these words."""
    missed = 0
    for mutant in MUTANTS:
        if names and not any(name in mutant.name for name in names):
            continue
        started = time.monotonic()
        found = hunt(mutant)
        took = time.monotonic() - started
        missed += found is None
        said = f"seed {found[0]}: {found[1][0][:110]}" if found else f"NOT CAUGHT in {SEEDS_MAX} seeds"
        print(f"[{mutant.breaks}] {mutant.name} ({took:.1f} s): {said}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
