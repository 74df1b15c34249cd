"""A simulated Azure as `make simulator` serves it, in a process of its own, and the real az logged in to it."""

import json
import queue
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pytest

from simulator.state.world import SUBSCRIPTION
from tests.interop.azurecli import AZ, ROOT, Cli

_START_S: Final = 20.0
_NETWORK: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network"
_DOCUMENTED: Final = {"tags": {"owner": "dba"}}


@dataclass(frozen=True, slots=True)
class Azure:
    """The running simulator. environment: the lines that it prints for its users."""

    url: str
    tls_url: str
    environment: dict[str, str]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the simulator's management, for example `PUT switches`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/simulator/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def switch(self, **changes: Any) -> None:
        """Change switches of the cloud."""
        self.call("PUT", "switches", changes)

    def nic(self, name: str) -> Any:
        """The NIC's document, read over ARM with a token of the managed identity."""
        return self._get(f"{_NETWORK}/networkInterfaces/{name}")

    def public_ip(self, name: str) -> Any:
        """The public IP's document."""
        return self._get(f"{_NETWORK}/publicIPAddresses/{name}")

    def requests(self, since: float) -> list[Any]:
        """What ARM was asked since that time of the cloud, tokens and management left out."""
        asked = self.call("GET", f"history?since={since}")["value"]
        return [e for e in asked if e["target"].startswith("/subscriptions/")]

    def now(self) -> float:
        """The cloud's time."""
        return float(self.call("GET", "history")["now"])

    def _get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self._token()}"}
        request = urllib.request.Request(f"{self.url}{path}?api-version=2023-11-01", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _token(self) -> str:
        query = "api-version=2019-08-01&resource=https://management.azure.com/"
        headers = {"X-IDENTITY-HEADER": self.environment["IDENTITY_HEADER"]}
        request = urllib.request.Request(f"{self.environment['IDENTITY_ENDPOINT']}?{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["access_token"])


def _world() -> dict[str, Any]:
    """Two NICs on running VMs (writes are Updating for a while) and two on none (writes are done at once)."""

    def nic(name: str, address: str, vip: tuple[str, str] | None, vm: str) -> dict[str, Any]:
        configs = [{"name": "ipconfig1", "address": address}]
        if vip:
            configs.append({"name": "vip", "address": vip[0], "public_ip": vip[1]})
        return {"name": name, "configs": configs, "vm": vm, "nsg": "nsg", "document": _DOCUMENTED}

    return {
        "vnets": [{"name": "vnet", "subnets": [{"name": "default", "prefix": "10.0.0.0/24"}]}],
        "public_ips": [{"name": "my_vip_ip"}, {"name": "pip1"}],
        "vms": [{"name": "MIRRORA", "zone": "1"}, {"name": "MIRRORB", "zone": "2"}],
        "others": [{"type": "Microsoft.Network/networkSecurityGroups", "name": "nsg"}],
        "nics": [
            nic("mirrora290_z1", "10.0.0.4", ("10.0.0.254", "my_vip_ip"), "MIRRORA"),
            nic("mirrorb280_z2", "10.0.0.5", None, "MIRRORB"),
            nic("nic-a", "10.0.0.6", ("10.0.0.100", "pip1"), ""),
            nic("nic-b", "10.0.0.7", None, ""),
        ],
    }


def _lines(stream: IO[str], into: "queue.Queue[str]") -> None:
    for line in stream:
        into.put(line.rstrip("\n"))


@pytest.fixture
def world() -> dict[str, Any]:
    """What is in Azure at the start; a module of tests may have another one."""
    return _world()


@pytest.fixture
def azure(tmp_path: Path, world: dict[str, Any]) -> Iterator[Azure]:
    """A new simulated Azure for every test."""
    path = tmp_path / "world.json"
    path.write_text(json.dumps(world))
    words = ["--port", "0", "--tls-port", "0", "--tls-dir", str(tmp_path / "tls"), "--world", str(path)]
    (tmp_path / "tls").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", *words, "--switches", '{"latency": "fixed:1.5"}'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield _announced(lines)
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)


def _announced(lines: "queue.Queue[str]") -> Azure:
    environment: dict[str, str] = {}
    tls_url = ""
    while True:
        line = lines.get(timeout=_START_S)
        if found := re.match(r"export (\w+)=(.*)", line):
            environment[found[1]] = found[2]
        elif found := re.match(r"# https: (\S+)", line):
            tls_url = found[1]
        elif found := re.match(r"ready (\S+)", line):
            return Azure(found[1], tls_url, environment)


@pytest.fixture
def az(azure: Azure, tmp_path: Path) -> Cli:
    """The real az, registered with the simulated cloud and logged in with the managed identity."""
    if not AZ.exists():
        pytest.fail(f"{AZ.relative_to(ROOT)} is missing; `make interop` installs it")
    config = tmp_path / "az"
    config.mkdir()
    found = azure.environment
    cli = Cli(config, Path(found["REQUESTS_CA_BUNDLE"]), found["IDENTITY_ENDPOINT"], found["IDENTITY_HEADER"])
    cli("cloud", "register", "-n", "Simulated", "--endpoint-resource-manager", azure.tls_url).json()
    cli("cloud", "set", "-n", "Simulated").json()
    cli("login", "--identity", "-o", "none").json()
    return cli
