"""`python -m serve`: the Function app on 127.0.0.1 until SIGTERM or SIGINT, with settings from the environment.

In Azure the host and the worker are two processes, and the worker is killed: at a stop, and after a time-out. Here both are
one, so it ends without running what an app may have left for its end, and a restart of the worker is a new program in the same
process, with the same listening socket. A function that blocks the event loop blocks this host, too.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from aiohttp import web

from serve import schedule, settings, timers, worker
from serve.host import Host
from serve.routes import TemplateError
from serve.settings import Settings, SettingsError
from serve.worker import AppError, Function

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = Path.cwd()
"""Where we were started; the app's folder is the working directory later."""

SOCKET: Final = "SERVE_LISTENING_SOCKET"
log = logging.getLogger("serve")


async def serve(host_settings: Settings) -> NoReturn:
    """Load the app, answer until a signal, drain, and be gone. Raises AppError, TemplateError, OSError."""
    functions = await worker.load(host_settings.folder)
    host = Host(host_settings, functions)
    # The limit on a line leaves room for the url limit, which has its own answer.
    # No access log: function keys travel in urls.
    server = web.Server(
        host.handle, access_log=None, max_line_size=65536, max_field_size=65536, keepalive_timeout=75.0, lingering_time=0.5
    )
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    listening = _listening(host_settings.port)
    successor = listening.dup()
    await web.SockSite(runner, listening, backlog=1024).start()
    clocks = _start_timers(host, host_settings)
    stop = _stop_at_signal()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    print(f"ready {base}/{host_settings.route_prefix}".rstrip("/"), flush=True)
    ends: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait()), host.restart]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for clock in clocks:
        clock.cancel()
    if not stop.is_set():
        log.error("worker.restarted running=%d", host.running)
        await runner.cleanup()
        _succeed(successor)
    log.info("serve.stopping running=%d", host.running)
    successor.close()
    await asyncio.gather(*(site.stop() for site in runner.sites))
    left = await host.drain(host_settings.drain_s)
    if left:
        log.warning("drain.ended running=%d after_s=%s", left, host_settings.drain_s)
    await runner.cleanup()
    os._exit(0)


def _listening(port: int) -> socket.socket:
    """The socket that a worker before us has left, or a new one."""
    if left := os.environ.pop(SOCKET, ""):
        return socket.socket(fileno=int(left))
    return socket.create_server(("127.0.0.1", port), backlog=1024)


def _succeed(listening: socket.socket) -> NoReturn:
    """Start anew in this process; who connects meanwhile waits."""
    listening.set_inheritable(True)
    os.chdir(FOLDER)
    os.execve(sys.executable, sys.orig_argv, {**os.environ, SOCKET: str(listening.fileno())})  # noqa: S606 - no shell is meant


def _start_timers(host: Host, host_settings: Settings) -> list[asyncio.Task[None]]:
    """One clock per timer function; one whose schedule is unusable is reported and does not run, the rest is served."""
    clock = timers.real_clock()

    async def run(function: Function, *, last: datetime | None, upcoming: datetime | None, past_due: bool) -> object:
        # Shielded: the end of the clock must not end a run, for which drain waits.
        call = worker.call_timer(function, last=last, upcoming=upcoming, past_due=past_due)
        return await asyncio.shield(host.start(call))

    clocks = []
    for function in host.functions.values():
        if function.kind != "timerTrigger" or host_settings.is_disabled(function.name):
            continue
        try:
            when = timers.schedule_of(function, host_settings.app_settings)
        except schedule.ScheduleError as fault:
            log.error("schedule.refused function=%s fault=%s", function.name, fault)  # noqa: TRY400 - the sentence says all
            continue
        clocks.append(asyncio.create_task(timers.keep(function, when, clock=clock, run=run)))
    return clocks


def _stop_at_signal() -> asyncio.Event:
    """Set at the first SIGTERM or SIGINT; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
    return stop


def main() -> int:
    """Run the host; 2 for settings it can't use, 1 for an app that can't be loaded or a port that is taken."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # The SDK logs each request's headers at INFO.
    for name in ("azure.core", "azure.identity", "azure_functions_runtime"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        asyncio.run(serve(settings.load(os.environ, default_folder=ROOT)))
    except SettingsError as fault:
        print(f"serve: {fault}", file=sys.stderr)
        return 2
    except (AppError, TemplateError, OSError) as fault:
        taken = isinstance(fault, OSError) and fault.errno == errno.EADDRINUSE
        print(f"serve: {fault}{'; set PORT to another one (0: a free one)' if taken else ''}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
