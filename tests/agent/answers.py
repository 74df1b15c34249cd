"""What a controller, or somebody in its place, may answer to a claim, and what follows from it: one table for both senders.

The Python agent meets it over real sockets (test_answers.py, test_claim.py), ZVIPSend.mac in the interpreter (test_zvipsend.py).
"""

from dataclasses import dataclass

from tests.agent.scripted import Reply, moved, problem

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}

RESULTS = {
    "moved": moved(),
    "confirmed": moved(outcome="confirmed"),
    "moved-without-names": Reply(200, {"outcome": "moved"}, JSON),
}
"""End the claim with 0."""

FOREIGN = {
    "404-cold-host": Reply(404, b"<html><h1>404 Not Found</h1></html>", HTML),
    "404-not-indexed-yet": Reply(404, b""),
    "403-stopped-app": Reply(403, b"<html>Error 403 - This web app is stopped.</html>", HTML),
    "403-access-restriction": Reply(403, b"Ip Forbidden", {"Content-Type": "text/plain"}),
    "401-platform-authentication": Reply(401, b"", {"WWW-Authenticate": "Bearer"}),
    "407-proxy": Reply(407, b"proxy authentication required", HTML),
    "404-gateway": Reply(404, {"statusCode": 404, "message": "Resource not found"}, JSON),
    "403-azure": Reply(403, {"error": {"code": "AuthorizationFailed"}}, JSON),
    "403-problem-without-code": Reply(403, {"type": "about:blank", "title": "Forbidden", "status": 403}, PROBLEM),
    "403-problem-of-another-product": Reply(403, {"status": 403, "code": "ip-blocked"}, PROBLEM),
    "404-problem-with-odd-code": Reply(404, {"status": 404, "code": ["mirror-unknown"]}, PROBLEM),
    "404-problem-that-is-no-object": Reply(404, ["mirror-unknown"], PROBLEM),
    "403-our-code-in-other-json": Reply(403, {"code": "key-not-for-member"}, JSON),
    "401-our-code-without-media-type": Reply(401, {"code": "signature-invalid"}),
    "409-our-code-in-html": Reply(409, b'{"code": "claim-superseded"}', HTML),
    "302-login": Reply(302, b"", {"Location": "https://login.example/"}),
    "200-login": Reply(200, b"<html>please log in</html>", HTML),
    "200-empty": Reply(200, b""),
    "200-no-object": Reply(200, ["moved"], JSON),
    "200-empty-object": Reply(200, {}, JSON),
    "200-health": Reply(200, {"status": "ok"}, JSON),
    "200-unknown-outcome": moved(outcome="queued"),
    "200-odd-outcome": moved(outcome={"moved": True}),
    "200-dry-run": moved(outcome="planned"),
    "200-other-mirror": moved(mirror="TEST"),
    "204": Reply(204, b""),
}
"""Not the controller's: tried again, whatever the status."""

AGAIN = {
    "409-peer-still-primary": problem(409, "peer-still-primary"),
    "409-claimant-not-primary": problem(409, "claimant-not-primary"),
    "409-flapping": problem(409, "flapping"),
    "409-address-taken": problem(409, "address-taken"),
    "423-mirror-frozen": problem(423, "mirror-frozen"),
    "429-too-many-requests": problem(429, "too-many-requests"),
    "500-configuration-invalid": problem(500, "configuration-invalid"),
    "502-azure-failed": problem(502, "azure-failed"),
    "503-busy": problem(503, "busy"),
    "400-body-invalid": problem(400, "body-invalid"),
    "401-claim-replayed": problem(401, "claim-replayed"),
    "401-signature-expired": problem(401, "signature-expired"),
    "401-raw": Reply(401, b""),
    "502-raw": Reply(502, b"<html>bad gateway</html>"),
    "200-raw": Reply(200, b"<html>a captive portal</html>"),
    "301-raw": Reply(301, b"", {"Location": "/elsewhere"}),
    "dropped": Reply(0, drop=True),
    "200-other-holder": moved(holder="MIRRORB"),
}
"""Tried again, with a fresh signature."""

FINAL = {
    "superseded": (problem(409, "claim-superseded"), 3, "superseded"),
    "signature-invalid": (problem(401, "signature-invalid"), 4, "refused"),
    "signature-missing": (problem(401, "signature-missing"), 4, "refused"),
    "key-not-for-member": (problem(403, "key-not-for-member"), 4, "refused"),
    "mirror-unknown": (problem(404, "mirror-unknown"), 4, "refused"),
    "parameters": (problem(403, "key-not-for-member", Content_Type="application/problem+json; charset=utf-8"), 4, "refused"),
    "any-case": (problem(403, "key-not-for-member", Content_Type="Application/Problem+JSON"), 4, "refused"),
}
"""End the claim: the reply, the exit code, the outcome."""


LOST, BUSY = Reply(0, drop=True), problem(503, "busy")
EXPIRED = problem(401, "signature-expired", Date="Mon, 21 Sep 2026 15:13:20 GMT")
TURNS = {
    "each-in-turn": ([LOST, BUSY, BUSY, LOST, moved()], "ABABA", [False, True, True, True]),
    "clock-first": ([EXPIRED, BUSY, moved()], "AAB", [False, True]),
}
"""Of two urls: the answers, which of the urls is asked, and whether there is a wait before the next attempt."""


@dataclass(frozen=True)
class Wait:
    """A Retry-After, by the time of its arrival, and the seconds that follow from it."""

    reply: Reply
    seconds: float


ARRIVED = 1790000000  # Mon, 21 Sep 2026 14:13:20 GMT
OURS, THEIRS = problem(503, "busy"), Reply(503, b"maintenance")
WAITS = {
    f"{'ours' if reply is OURS else 'foreign'}-{header or 'none'}": Wait(
        Reply(reply.status, reply.body, {**reply.headers, **({"Retry-After": header} if header else {})}), seconds
    )
    for reply, header, seconds in [
        (OURS, "", 0),
        (OURS, "7", 7),
        (OURS, " 7 ", 7),
        (OURS, "3600", 300),
        (OURS, "-7", 0),
        (OURS, "7.5", 0),
        (OURS, "soon", 0),
        (OURS, "Mon, 21 Sep 2026 14:13:30 GMT", 10),
        (OURS, "Mon, 21 Sep 2026 14:13:10 GMT", 0),
        (OURS, "Mon, 21 Sep 2026 15:13:20 GMT", 300),
        (OURS, "Fri, 31 Dec 99999 23:59:59 GMT", 0),
        (THEIRS, "01 Jan 999999999999999999999999999999 00:00:00 GMT", 0),
        (THEIRS, "7", 7),
        (THEIRS, "3600", 30),
        (THEIRS, "Mon, 21 Sep 2026 15:13:20 GMT", 30),
    ]
}

CLOCKS = [(ahead_s, spent) for ahead_s in (0, 0.3, -0.3, 3, -3, 7200, -7200, 400 * 86400) for spent in (False, True)]
"""How far a member's clock is ahead of the controller's, and whether the refused time was one that had been spent."""


NO_DATES = ["", "soon", "Mon, 21 Foo 2026 14:13:20 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", f"01 Jan {'9' * 30} 00:00:00 GMT"]
"""A Date from which no time can be taken."""

STEPS = [(steps_back, off_s) for steps_back in (False, True) for off_s in (7200, 400 * 86400)]
"""Attempts that nobody answered, by a clock that is ahead; whether the clock is set right before the next one, and how far."""


def check_clock(ahead_s: float, spent: bool, changed: bool, before: float, after: float, true: float) -> None:
    """Judge the times of two attempts with a correction by the controller's Date, whose time is `true`, between them."""
    assert changed == (abs(ahead_s) > 1)
    assert after > before or (changed and not spent and ahead_s > 0)
    if changed and spent and ahead_s > 0:
        assert after - before < 0.00001  # never behind a time that has been spent
    elif changed:
        assert abs(after - true) < 1
    else:
        assert after - before < 1
