"""Azure as the scripts reach it: `az` for tokens and for what it knows, and HTTP for the rest.

No secret is ever an argument of a process or a line of output: tokens and keys travel in headers and bodies alone.
"""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 120.0
_LOOPBACK: Final = ("127.0.0.1", "localhost")


class Failure(RuntimeError):
    """A step cannot be done; the message says what happened, and what to do."""


class Lost(RuntimeError):
    """No answer came: the request may have taken effect."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: followed, it would take the token along to whatever host it names."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


_OPENER: Final = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, if it is JSON; else None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def said(self) -> str:
        """What it says of an error, for people."""
        body = self.json()
        error = body.get("error", body) if isinstance(body, dict) else {}
        text = error.get("message") if isinstance(error, dict) else error
        return f"{self.status} {text or ''}".strip()[:500]


@dataclass(slots=True)
class Azure:
    """One installation, as the operator's `az` is logged in to it."""

    resource_group: str
    pause_s: float = 5.0
    _tokens: dict[str, tuple[float, str]] = field(default_factory=dict)
    _outputs: dict[str, str] = field(default_factory=dict)

    def az(self, *arguments: str) -> Any:
        """What `az` answers, as JSON. Raises Failure with az's own words."""
        try:
            done = subprocess.run(["az", *arguments, "-o", "json"], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failure("az is missing; install the Azure CLI and run az login") from None
        if done.returncode:
            raise Failure(f"az {' '.join(arguments[:3])} failed: {done.stderr.strip()[-800:]}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def output(self, name: str) -> str:
        """An output of the deployment of main.bicep."""
        if not self._outputs:
            self._outputs = self._found_outputs()
        if name not in self._outputs:
            raise Failure(f"no deployment of {self.resource_group} has the output {name}; deploy infra/main.bicep first")
        return self._outputs[name]

    def _found_outputs(self) -> dict[str, str]:
        """Of the deployment `main`; azd names its own otherwise, so without it of the newest that has our outputs."""
        try:
            found = self.az(
                "deployment", "group", "show", "-g", self.resource_group, "-n", "main", "--query", "properties.outputs"
            )
        except Failure as fault:
            if "DeploymentNotFound" not in str(fault):
                raise
            listed = self.az("deployment", "group", "list", "-g", self.resource_group, "--query", "[].properties") or ()
            ours = [
                one
                for one in listed
                if one["provisioningState"] == "Succeeded" and "MIRROR_VIP_SITE_ID" in map(str.upper, one.get("outputs") or ())
            ]
            found = max(ours, key=lambda one: str(one["timestamp"]))["outputs"] if ours else None
        return {key.upper(): str(one["value"]) for key, one in (found or {}).items()}

    def arm(self) -> str:
        """The endpoint of Resource Manager, of the cloud that az is set to."""
        return str(self.az("cloud", "show", "--query", "endpoints.resourceManager")).rstrip("/")

    def token(self, resource: str) -> str:
        """An access token; asked for again when it is ten minutes old."""
        at, token = self._tokens.get(resource, (-1e9, ""))
        if time.monotonic() - at > 600:
            token = str(self.az("account", "get-access-token", "--resource", resource, "--query", "accessToken"))
            self._tokens[resource] = time.monotonic(), token
        return token

    def ask(
        self, method: str, url: str, *, resource: str | None, body: Any = None, data: bytes | None = None, **headers: str
    ) -> Answer:
        """One request; a status of an error is an answer too. Raises Lost; Failure for an address without https."""
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise Failure(f"{url} is not https")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            data, sent["content-type"] = json.dumps(body).encode(), "application/json"
        if resource is not None:
            sent["authorization"] = f"Bearer {self.token(resource)}"
        request = urllib.request.Request(url, data, sent, method=method)  # noqa: S310  # https, as just checked
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as reply:
                return Answer(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
        except urllib.error.HTTPError as reply:
            return Answer(reply.code, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
        except (OSError, urllib.error.URLError) as fault:
            raise Lost(f"{method} {parts.hostname}: {fault}") from fault

    def wait(self) -> None:
        """Until the next look."""
        time.sleep(self.pause_s)

    def looks(self, within_s: float) -> Iterator[None]:
        """One look at once, and more until the time is over."""
        until = time.monotonic() + within_s
        yield
        while time.monotonic() < until:
            self.wait()
            yield
