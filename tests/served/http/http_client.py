"""An independent client of the app: plain http.client, a signer of a few lines, and what the app is served with.

The simulated Azure has a fleet of small mirrors. Every test takes a mirror of its own, so that no test waits for another.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from serve import process
from vipcore.adapters.log import BY_CODE, EVENTS

FLEET: Final = 90
SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
NETWORK: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network"
TIMEOUT_S: Final = 60.0
NEVER: Final = "0 0 0 1 1 *"
PAGE_KEY: Final = "FUNCTIONS_KEY_get_dashboard"
"""A schedule that does not come up in a test run: the timer is run by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; empty for an answer that is no problem."""
        return str(self.json["code"]) if self.headers.get("content-type") == "application/problem+json" else ""


def exchange(url: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Reply:
    """One request on a connection of its own. `path` goes out as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(status=answer.status, headers={k.lower(): v for k, v in answer.getheaders()}, body=answer.read())
    finally:
        connection.close()


def signed(
    method: str,
    path: str,
    body: bytes,
    *,
    key_id: str,
    secret: bytes,
    created: int,
    expires: int | None = None,
    content_type: str = "application/json",
    alg: str = "hmac-sha256",
    tag: str = "mirror-vip",
    label: str = "sig",
    nonce: str | None = None,
) -> dict[str, str]:
    """The headers of a signed request (RFC 9421, RFC 9530), from their definitions."""
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
    nonce = nonce or secrets.token_hex(8)
    parameters = (
        '("@method" "@path" "content-type" "content-digest")'
        f";created={created};expires={created + 60 if expires is None else expires}"
        f';nonce="{nonce}";alg="{alg}";keyid="{key_id}";tag="{tag}"'
    )
    base = (
        f'"@method": {method}\n"@path": {path}\n"content-type": {content_type}\n"content-digest": {digest}\n'
        f'"@signature-params": {parameters}'
    )
    value = base64.b64encode(hmac.new(secret, base.encode(), hashlib.sha256).digest()).decode()
    return {
        "Content-Type": content_type,
        "Content-Digest": digest,
        "Signature-Input": f"{label}={parameters}",
        "Signature": f"{label}=:{value}:",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """One mirror of the fleet. Its VIP is on member A at the start."""

    name: str
    a: str
    b: str
    nic_a: str
    nic_b: str
    address: str
    keys: Mapping[str, tuple[str, bytes]]
    """Key id -> (member, secret)."""

    @property
    def key_a(self) -> str:
        """The id of A's key."""
        return f"{self.name}-a"

    @property
    def key_b(self) -> str:
        """The id of B's key."""
        return f"{self.name}-b"


@dataclass(slots=True, kw_only=True)
class HttpClient:
    """The served app, the simulated Azure behind it, and what a client knows."""

    url: str
    simulator: str
    functions_key: str
    master_key: str
    table: str
    table_name: str
    log: Path
    mirrors: list[Mirror]
    settings: Mapping[str, str] = field(repr=False)
    secret_texts: tuple[str, ...] = field(default=(), repr=False)

    @property
    def prefix(self) -> str:
        """`/api`."""
        return urlsplit(self.url).path

    def take(self, *, pages: bool = False) -> Mirror:
        """A mirror that no other test has."""
        found = next(m for m in self.mirrors if (int(m.name[1:]) % 2 == 0) is pages)
        self.mirrors.remove(found)
        return found

    def raw(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Reply:
        """A request without any key."""
        return exchange(self.url, method, self.prefix + path, headers=headers, body=body)

    def operator(self, method: str, path: str, body: object = None) -> Reply:
        """A request of an operator."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"x-functions-key": self.functions_key, **({"Content-Type": "application/json"} if data is not None else {})}
        return self.raw(method, path, headers=headers, body=data)

    def move(self, mirror: Mirror, to: str, **more: Any) -> Reply:
        """An operator's move."""
        return self.operator("POST", f"/mirrors/{mirror.name}/moves", {"to": to, "reason": "test", "operator": "ann", **more})

    def claim(
        self,
        mirror: Mirror,
        member: str,
        /,
        *,
        key_id: str | None = None,
        path: str | None = None,
        secret: bytes | None = None,
        sign_path: str | None = None,
        at: float | None = None,
        change: Callable[[dict[str, str]], object] | None = None,
        sign: Mapping[str, Any] | None = None,
        **body: Any,
    ) -> Reply:
        """A member's claim, signed now, with these fields of the body. A field set to ... is left out."""
        headers, data, where = self.prepared(
            mirror, member, key_id=key_id, path=path, secret=secret, sign_path=sign_path, at=at, sign=sign, **body
        )
        if change:
            change(headers)
        return exchange(self.url, "POST", where, headers=headers, body=data)

    def prepared(
        self,
        mirror: Mirror,
        member: str,
        /,
        *,
        key_id: str | None = None,
        path: str | None = None,
        secret: bytes | None = None,
        sign_path: str | None = None,
        at: float | None = None,
        sign: Mapping[str, Any] | None = None,
        **body: Any,
    ) -> tuple[dict[str, str], bytes, str]:
        """Headers, body and path of a claim that has not been sent."""
        now = time.time() if at is None else at
        key_id = key_id or (mirror.key_a if member == mirror.a else mirror.key_b)
        known = mirror.keys.get(key_id)
        where = self.prefix + (path or f"/mirrors/{mirror.name}/claims")
        fields = {
            "mirror": mirror.name,
            "member": member,
            "claim_id": str(uuid.uuid4()),
            "issued_at": datetime.fromtimestamp(now, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "age_ms": 0,
            "event": "NotifyBecomePrimary",
            **body,
        }
        data = json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()
        secret = secret if secret is not None else known[1] if known else bytes(32)
        headers = signed("POST", sign_path or where, data, key_id=key_id, secret=secret, created=int(now), **dict(sign or {}))
        return headers, data, where

    def timer(self) -> None:
        """Run the reconcile timer once; it goes on after this returns."""
        base = self.url.removesuffix(self.prefix)
        reply = exchange(
            base, "POST", "/admin/functions/reconcile_timer", headers={"x-functions-key": self.master_key}, body=b"{}"
        )
        assert reply.status == 202, reply

    def azure(self, method: str, path: str, body: object = None) -> Any:
        """The management of the simulated Azure."""
        data = None if body is None else json.dumps(body).encode()
        reply = exchange(self.simulator, method, f"/simulator/{path}", body=data)
        assert reply.status == 200, reply
        return reply.json

    def carrier(self, mirror: Mirror) -> str:
        """The NIC to which the simulated network brings the VIP's packets."""
        return str(self.azure("GET", f"carrier/{mirror.address}")["carrier"]).rsplit("/", 1)[-1]

    def writes(self) -> int:
        """How many NIC writes the simulated Azure has seen."""
        return sum(seen["method"] == "PUT" for seen in self.azure("GET", "history")["value"])

    def audit(self, mirror: Mirror) -> list[dict[str, Any]]:
        """The trail, newest first."""
        reply = self.operator("GET", f"/mirrors/{mirror.name}/audit?limit=1000")
        assert reply.status == 200, reply
        records: list[dict[str, Any]] = reply.json["records"]
        return records

    def state(self, mirror: Mirror) -> dict[str, Any]:
        """The status of a mirror."""
        reply = self.operator("GET", f"/mirrors/{mirror.name}")
        assert reply.status == 200, reply
        found: dict[str, Any] = reply.json
        return found


def fleet(size: int = FLEET) -> list[Mirror]:
    """The mirrors of the fleet, with keys that nobody has seen before."""
    found = []
    for number in range(size):
        name = f"M{number:05d}"
        address = f"10.0.{(16 + number * 4 + 2) // 256}.{(16 + number * 4 + 2) % 256}"
        keys = {
            f"{name}-a": (f"{name}-A", secrets.token_bytes(32)),
            f"{name}-b": (f"{name}-B", secrets.token_bytes(32)),
            f"{name}-b2": (f"{name}-B", secrets.token_bytes(48)),
        }
        nics = (f"{name.lower()}-a", f"{name.lower()}-b")
        found.append(Mirror(name=name, a=f"{name}-A", b=f"{name}-B", nic_a=nics[0], nic_b=nics[1], address=address, keys=keys))
    return found


def document(mirrors: list[Mirror], simulator: str) -> dict[str, Any]:
    """The mirrors document of the fleet. Mirrors of even numbers have status pages. `GHOST` has no NICs, `BROKEN` is faulty."""
    described: dict[str, Any] = {
        "GHOST": {
            "members": {"A": {"nic": "none-a"}, "B": {"nic": "none-b"}},
            "vips": [{"name": "v", "private_ip": "10.127.0.9"}],
        },
        "BROKEN": {"members": {"A": {"nic": "x-a"}, "B": {"nic": "x-a"}}, "vips": [{"name": "v", "private_ip": "10.127.0.8"}]},
    }
    for number, mirror in enumerate(mirrors):
        members = {mirror.a: {"nic": mirror.nic_a}, mirror.b: {"nic": mirror.nic_b}}
        if number % 2 == 0:
            for name, member in members.items():
                member["status_url"] = f"{simulator}/pages/{name}/csp/bin/mirror_status.cxw"
        described[mirror.name] = {"members": members, "vips": [{"name": "vip", "private_ip": mirror.address}]}
    keys = {key_id: {"mirror": m.name, "member": member} for m in mirrors for key_id, (member, _) in m.keys.items()}
    keys["unset"] = {"mirror": "GHOST", "member": "A"}
    return {"defaults": {"subscription_id": SUBSCRIPTION, "resource_group": "rg"}, "mirrors": described, "keys": keys}


def key_setting(key_id: str) -> str:
    """The app setting of a key id."""
    return "VIP_KEY_" + "".join(c if c.isalnum() else "_" for c in key_id.upper())


@contextlib.contextmanager
def opened(folder: Path, table: str, *, environ: Mapping[str, str] | None = None, size: int = FLEET) -> Iterator[HttpClient]:
    """Start the simulated Azure and the served app on Azurite's table; end both by their process ids."""
    plain = {"PATH": os.environ["PATH"]}
    arguments = ["--port", "0", "--fleet", str(size), "--switches", json.dumps({"latency": "fixed:0.2"})]
    simulator_log = folder / "simulator.log"
    with process.running("simulator", environment=plain, log=simulator_log, arguments=arguments) as simulated:
        exported = dict(
            line.removeprefix("export ").split("=", 1)
            for line in simulator_log.read_text().splitlines()
            if line.startswith("export ")
        )
        mirrors = fleet(size)
        audit_key = base64.b64encode(secrets.token_bytes(32)).decode()
        key_texts = {key_setting(k): base64.b64encode(secret).decode() for m in mirrors for k, (_, secret) in m.keys.items()}
        settings = {
            **plain,
            **exported,
            **key_texts,
            "PORT": "0",
            "FUNCTIONS_KEY": secrets.token_urlsafe(24),
            "FUNCTIONS_MASTER_KEY": secrets.token_urlsafe(24),
            PAGE_KEY: secrets.token_urlsafe(24),
            "VIP_TABLE": table,
            "VIP_TABLE_NAME": f"T{uuid.uuid4().hex}",
            "VIP_MIRRORS": json.dumps(document(mirrors, simulated.url)),
            "VIP_MAX_CHANGES": "3/600",
            "VIP_RECONCILE_SCHEDULE": NEVER,
            "VIP_AUDIT_KEY": audit_key,
            **(environ or {}),
        }
        log = folder / "app.log"
        with process.running("serve", environment=settings, log=log) as app:
            yield HttpClient(
                url=app.url,
                simulator=simulated.url,
                functions_key=settings["FUNCTIONS_KEY"],
                master_key=settings["FUNCTIONS_MASTER_KEY"],
                table=table,
                table_name=settings["VIP_TABLE_NAME"],
                log=log,
                mirrors=list(mirrors),
                settings=settings,
                secret_texts=(
                    *key_texts.values(),
                    audit_key,
                    *(settings[name] for name in ("FUNCTIONS_KEY", "FUNCTIONS_MASTER_KEY", PAGE_KEY)),
                ),
            )


def leaks(client: HttpClient) -> list[str]:
    """Secrets that stand in the app's log, in base64, hex or plain. Empty is what a test wants."""
    text = client.log.read_text(errors="replace")
    found = [secret for secret in client.secret_texts if secret in text]
    account_key = client.table.partition("AccountKey=")[2].partition(";")[0]
    found += [account_key] if account_key and account_key in text else []
    for mirror in client.mirrors:
        found += [key_id for key_id, (_, secret) in mirror.keys.items() if secret.hex() in text]
    return found


_LINE = re.compile(r'\S+ \S+ (INFO|WARNING|ERROR) mirror_vip ([a-z.-]+)(?: [a-z_]+=(?:"(?:[^"\\=]|\\.)*"|[!-~]+))*')


def odd_lines(log: Path) -> list[str]:
    """Lines of the app's log that have not the one form, or another level than their event. Empty is what a test wants."""
    odd = []
    for text in log.read_text(errors="replace").splitlines():
        if " mirror_vip " not in text:
            continue
        match = _LINE.fullmatch(text)
        levels = {"INFO": 20, "WARNING": 30, "ERROR": 40}
        if match is None or EVENTS.get(match[2]) not in (levels[match[1]], BY_CODE):
            odd.append(text)
    return odd
