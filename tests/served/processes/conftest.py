"""One harness for the short tests; the tests that mostly wait run beside them in threads.

A killed driver's lease lasts 10 s, and nothing may shorten it. The tests that wait for that have harnesses of their own in
threads, which start with the first test of this folder; the tests that ask for their results come last.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.served.processes import harness, test_kills, test_outage, test_two_controllers
from tests.served.processes.harness import App, Harness

HERE: Final = Path(__file__).parent
MIRRORS: Final = 100
KILLS: Final = test_kills.Plan(mirrors=10, rounds=1000, kills=8, lives_s=(0.1, 0.9))
SCENARIOS: Final[dict[str, Callable[[Path], Any]]] = {
    "kills": lambda folder: test_kills.run(folder, KILLS),
    "outage": test_outage.run,
    "two_controllers": test_two_controllers.run,
}


class Scenario(threading.Thread):
    """A scenario on its way, and what became of it."""

    def __init__(self, play: Callable[[Path], Any], folder: Path) -> None:
        super().__init__(daemon=True)
        self.play = play
        self.folder = folder
        self.result: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """To its end."""
        try:
            self.result = self.play(self.folder)
        except BaseException as error:
            self.error = error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait for a scenario come after the others of this folder."""
    ours = [item for item in items if HERE in item.path.parents]
    if ours:
        first = items.index(ours[0])
        others = [item for item in items if item not in ours]
        ours.sort(key=lambda item: "background" in getattr(item, "fixturenames", ()))
        items[:] = others[:first] + ours + others[first:]


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scenario]]:
    """The scenarios whose tests were selected, started."""
    selected = {Path(item.path).stem for item in request.session.items if item.get_closest_marker("soak") is None}
    threads = {
        name: Scenario(play, tmp_path_factory.mktemp(name)) for name, play in SCENARIOS.items() if f"test_{name}" in selected
    }
    yield threads
    for thread in threads.values():
        thread.join()


@pytest.fixture
def background(begun: dict[str, Scenario]) -> Callable[[str], Any]:
    """The result of a scenario, by name, once it has ended."""

    def result(name: str) -> Any:
        scenario = begun[name]
        scenario.join()
        if scenario.error is not None:
            raise scenario.error
        return scenario.result

    return result


@pytest.fixture(scope="session")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One harness for the short tests; each plays on mirrors of its own."""
    # Each confirmed claim reads two NICs: under Azure's 25 reads a second the steady ones need several subscriptions.
    scale = harness.Scale(mirrors=MIRRORS, seed=harness.seed(), subscriptions=4, switches={"latency": "fixed:0.8"})
    with harness.standing(tmp_path_factory.mktemp("harness"), scale) as standing:
        yield standing


@pytest.fixture(scope="session")
def apps(stand: Harness) -> Iterator[tuple[App, App]]:
    """Two served instances side by side on the same table."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(harness.served(stand, "app-1")), stack.enter_context(harness.served(stand, "app-2"))
