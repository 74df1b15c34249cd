"""What the measurements run on: simulated Azures, Azurite and served apps as processes on loopback, each ended by its id."""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serve import azurite, process
from simulator import worlds
from simulator.state.world import World

TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Azure:
    """A running simulator. Each mirror of its fleet is in a subscription of its own, so that none waits for another's reads."""

    url: str
    tls_url: str
    environment: Mapping[str, str]
    mirrors: int

    def switch(self, **changes: Any) -> None:
        """Change switches of the cloud."""
        call("PUT", f"{self.url}/simulator/switches", changes)

    def now(self) -> float:
        """The cloud's time, in seconds."""
        return float(call("GET", f"{self.url}/simulator/history?since=9e18")["now"])

    def requests(self, since: float) -> dict[str, list[dict[str, Any]]]:
        """What ARM was asked since then, by subscription."""
        found: dict[str, list[dict[str, Any]]] = {}
        for asked in call("GET", f"{self.url}/simulator/history?since={since}")["value"]:
            if asked["target"].startswith("/subscriptions/"):
                found.setdefault(asked["target"].split("/")[2].partition("?")[0], []).append(asked)
        return found

    def operations(self) -> dict[str, list[tuple[float, float]]]:
        """(start, end) of every operation, by subscription, in seconds of the cloud's clock."""
        found: dict[str, list[tuple[float, float]]] = {}
        for one in call("GET", f"{self.url}/simulator/operations")["value"]:
            found.setdefault(one["subscription"], []).append((one["started_at"], one["ends_at"]))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A served Function app."""

    url: str
    pid: int
    log: Path


def call(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
    """One JSON request to a server of ours."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))  # noqa: S310  # our own http
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # as above
        return json.load(answer)


def fleet(mirrors: int, *, at_once: bool = False, public_ip: bool = True) -> World:
    """A fleet with a subscription for each mirror. at_once: NICs on no VM, whose writes are done when they are answered."""
    world = worlds.fleet(mirrors, mirrors, public_ip=public_ip)
    if at_once:
        world = dataclasses.replace(world, nics=tuple(dataclasses.replace(nic, vm="") for nic in world.nics), vms=())
    return world


@contextlib.contextmanager
def azure(folder: Path, world: World, *, seed: int, switches: Mapping[str, Any], name: str = "azure") -> Iterator[Azure]:
    """A simulator in a process of its own, http and https."""
    here = folder / name
    here.mkdir()
    (here / "world.json").write_text(json.dumps(dataclasses.asdict(world)))
    words = ["--port", "0", "--tls-port", "0", "--tls-dir", str(here), "--world", str(here / "world.json")]
    words += ["--seed", str(seed), "--switches", json.dumps({"history_max": 200_000, **switches})]
    log = here / "log"
    with process.running("simulator", environment=plain(), log=log, arguments=words) as server:
        lines = log.read_text().splitlines()
        exported = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        tls_url = next(line.split()[2] for line in lines if line.startswith("# https: "))
        yield Azure(url=server.url, tls_url=tls_url, environment=exported, mirrors=len(world.subscriptions))


@contextlib.contextmanager
def app(
    folder: Path,
    cloud: Azure,
    table: azurite.Azurite,
    document: Mapping[str, Any],
    *,
    name: str,
    extra: Mapping[str, str] | None = None,
) -> Iterator[App]:
    """The app in Microsoft's worker runtime, with a table of its own."""
    mirrors = folder / f"{name}.json"
    mirrors.write_text(json.dumps(document))
    log = folder / f"{name}.log"
    with process.running("serve", environment=app_environment(cloud, table, mirrors, name, extra), log=log) as server:
        yield App(url=server.url, pid=server.pid, log=log)


def app_environment(
    cloud: Azure, table: azurite.Azurite, mirrors: Path, name: str, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The settings of an app whose keys are those of `secret_of`."""
    key_ids = json.loads(mirrors.read_text())["keys"]
    return {
        **plain(),
        **{key: value for key, value in cloud.environment.items() if key != "REQUESTS_CA_BUNDLE"},
        "PORT": "0",
        "VIP_TABLE": table.connection_string,
        "VIP_TABLE_NAME": "Bench" + "".join(part for part in name if part.isalnum()),
        "VIP_MIRRORS": str(mirrors),
        "VIP_MAX_CHANGES": "90/60",
        **{f"VIP_KEY_{key_id.upper().replace('-', '_')}": base64.b64encode(secret_of(key_id)).decode() for key_id in key_ids},
        **(extra or {}),
    }


def plain() -> dict[str, str]:
    """All that our servers get of the caller's environment."""
    return {"PATH": os.environ["PATH"]}


def secret_of(key_id: str) -> bytes:
    """A key's secret: made from its name, as nothing is at stake here."""
    return hashlib.sha256(f"bench {key_id}".encode()).digest()


def document(numbers: Sequence[int], mirrors: int, *, strategy: str = "auto", public_ip: bool = True) -> dict[str, Any]:
    """The mirrors document of these mirrors of `fleet(mirrors)`, a key for each member."""
    found: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for number in numbers:
        mirror = worlds.fleet_mirror(number, mirrors)
        below = f"/subscriptions/{mirror.subscription}/resourceGroups/rg/providers/Microsoft.Network"
        vip: dict[str, Any] = {"name": "vip", "private_ip": mirror.private_ip}
        if public_ip:
            vip["public_ip"] = f"{below}/publicIPAddresses/{mirror.public_ip}"
        sides = {f"{mirror.name}-A": mirror.nic_a, f"{mirror.name}-B": mirror.nic_b}
        members = {name: {"nic": f"{below}/networkInterfaces/{nic}"} for name, nic in sides.items()}
        found[mirror.name] = {"members": members, "vips": [vip], "strategy": strategy}
        keys |= {name.lower(): {"mirror": mirror.name, "member": name} for name in members}
    defaults = {"subscription_id": worlds.fleet_subscription(0), "resource_group": "rg"}
    return {"defaults": defaults, "mirrors": found, "keys": keys}


def agent_config(folder: Path, api: str, mirror: str, member: str) -> Path:
    """Write a member's key file and agent.ini."""
    key_id = member.lower()
    key_file = folder / f"{key_id}.key"
    key_file.touch(mode=0o600)
    key_file.write_text(base64.b64encode(secret_of(key_id)).decode() + "\n")
    config = folder / f"{key_id}.ini"
    config.write_text(
        f"[agent]\nurl = {api}\nmirror = {mirror}\nmember = {member}\nkey_id = {key_id}\nkey_file = {key_file}\n"
        f"log_file = {folder / key_id}.log\n"
    )
    return config
