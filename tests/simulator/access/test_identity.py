"""The managed identity endpoint, and its tokens at ARM."""

import base64
import json
from typing import Any

import pytest

from simulator.core.wire import Response
from tests.simulator.client import NIC_A, TOKEN, Client, ask_token, error_of


def claims_of(answer: Response) -> Any:
    """The claims of the token in an answer."""
    payload = answer.json()["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def test_a_token_has_the_claims_of_a_managed_identity() -> None:
    """The answer and the JWT have the members and claims that azure-identity and az read."""
    client = Client()
    answer = ask_token(client)

    claims = claims_of(answer)
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_on"] == str(claims["exp"])
    assert int(answer.json()["expires_in"]) == claims["exp"] - claims["iat"]
    assert claims["aud"] == "https://management.azure.com/"
    assert claims["iss"] == f"https://sts.windows.net/{claims['tid']}/"
    assert claims["idtyp"] == "app"


def test_a_wrong_identity_header_gets_no_token() -> None:
    """Without the right X-IDENTITY-HEADER the answer is 401, without a resource 400; IMDS wants Metadata: true."""
    client = Client()

    assert ask_token(client, TOKEN, x="y").status == 401
    assert ask_token(client, "/msi/token?api-version=2019-08-01").status == 400
    assert ask_token(client, TOKEN.replace("/msi/token", "/metadata/identity/oauth2/token"), x="y").status == 400
    assert ask_token(client, TOKEN.replace("/msi/token", "/metadata/identity/oauth2/token"), metadata="true").status == 200


def test_a_user_assigned_identity_is_a_principal_of_its_own() -> None:
    """client_id selects another principal, and the history names it."""
    client = Client()
    client_id = "11111111-2222-3333-4444-555555555555"
    answer = ask_token(client, f"{TOKEN}&client_id={client_id}")

    assert claims_of(answer)["appid"] == client_id
    client.ask("GET", NIC_A, authorization="Bearer " + answer.json()["access_token"])
    assert client.cloud.history[-1].who == client_id


@pytest.mark.parametrize(
    ("resource", "status"),
    [("https://management.core.windows.net/", 200), ("http://127.0.0.1:18080", 200), ("https://storage.azure.com", 401)],
)
def test_arm_takes_tokens_for_arm_only(resource: str, status: int) -> None:
    """A token for another audience is invalid at ARM."""
    client = Client()
    token = ask_token(client, TOKEN.replace("https://management.azure.com/", resource)).json()["access_token"]

    assert client.ask("GET", NIC_A, authorization=f"Bearer {token}").status == status


def test_tokens_expire() -> None:
    """A token past its lifetime gets ExpiredAuthenticationToken."""
    client = Client(token_lifetime_s=3600.0)
    token = "Bearer " + ask_token(client).json()["access_token"]

    assert client.ask("GET", NIC_A, authorization=token).status == 200
    client.clock.advance(3600)
    expired = client.ask("GET", NIC_A, authorization=token)
    assert error_of(expired) == (401, "ExpiredAuthenticationToken")
    assert "www-authenticate" in expired.headers


def test_a_forged_token_is_invalid() -> None:
    """A token whose claims were changed is refused."""
    client = Client()
    head, payload, signature = ask_token(client).json()["access_token"].split(".")
    forged = f"{head}.{payload[:-4]}AAAA.{signature}"

    assert error_of(client.ask("GET", NIC_A, authorization=f"Bearer {forged}")) == (401, "InvalidAuthenticationToken")
