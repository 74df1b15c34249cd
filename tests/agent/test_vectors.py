"""The signed requests of tests/vectors, and the agent's own signature held to them."""

import base64
import hashlib
import hmac
import importlib.util
import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tests.agent.scripted import AGENT

FOLDER = pathlib.Path(__file__).parents[1] / "vectors"
VECTORS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
SHAPED = [name for name, vector in VECTORS.items() if vector["signed_with"]]


def load_agent() -> Any:
    """Import the agent's file as a module."""
    spec = importlib.util.spec_from_file_location("vip_agent", AGENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vectors_are_what_their_script_makes(tmp_path: pathlib.Path) -> None:
    """Nobody edits a vector by hand: make_vectors.py makes exactly the committed files."""
    subprocess.run([sys.executable, FOLDER / "make_vectors.py", tmp_path], check=True, timeout=60)

    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}

    assert made == {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}
    assert sum(name.startswith("valid-") for name in made) >= 10
    assert sum(name.startswith("invalid-") for name in made) >= 20


@pytest.mark.parametrize("name", [name for name in VECTORS if name.startswith("valid-")])
def test_signature_of_a_valid_vector_is_the_hmac_of_its_base(name: str) -> None:
    """The data agree with themselves: base, signature, digest and headers."""
    vector = VECTORS[name]
    headers = dict(vector["request"]["headers"])
    secret = base64.b64decode(vector["keys"][vector["expected"]["key_id"]]["secret"])

    signature = hmac.new(secret, vector["signature_base"].encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(vector["request"]["body"].encode()).digest()

    assert base64.b64encode(signature).decode() == vector["signature"]
    assert f"=:{vector['signature']}:" in headers["Signature"]
    assert f"sha-256=:{base64.b64encode(digest).decode()}:" in headers["Content-Digest"]
    assert vector["signature_base"].rpartition('"@signature-params": ')[2] in headers["Signature-Input"]


@pytest.mark.parametrize("name", [name for name in SHAPED if name != "valid-charset"])
def test_agent_signs_as_the_vectors_do(name: str) -> None:
    """From the same key, time and nonce the agent makes the same headers, byte by byte."""
    vector = VECTORS[name]
    how, request = vector["signed_with"], vector["request"]
    secret = base64.b64decode(vector["keys"][how["key_id"]]["secret"])

    headers = load_agent().sign(
        secret, how["key_id"], request["path"], request["body"].encode(), how["created"], how["expires"], how["nonce"]
    )

    assert headers == dict(request["headers"])
