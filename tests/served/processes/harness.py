"""What these tests run on: a simulated Azure with a fleet, Azurite on disk, and served apps that can be killed.

Everything is a real process on loopback, ended by its id. All chance comes from a seed, which each test prints.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from serve import azurite, process
from simulator import worlds
from simulator.worlds import FleetMirror

TABLE: Final = "Processes"
FUNCTIONS_KEY: Final = "an operator"
SEED_SETTING: Final = "PROCESSES_SEED"
REQUEST_TIMEOUT_S: Final = 60.0
# Below the range that the kernel takes client ports from (32768 and up on Linux): the port of an app that is down must
# not be given to an agent that tries to reach it.
PORTS: Final = range(20000, 32000)


def seed() -> int:
    """The seed of this run: PROCESSES_SEED, else a fresh one."""
    return int(os.environ.get(SEED_SETTING) or random.SystemRandom().randrange(1_000_000))


def number(name: str, default: float) -> float:
    """A size of a long run, from the environment."""
    return float(os.environ.get(name) or default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large the fleet is, and how its Azure behaves. `switches` and `settings` are the simulator's and the app's own."""

    mirrors: int
    seed: int
    subscriptions: int = 1
    switches: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


class App:
    """One served app on a port of its own, which it keeps over restarts. `kills`: when it was killed (wall clock)."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.log = log
        self.kills: list[float] = []
        self._environment = {**environment, "PORT": str(self.port)}
        self._stack = contextlib.ExitStack()
        self._server: process.Server | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """Start it, and return when it answers. Raises process.ProcessError."""
        self._server = self._stack.enter_context(process.running("serve", environment=self._environment, log=self.log))

    def kill(self) -> None:
        """SIGKILL: it is gone in the middle of whatever it did."""
        assert self._server is not None
        self._server.process.kill()
        self.kills.append(time.time())
        self._server.process.wait()
        self._stack.close()

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        assert self._server is not None
        self._server.process.send_signal(signal.SIGTERM)

    def wait(self, within_s: float) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        assert self._server is not None
        return self._server.process.wait(within_s)

    def close(self) -> None:
        """End it if it still runs."""
        self._stack.close()

    def memory_mib(self) -> float:
        """Resident memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the kernel tells no VmRSS")


class Harness:
    """The simulated Azure and the Table service, running, and apps and agents on request."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.folder = folder
        self.scale = scale
        self.mirrors = [worlds.fleet_mirror(i, scale.subscriptions) for i in range(scale.mirrors)]
        self.simulator = ""
        self.began = time.time()
        self._arm: dict[str, str] = {}
        self._table_port = free_port()
        self._table = contextlib.ExitStack()
        self.connection = azurite.Azurite(pid=0, port=self._table_port).connection_string

    # -- what runs -----------------------------------------------------------------------------------------------------

    def open(self, stack: contextlib.ExitStack) -> None:
        """Start the simulated Azure and Azurite; `stack` ends them."""
        world = self.folder / "world.json"
        fleet = worlds.fleet(self.scale.mirrors, self.scale.subscriptions)
        world.write_text(json.dumps(dataclasses.asdict(fleet)))
        (self.folder / "mirrors.json").write_text(json.dumps(self._document()))
        log = self.folder / "simulator.log"
        switches = {"history_max": 500_000, **self.scale.switches}
        arguments = ["--port", "0", "--seed", str(self.scale.seed), "--world", str(world), "--switches", json.dumps(switches)]
        plain = {"PATH": os.environ["PATH"]}
        self.simulator = stack.enter_context(process.running("simulator", environment=plain, log=log, arguments=arguments)).url
        lines = [line.removeprefix("export ") for line in log.read_text().splitlines() if line.startswith("export ")]
        self._arm = dict(line.split("=", 1) for line in lines)
        stack.callback(self._table.close)
        self.start_table()

    def start_table(self) -> None:
        """Start Azurite on this harness's port and folder."""
        self._table.enter_context(azurite.running(port=self._table_port, directory=self.folder / "azurite"))

    def stop_table(self) -> None:
        """End it by SIGINT: it forgets its last seconds at any other signal."""
        self._table.close()

    def app(self, name: str = "app", **settings: str) -> App:
        """A served app, not started yet."""
        environment = {
            "PATH": os.environ["PATH"],
            **self._arm,
            "FUNCTIONS_KEY": FUNCTIONS_KEY,
            "VIP_TABLE": self.connection,
            "VIP_TABLE_NAME": TABLE,
            "VIP_MIRRORS": str(self.folder / "mirrors.json"),
            "VIP_MAX_CHANGES": "200/600",  # no test here is about flapping
            "VIP_RECONCILE_SCHEDULE": "*/10 * * * * *",
            **{f"VIP_KEY_{key_id(m, s).upper().replace('-', '_')}": self.secret(m, s) for m in self.mirrors for s in "AB"},
            **self.scale.settings,
            **settings,
        }
        return App(environment, self.folder / f"{name}.log")

    # -- who is there --------------------------------------------------------------------------------------------------

    def secret(self, mirror: FleetMirror, side: str) -> str:
        """The key of a member: base64, the same for a seed."""
        text = f"{self.scale.seed} {mirror.name} {side}"
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    def agent(self, mirror: FleetMirror, side: str, url: str, *, name: str = "", **settings: str) -> Path:
        """Write a member's key file and agent.ini, as an administrator would on its node, once; the path of the latter.

        `name` tells configurations of one member apart.
        """
        config = self.folder / f"{name or key_id(mirror, side)}.ini"
        if config.exists():
            return config
        key_file = config.with_suffix(".key")
        key_file.touch(mode=0o600)
        key_file.write_text(self.secret(mirror, side) + "\n")
        values = {
            "url": url,
            "mirror": mirror.name,
            "member": member(mirror, side),
            "key_id": key_id(mirror, side),
            "key_file": str(key_file),
            "log_file": str(self.folder / f"{key_id(mirror, side)}.log"),
            "retry_min_s": "0.2",
            "retry_max_s": "2",
            **settings,
        }
        config.write_text("[agent]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))
        return config

    def _document(self) -> dict[str, Any]:
        mirrors: dict[str, Any] = {}
        keys: dict[str, Any] = {}
        for mirror in self.mirrors:
            below = f"/subscriptions/{mirror.subscription}/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces"
            mirrors[mirror.name] = {
                "members": {member(mirror, side): {"nic": f"{below}/{nic(mirror, side)}"} for side in "AB"},
                "vips": [{"name": "vip", "private_ip": mirror.private_ip}],
            }
            keys |= {key_id(mirror, side): {"mirror": mirror.name, "member": member(mirror, side)} for side in "AB"}
        return {"mirrors": mirrors, "keys": keys}

    # -- what the simulated Azure tells ------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The simulator's management, for tests only."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.simulator}/simulator/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
            return json.load(answer)

    def nic_writes(self, since: float = 0.0) -> list[dict[str, Any]]:
        """The PUTs of NICs that Azure accepted, oldest first."""
        asked = self.ask("GET", f"history?since={since}")["value"]
        return [one for one in asked if one["method"] == "PUT" and one["kind"] == "nic" and one["status"] in (200, 201)]


def member(mirror: FleetMirror, side: str) -> str:
    """The member's name: side A holds the VIP at the start."""
    return f"{mirror.name}-{side}"


def key_id(mirror: FleetMirror, side: str) -> str:
    """The member's only key."""
    return f"{mirror.name}-{side}".lower()


def nic(mirror: FleetMirror, side: str) -> str:
    """The name of the member's NIC."""
    return mirror.nic_a if side == "A" else mirror.nic_b


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on and that no client gets by chance."""
    for _ in range(200):
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port found")


@contextlib.contextmanager
def standing(folder: Path, scale: Scale) -> Iterator[Harness]:
    """A harness whose Azure and Table service run until the block ends. Apps are the caller's to end."""
    print(f"{SEED_SETTING}={scale.seed}", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        harness = Harness(folder, scale)
        harness.open(stack)
        yield harness


@contextlib.contextmanager
def served(harness: Harness, name: str = "app", **settings: str) -> Iterator[App]:
    """A served app that answers, until the block ends."""
    app = harness.app(name, **settings)
    try:
        app.start()
        yield app
    finally:
        app.close()
