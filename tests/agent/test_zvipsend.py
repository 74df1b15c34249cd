"""ZVIPSend.mac, run by a small interpreter: it signs as the vectors do, and decides as the Python agent does, by one table."""

import base64
import datetime as dt
import json
import pathlib
from collections.abc import Callable, Iterable
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import pytest

from tests.agent.answers import AGAIN, ARRIVED, CLOCKS, FINAL, FOREIGN, NO_DATES, RESULTS, STEPS, TURNS, WAITS, Wait, check_clock
from tests.agent.objectscript.language import Variable
from tests.agent.objectscript.library import Iris, Received, Sent
from tests.agent.scripted import KEY_TEXT, Reply, Request, moved, problem, signature_of
from tests.agent.test_vectors import SHAPED, VECTORS, load_agent
from vipcore.errors import STATUS_OF_CODE

CONFIG = "/etc/mirror-vip/agent.ini"
INI = """; as the agent's
[agent]
; mirror = ANOTHER
url = https://APP.azurewebsites.net/api
mirror = PROD
member = MIRRORA
KEY_ID = mirrora-1
key_file = /etc/mirror-vip/mirrora-1.key
primary_check = iris qlist IRIS
# member = ANOTHER
"""


def received(reply: Reply, at: Decimal = Decimal(ARRIVED)) -> Received:
    """Return a reply of the scripted controller as IRIS gets it."""
    if reply.drop:
        return Received(failed="ERROR #6059: Unable to open TCP/IP socket")
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    return Received(reply.status, {"Date": formatdate(int(at), usegmt=True), **reply.headers}, body)


def make_iris(folder: pathlib.Path, replies: Iterable[Reply] = (), *more: str) -> Iris:
    """Return a member with configuration and key, and a controller that gives these replies; the last one repeats."""
    script = list(replies)
    iris = Iris("ZVIP", "ZVIPSend", "ZMIRROR")

    def answer(_: Sent) -> Received:
        iris.now += Decimal("0.25")
        return received(script[0] if len(script) == 1 else script.pop(0), iris.now)

    (folder / "agent.ini").write_text(INI + "".join(f"{line}\n" for line in more))
    (folder / "key").write_text(KEY_TEXT + "\r\n")
    iris.files = {CONFIG: str(folder / "agent.ini"), "/etc/mirror-vip/mirrora-1.key": str(folder / "key")}
    iris.answer = answer
    return iris


def claim(iris: Iris, event: str = "manual") -> str:
    """Run one claim to its end; return the last line of messages.log."""
    iris.call("Work^ZVIPSend", event)
    assert iris.locks == set()
    return iris.logged[-1][1]


def bodies(iris: Iris) -> list[dict[str, Any]]:
    """The claims that were sent."""
    return [json.loads(sent.body) for sent in iris.sent]


def exit_of(iris: Iris) -> int:
    """The exit code that ^ZVIP keeps of the last claim."""
    return int(iris.globals["^ZVIP"]["last", "exit"])


# --- the wire


@pytest.mark.parametrize("name", [name for name in SHAPED if name != "valid-charset"])
def test_signature_is_that_of_the_vectors(name: str) -> None:
    """From the same key, time and nonce come the same headers, byte by byte."""
    vector, headers = VECTORS[name], Variable()
    how, request = vector["signed_with"], vector["request"]
    secret = base64.b64decode(vector["keys"][how["key_id"]]["secret"]).decode("latin-1")
    body = request["body"].encode().decode("latin-1")

    Iris("ZVIPSend").call(
        "Sign^ZVIPSend", secret, how["key_id"], request["path"], body, how["created"], how["expires"], how["nonce"], headers
    )

    assert {key[0]: value for key, value in headers.items()} == dict(request["headers"])


@pytest.mark.parametrize("now", ["1790000000.123456", "1790000000.000004", "1767225599.999999", "1767225600", "1772323199.5"])
def test_body_is_that_of_a_claim(now: str) -> None:
    """Fixed fields, UTC to the microsecond over days and years, and never the same time twice."""
    iris = Iris("ZVIPSend", now=Decimal(now))
    settings: Variable = {("mirror",): "PROD", ("member",): "dr.example.org/IRIS ä"}
    clock, created = Variable(), Variable()
    made = []
    for dry_run in (0, 1):
        text = iris.call("Body^ZVIPSend", settings, "manual", "c", "12", dry_run, clock, created)
        made.append(json.loads(text.encode("latin-1")))
        issued = dt.datetime.fromisoformat(made[-1]["issued_at"])
        assert int(issued.timestamp()) == created[()]
    exact = dt.datetime.fromtimestamp(int(Decimal(now)), dt.UTC).replace(microsecond=int(Decimal(now) % 1 * 1000000))

    assert made[0]["issued_at"] == exact.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert made[0]["issued_at"] < made[1]["issued_at"]
    assert list(made[0]) == ["mirror", "member", "claim_id", "issued_at", "age_ms", "event"]
    assert (made[0]["member"], made[0]["age_ms"], made[1]["dry_run"]) == ("dr.example.org/IRIS ä", 12, True)


def test_request_is_that_of_the_agent(tmp_path: pathlib.Path) -> None:
    """Server, port, path and headers; each attempt signed anew, one claim_id, an age that grows."""
    iris = make_iris(tmp_path, [problem(503, "busy"), problem(503, "busy"), moved()])

    claim(iris)

    assert [(sent.host, sent.port, sent.path) for sent in iris.sent] == [
        ("APP.azurewebsites.net", 443, "/api/mirrors/PROD/claims")
    ] * 3
    for sent in iris.sent:
        request = Request("POST", sent.path, {name.lower(): value for name, value in sent.headers.items()}, sent.body)
        assert request.headers["signature"] == f"mirror-vip=:{signature_of(request)}:"
        assert int(request.parameter("created")) == int(sent.at)
    assert len({sent.headers["Signature-Input"] for sent in iris.sent}) == 3
    assert len({body["claim_id"] for body in bodies(iris)}) == 1
    ages = [body["age_ms"] for body in bodies(iris)]
    assert ages[0] == 0
    assert ages == sorted(set(ages))


@pytest.mark.parametrize(("replies", "asked", "waits"), TURNS.values(), ids=TURNS)
def test_several_urls_are_tried_in_turn(tmp_path: pathlib.Path, replies: list[Reply], asked: str, waits: list[bool]) -> None:
    """As by the agent: each attempt takes the next one, in the first round without a wait and with a short look."""
    iris = make_iris(tmp_path, replies, "url = https://a.example/api https://b.example:8443/x/api/")

    claim(iris)

    assert [sent.host for sent in iris.sent] == [f"{name.lower()}.example" for name in asked]
    assert {(sent.host, sent.port, sent.path) for sent in iris.sent} == {
        ("a.example", 443, "/api/mirrors/PROD/claims"),
        ("b.example", 8443, "/x/api/mirrors/PROD/claims"),
    }
    assert [pause > 0 for pause in iris.hung] == waits
    assert [sent.open_timeout for sent in iris.sent][: asked.index("B") + 1] == [2] * asked.index("B") + [10]


@pytest.mark.parametrize(
    ("proxy", "used"),
    [
        ("http://proxy.example:3128", "proxy.example:3128"),
        ("http://proxy.example:3128/", "proxy.example:3128"),
        ("http://proxy.example", "proxy.example:80"),
        ("http://pat:s%40c%C3%A4@proxy.example:3128", "proxy.example:3128 Basic cGF0OnNAY8Ok"),
        ("http://pat:secret@proxy.example:3128", "proxy.example:3128 Basic cGF0OnNlY3JldA=="),
        ("", ""),
    ],
)
def test_proxy_is_that_of_the_configuration(tmp_path: pathlib.Path, proxy: str, used: str) -> None:
    """As in the agent's `proxy`, with credentials or without; none by default."""
    iris = make_iris(tmp_path, [moved()], f"proxy = {proxy}")

    claim(iris)

    assert [(sent.host, sent.proxy) for sent in iris.sent] == [("APP.azurewebsites.net", used)]


# --- decisions


@pytest.mark.parametrize("reply", RESULTS.values(), ids=RESULTS)
def test_result_ends_the_claim(tmp_path: pathlib.Path, reply: Reply) -> None:
    """`moved` and `confirmed` for this mirror and this member: exit 0, severity 0."""
    iris = make_iris(tmp_path, [reply])

    claim(iris)

    assert (exit_of(iris), len(iris.sent), iris.logged[-1][0]) == (0, 1, 0)


@pytest.mark.parametrize("reply", [*AGAIN.values(), *FOREIGN.values()], ids=[*AGAIN, *FOREIGN])
def test_other_answers_are_tried_again(tmp_path: pathlib.Path, reply: Reply) -> None:
    """What is not final, or not the controller's, is tried again after a wait."""
    iris = make_iris(tmp_path, [reply, reply, moved()])

    claim(iris)

    assert (exit_of(iris), len(iris.sent), len(iris.hung)) == (0, 3, 2)
    assert min(iris.hung) >= Decimal("0.25")
    assert max(iris.hung) <= 1


@pytest.mark.parametrize(("reply", "exit_code", "outcome"), FINAL.values(), ids=FINAL)
def test_final_answers_end_the_claim(tmp_path: pathlib.Path, reply: Reply, exit_code: int, outcome: str) -> None:
    """What no retry can mend is not retried; messages.log has the controller's own words."""
    iris = make_iris(tmp_path, [reply])

    line = claim(iris)

    assert (exit_of(iris), len(iris.sent)) == (exit_code, 1)
    assert iris.logged[-1][0] == (1 if exit_code == 3 else 2)
    assert f"({outcome})" in line
    assert f"about {reply.body['code']}" in line


def test_codes_are_the_agents() -> None:
    """A code that the routine does not know would be taken for somebody else's."""
    known = Iris("ZVIPSend")

    assert all(known.call("Known^ZVIPSend", code) for code in {*STATUS_OF_CODE, *load_agent().CODES})
    assert not any(known.call("Known^ZVIPSend", code) for code in ("", "ip-blocked", "invalid", "busy azure-throttled x"))


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_retry_after_is_the_agents(wait: Wait) -> None:
    """A number or a date, bounded by who asks."""
    iris = Iris("ZVIPSend", now=Decimal(ARRIVED))
    code = wait.reply.body["code"] if isinstance(wait.reply.body, dict) else ""
    answer: Variable = {("code",): code, ("retry",): wait.reply.headers.get("Retry-After", "").strip()}

    assert iris.call("Asked^ZVIPSend", answer, Variable()) == wait.seconds


def test_retry_after_goes_first(tmp_path: pathlib.Path) -> None:
    """What the controller asks for is waited, plus a tenth of the own wait."""
    iris = make_iris(tmp_path, [problem(503, "busy", Retry_After="7"), moved()])

    claim(iris)

    assert 7 < iris.hung[0] < Decimal("7.2")


def test_waits_double_to_the_most(tmp_path: pathlib.Path) -> None:
    """From retry_min_s to retry_max_s, less up to half by chance, for ever."""
    iris = make_iris(tmp_path, [problem(503, "busy")] * 40 + [moved()], "retry_max_s = 15")

    claim(iris)

    for failures, hung in enumerate(iris.hung):
        most = min(Decimal(15), Decimal("0.5") * 2**failures)
        assert most / 2 <= hung <= most
    assert len(set(iris.hung)) > 10


@pytest.mark.parametrize(("ahead_s", "spent"), CLOCKS)
@pytest.mark.parametrize("fraction", ["0", "0.4", "0.999999"])
def test_clock_is_corrected_as_the_agent_does(ahead_s: float, spent: bool, fraction: str) -> None:
    """By the Date of the answer, if it is off by more than such a header can tell; never behind a spent time."""
    iris = Iris("ZVIPSend", now=Decimal(ARRIVED) + Decimal(fraction))
    iris.clock_error = Decimal(str(ahead_s))
    clock, second, micro = Variable(), Variable(), Variable()

    def issue() -> float:
        iris.call("Now^ZVIPSend", clock, second, micro)
        return float(second[()] + micro[()] / Decimal(1000000))

    before = issue()
    changed = iris.call("Correct^ZVIPSend", formatdate(int(iris.now), usegmt=True), int(spent), clock)

    check_clock(ahead_s, spent, bool(changed), before, issue(), float(iris.now))


@pytest.mark.parametrize(("steps_back", "ahead_s"), STEPS)
def test_clock_that_was_ahead_for_several_attempts_is_left_behind(steps_back: bool, ahead_s: float) -> None:
    """As for the agent: whoever sets the clock right, the claim does not stay in the future."""
    iris = Iris("ZVIPSend")
    iris.clock_error = Decimal(str(ahead_s))
    clock, second, micro = Variable(), Variable(), Variable()
    for _ in range(3):
        iris.call("Now^ZVIPSend", clock, second, micro)
    iris.clock_error = Decimal(0) if steps_back else iris.clock_error
    iris.call("Now^ZVIPSend", clock, second, micro)

    assert iris.call("Correct^ZVIPSend", formatdate(int(iris.now), usegmt=True), 0, clock) == 1

    iris.call("Now^ZVIPSend", clock, second, micro)
    assert abs(second[()] - iris.now) < 3


@pytest.mark.parametrize("date", [*NO_DATES, "Mon, 41 Sep 2026 14:13:20 GMT"])
def test_what_is_no_date_corrects_nothing(date: str) -> None:
    """A missing or odd Date leaves the clock alone."""
    assert Iris("ZVIPSend").call("Correct^ZVIPSend", date, 0, Variable()) == 0


@pytest.mark.parametrize("error_s", [3600, -3600, 400 * 86400])
def test_member_with_a_wrong_clock_takes_the_controllers(tmp_path: pathlib.Path, error_s: int) -> None:
    """After signature-expired the next attempt is signed by the Date of the answer, at once."""
    iris = make_iris(tmp_path)
    iris.clock_error = Decimal(error_s)

    def answer(sent: Sent) -> Received:
        created = int(sent.headers["Signature-Input"].partition("created=")[2].partition(";")[0])
        return received(moved() if abs(created - sent.at) <= 30 else problem(401, "signature-expired"), sent.at)

    iris.answer = answer
    claim(iris)

    assert (exit_of(iris), len(iris.sent), iris.hung) == (0, 2, [Decimal(0)])


def test_two_corrections_in_a_row_wait(tmp_path: pathlib.Path) -> None:
    """A controller whose Date jumps about is not asked without end."""
    iris = make_iris(tmp_path)
    dates = iter([7200, -7200, 7200])

    def answer(sent: Sent) -> Received:
        off = next(dates, None)
        return received(moved() if off is None else problem(401, "signature-expired"), sent.at + (off or 0))

    iris.answer = answer
    claim(iris)

    assert [hung == 0 for hung in iris.hung] == [True, False, True]


@pytest.mark.parametrize(
    ("event", "member", "answers", "asked"),
    [
        ("NotifyBecomePrimary", 1, [(0, 1)], 4),
        ("NotifyBecomePrimary", 1, [(0, 0)], 0),
        ("NotifyBecomePrimary", 1, [(0, 1), (1, 0)], 1),
        ("manual", 2, [(0, 0)], 0),
        ("startup", 0, [(0, 0)], 4),
        ("CheckBecomePrimaryOK", 1, [(0, 0), (700, 1)], 4),
        ("CheckBecomePrimaryOK", 1, [(0, 0)], 3),
        ("CheckBecomePrimaryOK", 1, [(0, 0), (200, 1), (400, 0)], 2),
    ],
)
def test_who_is_not_primary_claims_no_longer(
    tmp_path: pathlib.Path, event: str, member: int, answers: list[tuple[int, int]], asked: int
) -> None:
    """IRIS is asked before each attempt; "no" ends the claim, but not before CheckBecomePrimaryOK has returned."""
    busy = problem(503, "busy", Retry_After="250")
    iris = make_iris(tmp_path, [busy, busy, busy, moved()])
    iris.member = member
    began = iris.now

    def look() -> None:
        iris.primary = [primary for after, primary in answers if iris.now - began >= after][-1]

    look()
    iris.while_hung = look
    claim(iris, event)

    assert (exit_of(iris), len(iris.sent)) == (0 if asked == 4 else 3, asked)


def test_deadline_ends_the_claim(tmp_path: pathlib.Path) -> None:
    """deadline_s counts, and no wait goes past it."""
    iris = make_iris(tmp_path, [problem(503, "busy", Retry_After="300")], "deadline_s = 10")

    line = claim(iris)

    assert (exit_of(iris), len(iris.sent), iris.now - iris.began) == (5, 1, Decimal(10))
    assert "last: 503 busy" in line


# --- what people see


def test_outcome_is_in_messages_log(tmp_path: pathlib.Path) -> None:
    """From a takeover's two entry points to two lines that tell how long it took."""
    iris = make_iris(tmp_path, [problem(503, "busy", Retry_After="16"), moved(), moved(outcome="confirmed")])
    for entry_point in ("CheckBecomePrimaryOK", "NotifyBecomePrimary"):
        assert iris.call(f"{entry_point}^ZMIRROR") == 1
    assert iris.sent == []  # nothing was waited for

    iris.run_jobs()

    ends = [line for _, line in iris.logged if "VIP is" in line or "VIP moved" in line]
    assert [severity for severity, _ in iris.logged] == [0] * 4
    assert ends[0].startswith("Mirror VIP: VIP moved here after 16.5 s, event CheckBecomePrimaryOK")
    assert ends[1] == "Mirror VIP: VIP is here already, confirmed after 0.3 s, event NotifyBecomePrimary"
    assert iris.globals["^ZVIP"]["ended", "moved"] == 1


def test_long_failure_is_logged_once(tmp_path: pathlib.Path) -> None:
    """The Log Monitor tells the first alert of a series only; so a claim that goes on has one warning, and its end."""
    iris = make_iris(tmp_path, [problem(502, "azure-denied")] * 20 + [problem(403, "key-not-for-member")])

    claim(iris)

    assert [severity for severity, _ in iris.logged] == [0, 1, 2]
    assert "azure-denied: about azure-denied" in iris.logged[1][1]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (lambda folder: (folder / "agent.ini").unlink(), "url mirror member key_id key_file"),
        (lambda folder: (folder / "agent.ini").write_text(INI.replace("mirror = PROD", "")), " mirror"),
        (lambda folder: (folder / "agent.ini").write_text(INI.replace("https:", "http:")), "url must look like"),
        (lambda folder: (folder / "key").write_text("c2hvcnQ="), "no key of 32 bytes"),
        (lambda folder: (folder / "key").write_text("%%%"), "no key of 32 bytes"),
        (lambda folder: (folder / "key").write_text(KEY_TEXT, encoding="utf-16"), "no key of 32 bytes"),
        (lambda folder: (folder / "key").write_text(KEY_TEXT, encoding="utf-8-sig"), "no key of 32 bytes"),
        (lambda folder: (folder / "key").unlink(), "no key of 32 bytes"),
    ],
)
def test_unusable_configuration_is_an_alert(tmp_path: pathlib.Path, fault: Callable[[pathlib.Path], None], word: str) -> None:
    """Nothing is sent; messages.log says what to mend, with severity 2, and never a key."""
    iris = make_iris(tmp_path, [moved()])
    fault(tmp_path)

    line = claim(iris)

    assert (iris.sent, iris.logged[-1][0], exit_of(iris)) == ([], 2, 2)
    assert word in line


def test_job_that_does_not_start_is_an_alert(tmp_path: pathlib.Path) -> None:
    """No process to be had: the entry point returns 1 all the same, and messages.log says it."""
    iris = make_iris(tmp_path, [moved()])
    iris.jobs_start = False

    assert iris.call("NotifyBecomePrimary^ZMIRROR") == 1
    assert iris.logged[-1][0] == 2


def test_windows_has_its_own_place_for_the_configuration(tmp_path: pathlib.Path) -> None:
    r"""There it is C:\mirror-vip\agent.ini."""
    iris = make_iris(tmp_path, [moved()])
    iris.windows = True
    iris.files["C:\\mirror-vip\\agent.ini"] = iris.files.pop(CONFIG)

    claim(iris)

    assert exit_of(iris) == 0


@pytest.mark.parametrize(
    "text",
    [
        "mirrora-1",
        "mirrora-1 ; the first",
        "mirrora-1\t;the first",
        "mirrora-1 ; the = first ; and only",
        "mirrora-1;x",
        "mirrora-1; x",
        "a\tb ;",
        "; none",
        ";none",
        ";",
    ],
)
@pytest.mark.parametrize("name", ["key_id", "proxy", "log_file", "member", "primary_check"])
def test_comment_after_a_value_ends_as_for_the_agent(tmp_path: pathlib.Path, name: str, text: str) -> None:
    """A blank and a semicolon begin a comment, but not in member and primary_check: both readers take the same value."""
    iris = make_iris(tmp_path)
    path = tmp_path / "agent.ini"
    kept = [line for line in INI.splitlines() if not line.lower().startswith(f"{name} ")]
    path.write_text("\n".join([*kept, f"{name} = {text}", ""]))
    settings, agent = Variable(), load_agent()
    agent.Settings = dict

    iris.call("Settings^ZVIP", settings)

    assert settings[name,] == agent.load_settings(str(path), "")[name]


def test_setup_makes_a_client_that_verifies(tmp_path: pathlib.Path) -> None:
    """ca_file, or the system's certificates, and the peer is always verified; a second run changes what is there."""
    iris = make_iris(tmp_path)
    iris.call("Setup^ZVIPSend")
    before = iris.tls["MirrorVIP"]["CAFile"]
    (tmp_path / "agent.ini").write_text(INI + "ca_file = /etc/ours.pem\n")
    iris.call("Setup^ZVIPSend")

    assert before == "%OSCertificateStore" or pathlib.Path(before).exists()
    assert (iris.tls["MirrorVIP"]["CAFile"], iris.tls["MirrorVIP"]["VerifyPeer"]) == ("/etc/ours.pem", "1")


def test_show_prints_and_sends_nothing(tmp_path: pathlib.Path) -> None:
    """What would be sent, without the key."""
    iris = make_iris(tmp_path)
    iris.call("Show^ZVIPSend")

    assert iris.sent == []
    assert "POST /api/mirrors/PROD/claims" in iris.written
    assert "Content-Type: application/json\n" in iris.written
    assert KEY_TEXT not in iris.written


def test_once_asks_with_a_dry_run(tmp_path: pathlib.Path) -> None:
    """It returns the status, and changes nothing."""
    iris = make_iris(tmp_path, [Reply(200, {"outcome": "planned", "holder": "MIRRORB"})])

    assert iris.call("Once^ZVIPSend") == 200
    assert [(body["dry_run"], body["event"]) for body in bodies(iris)] == [(True, "manual")]
    assert "MIRRORB" in iris.written
