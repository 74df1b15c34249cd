"""The managed identity endpoint, tokens at ARM, and the members' status pages."""

import base64
import json
from typing import Any

import pytest

from simulator.core.faults import Late, Match, Status
from simulator.core.wire import Request, Response
from simulator.front.front import handle
from tests.simulator.desk import NIC_A, Desk, error_of

TOKEN = "/msi/token?api-version=2019-08-01&resource=https://management.azure.com/"


def ask_token(desk: Desk, target: str = TOKEN, **headers: str) -> Response:
    """GET the managed identity endpoint, with the right header unless another is given."""
    sent = headers or {"x-identity-header": desk.cloud.identity_header}
    return handle(desk.cloud, Request("GET", target, sent))


def claims_of(answer: Response) -> Any:
    """The claims of the token in an answer."""
    payload = answer.json()["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def test_a_token_has_the_claims_of_a_managed_identity() -> None:
    """The answer and the JWT's claims are those that azure-identity and az read."""
    desk = Desk()
    answer = ask_token(desk)

    claims = claims_of(answer)
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_on"] == str(claims["exp"])
    assert int(answer.json()["expires_in"]) == claims["exp"] - claims["iat"]
    assert claims["aud"] == "https://management.azure.com/"
    assert claims["iss"] == f"https://sts.windows.net/{claims['tid']}/"
    assert claims["idtyp"] == "app"


def test_a_wrong_identity_header_gets_no_token() -> None:
    """Without the right X-IDENTITY-HEADER the answer is 401, without a resource 400; IMDS wants Metadata: true."""
    desk = Desk()

    assert ask_token(desk, TOKEN, x="y").status == 401
    assert ask_token(desk, "/msi/token?api-version=2019-08-01").status == 400
    assert ask_token(desk, TOKEN.replace("/msi/token", "/metadata/identity/oauth2/token"), x="y").status == 400
    assert ask_token(desk, TOKEN.replace("/msi/token", "/metadata/identity/oauth2/token"), metadata="true").status == 200


def test_a_user_assigned_identity_is_a_principal_of_its_own() -> None:
    """client_id chooses another principal, whose requests the history tells apart."""
    desk = Desk()
    client = "11111111-2222-3333-4444-555555555555"
    answer = ask_token(desk, f"{TOKEN}&client_id={client}")

    assert claims_of(answer)["appid"] == client
    desk.ask("GET", NIC_A, authorization="Bearer " + answer.json()["access_token"])
    assert desk.cloud.history[-1].who == client


@pytest.mark.parametrize(
    ("resource", "status"),
    [("https://management.core.windows.net/", 200), ("http://127.0.0.1:18080", 200), ("https://storage.azure.com", 401)],
)
def test_arm_takes_tokens_for_arm_only(resource: str, status: int) -> None:
    """A token for another audience is invalid at ARM."""
    desk = Desk()
    token = ask_token(desk, TOKEN.replace("https://management.azure.com/", resource)).json()["access_token"]

    assert desk.ask("GET", NIC_A, authorization=f"Bearer {token}").status == status


def test_tokens_expire() -> None:
    """After its lifetime a token is ExpiredAuthenticationToken; the switch expires all at once."""
    desk = Desk(token_lifetime_s=3600.0)
    token = "Bearer " + ask_token(desk).json()["access_token"]

    assert desk.ask("GET", NIC_A, authorization=token).status == 200
    desk.clock.advance(3600)
    expired = desk.ask("GET", NIC_A, authorization=token)
    assert error_of(expired) == (401, "ExpiredAuthenticationToken")
    assert "www-authenticate" in expired.headers


def test_a_forged_token_is_invalid() -> None:
    """A token whose claims were changed is refused."""
    desk = Desk()
    head, payload, signature = ask_token(desk).json()["access_token"].split(".")
    forged = f"{head}.{payload[:-4]}AAAA.{signature}"

    assert error_of(desk.ask("GET", NIC_A, authorization=f"Bearer {forged}")) == (401, "InvalidAuthenticationToken")


def page(desk: Desk, member: str) -> Response:
    """GET a member's status page."""
    return handle(desk.cloud, Request("GET", f"/pages/{member}/csp/bin/mirror_status.cxw"))


def test_status_pages_say_what_the_member_is() -> None:
    """Primary: 200 SUCCESS. Anything else: 503 FAILED. A liar says primary; hanging and refusing give no answer."""
    desk = Desk()
    desk.cloud.members["HOST/INST"] = "primary"

    assert (page(desk, "MIRRORA").status, page(desk, "MIRRORA").body) == (200, b"SUCCESS")
    assert (page(desk, "MIRRORB").status, page(desk, "MIRRORB").body) == (503, b"FAILED")
    assert page(desk, "HOST%2FINST").status == 200
    assert page(desk, "NOBODY").status == 404
    desk.cloud.members["MIRRORB"] = "lie"
    assert page(desk, "MIRRORB").body == b"SUCCESS"
    desk.cloud.members["MIRRORB"] = "hang"
    assert page(desk, "MIRRORB").delay_s >= 600
    desk.cloud.members["MIRRORB"] = "refuse"
    assert (page(desk, "MIRRORB").lost, page(desk, "MIRRORB").reset) == (True, True)


def test_tokens_and_pages_can_be_struck_too() -> None:
    """Scripts reach the token endpoint and the status pages."""
    desk = Desk()
    desk.script(Match(kind="token"), fault=Status(status=500))
    desk.script(Match(kind="page", name="MIRRORA"), fault=Late(delay_s=9))

    assert ask_token(desk).status == 500
    assert ask_token(desk).status == 200
    assert page(desk, "MIRRORA").delay_s == 9
