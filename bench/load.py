"""A process with a thousand swaps under way: CPU per swap, memory per swap, delay of its event loop.

The core and its real adapters, in a process of their own (`python -m bench.load SETTINGS MIRRORS`), without the host's edge; the
simulated Azure and Azurite are other processes. The mirrors are spread over 50 subscriptions, so that no limit holds them.
"""

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from bench import client, harness, share
from bench.numbers import Goal, Section, p50, p99
from bench.swaps import Say
from serve import azurite
from simulator import worlds

ROOT: Final = Path(__file__).resolve().parent.parent
SUBSCRIPTIONS: Final = 50
OPERATION_S: Final = 40
PER_S: Final = 60.0
"""Claims that arrive in a second: as many as one Azurite keeps up with, which is a single Node process."""

BEAT_S: Final = 0.02
LIMIT_S: Final = 400.0


def measure(folder: Path, *, mirrors: int, seed: int, say: Say) -> Section:
    """Run the child and tell what it found."""
    say(f"{mirrors:,} swaps at once in one process, operations of {OPERATION_S} s, claims at {PER_S:g} a second")
    section = Section(name="load")
    found = run(folder, "load", mirrors=mirrors, operation_s=OPERATION_S, seed=seed, limit_s=LIMIT_S)
    delays = found.pop("delays_s")
    rows = [
        ("swaps, all moved", f"{found['moved']} of {mirrors}"),
        ("answers that asked to come again", str(sum(found["refusals"].values()))),
        ("operations under way at once, at most", str(found["most"])),
        ("seconds until the last answer", f"{found['took_s']:.1f} (Azure's own: {2 * OPERATION_S})"),
        ("CPU per swap", f"{found['cpu_s'] / mirrors * 1000:.1f} ms"),
        ("memory per concurrent swap", f"{found['kib_per_swap']:.0f} KiB"),
        (
            "event loop delay p50 / p99 / max",
            f"{p50(delays) * 1000:.0f} / {p99(delays) * 1000:.0f} / {max(delays) * 1000:.0f} ms",
        ),
    ]
    section.tables.append((f"One process, {mirrors:,} swaps at once", ("what", "measured"), rows))
    section.raw |= {**found, "delay_p50_s": p50(delays), "delay_p99_s": p99(delays), "delay_max_s": max(delays)}
    section.goals.append(Goal(what="memory per concurrent swap", limit=200, measured=found["kib_per_swap"], unit="KiB"))
    return section


def run(
    folder: Path, name: str, *, mirrors: int, operation_s: int, seed: int, limit_s: float, held: share.Held | None = None
) -> dict[str, Any]:
    """What the child found; `held` is the share of a core that it gets."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(fleet_document(mirrors)))
    world = worlds.fleet(mirrors, SUBSCRIPTIONS)
    switches = {"latency": f"fixed:{operation_s}", "history_max": 1}
    with azurite.running() as table, harness.azure(folder, world, seed=seed, switches=switches, name=f"azure-{name}") as azure:
        settings = folder / f"{name}-settings.json"
        settings.write_text(json.dumps(harness.app_environment(azure, table, path, name)))
        words = [sys.executable, "-m", "bench.load", str(settings), str(mirrors)]
        with subprocess.Popen(words, cwd=ROOT, env=harness.plain(), stdout=subprocess.PIPE) as child:
            try:
                if held:
                    held.hold(child)
                said, _ = child.communicate(timeout=limit_s)
            finally:
                child.kill()
    if child.returncode:
        raise RuntimeError(f"bench.load ended with {child.returncode}")
    found: dict[str, Any] = json.loads(said)
    return found


def fleet_document(mirrors: int) -> dict[str, Any]:
    """The mirrors over 50 subscriptions, without public IPs; the B sides have keys."""
    found, keys = {}, {}
    for number in range(mirrors):
        mirror = worlds.fleet_mirror(number, SUBSCRIPTIONS)
        below = f"/subscriptions/{mirror.subscription}/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces"
        members = {f"{mirror.name}-A": {"nic": f"{below}/{mirror.nic_a}"}, f"{mirror.name}-B": {"nic": f"{below}/{mirror.nic_b}"}}
        found[mirror.name] = {"members": members, "vips": [{"name": "vip", "private_ip": mirror.private_ip}]}
        keys[f"{mirror.name.lower()}-b"] = {"mirror": mirror.name, "member": f"{mirror.name}-B"}
    return {
        "defaults": {"subscription_id": worlds.fleet_subscription(0), "resource_group": "rg"},
        "mirrors": found,
        "keys": keys,
    }


async def _child(settings: dict[str, str], mirrors: int) -> dict[str, Any]:
    """All mirrors claim at once; what it cost."""
    from vipcore.adapters import wiring
    from vipcore.entry import claims, signatures  # late: the parent needs none of it
    from vipcore.errors import Refusal
    from vipcore.settings import environment  # late: the parent needs none of it

    os.environ.update({name: value for name, value in settings.items() if name.startswith("IDENTITY_")})
    loaded = environment.load(settings, ROOT)
    wired = wiring.build(loaded, environ=settings)
    controller = wired.controller
    refusals: Counter[str] = Counter()

    async def one(number: int) -> str:
        await asyncio.sleep(number / PER_S)
        name = worlds.fleet_mirror(number, SUBSCRIPTIONS).name
        while True:
            target, data, headers = client.signed("http://127.0.0.1/api", name, f"{name}-B")
            lower = {key.lower(): value for key, value in headers.items()}
            request = signatures.HttpRequest(method="POST", url=target, headers=lower, body=data)
            try:
                answer = await claims.claim(controller, request, name, f"bench-{number}")
            except Refusal as refusal:
                # As the agent does; on a busy machine Azurite does not always answer in time.
                refusals[refusal.code] += 1
                if refusal.retry_after_s is None:
                    raise
                await asyncio.sleep(refusal.retry_after_s)
                continue
            return str(answer["outcome"])

    await one(0)
    gc.collect()
    before, most, highest = _rss_kib(), 0, 0
    delays: list[float] = []

    async def watch() -> None:
        nonlocal most, highest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(BEAT_S)
            delays.append(max(0.0, time.perf_counter() - began - BEAT_S))
            most = max(most, controller.arm.polling_now.count)
            highest = max(highest, _rss_kib())

    watching = asyncio.ensure_future(watch())
    events = _Events()
    cpu, began = time.process_time(), time.perf_counter()
    answers = await asyncio.gather(*(one(number) for number in range(1, mirrors)), return_exceptions=True)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    watching.cancel()
    await wired.close()
    others = sorted({repr(answer)[:300] for answer in answers if answer not in ("moved", "confirmed")})
    return {
        "moved": 1 + sum(answer in ("moved", "confirmed") for answer in answers),
        "others": others[:5],
        "refusals": dict(refusals),
        "most": most,
        "took_s": took_s,
        "accepted_s": events.last.get("claim.accepted", began) - began,
        "placed_s": events.last.get("swap.completed", began) - began,
        "events": dict(events.count),
        "cpu_s": cpu_s,
        "kib_per_swap": (highest - before) / mirrors,
        "delays_s": delays,
    }


class _Events(logging.Handler):
    """How often the app's log told of each event, and when last; as in Azure, lines of INFO are written."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        logger = logging.getLogger("mirror_vip")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the log."""
        event = record.getMessage().partition(" ")[0]
        self.count[event] += 1
        self.last[event] = time.perf_counter()


def _rss_kib() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_child(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])))))
