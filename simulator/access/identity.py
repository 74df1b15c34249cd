"""The managed identity endpoint, and the tokens (JWTs) that it issues and the simulated ARM accepts."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from simulator.core.errors import Refused
from simulator.core.principals import SYSTEM_ASSIGNED, Token, principal_named
from simulator.core.wire import Json, Request, Response

if TYPE_CHECKING:
    from simulator.state.state import State

_ARM_AUDIENCES: Final = ("https://management.azure.com", "https://management.core.windows.net")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issue(state: State, principal: str, audience: str, lifetime_s: float) -> tuple[str, Json]:
    """A signed token and its claims, as Entra issues them (docs/facts/testing.md section 2)."""
    who, now = principal_named(principal), int(state.clock.now())
    claims: Json = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{state.world.tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + int(lifetime_s),
        "appid": who.client_id,
        "oid": who.object_id,
        "sub": who.object_id,
        "tid": state.world.tenant,
        "idtyp": "app",
        "ver": "1.0",
        "xms_mirid": f"/subscriptions/{state.world.subscriptions[0]}/resourcegroups/rg/providers/Microsoft.Web/sites/vip",
        "simulator_principal": principal,
    }
    head = _b64(b'{"typ":"JWT","alg":"HS256","kid":"simulator"}')
    signed = f"{head}.{_b64(json.dumps(claims).encode())}"
    return f"{signed}.{_b64(hmac.digest(state.credentials.key, signed.encode(), 'sha256'))}", claims


def token_of(state: State, request: Request) -> Token | None:
    """The token in the request's Authorization header if we issued it, even if it has expired; else None."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    known = state.credentials.known.get(text)
    if known is None:
        known = _verified(state.credentials.key, text)
        if known is not None:
            state.credentials.known[text] = known
    return known


def _verified(key: bytes, text: str) -> Token | None:
    signed, _, signature = text.rpartition(".")
    if not hmac.compare_digest(_b64(hmac.digest(key, signed.encode(), "sha256")), signature):
        return None
    payload = signed.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return Token(principal_named(claims["simulator_principal"]), float(claims["exp"]), claims["aud"])


def check_token(state: State, request: Request, token: Token | None) -> None:
    """Raise Refused (401) unless we issued the token, for ARM, and it has not expired."""
    if token is None:
        raise Refused("InvalidAuthenticationToken" if "authorization" in request.headers else "AuthenticationFailed")
    if state.switches.token_expired or state.clock.at >= token.expires_at:
        raise Refused("ExpiredAuthenticationToken", expired=_us_time(token.expires_at), current=_us_time(state.clock.at))
    audience = token.audience.rstrip("/")
    if audience not in _ARM_AUDIENCES and audience != request.base_url:
        raise Refused("InvalidAuthenticationToken")


def _us_time(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.month}/{when.day}/{when.year} {when.hour % 12 or 12}:{when:%M:%S %p}"


def handle_token(state: State, request: Request) -> Response:
    """Answer App Service's /msi/token (header X-IDENTITY-HEADER) or IMDS's /metadata/identity/oauth2/token (header Metadata).

    200 with access_token, expires_on, expires_in, resource, token_type, client_id; 400 without a resource; 401 for a
    wrong identity header.
    """
    path, _, query = request.target.partition("?")
    values = {k: v[0] for k, v in parse_qs(query).items()}
    app_service = path.startswith("/msi/")
    if app_service and request.headers.get("x-identity-header") != state.credentials.identity_header:
        return _json(401, {"statusCode": 401, "message": "The X-IDENTITY-HEADER header is missing or wrong."})
    if not app_service and request.headers.get("metadata", "").lower() != "true":
        return _json(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
    resource = values.get("resource", "")
    if not resource or "api-version" not in values:
        return _json(400, {"error": "invalid_request", "error_description": "resource and api-version are required"})
    principal = values.get("client_id") or values.get("mi_res_id") or SYSTEM_ASSIGNED
    text, claims = issue(state, principal, resource, state.switches.token_lifetime_s)
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
