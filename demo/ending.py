"""How a command that starts servers runs and ends: by itself, by Ctrl-C, by a fault, or because nobody reads what it prints."""

import http.client
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from azure.core.exceptions import AzureError

from demo.show import NobodyReadsError, Screen
from serve.azurite import AzuriteError
from serve.process import ProcessError

INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotAsPromisedError(RuntimeError):
    """Something did not come out as it should; the message says what."""


# What a server looks like from here that did not start, or that ended while it was needed.
_FAULTS: Final = (NotAsPromisedError, ProcessError, AzuriteError, AzureError, OSError, http.client.HTTPException)


def run(name: str, work: Callable[[Screen, Path], None], *, interrupted: int) -> int:
    """Let it work with a folder of its own; the exit code, which is `interrupted` after Ctrl-C.

    Where nobody reads what it prints, the process ends by SIGPIPE, as others do. The folder goes, but after a fault, when it
    holds the logs. What `work` started must end with it, whatever it raises.
    """
    for number in _SIGNALS:
        signal.signal(number, _first)
    screen = Screen(sys.stdout)
    folder = Path(tempfile.mkdtemp(prefix=f"mirror-vip-{name}-"))
    keep, unread = False, False
    try:
        work(screen, folder)
    except _FAULTS as fault:
        keep = True
        screen.end()
        print(f"\n{screen.paint('red', 'FAILED')}  {fault}\nThe logs are in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.end()
        print(f"{name}: ended, with everything that it had started", file=sys.stderr)
        return interrupted
    except NobodyReadsError:
        unread = True
    finally:
        if not keep:
            shutil.rmtree(folder)
    if unread:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    return 0


def _first(_number: int, _frame: FrameType | None) -> None:
    """The first signal that asks for the end. Later ones must not disturb the cleaning up."""
    for number in _SIGNALS:
        # Not SIG_IGN: of two signals that come together Python would complain about the second.
        signal.signal(number, _later)
    raise KeyboardInterrupt


def _later(_number: int, _frame: FrameType | None) -> None:
    """The end is under way."""
