"""Recorded exchanges with real Azure as values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange. no: its number in the recording. Bodies are parsed JSON, None if empty.

    style: how the recorded JSON was written, `compact` or `pretty` (with CRLF). Header names are in lower case.
    """

    no: int
    method: str
    target: str
    headers: Mapping[str, str]
    body: Any
    status: int
    answer_headers: Mapping[str, str]
    answer: Any
    style: str

    @property
    def date(self) -> datetime | None:
        """The time of the answer, to the second; None if the recorder removed the header."""
        text = self.answer_headers.get("date")
        return parsedate_to_datetime(text) if text else None


@dataclass(frozen=True, slots=True)
class Tape:
    """The selected exchanges of a recording, in order of time."""

    name: str
    source: str
    steps: tuple[Step, ...]

    def step(self, no: int) -> Step:
        """The exchange of that number; KeyError if the tape does not hold it."""
        for step in self.steps:
            if step.no == no:
                return step
        raise KeyError(no)


def load(name: str) -> Tape:
    """The tape of this name from data/tapes."""
    raw = json.loads((DATA / "tapes" / f"{name}.json").read_text())
    return Tape(name, raw["source"], tuple(_step(item) for item in raw["steps"]))


def _step(item: Mapping[str, Any]) -> Step:
    request, answer = item["request"], item["answer"]
    return Step(
        item["no"],
        request["method"],
        request["target"],
        request["headers"],
        request["body"],
        answer["status"],
        answer["headers"],
        answer["body"],
        answer["style"],
    )


def nic_documents(folder: str = "nics") -> dict[str, Any]:
    """The recorded NICs, by file name without extension. Folder `nics-assembled` has documents assembled by hand."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((DATA / folder).glob("*.json"))}
