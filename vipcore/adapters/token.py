"""The access token of ARM requests: fetched once for all of them, kept until it is due, replaced after a 401.

azure-core's own policy does not fit: it repeats a request after a challenge, which the port forbids, and after a 401 it uses the
same credential again, whose cache returns the token that was refused (azure-identity 1.27.0).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from azure.core.credentials import AccessTokenInfo
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


class TokenPolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Puts the token on each request. `new_credential` makes a credential with an empty cache."""

    def __init__(self, new_credential: Callable[[], AsyncSupportsTokenInfo], scope: str) -> None:
        super().__init__()
        self._new_credential, self._scope = new_credential, scope
        self._credential: AsyncSupportsTokenInfo | None = None
        self._token: AccessTokenInfo | None = None
        self._due_at = 0.0
        self._refused = ""
        self._ask_again_at = 0.0
        self._lock = asyncio.Lock()

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        """See azure-core. Raises NoToken: the request was not sent."""
        token = await self._current()
        request.http_request.headers["authorization"] = f"Bearer {token.token}"
        response = await self.next.send(request)
        if response.http_response.status_code == 401 and token is self._token:
            await self.forget()
        return response

    async def forget(self) -> None:
        """Drop the token and close the credential; the next request makes new ones."""
        async with self._lock:
            credential, self._credential, self._token = self._credential, None, None
            if credential is not None:
                await credential.close()

    async def _current(self) -> AccessTokenInfo:
        async with self._lock:  # one request fetches the token, all others wait for it
            if self._token is not None and time.time() < self._due_at:
                return self._token
            if time.monotonic() < self._ask_again_at:
                raise NoToken(self._refused)
            try:
                self._credential = self._credential or self._new_credential()
                async with asyncio.timeout(FETCH_S):
                    self._token = await self._credential.get_token_info(self._scope)
            except (AzureError, OSError) as exc:  # TimeoutError is an OSError
                if self._token and time.time() < self._token.expires_on - AGAIN_S:
                    self._due_at = time.time() + AGAIN_S
                    return self._token
                status = f"HTTP {exc.status_code}: " if isinstance(exc, HttpResponseError) and exc.status_code else ""
                what = " ".join(str(exc).split())[:300] or f"no answer within {FETCH_S:g} s"
                self._refused = f"the managed identity gave no token; its endpoint says {status}{what}"
                self._ask_again_at = time.monotonic() + PAUSE_S
                raise NoToken(self._refused) from exc
            now, expires_on = time.time(), self._token.expires_on
            self._due_at = self._token.refresh_on or expires_on - min(EARLY_S, (expires_on - now) / 2)
            return self._token
