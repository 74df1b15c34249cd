"""The tiny app in tests/served/host/app, served as `make serve` serves ours."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from serve import process
from serve.process import Server

APP: Final = Path(__file__).parent / "app"
Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def serve_app(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """How to start the tiny app with settings of one's own, given by name; it ends with the block."""

    def start(**settings: str) -> AbstractContextManager[Server]:
        log = tmp_path_factory.mktemp("serve") / "log"
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": "0",
            "APP_DIR": str(APP),
            "TICK_SCHEDULE": "0 0 0 1 1 *",
            "AzureWebJobs.off.Disabled": "true",
            "AzureWebJobs.off_keyed.Disabled": "1",
            "FUNCTIONS_KEY_keyed": "keyed-own",
            "FUNCTIONS_KEY_admin_only": "masters-own",
            **settings,
        }
        return process.running("serve", environment=environment, log=log)

    return start


@pytest.fixture(scope="session")
def app(serve_app: Serve) -> Iterator[Server]:
    """One served tiny app for all tests that leave it as it was."""
    with serve_app() as server:
        yield server
