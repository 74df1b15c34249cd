"""The published ways on the same simulated Azure: the real `az`, and the SDK script, each as a process of its own."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness import Azure, plain
from simulator import worlds
from simulator.worlds import FleetMirror
from tests.interop.azurecli import AZ, ROOT, Cli


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCallAccepted:
    """Seconds that a move took from the start of the first process to the end of the last; the parts as the tool tells them."""

    took_s: float
    parts: dict[str, Any]


def log_in(folder: Path, azure: Azure) -> Cli:
    """The real az, registered with the simulated cloud and logged in with the managed identity (not measured)."""
    if not AZ.exists():
        raise FileNotFoundError(f"{AZ.relative_to(ROOT)} is missing; `make bench` installs it")
    folder.mkdir(exist_ok=True)
    found = azure.environment
    cli = Cli(folder, Path(found["REQUESTS_CA_BUNDLE"]), found["IDENTITY_ENDPOINT"], found["IDENTITY_HEADER"])
    cli("cloud", "register", "-n", "Simulated", "--endpoint-resource-manager", azure.tls_url).json()
    cli("cloud", "set", "-n", "Simulated").json()
    cli("login", "--identity", "-o", "none").json()
    return cli


async def az(cli: Cli, mirror: FleetMirror, *, back: bool = False) -> OneCallAccepted:
    """`az network nic ip-config delete` on the old NIC, then `create` on the new one."""
    old, new = (mirror.nic_b, mirror.nic_a) if back else (mirror.nic_a, mirror.nic_b)
    where = ("-g", "rg", "--subscription", mirror.subscription, "-n", "vip", "-o", "none")
    network = ("--vnet-name", "vnet", "--subnet", "default", "--private-ip-address", mirror.private_ip)
    command = ("network", "nic", "ip-config")
    began = time.perf_counter()
    deleted = await asyncio.to_thread(cli, *command, "delete", *where, "--nic-name", old)
    half = time.perf_counter()
    created = await asyncio.to_thread(
        cli, *command, "create", *where, "--nic-name", new, *network, "--public-ip-address", mirror.public_ip
    )
    took_s = time.perf_counter() - began
    for answer in (deleted, created):
        if answer.code:
            raise RuntimeError(f"az ended with {answer.code}: {answer.err[-500:]}")
    return OneCallAccepted(took_s=took_s, parts={"delete_s": half - began, "create_s": began + took_s - half})


async def sdk(azure: Azure, mirror: FleetMirror, *, again: bool = False) -> OneCallAccepted:
    """The published script in a fresh process; `again`: it then moves six times more, warm."""
    words = [azure.tls_url, azure.environment["REQUESTS_CA_BUNDLE"], mirror.subscription]
    words += [mirror.nic_a, mirror.nic_b, mirror.private_ip, mirror.public_ip, *(["--again"] if again else [])]
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.sdk_script",
        *words,
        cwd=ROOT,
        env={**plain(), **azure.environment, "NO_PROXY": "localhost,127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    took_s = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"the SDK script ended with {process.returncode}")
    return OneCallAccepted(took_s=took_s, parts=json.loads(said))


def mirror(number: int, azure: Azure) -> FleetMirror:
    """The names of one mirror."""
    return worlds.fleet_mirror(number, azure.mirrors)
