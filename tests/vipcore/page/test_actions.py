"""The lines to paste: what a shell makes of them is what they say."""

import json
import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vipcore.page import actions

API = "https://app.example/api"
NAMES = st.text(st.sampled_from("aB0 '\"$`\\!&;|<>(){}*?~#%\u00e9/\u202e"), min_size=1, max_size=12)


def mirror(*names: str, state: str = "placed", frozen: Any = None) -> dict[str, Any]:
    """A status, as far as the actions need it. The first member holds the VIP."""
    placement = {"state": state, "members": [names[0]] if state == "placed" else []}
    return {"mirror": "PROD", "members": [{"name": name} for name in names], "placement": placement, "frozen": frozen}


def lines(found: list[actions.Action]) -> dict[str, str]:
    """What -> line."""
    return {action.what: action.line for action in found}


@given(name=NAMES)
def test_a_name_stays_one_argument(name: str) -> None:
    """Whatever a member is called, a POSIX shell hands curl the body that moves the VIP there, and runs nothing else."""
    line = lines(actions.of_mirror(API, mirror("A", name)))[f"Move the VIP to {name}"]

    words = shlex.split(line)

    assert words[:5] == ["curl", "-sS", "-H", "$KEY", f"{API}/mirrors/PROD/moves"]
    assert words[5] == "-d"
    assert json.loads(words[6]) == {"to": name, "reason": "WHY", "operator": "YOU"}
    assert len(words) == 7


@given(name=NAMES)
@settings(max_examples=10, deadline=None)
def test_a_real_shell_agrees(name: str) -> None:
    """`sh` itself makes these arguments of the line."""
    line = lines(actions.of_mirror(API, mirror("A", name)))[f"Move the VIP to {name}"]
    script = 'curl() { for one in "$@"; do printf \'%s\\0\' "$one"; done; }\n' + line

    said = subprocess.run(["sh", "-c", script], env={"KEY": "k: v"}, capture_output=True, check=True).stdout.split(b"\0")[:-1]

    assert said[2] == b"k: v"
    assert json.loads(said[-1])["to"] == name


def test_what_the_state_asks_for_comes_first() -> None:
    """A frozen mirror: the freeze is lifted first. Members without the VIP are offered; all of them where nobody has it."""
    frozen = list(lines(actions.of_mirror(API, mirror("A", "B", frozen={"reason": "x"}))))
    nobody = list(lines(actions.of_mirror(API, mirror("A", "B", state="unplaced"))))

    assert frozen[:3] == ["Lift the freeze", "Try a move to B", "Move the VIP to B"]
    forced = lines(actions.of_mirror(API, mirror("A", "B", frozen={"reason": "x"})))["Move the VIP to B"]
    assert json.loads(shlex.split(forced)[-1])["force"] is True, "a freeze stops any other move"
    assert "force" not in lines(actions.of_mirror(API, mirror("A", "B")))["Move the VIP to B"]
    assert nobody[:4] == ["Try a move to A", "Move the VIP to A", "Try a move to B", "Move the VIP to B"]


def test_no_line_holds_a_secret() -> None:
    """Each has `$KEY` where the key belongs, whatever the address of the page was."""
    api = actions.api(f"{API}/dashboard?code=secret&mirror=PROD")

    every = [*actions.of_mirror(api, mirror("A", "B")), *actions.of_all(api)]

    assert all(action.line.startswith('curl -sS -H "$KEY" ') for action in every)
    assert not [action for action in every if "secret" in action.line]


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://app.example/api/dashboard?code=x", "https://app.example/api"),
        ("http://127.0.0.1:7071/api/dashboard", "http://127.0.0.1:7071/api"),
        ("http://[::1]:7071/api/dashboard", "http://[::1]:7071/api"),
        ("https://user:pass@app.example/api/dashboard", "$API"),
        ("https://evil.example`id`/api/dashboard", "$API"),
        ("https://app.example/a;b/dashboard", "$API"),
        ("javascript:alert(1)/dashboard", "$API"),
        ("", "$API"),
    ],
)
def test_only_a_plain_address_is_put_into_lines(url: str, api: str) -> None:
    """What a Host header can hold beside a name and a port is left out."""
    assert actions.api(url) == api


def test_an_address_that_is_left_out_is_a_variable() -> None:
    """Then the line has `$API`, in quotes that let the shell see it."""
    assert lines(actions.of_all("$API"))["What a monitor is told"] == 'curl -sS -H "$KEY" "$API/health/mirrors"'
