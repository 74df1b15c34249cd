"""The verifier under generated headers: briefly by Hypothesis in every run, for long by a coverage-guided fuzzer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.served.http.http_client import signed
from vipcore.entry import signatures
from vipcore.errors import Refusal
from vipcore.model import Key

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = bytes(range(32))
KEYS = {"k": Key(key_id="k", mirror="PROD", member="A", secret=SECRET)}
PATH = "/api/mirrors/PROD/claims"
BODY = b"{}"
GENUINE = {n.lower(): v for n, v in signed("POST", PATH, BODY, key_id="k", secret=SECRET, created=1_790_000_000).items()}
NAMES = sorted(GENUINE)


def verdict(headers: dict[str, str], body: bytes = BODY, path: str = PATH, method: str = "POST") -> str:
    """`genuine`, or the code of the refusal."""
    try:
        signatures.verify(signatures.HttpRequest(method=method, url=f"https://x{path}", headers=headers, body=body), KEYS)
    except Refusal as refusal:
        return refusal.code
    return "genuine"


def test_untouched_request_is_genuine() -> None:
    """The signer and the verifier agree; the tests below would say nothing otherwise."""
    assert verdict(GENUINE) == "genuine"


@given(st.sampled_from(NAMES), st.integers(0, 400), st.integers(0, 20), st.text(max_size=12))
def test_any_splice_of_any_header_is_refused_or_the_same(name: str, at: int, length: int, new: str) -> None:
    """Whatever is cut out of a header and put in its place: refused, unless what is signed is still the same. (I6)"""
    old = GENUINE[name]
    spliced = old[:at] + new + old[at + length :]

    found = verdict({**GENUINE, name: spliced})

    if found == "genuine" and spliced != old:
        # Another member of a dictionary field, or white space that a structured field may have, changes nothing that is signed.
        assert name in ("signature", "signature-input", "content-digest", "content-type")
        assert verdict({**GENUINE, name: spliced}, body=b"{ }") == "signature-invalid"
        assert verdict({**GENUINE, name: spliced}, path="/api/mirrors/TEST/claims") == "signature-invalid"
    else:
        assert found in ("genuine", "signature-invalid", "signature-missing")


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=200)), st.binary(max_size=50))
def test_any_headers_are_a_refusal(headers: dict[str, str], body: bytes) -> None:
    """Any text in any header: one of two refusals, never anything else."""
    assert verdict(headers, body) in ("signature-invalid", "signature-missing")


@given(
    st.binary(max_size=20),
    st.sampled_from(["PUT", "GET", "post"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
def test_any_other_request_is_not_what_was_signed(body: bytes, method: str, path: str) -> None:
    """A genuine signature on another body, method or path is refused. (I6)"""
    if body != BODY:
        assert verdict(GENUINE, body=body) == "signature-invalid"
    assert verdict(GENUINE, method=method) == "signature-invalid"
    assert verdict(GENUINE, path=f"/api/mirrors/{path}/x") == "signature-invalid"


@pytest.mark.soak
def test_coverage_guided_fuzzer_finds_nothing() -> None:
    """Ten minutes of a coverage-guided fuzzer on the verifier and its library break nothing."""
    seconds = int(os.environ.get("FUZZ_S", "600"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.verifier", str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
