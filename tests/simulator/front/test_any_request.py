"""Every request gets an answer: the cloud never raises, and a refused request changes nothing."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.wire import Request
from simulator.front.front import handle
from tests.simulator.client import GROUP, NETWORK, NIC_A, PIP, SUBNET, VNET, Client, configs, vip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "10.0.0.9", NIC_A, PIP, SUBNET]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "name", "properties", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


TARGETS = [NIC_A, f"{NETWORK}/networkInterfaces/new", PIP, PIP + "2", VNET, SUBNET, GROUP, f"{NETWORK}/networkSecurityGroups/nsg"]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a document."""
    found = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*at, key))
    return found


def replaced(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    """The document with the value at that path replaced."""
    if not at:
        return value
    whole = copy.deepcopy(document)
    inner = whole
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return whole


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_json_anywhere_in_a_body_gets_an_answer(data: st.DataObject) -> None:
    """A document with any JSON at any place is accepted, or refused with a 4xx error; a refusal changes no etag."""
    client = Client()
    target = data.draw(st.sampled_from(TARGETS))
    answer = client.ask("GET", target)
    document = answer.json() if answer.status == 200 else client.get(NIC_A if "networkInterfaces" in target else PIP)
    if "ipConfigurations" in document.get("properties", {}) and "networkInterfaces" in target:
        configs(document).append(vip("10.0.0.77", name="more", applicationSecurityGroups=[{"id": PIP}]))
    body = replaced(document, data.draw(st.sampled_from(places(document))), data.draw(JSON))
    etags = [nic.etag for nic in client.cloud.nics.values()]

    put = client.ask("PUT", target, body)

    assert put.status in (200, 201) or 400 <= put.status < 500
    if put.status >= 400:
        assert {"code", "message"} <= put.json()["error"].keys()
        assert [nic.etag for nic in client.cloud.nics.values()] == etags
    client.clock.advance(60)
    assert client.ask("GET", target).status in (200, 404)
    assert client.ask("GET", SUBNET).status in (200, 404)


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    pieces=st.lists(
        st.sampled_from(
            [
                *NIC_A.split("/"),
                "virtualNetworks",
                "subnets",
                "locations",
                "operations",
                "permissions",
                "",
                "%2F",
                "msi",
                "token",
                "pages",
                "csp",
                "simulator",
                "switches",
            ]
        ),
        max_size=11,
    ),
    query=st.sampled_from(["", "?api-version=2024-05-01", "?api-version=1&$expand=ipConfigurations", "?%"]),
    body=st.sampled_from([b"", b"{}", b"[]", b"\xff", json.dumps({"properties": None}).encode()]),
)
def test_any_path_gets_an_answer(method: str, pieces: list[str], query: str, body: bytes) -> None:
    """Any path, method and query gets an answer, also under /simulator."""
    client = Client()
    headers = {"authorization": client.cloud.bearer(), "x-identity-header": client.cloud.identity_header}

    answer = handle(client.cloud, Request(method, "/" + "/".join(pieces) + query, headers, body))

    assert 200 <= answer.status < 600


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic x", "Bearer é.x.y"])
def test_any_token_gets_an_answer(token: str) -> None:
    """Any invalid Authorization header gets a 401."""
    client = Client()

    assert client.ask("GET", NIC_A, authorization=token).status == 401
