"""Line mutants: one or two lines of the core changed, each of which breaks a promise (see mutants.py)."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.promises.edits import Patches, edited
from vipcore.adapters import clock, log
from vipcore.arm import client, nic, rate_limit
from vipcore.decision import (
    accept,
    decide,
    document,
    drift,
    glances,
    judge,
    readiness,
    reads,
    reconcile,
    request,
    rules,
    shared_writes,
    takeover,
)
from vipcore.entry import freezes, timer
from vipcore.ledger import audit, head, known, rebuild, store, verify
from vipcore.ledger.port import Sweep
from vipcore.swap import converge, drive, ending, in_flight, lease, plan, preflight, steps, write

Edit = tuple[Any, str, str]


def _of(*edits: Edit) -> Callable[[], Patches]:
    """A mutant of edits (function, old, new); the edits of one function are made together."""

    def make() -> Patches:
        by_function: dict[Any, list[tuple[str, str]]] = {}
        for function, old, new in edits:
            by_function.setdefault(function, []).append((old, new))
        return [patch for function, pairs in by_function.items() for patch in edited(function, *pairs)]

    return make


def _values(*patches: tuple[Any, str, Any]) -> Callable[[], Patches]:
    return lambda: patches


_EARLY = "asyncio.create_task(controller.ledger.put_work_item(request.mirror.name)) if will_work else None"
_NAMED = "self.head.swap is None or self.in_flight.announced <= set(self.head.swap.maybe_in_flight)"
_LEDGER = "self.controller.ledger"
_DROP = f"await {_LEDGER}.drop_work_item(turn.outlived)"
_DROP_ANY = f"[await {_LEDGER}.drop_work_item(h) for h in await {_LEDGER}.load_worklist() if h.mirror == turn.mirror.name]"
_UNLESS_FORCED = """forced = request.move and request.move.force
            if not forced:
                await check_first(controller, request, head, observed)"""


def _settled_by_a_refusal() -> Patches:
    again, event = in_flight.Write.SENT_AGAIN, in_flight.Event
    slipped = {**in_flight.TRANSITIONS[again], event.REFUSE: in_flight.Write.NONE}
    return [(in_flight, "TRANSITIONS", {**in_flight.TRANSITIONS, again: slipped})]


_BEHIND = "await self._rebuilt(head) if head.etag == known.etag or head.seq < known.seq else head"
_FELL = """if head.epoch < epoch:
            raise HeadChanged(head)"""

Slip = tuple[str, int, Callable[[], Patches]]
SLIPS: tuple[Slip, ...] = (
    # -- a lease, its fences and its watch
    (
        "what a dead driver may write is forgotten at a hand-over",
        2,
        _of((ending._hand_over, "drive.in_flight.left_to_others()", "tuple(drive.in_flight.unanswered)")),
    ),
    (
        "what a dead driver may write is forgotten at a failure",
        2,
        _of((ending.fail, "drive.in_flight.left_to_others()", "()")),
    ),
    (
        "a newer decision forgets what a driver before it may write",
        2,
        _of((accept._with_swap, "before.maybe_in_flight if before else ()", "()")),
    ),
    (
        "NICs that are about to be written are not in the head",
        2,
        _of(
            (
                in_flight.InFlight.stamp,
                "late | self.announced | self.observed.to_write(head.desired)",
                "late",
            ),
            (lease.HeldLease._covers_next_write, _NAMED, "True"),
        ),
    ),
    (
        "a lease that ran out leaves no watch",
        2,
        _of(
            (
                lease.take_lease,
                "head = expecting_late_writes(head, members, now, now + instants.seconds(LATE_WRITES_S))",
                "pass",
            )
        ),
    ),
    (
        "the watch ends with the swap",
        2,
        _of((ending.complete, "drift=None,", "drift=None, late_writes=type(done.late_writes)(),")),
    ),
    ("a watched mirror leaves the worklist", 2, _of((reconcile._check, "stays=late or ", "stays="))),
    (
        "the wall clock makes the stamps",
        2,
        _of(
            (
                clock.TableClock.now,
                "self._wall() if self._offset is None else NEVER + seconds(_steady() + self._offset)",
                "self._wall()",
            )
        ),
    ),
    (
        "a driver renews its lease only when it writes",
        1,
        _of((lease.HeldLease._is_due, "_now() - self.renewed_at >= heartbeat_s(self.polls)", "False")),
    ),
    (
        "another instance's clock is trusted",
        2,
        _of((head.Head.lease_live, "self.lease.until + instants.seconds(LEASE_MARGIN_S)", "self.lease.until")),
    ),
    (
        "a later refusal settles an unanswered write",
        2,
        _settled_by_a_refusal,
    ),
    (
        "a look that shows nothing new settles an unanswered write",
        2,
        _of((drive.Drive.tell_unanswered, "landed = again.etag != lost.before.etag", "landed = True")),
    ),
    (
        "one look at the head does for two writes",
        2,
        _of((lease.HeldLease.check_before_write, "self.head_is_newest = False", "pass")),
    ),
    ("a head of ten seconds ago will do", 2, _values((lease, "FRESH_HEAD_S", 10.0))),
    ("a driver does not compare epochs", 2, _of((lease.HeldLease.check_held, "head.epoch != self.head.epoch or ", ""))),
    (
        "confirmed over a lease that ran out",
        2,
        _of(
            (
                decide._decide,
                "left = head.lease is not None or (head.swap is not None and head.swap.maybe_in_flight)",
                "left = False",
            )
        ),
    ),
    (
        "a takeover is committed over another head",
        2,
        _of((takeover.begin, "if newest.etag != head.etag:", "if newest.etag != head.etag and newest.swap is None:")),
    ),
    (
        "a commit without an answer counts as done",
        2,
        _of((store.Store._landed, "stored is not None and stored.hash == rows[-1].hash", "True")),
    ),
    (
        "a commit that lands late is somebody else's",
        6,
        _of((store.Store.commit, "isinstance(exc, CommitUnknown)", "unknown.clear() or isinstance(exc, CommitUnknown)")),
    ),
    # -- rows
    ("refused writes have no row", 3, _of((write.write, "drive.report.add(", "str("))),
    ("what a look found of a lost answer is not told", 3, _of((drive.Drive.tell_lost, "self.report.add(", "str("))),
    (
        "rows that wait are not in the commit that ends a swap",
        3,
        _of(
            (lease.HeldLease._commit, "[*self.report.waiting, *entries]", "list(entries) or [*self.report.waiting]"),
            (lease.HeldLease._commit, "self._landed(stored.head_hash)", "self.report.waiting.clear()"),
        ),
    ),
    (
        "a commit that was cut off takes its rows along",
        3,
        _of(
            (lease.HeldLease._commit, "self._in_doubt += [(rows[-1], list(sent))] if rows else []", "self.report.committed(sent)")
        ),
    ),
    ("a driver that lets go does not tell of unanswered writes", 3, _values((ending, "_tell_the_rest", lambda drive: None))),
    (
        "a plan made anew writes what the head does not say",
        2,
        _of((lease.HeldLease._covers_next_write, _NAMED, "True")),
    ),
    (
        "a lost answer is told only by the read right after it",
        3,
        _of((drive.Drive.tell_unanswered, "self.in_flight.report_later(lost)", "pass")),
    ),
    (
        "a row whose commit got no answer is committed again",
        3,
        _of((lease.HeldLease._resolve_doubt, "in self._in_doubt:", "in ():")),
    ),
    # -- reads
    ("a read is as young as its answer", 4, _of((client.Arm._send, "return reply, sent.at", "return reply, loop.time()"))),
    (
        "judged by reads of before the last write",
        4,
        _of((reads.Reads.observed, "stale = head.etag != self._known and ", "stale = False and ")),
    ),
    ("what else changed on a NIC is not compared", 5, _values((ending, "_changed_otherwise", lambda drive: []))),
    # -- signatures
    ("a mark may move back", 6, _of((head.use_issued_at, 'head.replay_marks.get(key_id, "")', '""'))),
    (
        "a recorded claim spends nothing",
        6,
        _of(
            (
                judge.refuse,
                "after = request.use_issued_at(kept) if kept else after",
                "after = kept if kept else after",
            )
        ),
    ),
    (
        "a claim that joins is not compared with the newest mark",
        6,
        _of((accept.accept_beside, "request.replayed(newest) or ", "")),
    ),
    ("every refusal spends its signature", 6, _of((judge.refuse, "after = newest\n", "after = request.use_issued_at(newest)\n"))),
    # -- freezes, recorded claims, order
    (
        "drift is repaired during a freeze",
        7,
        _of(
            (drift.check_drift, "may_repair = not frozen and ", "may_repair = "),
            (drift._drive, "closing_event and rules.frozen(newest, now)", "False"),
        ),
    ),
    (
        "a freeze between judgement and commit is overlooked",
        7,
        _of((takeover.begin, "if newest.etag != head.etag:", "if (newest.epoch, newest.lease) != (head.epoch, head.lease):")),
    ),
    (
        "a recorded claim is carried out during a freeze",
        7,
        _of(
            (reconcile.act_for, "None if judged or rules.frozen(head, now) else", "None if judged else"),
            (
                judge.judge,
                "if claim and (why := rules.frozen(head, now)):",
                "if claim and not request.by_timer and (why := rules.frozen(head, now)):",
            ),
        ),
    ),
    (
        "a recorded claim is dropped at any refusal",
        1,
        _of((reconcile._judge_again, 'if refusal.code != "claim-superseded":', "if False:")),
    ),
    (
        "a recorded claim supersedes nobody",
        1,
        _of((rules.superseded, "recorded = head.recorded_claim", "recorded = None")),
    ),
    ("an older claim replaces the recorded one", 1, _of((rules.recorded, "before.began > claim.began", "False"))),
    (
        "the beginning of a decision may move back",
        1,
        _of((rules.decided, "max(began, head.began) if not changed else began", "began")),
    ),
    (
        "superseded compares with the wrong member",
        1,
        _of((rules.superseded, "head.desired != member and", "head.desired == member and")),
    ),
    (
        "changes of holder are not counted",
        7,
        _of((rules.decided, "(*recent, now)[-CHANGES_KEPT:] if counts else recent", "recent")),
    ),
    ("a hold has no length", 7, _of((rules.paged, "and now - since >= instants.seconds(mirror.hold_s)", ""))),
    (
        "any event ends a hold",
        7,
        _of((rules.paged, "if against is None or claim.event not in BINDING_EVENTS:", "if against is None:")),
    ),
    (
        "a hold begins anew with each refusal",
        7,
        _of(
            (
                judge.refuse,
                "request.claim and rules.hold_began(newest, request.mirror, request.member, now) is None:",
                "request.claim:",
            )
        ),
    ),
    (
        "repeated refusals each write a row",
        7,
        _of((request.Request.repeat, "now - last.at < instants.seconds(REPEAT_S)", "False")),
    ),
    ("a NIC that cannot be read leaves the head", 2, _of((in_flight.InFlight.stamp, "self.watched | ", ""))),
    (
        "a NIC that can be read again is not rewritten",
        2,
        _of((in_flight.InFlight.shown, "self.to_overwrite.add(member)", "pass")),
    ),
    # -- hints and the timer
    (
        "the hint follows the acceptance",
        1,
        _of(
            (decide._decide, _EARLY, "None"),
            (decide._decide, "await (early or controller.ledger.put_work_item(request.mirror.name))", "pass"),
            (
                decide._decide,
                "request.issued_at_used = True",
                "await controller.ledger.put_work_item(request.mirror.name)\n        request.issued_at_used = True",
            ),
        ),
    ),
    ("a hint is dropped whatever its etag", 1, _of((timer.Timer._attend, _DROP, _DROP_ANY))),
    (
        "a frozen mirror's recorded claim leaves the worklist",
        1,
        _of(
            (
                reconcile._check,
                "stays=late or head.recorded_claim is not None or ends",
                "stays=late or ends",
            )
        ),
    ),
    (
        "a freeze with an end leaves no hint",
        1,
        _of((freezes.put, "await controller.ledger.put_work_item(mirror.name)", "pass")),
    ),
    (
        "a freeze does not end by itself",
        1,
        _of((reconcile._act, "if head.frozen and not rules.frozen(head, now):", "if False:")),
    ),
    ("the sweep begins anew in each process", 1, _of((timer.Timer._turns, "await ledger.save_sweep(reached)", "pass"))),
    ("a hint is dropped as soon as it is seen", 1, _of((timer.Timer._turns, "now - seen >= ITEM_S_MIN", "True"))),
    ("a pass waits for what hangs", 1, _of((timer.Timer._attend_all, "timeout=ends - loop.time()", "timeout=None"))),
    (
        "a pass takes up what its process attends to",
        1,
        _of((timer.Timer._turns, "{*swept, *items, *following} - set(self._attending)", "{*swept, *items, *following}")),
    ),
    # -- reads for people
    (
        "people may empty the bucket",
        1,
        _of((rate_limit.RateLimit._serve, "max(calls, self.kept) if order[0] == PEOPLE else calls", "calls")),
    ),
    (
        "a swap saves reads because people wait",
        1,
        _of((rate_limit.RateLimit.contended, "and self.waiting[0][0][0] != PEOPLE", "")),
    ),
    ("each who asks has a read of their own", 1, _of((glances.Glances.of, "if key not in self._looks:", "if True:"))),
    (
        "a look outlives the head that was known",
        4,
        _of((glances.Glances.of, "mirror.members, head.etag", "mirror.members, None")),
    ),
    ("a claim waits for people's readings", 1, _of((preflight.PreflightCache.of, "or failed or behind", "or failed"))),
    ("the timer sweeps nothing", 1, _values((timer, "slice_of", lambda names, sweep, now: ([], Sweep("", now))))),
    # -- preflight, plan, drift
    (
        "an Updating target is not waited for",
        10,
        _of((steps.carry_out, "await drive.wait_until_stable(drive.desired)", "pass")),
    ),
    (
        "a Failed target is not repaired first",
        10,
        _of((plan.plan, "target.state == FAILED and (detaches or not missing)", "target.state == FAILED and not missing")),
    ),
    (
        "an accepted overwrite is taken for proof",
        2,
        _of((converge._overwrite, "and after.etag != before.etag", "")),
    ),
    (
        "permits that were not used are lost",
        1,
        _of((rate_limit.Permits.release, "self.limit.release(held)", "pass")),
    ),
    (
        "a read that fails ends the preflight",
        10,
        _of((preflight.refusal, "return next(", "return None if any(one.ok is None for one in checks) else next(")),
    ),
    (
        "a denied read stops the swap",
        10,
        _of((preflight._looked, "Check(ok=None,", "Check(ok=False,")),
    ),
    (
        "rights on what a NIC refers to are not looked at",
        10,
        _of((preflight._rights, "found |= nic.rights(seen.document)", "pass")),
    ),
    ("a public IP's own document is not judged", 10, _of((preflight._public_ip, "if found:", "if False:"))),
    ("a no stands in like a yes", 10, _values((preflight, "NO_S_MAX", 900.0))),
    (
        "readings that Azure contradicted stand in",
        10,
        _of((takeover.drive_to_the_end, "controller.preflight_cache.forget(request.mirror)", "pass")),
    ),
    (
        "an address that nobody is named for is taken",
        9,
        _of((steps._attach_when_free, "if exc.holder and holder is None:", "if holder is None:")),
    ),
    (
        "an address is taken by whoever has it, whatever we may be writing",
        10,
        _of((preflight._address_free, "(holders or writing)", "holders")),
    ),
    (
        "a 404 of a NIC is believed",
        9,
        _of((client.Arm.read_nics, "any(isinstance(shown, Missing) for shown in found)", "False")),
    ),
    ("a document without configurations is a NIC's", 9, _of((client._nic, "not found or not all", "not all"))),
    ("a configuration without subnet is whole", 9, _of((client._nic, "not found or not all(", "not found and all("))),
    ("a target's 404 ends the drive", 1, _of((plan._blocked, "unread=(desired,))", ")"))),
    (
        "a forced move skips the preflight",
        10,
        _of(
            (
                decide._decide,
                "await check_first(controller, request, head, observed)",
                _UNLESS_FORCED,
            )
        ),
    ),
    (
        "VIPs leave a NIC one by one",
        5,
        _of(
            (
                plan.plan,
                "detaches.append(Step(kind=Kind.DETACH, member=member.name, vips=names))",
                "detaches.append(Step(kind=Kind.DETACH, member=member.name, vips=names[:1]))",
            )
        ),
    ),
    (
        "a VIP that somebody moved by hand is taken back",
        7,
        _of((drift.check_drift, "(lost or await _pages_agree(controller, mirror, desired))", "True")),
    ),
    (
        "a page that never turned is followed",
        7,
        _of(
            (
                reconcile.follow_primary,
                "len(primary) == 1 and primary[0] in backups and primary[0] != head.desired",
                "len(primary) == 1 and primary[0] != head.desired",
            )
        ),
    ),
    (
        "a NIC that cannot be read has no VIP, for drift",
        9,
        _of((plan.placement, "if any(isinstance(observation, Unreadable) for observation in observed.values()):", "if False:")),
    ),
    # -- a head that was removed or set back, and an audit key that not every instance has
    ("a head that was lost stops its mirror", 1, _of((store.Store._caught_up, _BEHIND, "head"))),
    ("nobody looks for a head that was lost", 1, _of((reconcile._act, "look or head.etag is None", "False"))),
    ("a rebuilt head forgets the marks", 6, _of((rebuild._marks, 'max(marks.get(key, ""), issued_at)', '""'))),
    ("a rebuilt head forgets its swap", 1, _of((rebuild.rebuilt, "_swap(head, rows, now)", "None"))),
    (
        "a rebuilt head takes no NIC for written",
        2,
        _of((document.in_flight, "if head.lease and head.lease.owner == OF_LOST_HEAD:", "if False:")),
    ),
    ("a rebuilt head forgets its freeze", 7, _of((rebuild.rebuilt, "_frozen(head, rows, now)", "None"))),
    (
        "an epoch is reused after a rebuild",
        1,
        _of((rebuild.rebuilt, 'max(head.epoch, *(_number(row, "Epoch") for row in rows))', "head.epoch")),
    ),
    ("an older decision is rebuilt", 1, _of((rebuild.rebuilt, "_newest(rows, *_ACCEPTED, *_CONFIRMED)", "None"))),
    (
        "an epoch that fell supersedes",
        1,
        _of((takeover.wait_for_swap, _FELL, ""), (takeover.wait_for_swap, "head.epoch > epoch", "head.epoch != epoch")),
    ),
    ("a plain row may follow a keyed one", 8, _of((audit.Seal.why_not_after, "if not alg.startswith(KEYED) or", "if True or"))),
    # -- documents that change, and what a VIP carries
    (
        "what the VIP carries stays behind",
        5,
        _of((write.document, "drive.mirror.vips, drive.carried", "drive.mirror.vips")),
    ),
    (
        "what the VIP carries dies with its driver",
        5,
        _of((takeover.begin, "observed.recall(head.carried)", "pass")),
    ),
    (
        "a renamed VIP is a stranger's",
        1,
        _of((nic.ours, "(item is not first and any(at_address(item, vip) for vip in vips))", "False")),
    ),
    (
        "an old document undoes what the newer one has placed",
        1,
        _of((drift.check_drift, "found_as and not document.may_change(controller, head)", "False")),
    ),
    (
        "a write in flight is forgotten under its member's new name",
        2,
        _of((document.in_flight, "name_now(mirror, head, one)", "mirror.member(one) and one")),
    ),
    (
        "a NIC that left the document is nobody's",
        1,
        _of((document.has_left, "any(mirror.member_of(nic_id) is None for nic_id in head.nics.values())", "False")),
    ),
    (
        "a detach goes out before the head knows what the VIP carries",
        5,
        _of((lease.HeldLease._covers_next_write, "named and kept and", "named and")),
    ),
    (
        "a no of the preflight is given under an older head",
        7,
        _of((judge.check_first, "newest.etag != head.etag", "False")),
    ),
    (
        "a wall clock that nobody has checked decides",
        1,
        _of((store.Store._ask_time, "if not self.clock.is_known:", "if False:")),
    ),
    (
        "a swap begins though others have taken its writes",
        10,
        _of((shared_writes.SharedWrites._exchange, "limit.room(now) < 0", "False")),
    ),
    # -- what is told to who asks
    ("a list does not look for what has a hint", 9, _of((known.KnownHeads.all, "hinted | self._hinted", "set()"))),
    ("a list forgets what had a hint at the last look", 9, _of((known.KnownHeads.all, "hinted | self._hinted", "hinted"))),
    ("a row about readiness always says ready", 9, _of((readiness._row, '"not-ready" if against else "ready"', '"ready"'))),
    ("no row tells that a member is ready again", 9, _of((readiness._told, "return against if", "return (against or None) if"))),
    ("what could not be looked at is fine", 9, _of((readiness._look, "wrong if wrong or whole else None", "wrong"))),
    (
        "a look is kept over what was decided meanwhile",
        9,
        _of((readiness.keep, "not same or newest.lease is not None or newest.readiness != head.readiness", "False")),
    ),
    ("a look is as young as what is said of it", 9, _of((readiness._read_at, "max(oldest_s, *ages, 0.0)", "oldest_s"))),
    # -- what a drive could not read, and two reads of different times
    ("a failed drive forgets what it could not read", 2, _of((in_flight.InFlight.left_to_others, " | self.watched", ""))),
    (
        "a NIC that is gone for a moment is forgotten",
        2,
        _of((in_flight.InFlight.gone, "self.leave_to_watch", "self.to_overwrite.discard")),
    ),
    ("reads of before a pause decide", 4, _of((reads.Reads.observed, "seen.read_at < oldest", "False"))),
    (
        "an address that was released between two reads is taken",
        10,
        _of((preflight._address_free, "if foreign is None and not await arm.in_use(subnet_id, vip.private_ip):", "if False:")),
    ),
    # -- the trail for people
    (
        "a write that is under way is called completed",
        3,
        _of((write._accepted, '"completed" if after.state == SUCCEEDED else "accepted"', '"completed"')),
    ),
    (
        "a repair that may not begin has no row",
        8,
        _of((drift.check_drift, "await _report(controller, head, observed, caller, sentence, refusal)", "pass")),
    ),
    ("the log has the last row of a commit alone", 8, _of((store.Store._trust, "in rows:", "in rows[-1:]:"))),
    ("what a look saw of the trail is forgotten", 8, _of((verify.newest, "known.reached if known else ", ""))),
    ("a look reads the whole trail", 8, _of((verify.newest, "head.seq - NEWEST + 1", "1"))),
    # -- the log
    (
        "a value of the log may look like a field",
        8,
        _of((log._text, '.replace("=", "\\\\u003d")', "")),
    ),
    (
        "a row of the trail has no line in the log",
        8,
        _of((store.Store._trust, 'self.log(str(row.columns["Event"]), **story.fields(row))', "pass")),
    ),
)

UNSEEN: Mapping[str, str] = {
    "a later refusal settles an unanswered write": ("tests/vipcore/swap/test_in_flight.py::test_state_table_of_a_write"),
    "VIPs leave a NIC one by one": "tests/vipcore/swap/test_plan.py::test_plain_swap_is_one_write_per_nic",
    "a driver renews its lease only when it writes": (
        "tests/vipcore/swap/test_lease.py::test_a_driver_that_only_waits_keeps_its_lease"
    ),
    "a no of the preflight is given under an older head": (
        "tests/vipcore/decision/test_judge.py::test_a_no_of_the_preflight_is_given_only_under_the_newest_head"
    ),
    "a wall clock that nobody has checked decides": (
        "tests/vipcore/ledger/test_store.py::test_a_wall_clock_that_nobody_has_checked_decides_nothing"
    ),
    "a swap begins though others have taken its writes": (
        "tests/vipcore/decision/test_shared_writes.py::test_others_make_room_when_their_five_minutes_are_over"
    ),
    "a value of the log may look like a field": "tests/vipcore/adapters/test_log.py::test_one_event_is_one_line",
    "a row of the trail has no line in the log": ("tests/vipcore/ledger/test_story.py::test_every_row_of_the_trail_has_its_line"),
    "a commit that lands late is somebody else's": (
        "tests/vipcore/ledger/test_store.py::test_a_commit_that_lands_after_the_read_that_looked_for_it"
    ),
    "a watched mirror leaves the worklist": (
        "tests/vipcore/entry/test_timer.py::test_the_hint_of_a_watched_mirror_outlives_its_request"
    ),
    "a NIC that cannot be read leaves the head": (
        "tests/vipcore/swap/test_in_flight.py::test_a_nic_that_can_be_read_again_is_rewritten"
    ),
    "a NIC that can be read again is not rewritten": (
        "tests/vipcore/swap/test_in_flight.py::test_a_nic_that_can_be_read_again_is_rewritten"
    ),
    "people may empty the bucket": ("tests/vipcore/arm/test_rate_limit.py::test_reads_for_people_leave_three_quarters_to_swaps"),
    "a swap saves reads because people wait": "tests/vipcore/arm/test_rate_limit.py::test_people_who_wait_are_no_reason_to_save",
    "each who asks has a read of their own": (
        "tests/vipcore/decision/test_glances.py::test_one_look_serves_all_who_ask_within_seconds"
    ),
    "a look outlives the head that was known": (
        "tests/vipcore/decision/test_glances.py::test_a_look_of_before_a_swap_shows_nobody_what_was"
    ),
    "a claim waits for people's readings": (
        "tests/vipcore/swap/test_preflight.py::test_a_claim_does_not_wait_for_what_people_wait_for"
    ),
    "a frozen mirror's recorded claim leaves the worklist": (
        "tests/vipcore/entry/test_timer.py::test_the_hint_of_a_recorded_claim_outlives_a_freeze"
    ),
    "the sweep begins anew in each process": (
        "tests/vipcore/entry/test_timer.py::test_the_sweep_goes_on_where_another_process_stopped"
    ),
    "a hint is dropped as soon as it is seen": (
        "tests/vipcore/entry/test_timer.py::test_a_hint_is_dropped_only_under_a_head_that_was_read_when_it_was_old_enough"
    ),
    "a pass waits for what hangs": "tests/vipcore/entry/test_timer.py::test_a_pass_is_bounded_whatever_hangs",
    "a pass takes up what its process attends to": "tests/vipcore/entry/test_timer.py::test_a_pass_is_bounded_whatever_hangs",
    "changes of holder are not counted": "tests/vipcore/decision/test_judge.py::test_flapping",
    "an accepted overwrite is taken for proof": (
        "tests/vipcore/swap/test_converge.py::test_a_dead_drivers_write_is_overwritten_until_the_etag_is_another"
    ),
    "what a dead driver may write is forgotten at a hand-over": (
        "tests/vipcore/swap/test_in_flight.py::test_a_hand_over_leaves_what_was_to_be_rewritten"
    ),
    "a read is as young as its answer": ("tests/vipcore/arm/test_client.py::test_a_read_is_as_old_as_its_request"),
    "judged by reads of before the last write": (
        "tests/vipcore/decision/test_reads.py::test_a_look_of_before_the_last_write_confirms_nothing"
    ),
    "what else changed on a NIC is not compared": (
        "tests/vipcore/swap/test_ending.py::test_a_foreign_change_after_our_write_is_reported"
    ),
    "a hold begins anew with each refusal": (
        "tests/vipcore/decision/test_judge.py::test_a_peer_that_says_primary_holds_a_claim_for_hold_s"
    ),
    "a forced move skips the preflight": ("tests/vipcore/decision/test_decide.py::test_force_never_overrides_the_preflight"),
    "a VIP that somebody moved by hand is taken back": (
        "tests/vipcore/decision/test_drift.py::test_a_vip_on_another_member_is_reported_and_left"
    ),
    "a page that never turned is followed": ("tests/vipcore/decision/test_reconcile.py::test_a_page_that_is_not_followed"),
    "a NIC that cannot be read has no VIP, for drift": (
        "tests/vipcore/swap/test_plan.py::test_nic_that_could_not_be_read_is_never_taken_for_empty"
    ),
    "a mark may move back": ("tests/vipcore/ledger/test_head.py::test_marks_never_go_back"),
    "drift is repaired during a freeze": ("tests/vipcore/decision/test_drift.py::test_a_freeze_stops_the_repair_of_drift"),
    "a hold has no length": ("tests/vipcore/decision/test_judge.py::test_a_peer_that_says_primary_holds_a_claim_for_hold_s"),
    "a hint is dropped whatever its etag": (
        "tests/vipcore/entry/test_timer.py::test_a_hint_that_is_written_during_a_pass_survives_it"
    ),
    "a freeze does not end by itself": ("tests/vipcore/entry/test_freezes.py::test_a_freeze_ends_at_its_time"),
    "a public IP's own document is not judged": (
        "tests/vipcore/swap/test_preflight.py::test_a_public_ip_that_azure_would_not_attach"
    ),
    "a no stands in like a yes": "tests/vipcore/swap/test_preflight.py::test_a_no_does_not_stand_in",
    "readings that Azure contradicted stand in": (
        "tests/vipcore/swap/test_preflight.py::test_what_azure_contradicts_no_longer_stands_in"
    ),
    "an address is taken by whoever has it, whatever we may be writing": (
        "tests/vipcore/swap/test_preflight.py::test_an_address_that_a_write_of_ours_may_still_hold"
    ),
    "a 404 of a NIC is believed": "tests/vipcore/swap/test_drive.py::test_a_nic_that_is_not_shown_as_it_is",
    "a document without configurations is a NIC's": "tests/vipcore/swap/test_drive.py::test_a_nic_that_is_not_shown_as_it_is",
    "a configuration without subnet is whole": "tests/vipcore/swap/test_drive.py::test_a_nic_that_is_not_shown_as_it_is",
    "a target's 404 ends the drive": "tests/vipcore/swap/test_drive.py::test_a_target_that_is_not_shown_for_a_moment",
    "a head that was lost stops its mirror": (
        "tests/vipcore/ledger/test_rebuild.py::test_a_mirror_goes_on_after_its_head_was_lost"
    ),
    "nobody looks for a head that was lost": (
        "tests/vipcore/ledger/test_rebuild.py::test_a_lost_vip_of_a_mirror_whose_head_is_gone_comes_back"
    ),
    "an epoch that fell supersedes": (
        "tests/vipcore/ledger/test_rebuild.py::test_a_claim_that_waits_is_not_superseded_by_a_head_that_is_gone"
    ),
    "a write in flight is forgotten under its member's new name": (
        "tests/vipcore/decision/test_document.py::test_a_write_in_flight_is_known_under_the_members_new_name"
    ),
    "a NIC that left the document is nobody's": (
        "tests/vipcore/decision/test_document.py::test_a_replaced_member_gets_the_vip_from_its_former_nic"
    ),
    "a detach goes out before the head knows what the VIP carries": (
        "tests/vipcore/swap/test_lease.py::test_no_write_starts_before_the_head_has_what_the_vips_carry"
    ),
    "a list forgets what had a hint at the last look": (
        "tests/vipcore/ledger/test_known.py::test_a_change_whose_hint_has_gone_meanwhile_is_seen"
    ),
    "what could not be looked at is fine": (
        "tests/vipcore/decision/test_readiness.py::test_a_missing_right_that_cannot_be_looked_at_again_is_still_missing"
    ),
    "a look is kept over what was decided meanwhile": (
        "tests/vipcore/decision/test_readiness.py::test_a_decision_during_a_look_wins"
    ),
    "a write that is under way is called completed": (
        "tests/vipcore/swap/test_report.py::test_a_row_says_what_is_known_of_its_write"
    ),
    "a repair that may not begin has no row": (
        "tests/vipcore/decision/test_drift.py::test_a_stranger_with_the_address_of_a_lost_vip"
    ),
    "the log has the last row of a commit alone": "tests/vipcore/ledger/test_store.py::test_the_log_has_a_line_for_each_row",
    "what a look saw of the trail is forgotten": (
        "tests/vipcore/ledger/test_verify.py::test_a_tail_that_was_replaced_with_its_head_is_found"
    ),
    "a look is as young as what is said of it": "tests/vipcore/decision/test_readiness.py::test_a_look_is_as_old_as_its_reads",
    "a failed drive forgets what it could not read": (
        "tests/vipcore/swap/test_in_flight.py::test_a_nic_that_can_be_read_again_is_rewritten"
    ),
    "a NIC that is gone for a moment is forgotten": (
        "tests/vipcore/swap/test_in_flight.py::test_a_nic_that_can_be_read_again_is_rewritten"
    ),
    "reads of before a pause decide": (
        "tests/vipcore/decision/test_reads.py::test_nothing_is_confirmed_by_reads_from_before_a_pause"
    ),
    "an address that was released between two reads is taken": (
        "tests/vipcore/swap/test_preflight.py::test_an_address_that_is_released_between_two_reads"
    ),
    "a look reads the whole trail": "tests/vipcore/ledger/test_verify.py::test_a_look_reads_the_newest_rows_only",
}
"""Line mutants that no seed shows, and the test that fails under each: the simulation has no event for them, or almost never."""

SEEN = tuple(slip for slip in SLIPS if slip[0] not in UNSEEN)
