"""Incidents of a night, replayed against the served app: each is told by all five views that an operator may have.

The views: the text of the mirror, `/health/mirrors`, the log, the trail, the page. Whoever has one of them knows what happened.
"""

import contextlib
import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from serve import azurite
from serve.azurite import Azurite
from tests.served.http import http_client
from tests.served.http.http_client import HttpClient, Mirror, key_setting
from tests.served.http.test_answers import assert_described
from tests.served.page import gallery
from tests.served.processes.harness import free_port

KEYLESS: Final = "M00001"
"""The mirror whose A side has a key that the app cannot use."""

MIRRORS: Final = 24
RETRY: Final = "It will not mend itself: each try fails until that cause is removed. The timer tries again by itself"
MISSING: Final = "grant Microsoft.Network/networkInterfaces/write"


class Night:
    """The app, and its table, which can go away and come back with all that it held."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._directory, self._port, self._table = folder / "table", free_port(), contextlib.ExitStack()
        stack.callback(self._table.close)
        self.back()
        where, environ = Azurite(pid=0, port=self._port).connection_string, {key_setting(f"{KEYLESS}-a"): ""}
        self.app = stack.enter_context(http_client.opened(folder, where, environ=environ, size=MIRRORS))
        self.app.azure("PUT", "switches", {"latency": "fixed:0.05"})

    def away(self) -> None:
        """The table stops answering."""
        self._table.close()

    def back(self) -> None:
        """It answers again."""
        self._table.enter_context(azurite.running(port=self._port, directory=self._directory))

    def take(self, incident: object) -> Mirror:
        """A mirror without status pages that no other incident has."""
        keyless = incident is disabled_key
        mirror = next(m for m in self.app.mirrors if (m.name == KEYLESS) is keyless and int(m.name[1:]) % 2)
        self.app.mirrors.remove(mirror)
        return mirror


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """An app and a table of its own: what a pass does with the mirrors of other tests is not waited for."""
    with contextlib.ExitStack() as stack:
        yield Night(tmp_path_factory.mktemp("night"), stack)


# -- the incidents -----------------------------------------------------------------------------------------------------------


def refuse(app: HttpClient, nic: str) -> None:
    """From now on Azure refuses every write of that NIC."""
    words = {"scope": f"{http_client.NETWORK}/networkInterfaces/{nic}"}
    fault = {"kind": "answer", "name": "AuthorizationFailed", "words": words}
    app.azure("POST", "scripts", {"match": {"method": "PUT", "name": nic}, "fault": fault, "times": 1000})


def missing_right(app: HttpClient, mirror: Mirror) -> None:
    """The identity may not write B's NIC, and nobody has claimed yet."""
    nic = f"{http_client.NETWORK}/networkInterfaces/{mirror.nic_b}"
    app.azure("PUT", "switches", {"denied": [{"action": "Microsoft.Network/networkInterfaces/write", "scope": nic}]})


def on_no_nic(app: HttpClient, mirror: Mirror) -> None:
    """Somebody took the VIP off, and Azure refuses to take it back."""
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"
    refuse(app, mirror.nic_b)
    app.azure("POST", f"nics/{mirror.nic_b}", {"what": "drops-config"})


def failed_nic(app: HttpClient, mirror: Mirror) -> None:
    """Every operation on A's NIC fails: it stays Failed, and a swap to it is stuck."""
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"
    fault = {"kind": "ends", "how": "failed-kept"}
    app.azure("POST", "scripts", {"match": {"method": "PUT", "name": mirror.nic_a}, "fault": fault, "times": 1000})
    assert app.claim(mirror, mirror.a).status >= 500


def frozen(app: HttpClient, mirror: Mirror) -> None:
    """An operator forgot a freeze, and IRIS fails over."""
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"
    assert app.operator("PUT", f"/mirrors/{mirror.name}/freeze", {"reason": "patch", "operator": "pat"}).status == 200
    assert app.claim(mirror, mirror.a).status == 423


def disabled_key(app: HttpClient, mirror: Mirror) -> None:
    """The setting of A's key is not there."""
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"


def stuck_swap(app: HttpClient, mirror: Mirror) -> None:
    """Azure refuses the attach, whoever tries."""
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"
    refuse(app, mirror.nic_a)
    assert app.claim(mirror, mirror.a).status == 502


def moved_by_hand(app: HttpClient, mirror: Mirror) -> None:
    """Somebody moved the VIP through Azure, and told nobody."""
    assert app.claim(mirror, mirror.a).json["outcome"] == "confirmed"
    gallery.by_hand(app, mirror)


def moved_by_hand_and_told(app: HttpClient, mirror: Mirror) -> None:
    """An emergency, by the runbook: freeze, move through Azure, tell the controller, lift the freeze."""
    assert app.claim(mirror, mirror.a).json["outcome"] == "confirmed"
    assert app.operator("PUT", f"/mirrors/{mirror.name}/freeze", {"reason": "by hand", "operator": "kim"}).status == 200
    gallery.by_hand(app, mirror)
    assert app.move(mirror, mirror.b, force=True).json["outcome"] == "confirmed"
    assert app.operator("DELETE", f"/mirrors/{mirror.name}/freeze?operator=kim&reason=done").status == 200


def failed_over(app: HttpClient, mirror: Mirror) -> None:
    """What all this is for."""
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"


class Told(NamedTuple):
    """What each view says, each as its parts. `{a}`, `{b}`: the members; `health` None: nothing is wrong."""

    text: tuple[str, ...]
    listed: tuple[str, ...]
    """What the list of all mirrors says of it; the first begins its entry, and says whether it is an outage."""
    health: tuple[str, str, str] | None
    """Member (empty: the whole mirror), severity, reason."""
    log: tuple[str, str, str]
    """Level, event, part of the line."""
    row: tuple[str, str, str]
    """Event, member, part of its Detail."""
    page: tuple[str, str]
    """The state in the list of all, and part of the mirror's own page."""


Incident = Callable[[HttpClient, Mirror], None]
INCIDENTS: list[tuple[Incident, Told]] = [
    # First: a right that was seen to be there within the last minute stands in.
    (missing_right, Told(
        text=("{a} has the VIP", "to {b}: NO", MISSING),
        listed=("RISK {m}: {a} has the VIP", "{b} could NOT take over. {b}: permissions on", MISSING),
        health=("{b}", "warning", MISSING),
        log=("WARNING", "readiness.changed", MISSING),
        row=("readiness.changed", "{b}", MISSING),
        page=("Not ready", MISSING),
    )),
    (on_no_nic, Told(
        text=("the VIP is on NO NIC; clients cannot connect", "It will not mend itself", "drift.found"),
        listed=(
            "OUTAGE {m}: the VIP is on NO NIC; clients cannot connect; {a} could take over; {b} could NOT take over.",
            "object id",
            RETRY,
        ),
        health=("", "outage", "on no NIC"),
        log=("WARNING", "drift.found", "The VIP is on no NIC; clients cannot connect"),
        row=("drift.found", "{b}", "The VIP is on no NIC; clients cannot connect"),
        page=("Swap stuck", "The VIP is on no NIC: its swap to {b} is stuck."),
    )),
    (failed_nic, Told(
        text=("to {a} (has it): NO", "the NIC of {a} is in state Failed", "(az network nic update -g rg -n"),
        listed=(
            "OUTAGE {m}: {a} has the VIP, but its NIC is FAILED in Azure: clients may not reach it; {b} could take over.",
            RETRY,
        ),
        health=("{a}", "warning", "is in state Failed"),
        log=("WARNING", "readiness.changed", "The NIC of {a} is in state Failed"),
        row=("readiness.changed", "{a}", "The NIC of {a} is in state Failed"),
        page=("Swap stuck", "The NIC of {a} is in state Failed."),
    )),
    (frozen, Told(
        text=("FROZEN by pat", "freeze?operator=YOU", "A claim of {a}, to be primary, WAITS", "past the freeze (ask pat first)"),
        listed=(
            "OUTAGE {m}: {b} has the VIP",
            "{a} could NOT take over, except by hand. FROZEN by pat since",
            ": patch Ask pat first",
            "mirrors/{m}/freeze?operator=YOU",
        ),
        health=("", "outage", "A claim of {a}, to be primary, waits"),
        log=("INFO", "frozen", "Reason: patch"),
        row=("frozen", "", "Reason: patch"),
        page=("Frozen", "By hand a move would work, once IRIS has made this member primary."),
    )),
    (disabled_key, Told(
        text=("to {a}: NO", "VIP_KEY_M00001_A", "By hand it would work"),
        listed=(
            "RISK {m}: {b} has the VIP",
            "{a} could NOT take over, except by hand. {a}: No key of {a} can be used: the app setting VIP_KEY_M00001_A is",
        ),
        health=("{a}", "warning", "VIP_KEY_M00001_A"),
        log=("WARNING", "readiness.changed", "VIP_KEY_M00001_A"),
        row=("readiness.changed", "{a}", "VIP_KEY_M00001_A"),
        page=("Not ready", "VIP_KEY_M00001_A"),
    )),
    (stuck_swap, Told(
        text=("A swap from {b} to {a} is under way", "to {a}: azure-denied: Grant Microsoft", "It will not mend itself"),
        listed=(
            "OUTAGE {m}: the VIP is on NO NIC; clients cannot connect; {b} could take over; {a} could NOT take over.",
            "object id",
            RETRY,
        ),
        health=("", "outage", "The last try ended with azure-denied: Grant Microsoft"),
        log=("WARNING", "swap.failed", "Swap {b} to {a} failed after"),
        row=("swap.failed", "{a}", "Grant Microsoft.Network/networkInterfaces/write"),
        page=("Swap stuck", "azure-denied: Grant Microsoft.Network/networkInterfaces/write"),
    )),
    (moved_by_hand, Told(
        text=("{b} has the VIP", "It should be on {a}", "DRIFT: The VIP is on {b}; desired is {a}"),
        listed=(
            "OUTAGE {m}: {b} has the VIP",
            "It should be on {a}. DRIFT: ",
            "name {b} instead if it belongs there",
        ),
        health=("", "outage", "somebody moved it by hand"),
        log=("WARNING", "drift.found", "somebody moved it by hand"),
        row=("drift.found", "{a}", "somebody moved it by hand"),
        page=("Drifted", "somebody moved it by hand"),
    )),
    (moved_by_hand_and_told, Told(
        text=("{b} has the VIP", "move.confirmed {b}", "by operator:ann"),
        listed=("{m}: {b} has the VIP", "; {a} could take over."),
        health=None,
        log=("INFO", "move.confirmed", "The move to {b} is confirmed."),
        row=("move.confirmed", "{b}", "The VIP is there already; no NIC was written."),
        page=("In order", "The VIP is there already; no NIC was written."),
    )),
    (failed_over, Told(
        text=("{b} has the VIP since", "swap.completed {a} -> {b} moved"),
        listed=("{m}: {b} has the VIP since", "; {a} could take over."),
        health=None,
        log=("INFO", "swap.completed", r"Swap {a} to {b} completed in \d+(\.\d)? s\."),
        row=("swap.completed", "{b}", "Every VIP is on the NIC of {b}, shown by a read after the last write."),
        page=("In order", "{a} → {b} done"),
    )),
]  # fmt: skip


# -- the views ---------------------------------------------------------------------------------------------------------------


def one_line(text: str) -> str:
    """A text or a page without tags, entities and line breaks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def health(app: HttpClient, mirror: Mirror) -> list[dict[str, Any]]:
    """What a monitor is told of this mirror."""
    reply = app.operator("GET", "/health/mirrors")
    assert_described(reply, "get", "/health/mirrors")
    return [one for one in reply.json["wrong"] if one["mirror"] == mirror.name]


def logged(app: HttpClient, level: str, event: str, *, mirror: Mirror | None, part: str) -> bool:
    """Whether the log has such a line."""
    of = rf"mirror={mirror.name} (.* )?" if mirror else ".*"
    return bool(re.search(rf"(?m) {level} mirror_vip {re.escape(event)} {of}.*{part}", app.log.read_text(errors="replace")))


def dashboard(app: HttpClient, query: str = "") -> tuple[int, str]:
    """The page's status and its HTML."""
    reply = app.raw("GET", f"/dashboard?code={app.functions_key}{query}")
    return reply.status, reply.body.decode()


def silent(app: HttpClient, mirror: Mirror, told: Told) -> list[str]:
    """The views that do not say what they should, each with what it says."""

    def named(text: str) -> str:
        return text.format(a=mirror.a, b=mirror.b, m=mirror.name) if "{" in text else text

    missing, side = [], {"": None, "{a}": mirror.a, "{b}": mirror.b}
    text = app.operator("GET", f"/mirrors/{mirror.name}?format=text").body.decode()
    if not all(named(part).casefold() in one_line(text).casefold() for part in told.text):
        missing.append(f"text\n{text}")
    listed = app.operator("GET", "/mirrors?format=text").body.decode()
    found = re.search(rf"(?m)^((OUTAGE|RISK) {mirror.name}: (.+\n)+|  {mirror.name}: .*\n(    .+\n)*)", listed)
    entry = one_line(found[0]) if found else ""
    if not entry.startswith(named(told.listed[0])) or not all(named(part) in entry for part in told.listed):
        missing.append(f"text of all\n{listed}")
    wrong = health(app, mirror)
    if told.health is None:
        missing += [f"health {wrong}"] if wrong else []
    else:
        member, severity, reason = told.health
        same = [one for one in wrong if (one["member"], one["severity"]) == (side[member], severity)]
        missing += [] if any(named(reason) in one["reason"] for one in same) else [f"health {wrong}"]
    level, event, part = told.log
    if not logged(app, level, event, mirror=mirror, part=named(part) if "\\" in part else re.escape(named(part))):
        missing.append("log " + "\n".join(line for line in app.log.read_text().splitlines() if f"mirror={mirror.name} " in line))
    event, member, part = told.row
    rows = app.audit(mirror)
    same_rows = [row for row in rows if (row["event"], row.get("member")) == (event, side[member])]
    missing += [] if any(named(part) in row["detail"] for row in same_rows) else [f"trail {rows}"]
    state, part = told.page
    row_of_list = re.search(rf'(?s)<tr id="m-{mirror.name}".*?</tr>', dashboard(app)[1])
    if row_of_list is None or state not in one_line(row_of_list[0]):
        missing.append(f"list of the page {row_of_list and one_line(row_of_list[0])}")
    page = one_line(dashboard(app, f"&mirror={mirror.name}")[1])
    missing += [] if named(part) in page else [f"page {page}"]
    return missing


@pytest.mark.parametrize(("incident", "told"), INCIDENTS, ids=[incident.__name__ for incident, _ in INCIDENTS])
def test_an_incident_is_told_by_every_view(night: Night, incident: Incident, told: Told) -> None:
    """One pass of the timer later at most, text, health, log, trail and page say what it is."""
    mirror = night.take(incident)

    incident(night.app, mirror)
    passed = night.app.operator("POST", "/reconcile", b"")

    assert_described(passed, "post", "/reconcile")
    night.app.azure("PUT", "switches", {"denied": []})
    night.app.azure("DELETE", "scripts")  # no pass of another test tries this one's swap in vain
    assert "\n".join(silent(night.app, mirror, told)) == ""


def test_a_setting_that_is_not_there_is_in_the_log_from_the_start(night: Night) -> None:
    """A key that cannot be used is an ERROR with the setting's name, before anybody needs it."""
    assert logged(night.app, "ERROR", "configuration.fault", mirror=None, part="where=VIP_KEY_M00001_A")


def test_a_mirror_at_rest_is_not_among_what_is_wrong(night: Night) -> None:
    """Beside all these incidents, a mirror that is well is told to be well."""
    mirror = night.app.take()
    assert night.app.claim(mirror, mirror.b).json["outcome"] == "moved"
    assert night.app.operator("POST", "/reconcile", b"").json["attended"] >= 1

    assert health(night.app, mirror) == []
    shown = next(one for one in night.app.operator("GET", "/mirrors").json["mirrors"] if one["mirror"] == mirror.name)
    assert shown["ready"] == {mirror.a: True, mirror.b: True}


def test_a_table_that_is_away_is_told_by_every_view(night: Night) -> None:
    """What Azure shows is told, of nothing else anything is made up, and the trail goes on where it stopped."""
    app, mirror = night.app, night.app.take()
    assert app.claim(mirror, mirror.b).json["outcome"] == "moved"
    rows = app.audit(mirror)

    night.away()
    try:
        text = one_line(app.operator("GET", f"/mirrors/{mirror.name}?format=text").body.decode())
        trail = app.operator("GET", f"/mirrors/{mirror.name}/audit")
        wrong = health(app, mirror)
        app.timer()
        status, listed = dashboard(app)
        page = one_line(dashboard(app, f"&mirror={mirror.name}")[1])
    finally:
        night.back()

    assert f"{mirror.b} has the VIP. The table is away" in text
    assert f"to {mirror.a}: NO" in text
    assert (trail.status, trail.code) == (503, "storage-unavailable")
    assert [(one["member"], one["severity"]) for one in wrong] == [(None, "outage")]
    assert "The Table service cannot be used now" in wrong[0]["reason"]
    assert logged(app, "WARNING", "request.refused", mirror=mirror, part="code=storage-unavailable")
    assert logged(app, "WARNING", "timer.skipped", mirror=None, part="")
    assert (status, "The table is away." in one_line(listed)) == (503, True)
    assert f"{mirror.b} has the VIP." in page
    assert "The table is away, and the trail with it." in page
    assert health(app, mirror) == []
    assert app.audit(mirror) == rows
