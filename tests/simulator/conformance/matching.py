"""Compares a recorded answer with a simulated one, field by field and header by header.

GUIDs, etags and other generated names must correspond one to one over a whole recording: the simulated etag must change
exactly where the recorded one changed, and fields that were equal (operation id and request id, the etags of a NIC and
of its ip configuration) must be equal.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from simulator.core.wire import Response
from tests.simulator.conformance.tapes import Step

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_COUNTED: Final = re.compile(r"\{x\*(\d+)\}")
_ISO: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"

# Members with generated values, and the form that both values must have.
_OPAQUE: Final[Mapping[str, re.Pattern[str]]] = {
    "internalDomainNameSuffix": re.compile(r"[0-9a-z]{26}\.[a-z]{2,3}\.internal\.cloudapp\.net"),
    "macAddress": re.compile(r"([0-9A-F]{2}-){5}[0-9A-F]{2}"),
    "ipAddress": re.compile(r"\d+\.\d+\.\d+\.\d+"),
}
_HEADER_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "x-ms-routing-request-id": re.compile(rf"[A-Z0-9]+:\d{{8}}T\d{{6}}Z:{_GUID.pattern}"),
    "x-msedge-ref": re.compile(rf"Ref A: [0-9A-F]{{32}} Ref B: [0-9A-Z]+ Ref C: {_ISO}"),
    "x-ms-ratelimit-remaining-subscription-reads": re.compile(r"\d+"),
    "x-ms-ratelimit-remaining-subscription-writes": re.compile(r"\d+"),
    "x-ms-ratelimit-remaining-subscription-deletes": re.compile(r"\d+"),
    "x-ms-ratelimit-remaining-subscription-global-reads": re.compile(r"\d+"),
    "x-ms-ratelimit-remaining-subscription-global-writes": re.compile(r"\d+"),
    "x-ms-ratelimit-remaining-subscription-global-deletes": re.compile(r"\d+"),
}
_URLS: Final = ("azure-asyncoperation", "location")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the answers differ. where: `status`, `header NAME`, or `body` and a JSON pointer."""

    no: int
    where: str
    recorded: object
    simulated: object

    def __str__(self) -> str:
        return f"no. {self.no}, {self.where}: recorded {self.recorded!r}, simulated {self.simulated!r}"


@dataclass(frozen=True, slots=True)
class Absent:
    """The value of a member or header that does not exist."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = Absent()


class Names:
    """The correspondence between the generated names of the recorded cloud and of the simulated one."""

    def __init__(self) -> None:
        self.simulated: dict[str, str] = {}
        self.recorded: dict[str, str] = {}

    def agree(self, recorded: str, simulated: str) -> bool:
        """Whether the two names correspond. New names correspond from now on."""
        agreed = self.simulated.get(recorded, simulated) == simulated and self.recorded.get(simulated, recorded) == recorded
        self.simulated[recorded] = simulated
        self.recorded[simulated] = recorded
        return agreed

    def translate(self, value: Any) -> Any:
        """A recorded value with every known name replaced by the simulated one."""
        if isinstance(value, dict):
            return {k: self.translate(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.translate(v) for v in value]
        if isinstance(value, str):
            whole = self.simulated.get(value)
            return whole or _GUID.sub(lambda g: self.simulated.get(g[0], g[0]), value)
        return value


def compare(step: Step, response: Response, names: Names, *, ignored_headers: Mapping[str, str]) -> Iterator[Difference]:
    """Every difference between the recorded answer of the step and the simulated one.

    ignored_headers: names (lower case), each with the reason why it cannot be compared.
    """
    if step.status != response.status:
        yield Difference(step.no, "status", step.status, response.status)
    headers = {name: value for name, value in response.headers.items() if name not in ignored_headers}
    for name in sorted(headers.keys() | (step.answer_headers.keys() - ignored_headers.keys())):
        yield from _header(step, name, headers.get(name, ABSENT), names)
    if step.answer is None or not response.body:
        if step.answer is not None or response.body:
            yield Difference(step.no, "body", step.answer, response.body.decode())
        return
    style = "pretty" if b"\r\n" in response.body else "compact"
    if style != step.style:
        yield Difference(step.no, "body style", step.style, style)
    yield from _values(step.no, "body", "", step.answer, response.json(), names)


def _header(step: Step, name: str, simulated: str | Absent, names: Names) -> Iterator[Difference]:
    recorded: str | Absent = step.answer_headers.get(name, ABSENT)
    if isinstance(recorded, Absent) or isinstance(simulated, Absent):
        equal = False
    elif name in _URLS:
        equal = _same_url(recorded, simulated, names)
    elif name in _HEADER_FORMS:
        form = _HEADER_FORMS[name]
        assert form.fullmatch(recorded), f"the form of {name} does not fit its own recording: {recorded}"
        equal = form.fullmatch(simulated) is not None and _same_guids(recorded, simulated, names)
    else:
        equal = _same_text(recorded, simulated, names)
    if not equal:
        yield Difference(step.no, f"header {name}", recorded, simulated)


def _same_guids(recorded: str, simulated: str, names: Names) -> bool:
    pairs = zip(_GUID.findall(recorded), _GUID.findall(simulated), strict=True)
    agreed = [names.agree(a, b) for a, b in pairs]  # every pair is noted, also after one that differs
    return all(agreed)


def _same_text(recorded: str, simulated: str, names: Names) -> bool:
    if _GUID.sub("*", recorded) != _GUID.sub("*", simulated):
        return False
    return _same_guids(recorded, simulated, names)


def _same_url(recorded: str, simulated: str, names: Names) -> bool:
    """Whether host, path, api-version and the names of all parameters agree, and the lengths are similar."""
    ours, theirs = urlsplit(simulated), urlsplit(_COUNTED.sub(lambda run: "x" * int(run[1]), recorded))
    ours_query, theirs_query = parse_qs(ours.query), parse_qs(theirs.query)
    return (
        _same_text(theirs.path, ours.path, names)
        and (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc)
        and theirs_query.keys() == ours_query.keys()
        and theirs_query["api-version"] == ours_query["api-version"]
        and 0.7 < len(simulated) / (len(theirs.geturl())) < 1.4
    )


def _values(no: int, where: str, member: str, recorded: Any, simulated: Any, names: Names) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(simulated, dict):
        for key in [*recorded, *(k for k in simulated if k not in recorded)]:
            yield from _values(no, f"{where}/{key}", key, recorded.get(key, ABSENT), simulated.get(key, ABSENT), names)
    elif isinstance(recorded, list) and isinstance(simulated, list) and len(recorded) == len(simulated):
        for i, (a, b) in enumerate(zip(recorded, simulated, strict=True)):
            yield from _values(no, f"{where}/{i}", member, a, b, names)
    elif isinstance(recorded, str) and isinstance(simulated, str):
        form = _OPAQUE.get(member)
        equal = _same_text(recorded, simulated, names)
        if not equal and form is not None:
            equal = bool(form.fullmatch(recorded) and form.fullmatch(simulated)) and names.agree(recorded, simulated)
        if not equal:
            yield Difference(no, where, recorded, simulated)
    elif recorded != simulated or type(recorded) is not type(simulated):
        yield Difference(no, where, recorded, simulated)
