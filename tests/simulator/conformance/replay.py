"""Sends a tape's requests to a simulated cloud, at the recorded times, and compares every answer."""

import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from simulator.cloud import Cloud
from simulator.core.wire import Request, Response
from simulator.front.front import handle
from tests.simulator.conformance.matching import Difference, Names, compare
from tests.simulator.conformance.scenarios import Scenario
from tests.simulator.conformance.tapes import Step, Tape

_OPERATION: Final = re.compile(r"/(operations|operationResults)/([0-9a-fA-F-]{36})")
_START: Final = 1_600_000_000.0


class Replay:
    """One run of a tape. The cloud's clock shows the recorded date of the answer that is being compared."""

    def __init__(self, tape: Tape, scenario: Scenario) -> None:
        self.tape, self.scenario = tape, scenario
        self.time = _START
        self.names = Names()
        self.urls: dict[str, str] = {}
        self.cloud = Cloud(scenario.world, seed=7, now=lambda: self.time, switches=scenario.switches)

    def run(self) -> Iterator[Difference]:
        """Every difference, in the order of the tape."""
        for step in self.tape.steps:
            yield from self.judge(step, handle(self.cloud, self.request(step)))

    def request(self, step: Step) -> Request:
        """The recorded request with the names of the simulated cloud. Moves the clock to the step."""
        first = self.tape.steps[0].date
        if step.no in self.scenario.seconds:
            self.time = _START + self.scenario.seconds[step.no]
        elif first is not None and step.date is not None:
            self.time = _START + (step.date - first).total_seconds()
        if step.no in self.scenario.before:
            self.scenario.before[step.no](self.cloud)
        headers = {**step.headers, "authorization": self.cloud.bearer(), "host": "management.azure.com"}
        body = b"" if step.body is None else json.dumps(self.names.translate(step.body)).encode()
        return Request(step.method, self._target(step), headers, body)

    def judge(self, step: Step, response: Response) -> Iterator[Difference]:
        """The differences between the answer and the recorded one. Learns the names in the answer."""
        for name in ("azure-asyncoperation", "location"):
            recorded, simulated = step.answer_headers.get(name), response.headers.get(name)
            if recorded and simulated and (found := _OPERATION.search(recorded)):
                self.urls[found[0]] = simulated
        ignored = {**self.scenario.ignored_headers, "date": "each side's own clock"}
        return compare(step, response, self.names, ignored_headers=ignored)

    def _target(self, step: Step) -> str:
        """The target of the request. For an operation it is the URL that the simulated cloud returned."""
        found = _OPERATION.search(step.target)
        if found and found[0] in self.urls:
            url = urlsplit(self.urls[found[0]])
            return f"{url.path}?{url.query}"
        return step.target
