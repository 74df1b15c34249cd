"""The managed identity endpoint and the tokens it hands out: JWTs that the simulated ARM knows as its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from simulator.core.errors import Refused
from simulator.core.wire import Json, Request, Response

if TYPE_CHECKING:
    from simulator.cloud import Cloud

SYSTEM_ASSIGNED: Final = "controller"
_ARM_AUDIENCES: Final = ("https://management.azure.com", "https://management.core.windows.net")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. name: 'controller' for the system-assigned identity, the client id for a user-assigned one."""

    name: str
    object_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was checked: whose, until when (seconds), for which audience."""

    principal: Principal
    expires_at: float
    audience: str


ANONYMOUS: Final = Principal("", "", "")


def principal_named(name: str) -> Principal:
    """The principal of this name; its ids follow from the name, so that they are the same in every run."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    guids = [f"{d[:8]}-{d[8:12]}-4{d[13:16]}-a{d[17:20]}-{d[20:32]}" for d in (digest[:32], digest[32:])]
    client = name if len(name) == 36 and name.count("-") == 4 else guids[1]
    return Principal(name, guids[0], client)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issue(cloud: Cloud, principal: str, audience: str, lifetime_s: float) -> tuple[str, Json]:
    """A signed token and its claims, as Entra would put them (testing.md section 2)."""
    who, now = principal_named(principal), int(cloud.now())
    claims: Json = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{cloud.world.tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + int(lifetime_s),
        "appid": who.client_id,
        "oid": who.object_id,
        "sub": who.object_id,
        "tid": cloud.world.tenant,
        "idtyp": "app",
        "ver": "1.0",
        "xms_mirid": f"/subscriptions/{cloud.world.subscriptions[0]}/resourcegroups/rg/providers/Microsoft.Web/sites/vip",
        "simulator_principal": principal,
    }
    head = _b64(b'{"typ":"JWT","alg":"HS256","kid":"simulator"}')
    signed = f"{head}.{_b64(json.dumps(claims).encode())}"
    return f"{signed}.{_b64(hmac.digest(cloud.token_key, signed.encode(), 'sha256'))}", claims


def token_of(cloud: Cloud, request: Request) -> Token | None:
    """The token of the request's Authorization header if it is one of ours, however old; None if it is not."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    known = cloud.tokens.get(text)
    if known is None:
        known = _verified(cloud.token_key, text)
        if known is not None:
            cloud.tokens[text] = known
    return known


def _verified(key: bytes, text: str) -> Token | None:
    signed, _, signature = text.rpartition(".")
    if not hmac.compare_digest(_b64(hmac.digest(key, signed.encode(), "sha256")), signature):
        return None
    payload = signed.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return Token(principal_named(claims["simulator_principal"]), float(claims["exp"]), claims["aud"])


def check_token(cloud: Cloud, request: Request, token: Token | None) -> None:
    """Raise Refused (401) unless the token is ours, for ARM, and not expired."""
    if token is None:
        raise Refused("InvalidAuthenticationToken" if "authorization" in request.headers else "AuthenticationFailed")
    if cloud.switches.token_expired or cloud.at >= token.expires_at:
        raise Refused("ExpiredAuthenticationToken", expired=_us_time(token.expires_at), current=_us_time(cloud.at))
    audience = token.audience.rstrip("/")
    if audience not in _ARM_AUDIENCES and audience != request.base_url:
        raise Refused("InvalidAuthenticationToken")


def _us_time(seconds: float) -> str:
    from datetime import datetime

    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.month}/{when.day}/{when.year} {when.hour % 12 or 12}:{when:%M:%S %p}"


def handle_token(cloud: Cloud, request: Request) -> Response:
    """App Service's /msi/token (header X-IDENTITY-HEADER) and IMDS's /metadata/identity/oauth2/token (header Metadata).

    200 with access_token, expires_on, expires_in, resource, token_type, client_id; 400 without a resource; 401 for a
    wrong identity header.
    """
    path, _, query = request.target.partition("?")
    values = {k: v[0] for k, v in parse_qs(query).items()}
    app_service = path.startswith("/msi/")
    if app_service and request.headers.get("x-identity-header") != cloud.identity_header:
        return _json(401, {"statusCode": 401, "message": "The X-IDENTITY-HEADER header is missing or wrong."})
    if not app_service and request.headers.get("metadata", "").lower() != "true":
        return _json(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
    resource = values.get("resource", "")
    if not resource or "api-version" not in values:
        return _json(400, {"error": "invalid_request", "error_description": "resource and api-version are required"})
    principal = values.get("client_id") or values.get("mi_res_id") or SYSTEM_ASSIGNED
    text, claims = issue(cloud, principal, resource, cloud.switches.token_lifetime_s)
    return _json(
        200,
        {
            "access_token": text,
            "expires_on": str(claims["exp"]),
            "expires_in": str(claims["exp"] - claims["iat"]),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": claims["appid"],
        },
    )


def _json(status: int, value: Json) -> Response:
    return Response(status, {"content-type": "application/json; charset=utf-8"}, json.dumps(value).encode())
