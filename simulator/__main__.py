"""`python -m simulator`: serve a simulated Azure on loopback until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import signal
import sys
from pathlib import Path
from typing import Any

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core.switches import Switches, switched
from simulator.server import Edge, running
from simulator.state.clock import ScaledClock
from simulator.state.world import World, world_from_json

USAGE_ERROR = 2


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=18080, help="http port on 127.0.0.1; 0 for a free one")
    parser.add_argument("--tls-port", type=int, help="also serve https on this port; 0 for a free one (needs --tls-dir)")
    parser.add_argument("--tls-dir", type=Path, help="folder for ca.pem, srv.pem and srv.key")
    parser.add_argument("--world", type=Path, help="a JSON file that describes the world")
    parser.add_argument("--fleet", type=int, help="use a world with this many mirrors")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same ids, etags and times")
    parser.add_argument("--switches", default="{}", help='JSON, for example \'{"latency": "fixed:3"}\'')
    parser.add_argument("--scale", type=float, default=1.0, help="speed of the clock as a multiple of real time")
    found = parser.parse_args(words)
    if (found.tls_port is None) != (found.tls_dir is None):
        parser.error("--tls-port and --tls-dir belong together")
    return found


def _world(found: argparse.Namespace) -> World:
    if found.world is not None:
        return world_from_json(found.world.read_text(encoding="utf-8"))
    return worlds.fleet(found.fleet) if found.fleet else worlds.default()


def _announce(edge: Edge, seed: int) -> None:
    print(f"simulated Azure, seed {seed}; for tests only, loopback only", file=sys.stderr)
    for name, value in edge.environment().items():
        print(f"export {name}={value}", file=sys.stderr)
    if edge.tls_url:
        print(f"# https: {edge.tls_url} (az cloud register --endpoint-resource-manager)", file=sys.stderr)
    for member in list(edge.cloud.members)[:10]:
        print(f"# status page of {member}: {edge.page_url(member)}", file=sys.stderr)
    print(f"ready {edge.url}", flush=True)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f'--switches is not JSON, such as \'{{"latency": "fixed:3"}}\': {error}') from error


async def _serve(found: argparse.Namespace, cloud: Cloud) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with running(cloud, found.port, tls_port=found.tls_port, tls_dir=found.tls_dir) as edge:
        _announce(edge, found.seed)
        await stop.wait()


def main(words: list[str]) -> int:
    """Serve until a signal arrives. Returns 0, or 2 for unusable arguments."""
    found = _arguments(words)
    try:
        switches = switched(Switches(), _json(found.switches))
        clock = ScaledClock(found.scale)
        cloud = Cloud(_world(found), seed=found.seed, now=clock, switches=switches)
    except OSError as error:
        print(f"simulator: --world {error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE_ERROR
    except ValueError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return USAGE_ERROR
    try:
        asyncio.run(_serve(found, cloud))
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        print(f"simulator: {error}{'; name another port with --port (0: a free one)' if taken else ''}", file=sys.stderr)
        return USAGE_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
