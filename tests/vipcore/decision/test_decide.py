"""The plain case of every promise (contract section 9), what a swap costs in requests, and who waits for whom."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from simulator import worlds
from simulator.core.faults import Hangs, Lands, Lost, Match, Status
from simulator.core.switches import Switches
from simulator.state.world import WorldConfig, WorldNic
from tests.promises.acts import (
    ALWAYS,
    ATTACH,
    DETACH,
    NIC_A,
    NIC_B,
    agent,
    assert_kept,
    cured,
    details,
    document,
    events,
    other_content,
    paged_document,
    puts,
    refused,
    timer,
    virtual,
)
from tests.promises.stage import Fate, Node, Stage
from vipcore.entry import moves
from vipcore.model import Page


class Effects(Fate):
    """Writes down every effect: when it was sent, by whom, what."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []

    async def before(self, node: Node, label: str) -> None:
        self.seen.append((node.stage.loop.time(), label))

    def count(self) -> Counter[str]:
        """How often each was sent; table calls by kind."""
        return Counter(label for _, label in self.seen)

    def until(self, label: str) -> list[str]:
        """What was sent before the first of that label."""
        labels = [seen for _, seen in self.seen]
        return labels[: labels.index(label)]


PUT = "arm PUT networkInterfaces"
GET = "arm GET networkInterfaces"
POLLS = "arm GET operations"


def watched(**stage: Any) -> tuple[Stage, Node, Effects]:
    """A stage whose effects are written down."""
    effects = Effects()
    found = Stage(fate=effects, **stage)
    return found, found.node("n1"), effects


# -- the promises, plainly ---------------------------------------------------------------------------------------------


@virtual
async def test_an_accepted_claim_ends_on_its_member() -> None:
    """The VIP, private and public address, ends on the claimant's NIC, and 200 says so only then. (I1, I4)"""
    stage, node, _ = watched()

    outcome = await node.claim("MIRRORB")

    assert (outcome.outcome, outcome.holder, outcome.from_member, outcome.epoch) == ("moved", "MIRRORB", "MIRRORA", 1)
    config = stage.cloud.nic_named(NIC_B).doc.facts[-1]
    assert (config.name, config.address) == ("vip", "10.0.0.254")
    assert config.pip.endswith("/my_vip_ip")
    assert [phase.name for phase in outcome.phases][-3:] == ["detach", "attach", "verify"]
    assert abs(sum(phase.ms for phase in outcome.phases) - outcome.total_ms) <= 20
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_nothing_else_changes_on_a_nic() -> None:
    """Unknown properties, tags and other configurations travel through a swap unchanged. (I5)"""
    found = worlds.default()
    more = {
        "tags": {"owner": "dba"},
        "extendedLocation": {"name": "edge"},
        "properties": {"enableIPForwarding": True, "futureProperty": {"deep": [1, {"x": None}]}},
    }
    nics = tuple(
        replace(nic, document=more, configs=(*nic.configs, WorldConfig(name="backup", address=f"10.0.0.3{i}")))
        for i, nic in enumerate(found.nics)
    )
    stage = Stage(world=replace(found, nics=nics))
    node, before = stage.node("n1"), other_content(stage)

    await node.claim("MIRRORB")
    await node.claim("MIRRORA", claim_id="back")

    assert other_content(stage) == before
    await assert_kept(stage, on=NIC_A)


@virtual
async def test_a_claim_is_accepted_once() -> None:
    """The same signed request is refused for ever after, and so is an older one of that key. (I6)"""
    stage, node, _ = watched()
    at = node.now()
    await asyncio.sleep(1.0)
    later = node.now()
    await node.claim("MIRRORB", issued_at=later)
    rows = len(await stage.trail())

    for issued_at in (later, at):
        assert (await refused(node.claim("MIRRORB", issued_at=issued_at))).code == "claim-replayed"
    await asyncio.sleep(4000.0)
    assert (await refused(node.claim("MIRRORB", issued_at=later))).code == "claim-replayed"
    assert len(await stage.trail()) == rows


@virtual
async def test_a_refused_claim_changes_nothing() -> None:
    """A refused request leaves a row and no more: no write, no desired, no epoch. (I7)"""
    stage, node, _ = watched()
    stage.cloud.script(Match(kind="nic", name=NIC_B), fault=Status(status=404), times=ALWAYS)

    await refused(node.move("MIRRORB"))

    head = await stage.head()
    assert (head.desired, head.epoch, head.recorded_claim, head.swap, head.lease) == (None, 0, None, None, None)
    assert (puts(stage), await events(stage)) == ([], ["move.refused"])


@virtual
async def test_the_epoch_rises_with_each_change_of_desired() -> None:
    """The epoch rises by one with each change of desired and with nothing else. (I2)"""
    stage, node, _ = watched()
    epochs = []
    for permit, member in enumerate(["MIRRORB", "MIRRORB", "MIRRORA", "MIRRORA", "MIRRORB"]):
        epochs.append((await node.claim(member, claim_id=f"c{permit}")).epoch)

    assert epochs == [1, 1, 2, 2, 3]
    assert (await stage.head()).epoch == 3


@virtual
async def test_the_intent_is_committed_before_the_first_write() -> None:
    """No NIC is written before a committed row says why, and the hint for the timer went out before that row. (I3)"""
    stage, node, effects = watched()

    await node.claim("MIRRORB")

    before = effects.until(PUT)
    assert before.count("table commit") == 1
    assert before.index("table put_hint") < before.index("table commit")
    first = (await stage.trail())[0]
    assert (first.columns["Event"], first.columns["Outcome"]) == ("claim.accepted", "decided")


@virtual
async def test_every_write_has_its_row() -> None:
    """Each NIC write whose answer came has one row with ARM's request id, which is the operation's id too. (I3)"""
    stage, node, _ = watched()
    await node.claim("MIRRORB")

    rows = [row.columns for row in await stage.trail() if row.columns["Event"] == "nic.write"]
    assert [row["ArmRequestIds"] for row in rows] == [sent.request_id for sent in puts(stage)]
    assert [row["Member"] for row in rows] == ["MIRRORA", "MIRRORB"]
    assert len({row["OperationId"] for row in rows}) == 1


# -- what it costs -----------------------------------------------------------------------------------------------------


@virtual
async def test_the_requests_of_a_swap() -> None:
    """A swap reads each NIC once before, writes each once, and verifies each with one read after its write."""
    stage, node, effects = watched()

    await node.claim("MIRRORB")

    asked = Counter((seen.method, seen.target.split("?")[0].split("/providers/", 1)[-1]) for seen in stage.cloud.history)
    polls = sum(number for (_, what), number in asked.items() if "/operations/" in what)
    assert 4 <= polls <= 30
    assert {number for (method, what), number in asked.items() if method == "GET" and "/operations/" not in what} == {1, 2}
    assert effects.until(PUT).count(GET) == 2
    assert (effects.count()[GET], effects.count()[PUT]) == (4, 2)
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_readings_that_are_young_stand_in() -> None:
    """Within 15 minutes the next swap reads subnet, public IP and known permissions no more; after that it does. (I10)"""
    _, node, effects = watched()
    reads = []
    for permit, wait_s in enumerate([60.0, 60.0, 60.0, 1000.0, 0.0]):
        effects.seen.clear()
        await node.claim(["MIRRORB", "MIRRORA"][permit % 2], claim_id=f"c{permit}")
        reads.append(sum(n for label, n in effects.count().items() if label.startswith("arm GET")) - effects.count()[POLLS])
        await asyncio.sleep(wait_s)

    assert reads[2] <= 5 < 8 <= reads[0]
    assert reads[4] >= 8


@virtual
async def test_the_reads_before_the_first_write_go_out_side_by_side() -> None:
    """Before the first write there are one table read, one transaction, and reads that wait only for the id they ask about."""
    stage, node, effects = watched()

    await node.claim("MIRRORB")

    at = [(when, label) for when, label in effects.seen[: [label for _, label in effects.seen].index(PUT)]]
    begun = at[0][0]
    assert {label for when, label in at if when == begun} == {"table load_head", GET}
    assert [label for _, label in at].count("table load_head") == 1
    assert [label for _, label in at].count("table commit") == 1
    # The first ones know their ids from the configuration and go out beside the NICs' reads; the others from the NIC's document.
    preflight = [when for when, label in at if label.startswith("arm GET") and label != GET]
    nics_read_by = next(when for when, label in at if label == "table put_hint")
    assert min(preflight) <= nics_read_by
    assert len(set(preflight)) == 2
    assert stage.loop.time() > 6.0


@pytest.mark.parametrize("kind", ["claim", "move"])
@virtual
async def test_a_confirmed_claim_costs_three_round_trips_to_the_table(kind: str) -> None:
    """A claim or move for where the VIP is already writes no NIC and makes at most three round trips to the table."""
    stage, node, effects = watched()
    await node.claim("MIRRORB")
    await asyncio.sleep(600.0)
    effects.seen.clear()

    outcome = await (node.claim("MIRRORB", claim_id="again") if kind == "claim" else node.move("MIRRORB"))

    assert (outcome.outcome, outcome.from_member, outcome.phases) == ("confirmed", "MIRRORB", ())
    count = effects.count()
    assert count[PUT] == 0
    assert sum(number for label, number in count.items() if label.startswith("table")) <= 3
    assert count[GET] == 2
    assert (await events(stage))[-1] == f"{kind}.confirmed"


@virtual
async def test_confirmations_leave_one_row_a_minute() -> None:
    """Confirmations like the last one of that key write at most one row a minute; the next row says how many were left out."""
    stage, node, _ = watched()
    for permit in range(70):
        assert (await node.claim("MIRRORA", claim_id=f"c{permit}")).outcome == "confirmed"
        await asyncio.sleep(1.0)

    rows = await details(stage, "claim.confirmed")
    assert len(rows) == 2
    assert "like the one before were left out" in rows[1]


@virtual
async def test_a_claim_costs_the_same_whatever_the_trail() -> None:
    """What claims read and write does not grow with the length of the trail, and no audit row is read."""
    _, node, effects = watched()
    costs = []
    for permit in range(10):
        effects.seen.clear()
        await node.claim(["MIRRORB", "MIRRORA"][permit % 2], claim_id=f"c{permit}")
        costs.append({label: number for label, number in effects.count().items() if label.startswith("table")})
        await asyncio.sleep(700.0)

    assert not [label for cost in costs for label in cost if "row" in label]
    assert max(sum(cost.values()) for cost in costs) <= sum(costs[0].values()) + 1


# -- who waits for whom ------------------------------------------------------------------------------------------------


@virtual
async def test_a_second_request_for_what_is_under_way_gets_its_outcome() -> None:
    """The same claim again, another claim for that member and a move wait for the swap under way and get its outcome. (I4)"""
    stage, node, _ = watched()
    other = stage.node("n2")
    first = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)

    outcomes = await asyncio.gather(
        first, other.claim("MIRRORB"), node.claim("MIRRORB", claim_id="other", key_id="key-2"), other.move("MIRRORB")
    )

    assert {outcome.outcome for outcome in outcomes} == {"moved"}
    assert len({outcome.operation_id for outcome in outcomes}) == 1
    assert len({(outcome.epoch, outcome.total_ms, outcome.from_member) for outcome in outcomes}) == 1
    assert len(puts(stage)) == 2
    await assert_kept(stage, on=NIC_B)


@pytest.mark.parametrize("apart_s", [0.0, 0.02, 0.1, 1.0, 3.1, 3.5, 6.1])
@virtual
async def test_two_claimants(apart_s: float) -> None:
    """Of two members that claim at the same time one ends with the VIP, and the other is told that it was superseded. (I1, I2)"""
    stage, node, _ = watched()
    other = stage.node("n2")
    await asyncio.sleep(1.0)

    async def claim(at: Node, member: str) -> str:
        try:
            return (await at.claim(member, claim_id=member)).outcome
        except Exception as exc:
            return str(getattr(exc, "code", repr(exc)))

    b = asyncio.create_task(claim(node, "MIRRORB"))
    await asyncio.sleep(apart_s)
    a = asyncio.create_task(claim(other, "MIRRORA"))
    said = {"MIRRORB": await b, "MIRRORA": await a}
    await timer(node, 240.0)

    head = await stage.head()
    assert head.desired is not None
    assert said[head.desired] in {"moved", "confirmed"}
    loser = said["MIRRORA" if head.desired == "MIRRORB" else "MIRRORB"]
    assert loser in {"claim-superseded", "moved", "confirmed"}
    await assert_kept(stage, on=NIC_A if head.desired == "MIRRORA" else NIC_B)


@virtual
async def test_a_to_b_to_a_within_seconds() -> None:
    """A to B to A within seconds ends on A with the epochs in order. (I2)"""
    stage, node, _ = watched()
    other = stage.node("n2")
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    await asyncio.sleep(1.0)
    second = asyncio.create_task(refused(other.claim("MIRRORA", claim_id="c2")))
    await asyncio.sleep(1.0)

    third = await node.claim("MIRRORB", claim_id="c3")

    assert (third.holder, third.epoch) == ("MIRRORB", 3)
    assert (await first).code == (await second).code == "claim-superseded"
    await assert_kept(stage, on=NIC_B)


class Slow(Fate):
    """An instance whose next commit is on its way for so many seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    async def before(self, node: Node, label: str) -> None:
        if label == "table commit":
            await asyncio.sleep(self.seconds.pop(node.name, 0.0))


@virtual
async def test_a_look_that_was_repeated_grows_old_again() -> None:
    """Who looked twice because of one write looks once more after the next one, and never confirms what has moved. (I2, I4)"""
    slow = Slow()
    stage = Stage(fate=slow, switches=Switches(latency="fixed:1"))
    first, second, third = (stage.node(f"n{number}") for number in (1, 2, 3))
    await first.claim("MIRRORB")
    slow.seconds = {"n2": 0.5, "n3": 4.0}
    back = asyncio.create_task(second.claim("MIRRORA", claim_id="back"))
    await asyncio.sleep(0.1)

    # It sees the VIP on MIRRORB, by a look that the swap before made it repeat; while its commit is on its way the VIP moves.
    outcome = await third.claim("MIRRORB", claim_id="again")

    assert (await back).outcome == "moved"
    assert outcome.outcome == "moved"
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_nobody_drives_while_a_lease_is_live() -> None:
    """While a driver's lease is live nobody else writes a NIC and nothing is confirmed, until it has ended. (I2)"""
    stage, node, _ = watched()
    other = stage.node("n2")
    stage.cloud.script(DETACH, fault=Hangs(for_s=60.0))
    first = asyncio.create_task(refused(node.claim("MIRRORB")))
    await asyncio.sleep(5.0)

    back = await other.claim("MIRRORA", claim_id="back")

    assert back.outcome == "moved"
    assert (await first).code == "claim-superseded"
    writers = [seen.trace.node.name for seen in stage.journal.puts]
    assert writers == sorted(writers)
    await assert_kept(stage, on=NIC_A)


@virtual
async def test_a_driver_whose_process_died() -> None:
    """The agent's retry at another instance takes over when the dead driver's lease has run out, and finishes. (I1, I2)"""
    stage, node, _ = watched()
    other = stage.node("n2")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(1.0)
    node.kill()

    outcome, _ = await agent(other, "MIRRORB")

    claim.cancel()
    assert outcome.outcome == "moved"
    assert stage.loop.time() < 70.0
    assert "swap.resumed" in await events(stage)
    await assert_kept(stage, on=NIC_B)


class DieSending(Fate):
    """An instance dies while its second NIC write is on its way; that write lands later by itself."""

    def __init__(self) -> None:
        self.writes = 0

    async def before(self, node: Node, label: str) -> None:
        self.writes += label == PUT
        if self.writes == 2 and label == PUT:
            self.writes += 1
            node.stage.cloud.script(ATTACH, fault=Lands(after_s=100.0))
            node.stage.loop.call_later(0.05, node.kill)


@virtual
async def test_a_write_that_lands_after_its_driver_died() -> None:
    """A dead driver's write that lands long after its successor has moved the VIP elsewhere fails: its etag is gone. (I2)"""
    stage = Stage(fate=DieSending())
    node, other = stage.node("n1"), stage.node("n2")
    claim = asyncio.create_task(node.claim("MIRRORB"))
    await asyncio.sleep(20.0)
    assert node.dead

    outcome, _ = await agent(other, "MIRRORA", claim_id="back")
    await timer(other, 300.0)

    claim.cancel()
    assert outcome.outcome == "moved"
    assert any("Rewrote the NIC of MIRRORB" in detail for detail in await details(stage, "nic.write"))
    assert 412 in [sent.status for sent in puts(stage)]
    await assert_kept(stage, on=NIC_A)


# -- several of everything ---------------------------------------------------------------------------------------------


def several() -> tuple[Any, dict[str, Any]]:
    """A world and a document of three members and three VIPs, IPv6 among them, and all on MIRRORA."""
    found = worlds.default()
    more = (WorldConfig(name="vip2", address="10.0.0.253"), WorldConfig(name="vip3", address="10.0.0.252"))
    nics = (
        replace(found.nics[0], configs=(*found.nics[0].configs, *more)),
        found.nics[1],
        WorldNic(name="dr", vm="", configs=(WorldConfig(name="ipconfig1", address="10.0.0.6"),)),
    )
    vips = [
        {"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"},
        {"name": "vip2", "private_ip": "10.0.0.253"},
        {"name": "vip3", "private_ip": "10.0.0.252"},
    ]
    members = {"MIRRORA": {"nic": NIC_A}, "MIRRORB": {"nic": NIC_B}, "DR/IRIS": {"nic": "dr"}}
    return replace(found, nics=nics), document(vips=vips, members=members)


@pytest.mark.parametrize(("member", "nic"), [("MIRRORB", NIC_B), ("DR/IRIS", "dr")])
@virtual
async def test_all_vips_move_together(member: str, nic: str) -> None:
    """All VIPs of a mirror move together, in one write per NIC. (I1)"""
    world, doc = several()
    stage = Stage(world=world, document=doc)
    node = stage.node("n1")

    assert (await node.claim(member)).outcome == "moved"

    assert len(puts(stage)) == 2
    for address in ("10.0.0.254", "10.0.0.253", "10.0.0.252"):
        await assert_kept(stage, on=nic, address=address)


@virtual
async def test_vips_that_are_split_over_the_members() -> None:
    """VIPs found on several members are gathered on the claimant; the detaches go out side by side."""
    world, doc = several()
    first, second, third = world.nics
    spread = replace(
        world,
        nics=(
            replace(first, configs=first.configs[:2]),
            replace(second, configs=(*second.configs, first.configs[2])),
            replace(third, configs=(*third.configs, first.configs[3])),
        ),
    )
    stage = Stage(world=spread, document=doc)
    node = stage.node("n1")

    outcome = await node.claim("MIRRORB")

    assert outcome.outcome == "moved"
    assert len(puts(stage)) == 3
    assert stage.loop.time() < 8.0
    for address in ("10.0.0.254", "10.0.0.253", "10.0.0.252"):
        await assert_kept(stage, on=NIC_B, address=address)


# -- dry runs and outcomes that lie in between ---------------------------------------------------------------------------


@virtual
async def test_the_dry_run_of_a_move() -> None:
    """A move's dry run says the steps and the checks, and changes neither Azure nor the table."""
    stage, node, effects = watched()
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(node.controller, "PROD", body, "correlation")

    assert answer["outcome"] == "planned"
    assert [(step["action"], step["member"]) for step in answer["steps"]] == [("detach", "MIRRORA"), ("attach", "MIRRORB")]
    assert all(check["ok"] is True for check in answer["checks"]), answer["checks"]
    assert not [label for label in effects.count() if label.startswith("table") and label != "table load_head"]
    assert (puts(stage), await events(stage)) == ([], [])


@virtual
async def test_the_dry_run_says_what_would_stop_the_move() -> None:
    """A dry run shows each check that would stop the move, with its reason."""
    stage, node, _ = watched()
    await node.freeze()
    stage.cloud.script(Match(method="GET", kind="nic", name=NIC_B), fault=Status(status=403), times=ALWAYS)
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(node.controller, "PROD", body, "correlation")

    wrong = {check["name"]: check["detail"] for check in answer["checks"] if check["ok"] is False}
    assert wrong.keys() == {"freeze", "placement"}
    assert "could not be read" in wrong["placement"]


@virtual
async def test_a_vip_on_no_member() -> None:
    """`from` is null where the VIP was on no member, and only one NIC is written."""
    found = worlds.default()
    nobody = replace(found, nics=(replace(found.nics[0], configs=found.nics[0].configs[:1]), found.nics[1]))
    stage = Stage(world=nobody)

    outcome = await stage.node("n1").claim("MIRRORB")

    assert (outcome.outcome, outcome.from_member, len(puts(stage))) == ("moved", None, 1)
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_a_vip_that_is_half_right_is_put_right() -> None:
    """A configuration of the VIP's name with another address or without its public IP is no VIP: it is written anew."""
    found = worlds.default()
    wrong = (found.nics[0].configs[0], WorldConfig(name="vip", address="10.0.0.77"))
    stage = Stage(world=replace(found, nics=(replace(found.nics[0], configs=wrong), found.nics[1])))

    outcome = await stage.node("n1").claim("MIRRORA")

    assert outcome.outcome == "moved"
    assert stage.holders("10.0.0.77") == []
    await assert_kept(stage, on=NIC_A)


@virtual
async def test_an_answer_that_was_lost_on_the_way_to_the_agent() -> None:
    """A claim whose answer never reached the agent is confirmed when it is sent again. (I4)"""
    _, node, _ = watched()
    await node.claim("MIRRORB")

    assert (await node.claim("MIRRORB", age_s=8.0)).outcome == "confirmed"


@virtual
async def test_a_move_with_a_status_page_against_it_in_a_dry_run() -> None:
    """A dry run shows what the status pages say against the move."""
    members = {
        "MIRRORA": {"nic": NIC_A, "status_url": "http://10.0.0.4:52773/a"},
        "MIRRORB": {"nic": NIC_B, "status_url": "http://10.0.0.5:52773/b"},
    }
    stage = Stage(document=document(members=members), switches=Switches(latency="fixed:3"))
    stage.pages = {"MIRRORA": Page.PRIMARY}
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(stage.node("n1").controller, "PROD", body, "correlation")

    against = next(check for check in answer["checks"] if check["name"] == "status pages")
    assert (against["ok"], "MIRRORA says that it is primary" in against["detail"]) == (False, True)


@virtual
async def test_a_page_that_cannot_be_read_is_not_shown_as_agreeing() -> None:
    """A dry run says of a page that it could not be read; that is neither for the move nor against it. (I9)"""
    stage = Stage(document=paged_document())
    stage.pages = {"MIRRORB": Page.PRIMARY}
    body = json.dumps({"to": "MIRRORB", "reason": "drill", "operator": "op", "dry_run": True}).encode()

    answer = await moves.move(stage.node("n1").controller, "PROD", body, "correlation")

    pages = next(check for check in answer["checks"] if check["name"] == "status pages")
    assert (pages["ok"], pages["detail"]) == (None, "the page of MIRRORA could not be read; it stops nothing")


@virtual
async def test_a_swap_survives_a_lost_answer_of_both_writes() -> None:
    """Both writes took effect and neither answer arrived: fresh reads find that, and the claim says moved. (I3)"""
    stage, node, _ = watched()
    for match in (DETACH, ATTACH):
        stage.cloud.script(match, fault=Lost(when="after"))

    outcome, _ = await agent(node, "MIRRORB")

    assert outcome.outcome == "moved"
    unknown = [row for row in await stage.trail() if row.columns.get("Outcome") == "unknown"]
    assert len(unknown) == 2
    cured(stage)
    await assert_kept(stage, on=NIC_B)


@virtual
async def test_from_is_what_the_driver_saw() -> None:
    """A newer decision that waits for an older one's driver tells where the VIP was when its own driver took it up."""
    stage = Stage()
    node, second = stage.node("n1"), stage.node("n2")
    await node.move("MIRRORA")
    overtaken = asyncio.create_task(refused(node.claim("MIRRORB", claim_id="b")))
    await asyncio.sleep(1.0)

    outcome = await second.claim("MIRRORA", claim_id="a")

    assert (await overtaken).code == "claim-superseded"
    assert outcome.holder == "MIRRORA"
    assert outcome.from_member != "MIRRORA"
