"""The identity's access tokens: fetched once for all requests, kept until they are due, replaced after a 401 of ARM.

azure-core's own policy does not fit: it repeats a request after a challenge, which the port forbids, and after a 401 it uses the
same credential again, whose cache returns the token that was refused (azure-identity 1.27.0).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from vipcore.errors import NoToken

EARLY_S: Final = 300.0
"""How long before it expires a token is replaced. Tokens of managed identities live for hours."""

AGAIN_S: Final = 30.0
"""How long a token that is due but still valid is used on if no new one can be fetched."""

FETCH_S: Final = 6.0
"""How long the identity's endpoint may take, tries of azure-identity included. Below the time in which a NIC must be read."""

PAUSE_S: Final = 5.0
"""How long the endpoint is left alone after it gave no token: it throttles those who ask on (429)."""


class Identity:
    """The app's managed identity: a credential of azure-core, for every client of this process.

    `new_credential` makes a credential with an empty cache. Who asks raises NoToken where there is none.
    """

    def __init__(self, new_credential: Callable[[], AsyncSupportsTokenInfo]) -> None:
        self._new_credential = new_credential
        self._credential: AsyncSupportsTokenInfo | None = None
        self._tokens: dict[str, AccessTokenInfo] = {}
        self._due_at: dict[str, float] = {}
        self._refused = ""
        self._ask_again_at = 0.0
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)
        """By scope: one request fetches a token, all others wait for it."""

    async def get_token_info(self, *scopes: str, options: object = None) -> AccessTokenInfo:  # noqa: ARG002  # azure-core's shape
        """The token for one scope. Raises NoToken."""
        (scope,) = scopes
        async with self._locks[scope]:
            kept = self._tokens.get(scope)
            if kept is not None and time.time() < self._due_at[scope]:
                return kept
            if time.monotonic() < self._ask_again_at:
                raise NoToken(self._refused)
            try:
                self._credential = self._credential or self._new_credential()
                async with asyncio.timeout(FETCH_S):
                    token = await self._credential.get_token_info(scope)
            except (AzureError, OSError) as exc:  # TimeoutError is an OSError
                if kept and time.time() < kept.expires_on - AGAIN_S:
                    self._due_at[scope] = time.time() + AGAIN_S
                    return kept
                status = f"HTTP {exc.status_code}: " if isinstance(exc, HttpResponseError) and exc.status_code else ""
                what = " ".join(str(exc).split())[:300] or f"no answer within {FETCH_S:g} s"
                self._refused = f"the managed identity gave no token; its endpoint says {status}{what}"
                self._ask_again_at = time.monotonic() + PAUSE_S
                raise NoToken(self._refused) from exc
            now, expires_on = time.time(), token.expires_on
            self._tokens[scope] = token
            self._due_at[scope] = token.refresh_on or expires_on - min(EARLY_S, (expires_on - now) / 2)
            return token

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """As get_token_info, in azure-core's older form."""
        info = await self.get_token_info(*scopes)
        return AccessToken(info.token, info.expires_on)

    def is_current(self, scope: str, token: AccessTokenInfo) -> bool:
        """Whether this token is the one that the next request would get."""
        return self._tokens.get(scope) is token

    async def close(self) -> None:
        """Drop the tokens and close the credential; the next request makes new ones."""
        credential, self._credential = self._credential, None
        self._tokens.clear()
        if credential is not None:
            await credential.close()

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class TokenPolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Puts the identity's token for ARM on each request."""

    def __init__(self, identity: Identity, scope: str) -> None:
        super().__init__()
        self._identity, self._scope = identity, scope

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        """See azure-core. Raises NoToken: the request was not sent."""
        token = await self._identity.get_token_info(self._scope)
        request.http_request.headers["authorization"] = f"Bearer {token.token}"
        response = await self.next.send(request)
        if response.http_response.status_code == 401 and self._identity.is_current(self._scope, token):
            await self._identity.close()
        return response
