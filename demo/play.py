"""`make play`: the simulated Azure, a table, the app and two agents, to play with from another terminal until Ctrl-C.

Everything listens on 127.0.0.1, on free ports, with keys made for this run. The app is started again when it dies, on the port
that it had, as a Function app is. `demo/menu.txt` has what there is to try.
"""

import argparse
import contextlib
import random
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from demo import agents, ending, harness
from demo.harness import MIRROR, VIP_ADDRESS, Harness
from demo.show import Screen
from serve import process

ROOT: Final = Path(__file__).resolve().parent.parent
MENU: Final = ROOT / "demo" / "menu.txt"
FUNCTIONS: Final = ROOT / "demo" / "functions.sh"
COMMAND: Final = re.compile(r"(  |    )[^ #]")
"""A line of the menu that is a command, or the rest of one."""

# Below the range that client ports are taken from (32768 and up on Linux): the port of an app that is down stays free.
PORTS: Final = range(20000, 32000)
WATCH_S: Final = 5  # from look to look of the agents
PASSES: Final = "*/3 * * * * *"
"""The schedule of the app's timer: every 3 s, so that one who plays need not wait."""


def main(words: list[str]) -> int:
    """Set the world up, print the menu, and keep it up until a signal."""
    parser = argparse.ArgumentParser(prog="make play", description=__doc__)
    parser.add_argument(
        "--latency", type=harness.latency, default="fixed:3", help="of Azure's NIC operations (default %(default)s)"
    )
    asked = parser.parse_args(words)
    # Ctrl-C is how it is meant to end.
    return ending.run("play", lambda screen, folder: play(screen, folder, asked.latency), interrupted=0)


def play(screen: Screen, folder: Path, latency: str) -> None:
    """The world, the menu, and the app kept alive. It ends by an exception only."""
    settings = {"PORT": str(free_port()), "VIP_RECONCILE_SCHEDULE": PASSES}
    say = starting(screen)
    with contextlib.ExitStack() as stack:
        standing = stack.enter_context(harness.standing(folder, seed=0, latency=latency, say=say, settings=settings))
        for config in standing.agents.values():
            stack.enter_context(agents.watching(config, folder / "agents.log", WATCH_S))
        agents.claim(standing, "MIRRORA", "startup")
        write_environment(folder, standing)
        (folder / "app.pid").write_text(f"{standing.app.pid}\n")
        show(screen, folder, standing)
        app = stack.enter_context(contextlib.ExitStack())
        running = standing.app
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = running.process.wait(0.2)
                screen.line(f"{time.strftime('%H:%M:%S')}  The app has ended ({code}); it is started again.")
                app.close()
                running = app.enter_context(process.running("serve", environment=standing.settings, log=folder / "app.log"))
                (folder / "app.pid").write_text(f"{running.pid}\n")
                screen.line(f"{time.strftime('%H:%M:%S')}  The app is up again.")


def starting(screen: Screen) -> Callable[[str], None]:
    """Tell what is being started, where a line can move."""
    return lambda what: screen.live(f"  starting: {what}")


def write_environment(folder: Path, standing: Harness) -> None:
    """The file that the other terminal reads first. The folder is its owner's alone, as the file holds keys."""
    values: Mapping[str, str] = {
        "API": standing.api,
        "KEY": f"x-functions-key: {standing.function_key}",
        "AZURE": f"{standing.simulator}/simulator",
        "PAGE": page(standing),
        "TABLE": standing.table,
        "PLAY": str(folder),
        "PYTHON": sys.executable,
        "ROOT": str(ROOT),
    }
    given = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    (folder / "env").write_text(given + FUNCTIONS.read_text(encoding="utf-8"))


def page(standing: Harness) -> str:
    """The page's address, with its key."""
    return f"{standing.api}/dashboard?mirror={MIRROR}&code={standing.function_key}"


def show(screen: Screen, folder: Path, standing: Harness) -> None:
    """The menu."""
    screen.line(screen.paint("bold", "Mirror VIP, to play with"))
    screen.line(f"  Mirror {MIRROR}: MIRRORA is primary and has the VIP, {VIP_ADDRESS}.")
    screen.line("  real:       the Function app, its table (Azurite), the agents")
    screen.line("  simulated:  Azure's network, and the mirror")
    screen.line("  The page of it, with the key of this run:")
    screen.line(f"  {page(standing)}")
    screen.line()
    screen.line("In another terminal, this line first:")
    screen.line(f"  . {shlex.quote(str(folder / 'env'))}")
    screen.line("Then what you like; from top to bottom the answers are those below each command,")
    screen.line("behind #, with ... and … for more. Times and ids are yours.")
    screen.line()
    for line in MENU.read_text(encoding="utf-8").splitlines():
        colour = "dim" if line.startswith("  #") else "" if COMMAND.match(line) else "bold"
        screen.line(screen.paint(colour, line) if colour else line)
    screen.line()
    screen.line(f"Logs and settings are in {folder}.")
    screen.line("Ctrl-C here ends everything.")


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
