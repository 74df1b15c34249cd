"""What the demo and the playground run on: the simulated Azure, Azurite, the served app, a configured agent for each member."""

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serve import azurite, process

MIRROR: Final = "PROD"
MEMBERS: Final = {"MIRRORA": "mirrora290_z1", "MIRRORB": "mirrorb280_z2"}
VIP_ADDRESS: Final = "10.0.0.254"
PUBLIC_IP: Final = "my_vip_ip"
TABLE_NAME: Final = "MirrorVip"
REQUEST_TIMEOUT_S: Final = 30.0
_LATENCY: Final = re.compile(r"modern|2022|2019|fixed:\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """Everything up: where it answers, and each member's agent configuration."""

    simulator: str
    table: str  # a connection string
    api: str
    function_key: str
    agents: Mapping[str, Path]
    app: process.Server
    settings: Mapping[str, str]  # of the app, for whoever runs another instance of it

    def status(self) -> dict[str, Any]:
        """The mirror's status, as an operator asks for it with `curl`."""
        url = f"{self.api}/mirrors/{MIRROR}"
        status: dict[str, Any] = _json("GET", url, headers={"x-functions-key": self.function_key})
        return status

    def set_page(self, member: str, mode: str) -> None:
        """Let a member's status page say `primary` or `backup`, or `refuse` every connection."""
        _json("PUT", f"{self.simulator}/simulator/pages/{member}", body={"mode": mode})

    def carrier(self) -> str:
        """The NIC on which the simulated network delivers the VIP's packets now; empty if it is on none."""
        return str(_json("GET", f"{self.simulator}/simulator/carrier/{VIP_ADDRESS}")["carrier"])

    def operations(self) -> list[dict[str, Any]]:
        """Azure's asynchronous operations so far: `resource`, `started_at`, and `finished_at` (null while it runs)."""
        found: list[dict[str, Any]] = _json("GET", f"{self.simulator}/simulator/operations")["value"]
        return found

    def writes(self) -> list[dict[str, Any]]:
        """Every write to a NIC that the simulated Azure has received, oldest first."""
        history = _json("GET", f"{self.simulator}/simulator/history")["value"]
        return [asked for asked in history if asked["method"] == "PUT" and "/networkinterfaces/" in _path(asked)]


def latency(text: str) -> str:
    """A latency that the simulated Azure knows, for argparse. Raises ValueError."""
    if not _LATENCY.fullmatch(text):
        raise ValueError(text)
    return text


@contextlib.contextmanager
def standing(
    folder: Path, *, seed: int, latency: str, say: Callable[[str], None], settings: Mapping[str, str] | None = None
) -> Iterator[Harness]:
    """Start it all, in this order, and end it in the opposite one, each process by its id, whatever happens.

    `folder` takes configurations and logs; `latency` is the simulator's switch of that name; `settings` are the app's, besides
    or instead of those made here. `say` is told what is being started. Raises process.ProcessError or azurite.AzuriteError if a
    part does not start.
    """
    plain = {"PATH": os.environ["PATH"]}
    with contextlib.ExitStack() as stack:
        say("simulated Azure")
        log = folder / "simulator.log"
        arguments = ["--port", "0", "--seed", str(seed), "--switches", json.dumps({"latency": latency})]
        simulated = stack.enter_context(process.running("simulator", environment=plain, log=log, arguments=arguments))
        say("Table service (Azurite)")
        service = stack.enter_context(azurite.running())
        secret_of = {member: base64.b64encode(secrets.token_bytes(32)).decode() for member in MEMBERS}
        made = {
            **plain,
            **_exported(log),
            "PORT": "0",
            "FUNCTIONS_KEY": secrets.token_urlsafe(24),
            "FUNCTIONS_MASTER_KEY": secrets.token_urlsafe(24),
            # Whoever ends this has seen enough: a swap that is under way would be waited for.
            "SERVE_DRAIN_S": "1",
            "VIP_TABLE": service.connection_string,
            "VIP_TABLE_NAME": TABLE_NAME,
            "VIP_MIRRORS": json.dumps(_mirrors_document(simulated.url)),
            **{f"VIP_KEY_{member}_1": secret for member, secret in secret_of.items()},
            **(settings or {}),
        }
        say("Function app")
        app = stack.enter_context(process.running("serve", environment=made, log=folder / "app.log"))
        servers = {"the simulated Azure": simulated, "the Function app": app}
        stack.enter_context(_blaming(servers))
        yield Harness(
            simulator=simulated.url,
            table=service.connection_string,
            api=app.url,
            function_key=made["FUNCTIONS_KEY"],
            app=app,
            settings=made,
            agents={member: _agent(folder, member, secret_of[member], app.url, simulated.url) for member in MEMBERS},
        )


@contextlib.contextmanager
def _blaming(servers: Mapping[str, process.Server]) -> Iterator[None]:
    """Where something can't be reached since its server has ended, say that instead."""
    try:
        yield
    except (OSError, http.client.HTTPException) as fault:
        for name, server in servers.items():
            if (code := server.process.poll()) is not None:
                raise process.ProcessError(f"{name} ended with {code} while it was needed") from fault
        raise


def _mirrors_document(simulator: str) -> dict[str, Any]:
    """One mirror on the simulator's default world, one key for each member."""
    members = {name: {"nic": nic, "status_url": _page(simulator, name)} for name, nic in MEMBERS.items()}
    vips = [{"name": "vip", "private_ip": VIP_ADDRESS, "public_ip": PUBLIC_IP}]
    return {
        "defaults": {"subscription_id": "00000000-0000-0000-0000-000000000000", "resource_group": "rg"},
        "mirrors": {MIRROR: {"members": members, "vips": vips}},
        "keys": {f"{name.lower()}-1": {"mirror": MIRROR, "member": name} for name in MEMBERS},
    }


def _agent(folder: Path, member: str, secret: str, api: str, simulator: str) -> Path:
    """Write a member's key file and agent.ini, as an administrator would on its node."""
    key_file = folder / f"{member.lower()}-1.key"
    key_file.touch(mode=0o600)
    key_file.write_text(secret + "\n")
    config = folder / f"{member.lower()}.ini"
    config.write_text(
        f"[agent]\nurl = {api}\nmirror = {MIRROR}\nmember = {member}\n"
        f"key_id = {member.lower()}-1\nkey_file = {key_file}\n"
        f"primary_check = {_page(simulator, member)}\nlog_file = {folder / member.lower()}.log\n"
    )
    return config


def _page(simulator: str, member: str) -> str:
    return f"{simulator}/pages/{member}/csp/bin/mirror_status.cxw"


def _exported(log: Path) -> dict[str, str]:
    """The environment that the simulator tells its users to export."""
    lines = [line.removeprefix("export ") for line in log.read_text().splitlines() if line.startswith("export ")]
    return dict(line.split("=", 1) for line in lines)


def _path(asked: Mapping[str, Any]) -> str:
    return str(asked["target"]).partition("?")[0].lower()


def _json(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}), method=method)  # noqa: S310 - our own http
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310 - as above
        return json.load(answer)
