"""Fixtures of the agent's tests."""

import pathlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.agent.scripted import Controller, Node, Script, make_node, serving


@pytest.fixture
def serve() -> Iterator[Callable[..., Controller]]:
    """Start a controller that answers by a script."""
    with ExitStack() as stack:

        def start(script: Script, *, clock_offset_s: float = 0.0) -> Controller:
            return stack.enter_context(serving(Controller(script, clock_offset_s=clock_offset_s)))

        yield start


@pytest.fixture
def node(tmp_path: pathlib.Path) -> Node:
    """A node whose controller is not there."""
    return make_node(tmp_path)
