"""Faults that a test can plan. A fault strikes after the request has passed Azure's own checks.

`Cloud.script(match, fault=..., times=n)` plans one. Of the planned faults that match a request, the first one with
strikes left is used.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from simulator.core.errors import ERRORS
from simulator.core.switches import ENDINGS, STRANGERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.wire import Request

When: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The row `name` of ERRORS instead of the real answer. The request has no effect.

    retry_after: seconds for the Retry-After header; None leaves it to the row, 0 means no header. words: values for the
    message. With a row of layer async a write is accepted, and its operation ends with this error.
    """

    name: str
    retry_after: int | None = None
    words: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in ERRORS:
            raise ValueError(f"there is no error {self.name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A bare HTTP status with this body, also on polls. when: whether the status replaces the request or only its answer."""

    status: int
    body: bytes = b""
    when: When = "before"
    retry_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """No answer: the connection is dropped after after_s seconds. when: before or after the request takes effect."""

    when: When = "after"
    after_s: float = 0.0
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The real answer, delay_s seconds late."""

    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lands:
    """No answer, and the request arrives after_s seconds later, as if the network had delayed it."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Twice:
    """The real answer, and the same request arrives again after_s seconds later."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How the accepted operation ends. after_s: seconds from acceptance to the end; None keeps the usual latency.

    how: succeeded, failed-kept (Failed, new content stays), failed-rolled-back, canceled (rolled back, as if
    another write had superseded it), not-allowed (VM marked for deletion), gone (succeeds, but its polls answer 404), or the
    name of an async row of ERRORS (Failed, content stays). On a VM-less NIC the write becomes asynchronous.
    """

    how: str = "succeeded"
    after_s: float | None = None

    def __post_init__(self) -> None:
        if self.how not in ENDINGS and (self.how not in ERRORS or ERRORS[self.how].layer != "async"):
            raise ValueError(f"an operation cannot end {self.how!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangs:
    """The accepted operation takes for_s seconds longer than usual."""

    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """Another client writes to the NIC right after the answer. what: one of STRANGERS. address: for takes-address."""

    what: str
    address: str = ""

    def __post_init__(self) -> None:
        if self.what not in STRANGERS or self.what == "none":
            raise ValueError(f"a stranger cannot do {self.what!r}")


Fault: TypeAlias = Answer | Status | Lost | Late | Lands | Twice | Ends | Hangs | Stranger
FAULTS: Final[Mapping[str, type[Any]]] = {
    "answer": Answer,
    "status": Status,
    "lost": Lost,
    "late": Late,
    "lands": Lands,
    "twice": Twice,
    "ends": Ends,
    "hangs": Hangs,
    "stranger": Stranger,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests a fault applies to. An empty field matches everything.

    method: as in HTTP. kind: the route, for example nic, pip, subnet, poll, result, permissions, move, token, page.
    name: the resource's own name, any case. path: a regular expression found in the path. principal: its name.
    """

    method: str = ""
    kind: str = ""
    name: str = ""
    path: str = ""
    principal: str = ""

    def fits(self, request: Request, kind: str, name: str, principal: str) -> bool:
        """Whether the fault applies to this request."""
        return (
            (not self.method or self.method == request.method)
            and (not self.kind or self.kind == kind)
            and (not self.name or self.name.lower() == name.lower())
            and (not self.principal or self.principal == principal)
            and (not self.path or re.search(self.path, request.target) is not None)
        )


@dataclass(slots=True)
class Script:
    """A planned fault. It skips the first `skip` matching requests and strikes the next `times`. struck: strikes so far."""

    match: Match
    fault: Fault
    times: int = 1
    skip: int = 0
    struck: int = 0


def fault_from_json(value: Mapping[str, Any]) -> Fault:
    """A fault from {"kind": "ends", "how": "gone"}; raises ValueError for an unknown kind or member."""
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in FAULTS:
        raise ValueError(f"fault kind {kind!r} is none of {', '.join(FAULTS)}")
    names = {f.name for f in dataclasses.fields(FAULTS[kind])}
    members = {k: v for k, v in value.items() if k != "kind"}
    if unknown := members.keys() - names:
        raise ValueError(f"fault {kind} has no {', '.join(sorted(unknown))}")
    if "body" in members:
        members["body"] = str(members["body"]).encode()
    try:
        fault: Fault = FAULTS[kind](**members)
    except TypeError as error:
        raise ValueError(f"fault {kind}: {error}") from error
    return fault
