"""All mirrors at a glance: their states, the worst first, what is asked for, and in pages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipcore import instants
from vipcore.page import words
from vipcore.page.overview import PAGE, Asked, overview
from vipcore.page.words import State

NOW = instants.from_text("2026-11-28T03:00:00.000000Z")
AT = instants.to_text(NOW)
PROGRESS = {"operation_id": "o", "from": "A", "to": "B", "phase": "detach", "last_error": None}
ERROR = {"code": "azure-failed", "detail": "no"}
FREEZE = {"operator": "pat", "reason": "works", "at": AT, "until": None}


def placed(state: str, *members: str) -> dict[str, Any]:
    """A placement."""
    return {"state": state, "members": list(members)}


def mirror(name: str = "PROD", **changes: Any) -> dict[str, Any]:
    """An item of the list, of a mirror that is well but for these."""
    well = {"mirror": name, "placement": placed("placed", "A"), "desired": "A", "drift": None, "frozen": None,
            "in_progress": None, "ready": {"A": True, "B": True}, "reasons": {}, "seen_at": AT}  # fmt: skip
    return {**well, **changes}


UNREADY = {"A": True, "B": False}
CASES: list[tuple[State, dict[str, Any], list[str]]] = [
    (words.FAULTY, {"fault": "faulty"}, ["faulty"]),
    (words.AWAY, {"head": "unavailable"}, []),
    (words.UNPLACED, {"placement": placed("unplaced"), "frozen": FREEZE}, ["x"]),
    (words.SPLIT, {"placement": placed("split", "A", "B")}, ["x"]),
    (words.FOREIGN, {"placement": placed("foreign")}, ["x"]),
    (words.STUCK, {"in_progress": {**PROGRESS, "last_error": ERROR}, "placement": placed("unplaced")}, ["x"]),
    (words.DRIFTED, {"placement": placed("placed", "B"), "ready": UNREADY}, ["x"]),
    (words.DRIFTED, {"drift": "somebody", "frozen": FREEZE}, ["x"]),
    (words.DRIFTED, {"placement": placed("split", "B")}, ["x"]),
    (words.UNKNOWN, {"placement": {"state": "unknown", "members": None}}, []),
    (words.UNKNOWN, {"placement": None}, []),
    (words.NOT_READY, {"ready": UNREADY}, ["x"]),
    (words.FROZEN, {"frozen": FREEZE, "ready": {"A": False, "B": False}}, ["x"]),
    (words.SWAPPING, {"in_progress": PROGRESS, "placement": placed("unplaced")}, ["x"]),
    (words.STALE, {}, ["nobody has looked"]),
    (words.STALE, {"ready": {"A": True, "B": None}}, []),
    (words.WELL, {}, []),
    (words.WELL, {"desired": None}, []),
]


@pytest.mark.parametrize(("state", "changes", "wrong"), CASES, ids=[f"{i}-{one[0].word}" for i, one in enumerate(CASES)])
def test_a_mirror_has_its_most_urgent_state(state: State, changes: dict[str, Any], wrong: list[str]) -> None:
    """What clients notice goes before what a failover would notice, and that before what is only old."""
    assert words.state(mirror(**changes), wrong) == state


def test_every_state_is_reached() -> None:
    """None of them is a word without a case."""
    assert {case[0] for case in CASES} == set(words.STATES)


def test_the_worst_come_first() -> None:
    """By urgency, then by name; whatever order the list has."""
    listed = [mirror("E"), mirror("D", frozen=FREEZE), mirror("C", placement=placed("unplaced")), mirror("B"),
              mirror("A", in_progress=PROGRESS), {"mirror": "F", "fault": "faulty"}]  # fmt: skip

    shown = overview(listed, {}, {}, Asked(), NOW)

    assert [line.name for line in shown.lines] == ["F", "C", "D", "A", "B", "E"]
    assert shown.counts == {"all": 6, "trouble": 3, "frozen": 1, "swapping": 1}
    assert [line.name for line in overview(listed, {}, {}, Asked(show="trouble"), NOW).lines] == ["F", "C", "D"]


def test_a_swap_that_left_the_vip_on_no_nic_is_as_urgent_as_a_lost_vip() -> None:
    """Clients cannot connect: it goes before a mirror whose VIPs are on two members, and before a swap that moved none."""
    stuck = {**PROGRESS, "last_error": ERROR}
    listed = [mirror("A", in_progress=stuck), mirror("C", in_progress=stuck, placement=placed("unplaced")),
              mirror("B", in_progress=stuck, placement=None), mirror("D", placement=placed("split", "A", "B"))]  # fmt: skip

    assert [line.name for line in overview(listed, {}, {}, Asked(), NOW).lines] == ["C", "D", "A", "B"]


NAMES = st.lists(st.text("abAB-0", min_size=1, max_size=4), unique=True, max_size=3 * PAGE)


@given(names=NAMES, text=st.text("aB", max_size=2))
def test_pages_show_each_mirror_that_fits_once(names: list[str], text: str) -> None:
    """Following the pages shows all of them; a page behind the last one is the last one."""
    listed, seen = [mirror(name, ready={"m": True}) for name in names], []
    first = overview(listed, {}, {}, Asked(text=text), NOW)
    for number in range(1, first.pages + 1):
        shown = overview(listed, {}, {}, Asked(text=text, page=number), NOW)
        assert len(shown.lines) <= PAGE
        seen += [line.name for line in shown.lines]

    assert sorted(seen) == sorted(name for name in names if text.lower() in name.lower())
    assert first.fit == len(seen)
    assert overview(listed, {}, {}, Asked(text=text, page=99), NOW).asked.page == first.pages


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({}, Asked()),
        ({"q": " Prod ", "show": "frozen", "page": "2"}, Asked("Prod", "frozen", 2)),
        ({"show": "nonsense", "page": "-1"}, Asked()),
        ({"page": "0"}, Asked()),
        ({"page": "9" * 30}, Asked()),
        ({"page": "²"}, Asked()),
    ],
)
def test_what_a_query_says_wrongly_is_left_out(query: dict[str, str], asked: Asked) -> None:
    """A page is shown for any query."""
    assert Asked.of(query) == asked


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "A has the VIP."),
        (
            {"members": [{"name": "A", "provisioning_state": "Failed"}, {"name": "B", "provisioning_state": "Succeeded"}]},
            "A has the VIP, but its NIC is FAILED in Azure: clients may not reach it.",
        ),
        ({"members": [{"name": "B", "provisioning_state": "Failed"}]}, "A has the VIP."),
        ({"in_progress": PROGRESS}, "A has the VIP; it is to go to B."),
        ({"in_progress": {**PROGRESS, "last_error": ERROR}}, "A has the VIP; its swap to B is stuck."),
        ({"in_progress": PROGRESS, "placement": placed("unplaced")}, "The VIP is on its way from A to B."),
        ({"in_progress": {**PROGRESS, "from": None}, "placement": placed("unplaced")}, "The VIP is on its way to B."),
        (
            {"in_progress": PROGRESS, "placement": placed("placed", "B")},
            "The VIP is arriving at B; Azure has not confirmed it yet.",
        ),
        (
            {"in_progress": {**PROGRESS, "last_error": ERROR}, "placement": placed("unplaced")},
            "The VIP is on no NIC: its swap from A to B is stuck.",
        ),
        ({"placement": placed("unplaced")}, "The VIP is on no NIC: clients cannot connect."),
        ({"placement": placed("split", "A", "B")}, "The VIPs are on several members: A, B."),
        ({"placement": placed("split", "A")}, "A has a part of the VIP, or has it in another form than it should."),
        ({"placement": placed("foreign")}, "Somebody else holds what the VIP needs."),
        ({"placement": {"state": "unknown", "members": None}}, "Nobody can see where the VIP is."),
    ],
)
def test_the_answer_comes_first(changes: dict[str, Any], answer: str) -> None:
    """Who has the VIP, in a sentence; what could not be seen is never told as empty. (I9)"""
    assert words.answer(mirror(**changes)) == answer


@pytest.mark.parametrize(
    ("placement", "text"),
    [
        (None, "unknown"),
        ({"state": "unknown", "members": None}, "unknown"),
        (placed("unknown", "A"), "unknown; A has one"),
        (placed("unplaced"), "nobody"),
        (placed("placed", "A"), "A"),
        (placed("split", "A"), "A, in part"),
        (placed("split", "A", "B"), "A, B: several"),
        (placed("foreign"), "somebody else"),
    ],
)
def test_a_cell_tells_the_holder(placement: dict[str, Any] | None, text: str) -> None:
    """What could not be seen is never told as empty. (I9)"""
    assert words.holder(placement) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (10**6, "11 d ago"), (-90, "in 1 min")],
)
def test_how_long_ago(seconds: int, text: str) -> None:
    """In one unit; what lies ahead is told as such."""
    assert words.ago(instants.to_text(NOW - instants.seconds(seconds)), NOW) == text
