"""The page as a browser would read it: whatever comes from outside is text and nothing else."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vipcore import instants
from vipcore.entry.dashboard import Chain
from vipcore.page import actions, mirror, overview, render, timeline, trail, words
from vipcore.page.overview import Asked
from vipcore.page.trail import Filter

NOW = instants.from_text("2026-11-28T03:00:00.000000Z")
AT = instants.to_text(NOW)
ATTACKS = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)", "javascript:alert(1)", "{{ 7 * 7 }}", "{% raw %}", "</style><base href=//evil>", "<!-- --><b>",
    "&lt;b&gt;&amp;", "\u202egnp.exe", "</pre></code></details></main>", "\ud800",
)  # fmt: skip


class Reader(HTMLParser):
    """Counts elements, keeps text and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.text: list[str] = []
        self.values: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.values += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    """The page, as an HTML parser has it."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def status(word: str) -> dict[str, Any]:
    """A mirror with everything wrong, each text that may come from outside being this."""
    progress = {
        "operation_id": "o", "from": word, "to": word, "since": AT, "driven": False, "phase": "detach", "failures": 3,
        "last_error": {"code": "azure-failed", "detail": word}, "retry_at": AT,
    }  # fmt: skip
    member = {
        "name": word, "nic": f"/x/{word}", "provisioning_state": word, "vips": [word], "primary": None, "ready": False,
        "movable": None, "reasons": [word], "checked_at": AT, "last_heard_at": None,
    }  # fmt: skip
    return {
        "mirror": "PROD", "desired": word, "epoch": 3, "frozen": {"reason": word, "operator": word, "at": AT, "until": AT},
        "in_progress": progress, "drift": word,
        "recorded_claim": {"member": word, "claim_id": word, "code": word, "recorded_at": AT},
        "last_swap": {
            "operation_id": "p", "from": word, "to": word, "at": AT, "total_ms": 9, "phases": [{"name": word, "ms": 9}],
        },
        "changes": {"in_window": 1, "max": 6}, "members": [member],
        "placement": {"state": "split", "members": [word, word]},
    }  # fmt: skip


def rows(word: str) -> list[dict[str, Any]]:
    """Rows all of whose columns are this, as far as they may be."""
    names = (
        "actor",
        "member",
        "from_member",
        "claim_id",
        "correlation_id",
        "arm_request_ids",
        "outcome",
        "detail",
        "evidence",
        "hash",
    )
    texts = dict.fromkeys(names, word)
    genuine = {"seq": 2, "at": AT, "event": "swap.completed", "operation_id": "p", "duration_ms": 9, **texts}
    return [genuine, {**texts, "seq": word, "at": word, "event": word, "operation_id": "q"}]


def one(word: str, shown: trail.Trail | None = None) -> str:
    """The page of one mirror; `shown`: of its trail."""
    asked = Filter.of({"event": word, "member": word, "from": word, "to": word}, ["nic.write"])
    found, shown = status(word), shown or trail.trail("PROD", asked, rows(word), 2, 1)
    return render.html(
        "mirror.html", at=AT, version="1", refresh_s=5, shown=mirror.shown(found, rows(word), NOW),
        actions=actions.of_mirror("$API", found), trail=shown,
        chain=Chain("bad", word, word), events=["nic.write"], members=[word], phases=("detach",), unfiltered="?mirror=PROD",
        told=timeline.told,
    )  # fmt: skip


def every(word: str) -> str:
    """The page of all mirrors."""
    listed = [{**status(word), "ready": {word: False}, "reasons": {}, "seen_at": AT}, {"mirror": "FAULTY", "fault": word}]
    shown = overview.overview(listed, {"PROD": [word]}, {"PROD": word}, Asked.of({"q": ""}), NOW)
    return render.html("overview.html", at=AT, version="1", refresh_s=5, shown=shown, actions=actions.of_all("$API"))


def away(word: str) -> str:
    """The page where nothing can be shown."""
    found = [("PROD", "?mirror=PROD", "good", word)]
    return render.html(
        "away.html", at=AT, version="1", refresh_s=5, title=word, code=word, detail=word, back=True, mirrors=found,
        actions=actions.of_all("$API"),
    )  # fmt: skip


def shape(page: str) -> dict[str, int]:
    """How many of each element there are."""
    return read(page).tags


def test_markup_in_any_field_is_text() -> None:
    """Whatever an operator, a member, Azure or a forged row says: the elements of the page are those that it has anyway."""
    for make in (one, every, away):
        harmless = shape(make("harmless"))
        for attack in ATTACKS:
            assert shape(make(attack)) == harmless, (make.__name__, attack)


def test_what_could_not_be_read_is_never_told_as_empty() -> None:
    """A NIC that no look could read is not one without a VIP. (I9)"""
    found = status("A")
    unread = {**found["members"][0], "vips": None, "provisioning_state": None}

    (card,) = mirror.shown({**found, "members": [unread]}, [], NOW).cards

    assert (card.holds, card.vips, card.nic) == (False, "could not be read", "A: could not be read")


def test_a_vip_that_is_moved_elsewhere_is_drift_only_where_nobody_moves_it() -> None:
    """A fresh look tells it before the timer does; while a swap is under way it is the swap that explains it."""
    found = {**status("A"), "drift": None, "desired": "B", "placement": {"state": "placed", "members": ["A"]}}

    def notices(progress: Any) -> list[str]:
        return [one.key for one in mirror.shown({**found, "in_progress": progress}, [], NOW).notices]

    assert "drift" in notices(None)
    assert "drift" not in notices(found["in_progress"])


def test_the_end_of_the_rows_is_told_as_what_it_is() -> None:
    """Where the trail begins; or, with a filter, that nothing older fits, since the trail may well go on."""
    for query, told in (({}, "This is where the trail begins."), ({"event": "nic.write"}, "No older row fits.")):
        asked = Filter.of(query, ["nic.write"])
        page = one("x", trail.trail("PROD", asked, rows("x"), 2, None))
        assert [end for end in ("This is where the trail begins.", "No older row fits.") if end in page] == [told]


def test_text_that_no_encoding_has_is_replaced() -> None:
    """Half a surrogate pair, which JSON can hold, does not keep the page from being sent."""
    assert "half ? pair" in one("half \ud800 pair")
    assert one("half \ud800 pair").encode()


def test_what_was_said_can_be_read_as_it_was_said() -> None:
    """Nothing is lost by the escaping, in any of the fields."""
    word = "<script>alert('x')</script> & \"more\""
    text = "".join(read(one(word)).text)

    assert text.count(word) >= 20


@given(word=st.text(st.sampled_from("<>\"'&/=ab{}%# -!\\\n\0`"), max_size=30).map("x".__add__))
@settings(max_examples=40, deadline=None)
def test_no_text_makes_an_element_or_an_attribute(word: str) -> None:
    """Any text: elements as before, no event handler, no address but our own."""
    for make in (one, every):
        reader = read(make(word))
        assert reader.tags == shape(make("x"))
        assert not [name for name, _ in reader.values if name.startswith("on") or name in ("style", "src", "srcdoc", "action")]
        assert all(value.startswith(("?", "data:image/svg+xml,")) for name, value in reader.values if name == "href")


def test_the_policy_names_this_very_script_and_style() -> None:
    """By their hashes; nothing else may run, nothing may be loaded, nobody may frame the page."""
    page = one("x")
    policy = dict(part.split(" ", 1) for part in render.headers()["Content-Security-Policy"].split("; "))

    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert policy[directive] == f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert (policy["connect-src"], policy["form-action"], policy["img-src"]) == ("'self'", "'self'", "data:")
    assert "style=" not in re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)  # the policy would ignore it


def test_no_third_party_is_named() -> None:
    """The page holds no address of anybody else: not of a font, a library, an image."""
    assert set(re.findall(r"(?:https?:)?//[\w.-]+", one("x") + every("x"))) <= {"http://www.w3.org"}


def test_the_template_engine_is_not_imported_with_the_app() -> None:
    """A claim's cold start does not pay for the page."""
    code = "import function_app, sys; print([m for m in sys.modules if m.startswith(('jinja2', 'vipcore.page'))])"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=render.FOLDER.parents[2])

    assert said.stdout.strip().splitlines()[-1] == "[]"


def test_every_state_has_a_shape_and_a_word_of_its_own() -> None:
    """The words differ, and tones are those that have a shape: nothing is told by colour alone."""
    assert len({state.word for state in words.STATES}) == len(words.STATES)
    shapes = {tone: read(render._environment().from_string(  # the macro alone
        '{% import "parts.html" as parts %}{{ parts.icon(tone) }}').render(tone=tone)).values for tone in
        ("good", "bad", "warn", "frozen", "busy", "unknown")}  # fmt: skip
    drawn = {tone: tuple(value for name, value in values if name in ("d", "cx", "width", "x")) for tone, values in shapes.items()}
    assert len(set(drawn.values())) == len(drawn)
    assert {state.tone for state in words.STATES} <= set(drawn)
