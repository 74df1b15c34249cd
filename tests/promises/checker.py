"""The promises of docs/INVARIANTS.md, judged from outside: by what the cloud, the table and the answers show, not by our code.

`check(harness)` returns every violation as a sentence that begins with the promise's number. It knows the journal (who sent what
when, every commit, every look and answer), the cloud's own history and the mirrors document; of the core it uses only the values.
"""

import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from simulator.core.history import Exchange
from tests.promises.harness import START, Harness
from tests.promises.journal import Change, Commit, Put, Trace
from vipcore.errors import Refusal
from vipcore.ledger.head import OF_LOST_HEAD, Head
from vipcore.model import Mirror, Outcome, Page

LEFT_S = 4.0
"""For how long at least a lease still runs when a NIC write is sent: it is renewed before that (I2)."""

HEAD_AGE_S = 1.0
"""A write whose newest head arrived longer ago was not fenced; effects and their delays lie well below."""

SKEW_S = 2.0
"""How far apart two instances take the time to be at most."""

LEASE_S = 60.0
"""More than a lease lasts."""

WATCH_S = 900.0
"""How long a mirror stays under the timer's eye after a lease that ran out (I2)."""

REPEAT_S = 60.0
"""A refusal or confirmation like the last one of that key writes at most one row in this time."""

UNSPENT = ("claim-superseded", "peer-still-primary", "claimant-not-primary")
"""Refusals that spend no signature: nothing is recorded with them."""

ACCEPTED = ("claim.accepted", "move.accepted")
_DEFAULTS = {
    "enableIPForwarding": False,
    "disableTcpStateTracking": False,
    "nicType": "Standard",
    "auxiliaryMode": "None",
    "auxiliarySku": "None",
    "enableAcceleratedNetworking": False,
}
"""What Azure shows, and gets back, for properties that nobody has ever set."""

TAG = "mirror-vip-overwritten"
"""The one tag that a write may set, where Azure kept the etag of a NIC that was to be overwritten."""

SPENDS = ("claim.accepted", "claim.confirmed", "claim.recorded")
"""Rows with which a signature is used up."""
SETTING = "futureSetting"
"""What seeds plant on a VIP's ip configuration; nobody knows it."""

INTENT = (*ACCEPTED, "swap.resumed", "drift.found")
DECIDED = (*ACCEPTED, "claim.confirmed", "move.confirmed")


def check(harness: Harness, *, ended: bool = True, etags: bool = True) -> list[str]:
    """All violations. `ended`: whether the quiet period is over; `etags`: whether this cloud honours If-Match on NICs."""
    found: list[str] = []
    assert harness.config is not None
    judge = _Judge(harness, etags)
    found += judge.crashes()
    found += judge.writes()
    found += judge.leases()
    found += judge.answers()
    found += judge.refusals()
    found += judge.lost()
    found += judge.signatures()
    found += judge.readiness()
    found += judge.lists()
    found += judge.worklist()
    if ended:
        found += judge.permits()
    if etags:
        found += judge.foreign_properties()
    for mirror in harness.config.mirrors.values():
        found += chain(harness, mirror.name)
        found += judge.heads(mirror)
        found += judge.rules(mirror)
        found += judge.documents(mirror)
        if etags:
            found += judge.settings(mirror)
        if ended:
            found += judge.end(mirror)
    return found


def chain(harness: Harness, mirror: str) -> Iterator[str]:
    """I8, with a hash check of its own."""
    rows = harness.ledger.rows.get(mirror, {})
    entities = [rows[key] for key in sorted(rows, reverse=True)]
    previous, keyed = "0" * 64, False
    key = harness.audit_key
    name = "hmac-sha256:" + hashlib.sha256(key).hexdigest()[:16]
    for number, entity in enumerate(entities, 1):
        columns = {name: value for name, value in entity.items() if name != "Hash"}
        text = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if entity["Seq"] != number or entity["PrevHash"] != previous:
            yield f"I8 {mirror}: row {number} is not linked to the one before"
            return
        if entity["Alg"] != (name if keyed else entity["Alg"]) or entity["Alg"] not in ("sha256", name):
            yield f"I8 {mirror}: row {number} says {entity['Alg']} after a keyed row"
            return
        keyed = entity["Alg"] == name
        sealed = hmac.new(key, text.encode(), hashlib.sha256) if keyed else hashlib.sha256(text.encode())
        previous = sealed.hexdigest()
        if previous != entity["Hash"]:
            yield f"I8 {mirror}: row {number} does not hash to its Hash"
            return
    head = harness.ledger.heads.get(mirror)
    if entities and head is None:
        yield f"I8 {mirror}: the head is gone, and {len(entities)} rows are there"
    if head and (head[0]["Seq"], head[0]["HeadHash"]) != (len(entities), previous):
        yield f"I8 {mirror}: the head does not match the last row"


def _events(commit: Commit) -> list[str]:
    return [str(row.columns["Event"]) for row in commit.rows]


def _rebuilds(commit: Commit) -> bool:
    """Whether this is the rebuild of a head that was removed or set back: it is judged against what the trail knew before."""
    return "head.rebuilt" in _events(commit)


def _recorded(trace: Trace) -> bool:
    return any("claim.recorded" in _events(commit) for commit in trace.commits)


def _carries(doc: Any, mirror: Mirror) -> bool:
    """Whether a NIC's content has every VIP as it is defined."""
    facts = {fact.name.lower(): fact for fact in doc.facts}
    for vip in mirror.vips:
        fact = facts.get(vip.name.lower())
        if fact is None or fact.address != vip.private_ip or fact.pip != (vip.public_ip_id or "").lower():
            return False
    return True


def _form(doc: Any, names: set[str]) -> tuple[str, str, str] | None:
    """Name, address and public IP of the VIP of these names, None where it is not here."""
    return next(((f.name.lower(), f.address, f.pip) for f in doc.facts if f.name.lower() in names), None)


class _Judge:
    def __init__(self, harness: Harness, etags: bool) -> None:
        self.harness, self.journal, self.etags = harness, harness.journal, etags
        assert harness.config is not None
        self.mirrors = harness.config.mirrors
        puts = [
            exchange
            for exchange in harness.cloud.history
            if exchange.method in ("PUT", "POST") and exchange.client_request_id.isdigit()
        ]
        self.accepted = [(self._put(exchange), exchange) for exchange in puts if exchange.status in (200, 201, 202)]
        self.by_operation = {exchange.operation_id: put for put, exchange in self.accepted if exchange.operation_id}
        for change in self.journal.changes:
            if change.cause == "put" and change.put is None and (late := self.by_operation.get(change.operation_id)):
                change.put = late
                if late.landed is None:  # what the network delivered twice has landed already
                    late.before, late.after, late.landed = change.before, change.after, change.at
        self.vips: dict[str, list[set[str]]] = {}
        """Mirror -> for each VIP all names that documents have had for it."""
        for config in harness.configs:
            for mirror in config.mirrors.values():
                known = self.vips.setdefault(mirror.name, [set() for _ in mirror.vips])
                for names, vip in zip(known, mirror.vips, strict=True):
                    names.add(vip.name.lower())
        self.by_mirror: dict[str, list[Commit]] = defaultdict(list)
        for commit in self.journal.commits:
            self.by_mirror[commit.after.mirror].append(commit)

    def _put(self, exchange: Exchange) -> Put:
        return self.journal.puts[int(exchange.client_request_id)]

    def _ours(self, doc: Any, mirror: Mirror) -> set[str]:
        """The ip configurations of the mirror's VIPs, by any name that a document has had for them."""
        return {fact.name.lower() for fact in doc.facts} & set().union(*self.vips[mirror.name])

    def head_at(self, mirror: str, at: float) -> Head | None:
        """The head that was in force at that time."""
        found = None
        for commit in self.by_mirror[mirror]:
            if commit.at > at:
                break
            found = commit.after
        return found

    # -- promises ------------------------------------------------------------------------------------------------------

    def crashes(self) -> Iterator[str]:
        """No request ends by a defect of ours."""
        for trace in self.journal.traces:
            if isinstance(trace.answer, BaseException) and not isinstance(trace.answer, Refusal):
                yield f"I0 trace {trace.number} ({trace.kind}) ended with {trace.answer!r}"
            elif isinstance(trace.answer, Refusal) and trace.answer.code in ("internal", "configuration-invalid"):
                yield f"I0 trace {trace.number} ({trace.kind}) answered {trace.answer.code}"

    def writes(self) -> Iterator[str]:
        """I2, I3, I9 for every write that was sent; I3 for every write that was accepted."""
        for put in self.journal.puts:
            yield from self._fenced(put)
            yield from self._looked(put)
            yield from self._settled_target(put)
            yield from self._told(put)
        rows = {
            one
            for commit in self.journal.commits
            for row in commit.rows
            for one in str(row.columns.get("ArmRequestIds")).split(",")
        }
        for put in self.journal.puts:
            if put.status is not None and put.request_id and not put.trace.node.dead and put.request_id not in rows:
                yield f"I3 write {put.number} was answered {put.status} and no row names its request id"
        told = [
            one
            for commit in self.journal.commits
            for row in commit.rows
            if row.columns["Event"] == "nic.write"
            for one in str(row.columns.get("ArmRequestIds", "")).split(",")
            if one
        ]
        for one, times in Counter(told).items():
            if times > 1:
                yield f"I3 {times} rows tell of the write {one}"
        for put, _ in self.accepted:
            yield from self._still_expected(put)
            yield from self._possible(put)
            yield from self._whole(put)

    def _fenced(self, put: Put) -> Iterator[str]:
        head, name = put.head, f"write {put.number} of {put.nic} by trace {put.trace.number}"
        if head is None or head.swap is None or head.lease is None or head.desired is None:
            yield f"I3 {name} was sent without a committed intent"
            return
        if head.lease.owner not in put.trace.owners:
            yield f"I2 {name} was sent under the lease of {head.lease.owner}"
        if head.lease.until - put.clock < timedelta(seconds=LEFT_S):
            yield f"I2 {name} was sent although the lease was about to run out"
        if not put.heard_since_last:
            yield f"I2 {name} was sent without a look at the head since the write before"
        # A process that is paused between its look and its write sends the write when it wakes: nothing in it can prevent that.
        stood = sum(max(0.0, min(end, put.sent) - max(begin, put.head_known_at)) for begin, end in put.trace.node.pauses)
        if (age_s := put.sent - put.head_known_at - stood) > HEAD_AGE_S:
            yield f"I2 {name} was sent {age_s:.1f} s after the last look at the head"
        if put.nic and self._member(head.mirror, put.nic) not in head.swap.maybe_in_flight:
            yield f"I2 {name} was sent although the head does not say that this NIC may be written"
        intents = [
            commit
            for commit in self.by_mirror[head.mirror]
            if commit.at <= put.sent
            and any(
                row.columns["Event"] in INTENT and row.columns.get("OperationId") == head.swap.operation_id for row in commit.rows
            )
        ]
        if not intents:
            yield f"I3 {name} was sent before a row stated its intent"

    def _looked(self, put: Put) -> Iterator[str]:
        """I9: no detach or attach on a guess."""
        if put.head is None:
            return
        mirror = self.mirrors[put.head.mirror]
        if put.nic and (
            put.before is None or put.after is None or self._ours(put.before, mirror) == self._ours(put.after, mirror)
        ):
            return
        lost = {min(names) for names in self.vips[mirror.name] if not names & put.located}
        if lost and put.unread:
            yield f"I9 write {put.number} changed VIPs while {put.unread[0]} could not be read and {min(lost)} was seen nowhere"

    def _member(self, mirror: str, nic: str) -> str:
        return next(m.name for m in self.mirrors[mirror].members if m.nic_id.rsplit("/", 1)[-1] == nic)

    def _told(self, put: Put) -> Iterator[str]:
        """I3: where a lost reply hid the answer, a row says what a fresh read found."""
        if put.status is not None or not put.nic or put.head is None or put.trace.node.dead:
            return
        looks = [get.heard for get in put.trace.gets if get.nic == put.nic and get.at > put.sent]
        mine = [commit for commit in put.trace.commits if commit.after.mirror == put.mirror and commit.at > put.sent]
        after = [commit for commit in mine if looks and commit.at > min(looks)]
        member = self._member(put.head.mirror, put.nic)
        said = any(
            row.columns["Event"] == "nic.write"
            and row.columns.get("Member") == member
            and row.columns.get("Outcome") == "unknown"
            for commit in mine  # who lost the lease before it could look has told, and may have taken it again
            for row in commit.rows
        )
        if after and not said:
            yield f"I3 write {put.number} got no answer, and no row says what the read after it found"

    def _whole(self, put: Put) -> Iterator[str]:
        """All VIPs of a NIC travel in one write."""
        if put.head is None or put.before is None or put.after is None or not put.nic:
            return
        mirror = self.mirrors[put.head.mirror]
        left = self._ours(put.after, mirror)
        if left and self._ours(put.before, mirror) - left and self._member(mirror.name, put.nic) != put.head.desired:
            yield f"I5 write {put.number} left {min(left)} on a NIC from which it took another VIP"

    def _settled_target(self, put: Put) -> Iterator[str]:
        """I10: while something is detached, desired's NIC was last seen to be `Succeeded`, or written by ourselves since."""
        if put.head is None or put.head.desired is None or put.before is None or put.after is None or not put.nic:
            return
        mirror = self.mirrors[put.head.mirror]
        if not self._ours(put.before, mirror) - self._ours(put.after, mirror):
            return
        target = next(m.nic_id for m in mirror.members if m.name == put.head.desired).rsplit("/", 1)[-1]
        if target == put.nic:
            return
        looks = [get for get in put.trace.gets if get.nic == target and get.heard <= put.sent]
        wrote = [other.sent for other in put.trace.puts if other.nic == target and other.sent <= put.sent]
        if looks and looks[-1].state != "Succeeded" and not any(sent > looks[-1].at for sent in wrote):
            yield f"I10 write {put.number} detached from {put.nic} although {target} was seen {looks[-1].state}"

    def _still_expected(self, put: Put) -> Iterator[str]:
        """I2: an accepted write fell into a time when its mirror was being driven."""
        if put.landed is None or put.head is None or not self.etags or not put.nic:
            return
        if put.status is not None and put.status >= 400 and put.heard is not None and put.heard < put.landed:
            return  # Azure had refused it: what the network then delivers once more is nobody's write any more
        head = self.head_at(put.head.mirror, put.landed)
        if head is not None and head.lease is None and head.swap is None:
            yield f"I2 write {put.number} landed at {put.landed:.1f} s, when nobody drove and no swap was unfinished"

    def _possible(self, put: Put) -> Iterator[str]:
        """I10: nothing is detached for a member that reads say cannot take it. Denied reads and throttles stop nothing."""
        if put.head is None or put.head.desired is None or put.before is None or put.after is None or not put.nic:
            return
        mirror = self.mirrors[put.mirror]
        gone = self._ours(put.before, mirror) - self._ours(put.after, mirror)
        trapped = put.landed is not None and put.landed < self.journal.traps.get(put.head.desired, -1.0)
        scarce = any(exchange.status == 429 for exchange in self.harness.cloud.history)
        # An instance's requests share what was read of rights, and with it what could not be.
        denied = any(trace.denied_reads for trace in self.journal.traces if trace.node is put.trace.node)
        if gone and trapped and not scarce and not denied:
            yield f"I10 write {put.number} detached {min(gone)} for {put.head.desired}, where it may not be attached"

    def leases(self) -> Iterator[str]:
        """I2: one driver at a time, who keeps the lease while a write is unanswered, and rewrites what a dead one left."""
        for commit in self.journal.commits:
            before, after = commit.before.lease, commit.after.lease
            if _rebuilds(commit):
                continue
            true = START + timedelta(seconds=commit.at)
            if before and after and before.owner != after.owner and before.until > true - timedelta(seconds=SKEW_S / 4):
                yield f"I2 at {commit.at:.1f} s trace {commit.trace.number} took a live lease of {before.owner}"
            mine = before is not None and before.owner in commit.trace.owners
            if before and after is None and not mine:
                yield f"I2 at {commit.at:.1f} s trace {commit.trace.number} ended the lease of {before.owner}"
            if before and any(event.endswith(".confirmed") for event in _events(commit)):
                yield f"I2 at {commit.at:.1f} s trace {commit.trace.number} confirmed under the lease of {before.owner}"
            if before and mine and after is None:
                for put in commit.trace.puts:
                    if put.mirror == commit.after.mirror and put.sent < commit.at and not self._settled(put, commit.at):
                        yield f"I2 the lease was released at {commit.at:.1f} s while write {put.number} was unanswered"
            if "swap.completed" in _events(commit):
                yield from self._rewrote(commit)
            yield from self._watched(commit)
        for mirror in self.mirrors:
            yield from self._owed(mirror)

    def _watched(self, commit: Commit) -> Iterator[str]:
        """I2: after a lease that ran out the mirror stays under the timer's eye for 15 minutes."""
        before, after = commit.before, commit.after
        if after.late_writes.until < before.late_writes.until:
            yield f"I2 the watch over {after.mirror} was shortened at {commit.at:.1f} s"
        if before.lease is None or after.lease is None or before.lease.owner == after.lease.owner:
            return
        # Reckoned from when the lease was taken: a paused instance commits both much later.
        if after.late_writes.until < after.lease.until + timedelta(seconds=WATCH_S - LEASE_S):
            yield f"I2 the lease of {before.lease.owner} ran out and nothing is watched"

    def _owed(self, mirror: str) -> Iterator[str]:
        """I2: what a dead driver may still write stays in the head, whoever decides or gives up, until it was rewritten."""
        owed: dict[str, float] = {}
        nics = {m.name: m.nic_id for m in self.mirrors[mirror].members}
        for commit in self.by_mirror[mirror]:
            before, after = commit.before, commit.after
            if before.lease and after.lease and before.lease.owner != after.lease.owner and before.swap:
                owed.update(dict.fromkeys(self._may_be_written(before), commit.at))
            if after.swap is None:
                owed.clear()
                continue
            for member, since in list(owed.items()):
                nic = nics[member].rsplit("/", 1)[-1]
                landed = any(
                    p.nic == nic and p.landed is not None and since <= p.sent and p.landed <= commit.at for p in self.journal.puts
                )
                if landed or nics[member].lower() not in self.harness.cloud.nics:
                    del owed[member]
                elif member not in self._may_be_written(after):
                    yield f"I2 trace {commit.trace.number} forgot at {commit.at:.1f} s that a dead driver may write {nic}"
                    del owed[member]

    def _may_be_written(self, head: Head) -> Collection[str]:
        """The members whose NICs the driver that the head knows may have a write in flight to."""
        if head.lease and head.lease.owner == OF_LOST_HEAD:
            return [member.name for member in self.mirrors[head.mirror].members]
        return head.swap.maybe_in_flight if head.swap else ()

    def _settled(self, put: Put, at: float) -> bool:
        """Whether the sender knew by then that this write cannot happen any more, or has happened."""
        if not put.nic:
            return True  # a single call carries no etag: the watch over the mirror is what settles it (I2)
        if put.heard is not None and put.heard <= at and put.status is not None and put.status < 500 and put.status != 408:
            return True
        later = (other for other in put.trace.puts if other.nic == put.nic and other.number > put.number)
        if any(other.heard is not None and other.heard <= at and other.status in (200, 201) for other in later):
            return True
        looks = (get for get in put.trace.gets if get.nic == put.nic and get.at > put.sent and get.heard <= at)
        return any(get.etag != put.if_match for get in looks) or not self._left_us(put)

    def _left_us(self, put: Put) -> bool:
        """Whether the cloud has ever seen it; an instance that died before may never have sent it."""
        return any(exchange.client_request_id == str(put.number) for exchange in self.harness.cloud.history)

    def _rewrote(self, completed: Commit) -> Iterator[str]:
        """I2: who took over a lease that ran out wrote every NIC that its owner may have had a write in flight to."""
        trace = completed.trace
        taken = [
            commit
            for commit in trace.commits
            if commit.after.mirror == completed.after.mirror
            and commit.after.lease is not None
            and commit.after.lease.owner in trace.owners
            and (commit.before.lease is None or commit.before.lease.owner != commit.after.lease.owner)
        ]
        for commit in taken[-1:]:  # who lost an earlier one left it to whoever drove between
            before = commit.before
            if before.lease is None or before.swap is None:
                continue
            for member in self._may_be_written(before):
                nic = next(m.nic_id for m in self.mirrors[before.mirror].members if m.name == member).rsplit("/", 1)[-1]
                written = any(p.nic == nic and p.status in (200, 201) and p.sent >= commit.at for p in trace.puts)
                moved = self._etag_moved(trace, nic, commit.at)
                driven = [c for c in trace.commits if c.after.mirror == before.mirror and commit.at <= c.at <= completed.at]
                unread = any(nic in c.unread for c in driven) or nic in trace.gone or trace.looks.get(nic, frozenset()) is None
                shown = max((g.heard for g in trace.gets if g.nic == nic and g.heard <= completed.at), default=-1.0)
                unread = unread or shown < trace.unheard_at.get(nic, -1.0) <= completed.at
                # After its head was lost, a request may take over from itself: it knows how each of its own writes ended.
                earlier = [p for p in self.journal.puts if p.nic == nic and p.sent < commit.at]
                own = bool(earlier) and all(p.trace is trace and p.status is not None for p in earlier)
                there = nic in {n.name for n in self.harness.cloud.nics.values()}
                if not written and not moved and not unread and not own and there:
                    yield f"I2 trace {trace.number} completed a swap taken over without a rewrite of {nic}"

    def _etag_moved(self, trace: Trace, nic: str, since: float) -> bool:
        """Whether a write of the trace without an answer was seen to have landed."""
        unheard = [put for put in trace.puts if put.nic == nic and put.sent >= since and put.status not in (200, 201)]
        return any(get.nic == nic and get.at > put.sent and get.etag != put.if_match for put in unheard for get in trace.gets)

    def answers(self) -> Iterator[str]:
        """I4: a success was shown by a look after the last write."""
        for trace in self.journal.traces:
            answer = trace.answer
            if not isinstance(answer, Outcome):
                continue
            mirror = self.mirrors[answer.mirror]
            if answer.holder != trace.member:
                yield f"I4 trace {trace.number} asked for {trace.member} and was answered {answer.holder}"
            commit = self._concluded(trace, answer)
            if commit is None or trace.answered is None or commit.at > trace.answered:
                yield f"I4 trace {trace.number} was answered {answer.outcome} without a committed end"
                continue
            nic = next(m.nic_id for m in mirror.members if m.name == answer.holder).rsplit("/", 1)[-1]
            nics = {member.nic_id.rsplit("/", 1)[-1] for member in mirror.members}
            landed = (c.at for c in self.journal.changes if c.nic in nics and c.at <= commit.at and self._by_us(c, mirror))
            last = max(landed, default=-1.0)
            looks = trace.gets if answer.outcome == "confirmed" else self.journal.gets
            if not any(
                get.nic == nic
                and last <= get.at
                and get.heard <= commit.at
                and get.state == "Succeeded"
                and any(_carries(get.doc, one.mirrors[mirror.name]) for one in self.harness.configs)
                for get in looks
            ):
                yield f"I4 trace {trace.number} was answered {answer.outcome} without a look that showed it after the last write"
            others = (
                c for c in self.by_mirror[mirror.name] if c.trace is not trace and trace.puts and c.at > trace.puts[-1].sent
            )
            if answer.outcome == "confirmed" and trace.puts and not any(others):  # another may have driven in between
                yield f"I4 trace {trace.number} was answered confirmed and wrote a NIC"

    def _by_us(self, change: Change, mirror: Mirror) -> bool:
        """Whether this was a write for the mirror."""
        if change.cause == "moved":
            return change.before is None or self._ours(change.before, mirror) != self._ours(change.after, mirror)
        return change.cause == "put" and change.put is not None and bool(change.put.nic) and change.put.mirror == mirror.name

    def _concluded(self, trace: Trace, answer: Outcome) -> Commit | None:
        if answer.outcome == "confirmed":
            return trace.commits[-1] if trace.commits else None
        for commit in self.by_mirror[answer.mirror]:
            for row in commit.rows:
                if row.columns["Event"] == "swap.completed" and row.columns.get("OperationId") == answer.operation_id:
                    return commit
        return None

    def refusals(self) -> Iterator[str]:
        """I7: a refusal changes no NIC, no desired, no epoch."""
        for trace in self.journal.traces:
            took = any(event in (*INTENT, "claim.confirmed", "move.confirmed") for c in trace.commits for event in _events(c))
            if isinstance(trace.answer, Refusal) and trace.kind in ("claim", "move") and not took:
                if trace.puts:
                    yield f"I7 trace {trace.number} was refused and wrote a NIC"
                if (
                    trace.answer.code in UNSPENT
                    and not _recorded(trace)
                    and any(c.before.replay_marks != c.after.replay_marks for c in trace.commits if not _rebuilds(c))
                ):
                    yield f"I7 trace {trace.number} was refused with {trace.answer.code} and its signature is spent"
                for commit in trace.commits:
                    old, new = commit.before, commit.after
                    if not _rebuilds(commit) and (old.desired, old.epoch, old.swap, old.lease) != (
                        new.desired,
                        new.epoch,
                        new.swap,
                        new.lease,
                    ):
                        yield f"I7 trace {trace.number} was refused and changed the decision"
        for commit in self.journal.commits:
            events = _events(commit)
            if any(event.endswith(".refused") for event in events) and commit.before.epoch != commit.after.epoch:
                yield f"I7 a refusal at {commit.at:.1f} s raised the epoch"

    def lost(self) -> Iterator[str]:
        """I9: no VIP is called lost that a NIC shows all the while, and none taken: nobody else takes one in these worlds."""
        for commit in self.journal.commits:
            refused = [row for row in commit.rows if row.columns.get("Outcome") == "address-taken"]
            by_hand = commit.at - self.journal.by_hand.get(commit.after.mirror, -60.0) < 60.0  # somebody else's write
            if refused and not by_hand and not self.journal.damaged.get(commit.after.mirror):  # a head that lacks what goes on
                yield f"I9 at {commit.at:.1f} s an address was called taken, which nobody else has"
            said = [str(row.columns.get("Detail")) for row in commit.rows if row.columns["Event"] == "drift.found"]
            one_document = len(self.harness.configs) == 1  # another document's VIP is not this instance's
            if one_document and any(detail.startswith("The VIP is on no NIC") for detail in said):
                for member in self.mirrors[commit.after.mirror].members:
                    if all(_carries(doc, self.mirrors[commit.after.mirror]) for doc in self._docs(member.nic_id, commit)):
                        yield f"I9 at {commit.at:.1f} s the VIP was called lost, and {member.name} has it"

    def _docs(self, nic_id: str, commit: Commit) -> list[Any]:
        """What that NIC was while the request of this commit ran, up to the commit."""
        nic = nic_id.rsplit("/", 1)[-1]
        changes = [change for change in self.journal.changes if change.nic == nic]
        before = [change for change in changes if change.at <= commit.trace.asked]
        during = [change.after for change in changes if commit.trace.asked < change.at <= commit.at]
        later = [change for change in changes if change.at > commit.trace.asked]
        first = before[-1].after if before else later[0].before if later else self.journal.docs[nic]
        return [first, *during]

    def worklist(self) -> Iterator[str]:
        """I1: a hint is dropped only under the etag that was read before a head that shows no work."""
        for drop in self.journal.drops:
            head, name = drop.head, f"at {drop.at:.1f} s trace {drop.trace.number} dropped a hint"
            if drop.trace.worklist.get(drop.etag, drop.at) > drop.trace.asked_heads.get(drop.mirror, -1.0):
                yield f"I1 {name} that it read after the head"
            if head is None:
                continue
            timed = head.frozen is not None and head.frozen.until is not None
            if (
                head.swap
                or head.lease
                or head.recorded_claim
                or timed
                or (head.late_writes.until > drop.clock and head.frozen is None)
            ):
                yield f"I1 {name} although the head shows work"

    def permits(self) -> Iterator[str]:
        """I1: who lives gave back what it held of Azure's rate limits, or later swaps would wait for room that nobody uses."""
        for node in self.harness.nodes:
            for name, limits in node.controller.arm.subscriptions.items() if not node.dead else ():
                if limits.reads.reserved or limits.writes.reserved:
                    kept = f"{limits.reads.reserved} reads and {limits.writes.reserved} writes"
                    yield f"I1 {node.name} still holds permits for {kept} of subscription {name}"

    def rules(self, mirror: Mirror) -> Iterator[str]:
        """I7: order of claims, recorded claims, holds, changes of holder, repeated refusals, as in docs/api.md section 6."""
        changes: list[float] = []
        said: dict[str, tuple[object, ...]] = {}
        for commit in self.by_mirror[mirror.name]:
            old, new = commit.before, commit.after
            yield from self._recorded_kept(commit, mirror)
            decides = [row for row in commit.rows if row.columns["Event"] in DECIDED and row.columns.get("Outcome") == "decided"]
            by_claim = any(row.columns["Event"] == "claim.accepted" for row in decides)
            if by_claim:
                yield from self._not_contradicted(commit, mirror)
            if old.desired and old.desired != new.desired:
                assert self.harness.config is not None
                recent = [at for at in changes if commit.at - at < self.harness.config.max_changes_s - SKEW_S]
                if by_claim and len(recent) >= self.harness.config.max_changes:
                    yield f"I7 a claim was the change of holder number {len(recent) + 1} at {commit.at:.1f} s"
                if by_claim:
                    changes.append(commit.at)
            for row in commit.rows:
                event, actor = str(row.columns["Event"]), str(row.columns["Actor"])
                if event not in ("claim.refused", "claim.confirmed") or not actor.startswith("key:"):
                    continue
                what = (event, row.columns.get("Outcome"), row.columns.get("Member"))
                # An instance that paused between judgement and commit counts from its judgement.
                last = old.repeats.get(actor)
                young = last is not None and (self._true(commit.at) - last.at).total_seconds() < REPEAT_S - SKEW_S
                same = (old.desired, old.epoch, old.recorded_claim, old.holds) == (
                    new.desired,
                    new.epoch,
                    new.recorded_claim,
                    new.holds,
                )
                if said.get(actor) == what and young and same and old.swap is None:
                    yield f"I7 {event} of {actor} at {commit.at:.1f} s is like the one before and has a row of its own"
                said[actor] = what

    def _recorded_kept(self, commit: Commit, mirror: Mirror) -> Iterator[str]:
        """A recorded claim stays until it is accepted, superseded or an hour old, and supersedes older ones."""
        old, new = commit.before, commit.after
        recorded_claim = old.recorded_claim
        if new.began < old.began:
            yield f"I1 the beginning of the decision fell at {commit.at:.1f} s from {old.began} to {new.began}"
        if recorded_claim is None or _rebuilds(commit):
            return
        decided = [row.columns.get("Member") for row in commit.rows if row.columns["Event"] in DECIDED]
        if new.desired != old.desired and new.desired != recorded_claim.member and new.began < recorded_claim.began:
            yield f"I1 a decision of {new.began} at {commit.at:.1f} s passed over a claim recorded of {recorded_claim.began}"
        if new.recorded_claim is not None:
            if new.recorded_claim.began < recorded_claim.began:
                yield f"I1 an older claim took the place of the recorded one at {commit.at:.1f} s"
            return
        superseded = old.desired not in (None, recorded_claim.member) and recorded_claim.began < old.began
        hour = recorded_claim.recorded_at + timedelta(seconds=3600 - SKEW_S) < START + timedelta(seconds=commit.at)
        passed = bool(decided) and (recorded_claim.member in decided or recorded_claim.began <= new.began)
        if not passed and not superseded and not hour:
            yield f"I1 the recorded claim of {recorded_claim.member} was dropped at {commit.at:.1f} s"

    def _not_contradicted(self, commit: Commit, mirror: Mirror) -> Iterator[str]:
        """A claim that status pages contradict went through only as the end of its hold."""
        trace, member = commit.trace, commit.after.desired
        recorded_claim = commit.before.recorded_claim
        event = trace.event or (recorded_claim.event if recorded_claim else "")
        peers = [name for name, page in trace.pages.items() if name != member and page is Page.PRIMARY]
        own = trace.pages.get(member or "", Page.UNKNOWN)
        against = peers or (event == "watch" and own is not Page.PRIMARY)
        against = against or (own is Page.NOT_PRIMARY and event != "CheckBecomePrimaryOK")
        if not mirror.has_pages or not against:
            return
        since = commit.before.holds.get(member or "")
        held = mirror.hold_s == 0 or (
            since is not None and (self._true(commit.at) - since).total_seconds() >= mirror.hold_s - SKEW_S
        )
        if event not in ("CheckBecomePrimaryOK", "NotifyBecomePrimary") or not held:
            yield f"I7 {event} of {member} went through at {commit.at:.1f} s against the pages, held since {since}"

    def readiness(self) -> Iterator[str]:
        """I9: a row about readiness says what was seen, changes nothing else, and is written while nobody drives."""
        for commit in self.journal.commits:
            rows = [
                row.columns for row in commit.rows if row.columns["Event"] == "readiness.changed" and row.columns.get("Outcome")
            ]
            if not rows:
                continue
            # A commit may take its time: its rows say what was so when they were made.
            old, new, true = commit.before, commit.after, datetime.fromisoformat(str(rows[0]["At"]))
            kept = replace(new, seq=old.seq, head_hash=old.head_hash, alg=old.alg, readiness=old.readiness)
            if kept != old or old.lease is not None or len(rows) != len(commit.rows):
                yield f"I7 a commit of readiness at {commit.at:.1f} s changed more than that, or was made beside a driver"
            stops = old.frozen and (old.frozen.until is None or old.frozen.until > true + timedelta(seconds=SKEW_S / 2))
            ended = old.frozen is None or (old.frozen.until and old.frozen.until < true - timedelta(seconds=SKEW_S / 2))
            for row in rows:
                member, ready, detail = str(row["Member"]), row["Outcome"] == "ready", str(row["Detail"])
                name = f"the row of {member} at {commit.at:.1f} s"
                nic = self._member_nic(new.mirror, member, commit.trace.node.controller.config)
                looks = [
                    g for g in self.journal.gets if g.trace.node is commit.trace.node and g.nic == nic and g.heard <= commit.at
                ]
                told_at = (new.readiness.members[member].at - START).total_seconds() if ready and new.readiness else commit.at
                seen = looks[-1].state if looks and looks[-1].heard >= told_at - SKEW_S else "nothing"
                if ready and stops:
                    yield f"I9 {name} says ready during a freeze"
                if ready and seen in ("nothing", "Failed"):
                    yield f"I9 {name} says ready, and its node saw {seen}"
                trapped = commit.at < self.journal.traps.get(member, -1.0)
                denied = any(trace.denied_reads for trace in self.journal.traces if trace.node is commit.trace.node)
                if ready and trapped and not denied:
                    yield f"I9 {name} says ready, where the VIP may not be attached"
                # What nobody can look at now is told as an earlier look of any instance showed it.
                found = old.readiness.members.get(member) if old.readiness else None
                failed = (looks and looks[-1].state == "Failed") or (found and "in state Failed" in found.wrong.get("nic", ""))
                if ("is frozen" in detail and ended) or ("in state Failed" in detail and not failed):
                    yield f"I9 {name} says {detail[:80]}, which was not so"

    def lists(self) -> Iterator[str]:
        """I9: a list of all mirrors is not older than its question, although it does not read every head each time."""
        for asked, shown in self.journal.listed:
            for mirror, epoch in shown.items():
                head = None if self.journal.damaged.get(mirror) else self.head_at(mirror, asked)
                if head is not None and head.epoch > epoch:
                    yield f"I9 a list that was asked for at {asked:.1f} s shows {mirror} at epoch {epoch}, it was {head.epoch}"

    def _member_nic(self, mirror: str, member: str, config: Any) -> str:
        return str(next(m.nic_id for m in config.mirrors[mirror].members if m.name == member)).rsplit("/", 1)[-1]

    def _forgotten(self, one: Trace, other: Trace) -> bool:
        """Whether the first of them was only counted, its head was lost after that, and the second decided nothing anew.

        What the loss of a head costs is in docs/adr/0014-a-head-can-be-rebuilt.md.
        """
        counted, again = sorted((one, other), key=lambda trace: max((commit.at for commit in trace.commits), default=trace.asked))
        told = any(event in SPENDS for commit in counted.commits for event in _events(commit))
        decided = any(c.after.epoch > c.before.epoch and not _rebuilds(c) for c in again.commits)
        ended = max((commit.at for commit in counted.commits), default=counted.asked)
        lost = any(at > ended for at in self.journal.damaged.get(again.mirror, ()))
        return lost and not told and not decided

    def signatures(self) -> Iterator[str]:
        """I6: a signed request is accepted at most once; marks never fall; a key moves the VIP to its own member only."""
        taken: dict[tuple[str, str], Trace] = {}
        for trace in self.journal.traces:
            if trace.signed is None:
                continue
            use_issued_at = any(event in SPENDS for c in trace.commits for event in _events(c))
            if not use_issued_at and not isinstance(trace.answer, Outcome):
                continue
            if (first := taken.get(trace.signed)) and not self._forgotten(first, trace):
                yield f"I6 traces {first.number} and {trace.number} accepted one signature"
            taken[trace.signed] = trace
            key, issued_at = trace.signed
            for commit in trace.commits:
                events = _events(commit)
                took = any(event in SPENDS for event in events)
                if took and commit.after.replay_marks.get(key, "") < issued_at:
                    yield f"I6 trace {trace.number} was accepted and its mark is not spent"
        for commit in self.journal.commits:
            for key, mark in commit.before.replay_marks.items():
                if commit.after.replay_marks.get(key, "") < mark:
                    yield f"I6 the mark of {key} fell at {commit.at:.1f} s"
            for row in commit.rows:
                actor = str(row.columns["Actor"])
                if (
                    actor.startswith("key:key-")
                    and row.columns["Event"] in DECIDED
                    and row.columns.get("Member") != actor.removeprefix("key:key-")
                ):
                    yield f"I6 {actor} acted for {row.columns.get('Member')}"

    def foreign_properties(self) -> Iterator[str]:
        """I5: a write of ours changes nothing but our VIPs, or nothing but our tag (docs/adr/0012-overwrite-is-proven.md)."""
        for change in self.journal.changes:
            if change.cause == "put" and change.put is not None and change.before is not None:
                yield from self._only_ours(change)

    def _only_ours(self, change: Change) -> Iterator[str]:
        old, new = change.before, change.after
        names = set().union(*self.vips[change.put.mirror]) if change.put else set()
        if {**_DEFAULTS, **old.properties} != {**_DEFAULTS, **new.properties}:
            yield f"I5 a write at {change.at:.1f} s changed properties of {change.nic}"
        tagged = new.top.get("tags", {}).get(TAG) != old.top.get("tags", {}).get(TAG)
        if tagged and old.configs != new.configs:
            yield f"I5 a write at {change.at:.1f} s changed both our tag and ip configurations of {change.nic}"
        for what, were, are in (
            ("location", old.location, new.location),
            ("dns", old.dns, new.dns),
            ("tags or other members", _without_our_tag(old.top), _without_our_tag(new.top)),
        ):
            if were != are:
                yield f"I5 a write at {change.at:.1f} s changed {what} of {change.nic}"
        kept = [{c.name: c for c in doc.configs if c.name.lower() not in names} for doc in (old, new)]
        if kept[0] != kept[1]:
            yield f"I5 a write at {change.at:.1f} s changed ip configurations of {change.nic} that are not ours"

    def settings(self, mirror: Mirror) -> Iterator[str]:
        """I5: what a VIP's ip configuration carries comes back with the VIP that a write of ours took away or replaced."""
        rows = [row for commit in self.by_mirror[mirror.name] for row in commit.rows]
        given_up = any("made without" in str(row.columns.get("Detail")) for row in rows)
        given_up = given_up or any(row.columns["Event"] == "head.rebuilt" for row in rows)  # which says what is not known
        for names in self.vips[mirror.name]:
            taken: Any = None
            for change in () if given_up else self.journal.changes:
                if change.before is None:
                    continue
                were, are = (
                    [c.properties.get(SETTING) for c in doc.configs if c.name.lower() in names]
                    for doc in (change.before, change.after)
                )
                mine = change.cause == "put" and change.put is not None
                if mine and were and not are:
                    taken = were[0]
                elif mine and are and (owed := were[0] if were else taken) is not None and owed != are[0]:
                    yield f"I5 a write at {change.at:.1f} s attached {min(names)} to {change.nic} without what it carried"
                if are:
                    taken = None

    def documents(self, mirror: Mirror) -> Iterator[str]:
        """Two documents do not change a VIP's form in turns: unasked, no instance of the old one undoes the new one's."""
        old, new = (config.mirrors[mirror.name] for config in (self.harness.configs[0], self.harness.configs[-1]))
        controllers = [node.controller for node in self.harness.nodes]
        newer = [one.store.started_at for one in controllers if one.config is self.harness.configs[-1]]
        for change in () if self.journal.damaged.get(mirror.name) else self.journal.changes:
            put = change.put
            if change.cause != "put" or put is None or put.mirror != mirror.name or put.trace.kind != "tick":
                continue
            if any(abs(start - put.trace.node.controller.store.started_at) <= SKEW_S for start in newer):
                continue  # two processes that start within the difference of their clocks: either counts as the later one, once
            intents = {e for c in put.trace.commits if c.after.mirror == mirror.name for e in _events(c)}
            for names, before, after in zip(self.vips[mirror.name], old.vips, new.vips, strict=True):
                forms = [(v.name.lower(), v.private_ip, (v.public_ip_id or "").lower()) for v in (before, after)]
                seen = [_form(doc, names) for doc in (change.before, change.after)]
                if forms[0] != forms[1] and seen == forms[::-1] and "drift.found" in intents:
                    yield f"I1 a timer pass at {change.at:.1f} s undid what the newer document made of {before.name}"

    def heads(self, mirror: Mirror) -> Iterator[str]:
        """Epochs, seqs and hashes of consecutive heads; who decided."""
        previous: Head | None = None
        looked, told, decided = -1.0, Head(mirror=mirror.name), Head(mirror=mirror.name)
        for commit in self.by_mirror[mirror.name]:
            old, new = commit.before, commit.after
            damaged = any(looked < at <= commit.at for at in self.journal.damaged.get(mirror.name, ()))
            if previous is not None and previous.etag != old.etag and not damaged:
                yield f"I8 {mirror.name}: a commit at {commit.at:.1f} s replaced a head that was not the newest"
            previous, looked = new, commit.at
            if _rebuilds(commit):
                yield from self._rebuilt(commit, replace(told, began=decided.began))
            told = new if commit.rows else told
            decided = new if any(event in DECIDED for event in _events(commit)) else decided
            if _rebuilds(commit):
                continue
            if new.epoch != old.epoch + (new.desired != old.desired):
                yield f"I1 the epoch went from {old.epoch} to {new.epoch}, desired from {old.desired} to {new.desired}"
            if new.seq != old.seq + len(commit.rows) or (commit.rows and new.head_hash != commit.rows[-1].hash):
                yield f"I8 {mirror.name}: head and rows disagree at {commit.at:.1f} s"
            if _state(old) != _state(new) and not commit.rows:
                yield f"I8 {mirror.name}: state changed at {commit.at:.1f} s without a row"
            if new.desired != old.desired and not any(
                row.columns["Event"] in DECIDED and row.columns.get("Member") == new.desired for row in commit.rows
            ):
                yield f"I1 desired became {new.desired} at {commit.at:.1f} s without an accepted row"
            if not commit.hinted and ((new.swap and not old.swap) or (new.recorded_claim and not old.recorded_claim)):
                yield f"I1 work began at {commit.at:.1f} s without a hint for the timer"
            frozen = old.frozen is not None and (old.frozen.until is None or old.frozen.until > self._true(commit.at))
            if frozen and old.desired != new.desired and not commit.trace.forced:
                yield f"I7 desired became {new.desired} at {commit.at:.1f} s during a freeze"
            # What a dead driver's late write has undone is an unfinished swap, which a freeze lets finish.
            late = "swap.resumed" in _events(commit) and old.late_writes.until > self._true(commit.at)
            if frozen and old.swap is None and new.swap is not None and not commit.trace.forced and not late:
                yield f"I7 a swap to {new.desired} began at {commit.at:.1f} s during a freeze"
            if new.frozen != old.frozen and new.frozen and new.frozen.until and not commit.hinted:
                yield f"I1 a freeze with an end was set at {commit.at:.1f} s without a hint for the timer"

    def _rebuilt(self, commit: Commit, before: Head) -> Iterator[str]:
        """I1, I2, I6, I8: a rebuilt head knows of the decision, the swap, the freeze and the marks that rows have told."""
        new, name = commit.after, f"the head rebuilt at {commit.at:.1f} s"
        began = before.began - timedelta(seconds=SKEW_S)  # what is known of it is the At of its row
        if not self.journal.damaged.get(new.mirror):
            yield f"I8 {name} was never damaged"
        if (new.seq, new.desired, new.epoch) != (before.seq + 1, before.desired, before.epoch) or new.began < began:
            yield f"I1 {name} says {new.desired} of epoch {new.epoch}; it was {before.desired} of {before.epoch}"
        if (new.swap and new.swap.operation_id) != (before.swap and before.swap.operation_id):
            yield f"I1 {name} says {new.swap}; it was {before.swap}"
        if (new.frozen and new.frozen[:2]) != (before.frozen and before.frozen[:2]):
            yield f"I7 {name} says {new.frozen}; it was {before.frozen}"
        if new.swap and not (new.lease and new.lease.owner == OF_LOST_HEAD):
            yield f"I2 {name} does not say that any NIC may be written"
        for earlier in self.by_mirror[new.mirror]:
            signed = earlier.trace.signed if earlier.at < commit.at and earlier.trace.kind == "claim" else None
            if signed and any(event in SPENDS for event in _events(earlier)) and new.replay_marks.get(signed[0], "") < signed[1]:
                yield f"I6 {name} forgot that {signed[1]} of {signed[0]} is used up"

    def _true(self, at: float) -> datetime:
        return START + timedelta(seconds=at + SKEW_S / 2)

    def _moved_by_hand(self, mirror: str) -> bool:
        """Whether somebody has moved the VIP by hand since the last decision."""
        decisions = (c.at for c in self.by_mirror[mirror] if any(event in DECIDED for event in _events(c)))
        return self.journal.by_hand.get(mirror, -1.0) > max(decisions, default=0.0)

    def end(self, mirror: Mirror) -> Iterator[str]:
        """I1: the VIP is where the last decision says, and nowhere else; nothing is left to do."""
        stored = self.harness.ledger.heads.get(mirror.name)
        head = Head.from_entity(*stored) if stored else None
        if head is None or head.desired is None:
            return
        self.harness.cloud.settle()
        by_hand = self._moved_by_hand(mirror.name)
        mirrors_of = Counter(member.nic_id.lower() for one in self.mirrors.values() for member in one.members)
        for member in mirror.members:
            nic = self.harness.cloud.nics.get(member.nic_id.lower())
            if nic is None:
                continue
            if head.drift is not None and by_hand:
                continue  # somebody moved it by hand: that is reported, and left
            # Another mirror's operation, or somebody else's, may have failed on the NIC since.
            state_is_ours = mirrors_of[member.nic_id.lower()] == 1 and not by_hand
            if member.name == head.desired and not (
                _carries(nic.doc, mirror) and (nic.state == "Succeeded" or not state_is_ours)
            ):
                yield f"I1 the VIP is not on {head.desired}, the last decision of epoch {head.epoch} ({nic.state})"
            if member.name != head.desired and self._ours(nic.doc, mirror):
                yield f"I1 {member.name} carries {self._ours(nic.doc, mirror)}, desired is {head.desired}"
        if head.readiness and any("frozen" in told for told in head.readiness.told.values()):
            yield f"I9 {mirror.name}: the end of a freeze has no row about readiness"
        if head.swap is not None or head.lease is not None:
            yield f"I1 epoch {head.epoch} is unfinished: swap {head.swap is not None}, lease {head.lease}"
        if mirror.name in self.harness.ledger.worklist and head.recorded_claim is None:
            yield f"I1 the hint of {mirror.name} is left although there is no work"


def _state(head: Head) -> tuple[object, ...]:
    """State that a refusal must not change: the decision, its end, recorded claims, freezes."""
    recorded_claim = (
        (head.recorded_claim.member, head.recorded_claim.claim_id, head.recorded_claim.code) if head.recorded_claim else None
    )
    return (head.desired, head.epoch, head.swap is None, recorded_claim, head.frozen)


def _without_our_tag(top: dict[str, Any]) -> dict[str, Any]:
    return {**top, "tags": {name: value for name, value in top.get("tags", {}).items() if name != TAG}}
