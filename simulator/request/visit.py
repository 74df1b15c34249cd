"""One request on its way through the cloud, with its caller and the fault that may strike it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.access import rights
from simulator.core.errors import ERRORS, Refused
from simulator.core.faults import Answer, Ends, Fault, Hangs, Lost, Script, Status
from simulator.request.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.principals import Principal
    from simulator.core.wire import Json, Request
    from simulator.request.routes import Route
    from simulator.state.state import State


class Stopped(Exception):
    """Raised when a fault ends the processing of a request. reply: what the client gets, if anything."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(slots=True)
class Visit:
    """A request with everything a handler needs.

    script: the fault planned for it. fault: the fault that has struck. call_s: the duration of a write's own call, if drawn.
    """

    state: State
    request: Request
    route: Route
    query: Mapping[str, str]
    who: Principal
    script: Script | None = None
    fault: Fault | None = None
    reached: bool = False
    call_s: float | None = None

    @property
    def api_version(self) -> str:
        """The api-version of the query. The front refuses requests without one."""
        return self.query.get("api-version", "")

    def body(self) -> Json:
        """The body as a JSON object; raises Refused (400)."""
        try:
            value = json.loads(self.request.body)
        except ValueError as error:
            raise Refused("InvalidRequestContent", reason=str(error).replace("'", '"')) from None
        if not isinstance(value, dict):
            raise Refused("InvalidRequestContent", reason="The request content is not a JSON object")
        return value

    def allow(self, action: str, scope: str = "") -> None:
        """Raise Refused (403) unless the caller holds the action on the scope (default: the resource of the path)."""
        rights.check(self.state, self.who, action, scope or self.route.id)

    def require_group(self) -> None:
        """Raise Refused (404) unless the resource group exists."""
        key = (self.route.subscription.lower(), self.route.group.lower())
        if key not in self.state.resources.groups:
            raise Refused("ResourceGroupNotFound", group=self.route.group)

    def only(self, *methods: str) -> None:
        """Raise Refused (405) for any other method."""
        if self.request.method not in methods:
            raise Refused("MethodNotAllowed", method=self.request.method)

    def strike(self) -> None:
        """Let the planned fault strike. Handlers call this after all checks have passed and before anything changes.

        Raises Refused or Stopped if the fault prevents the effect; other faults are left in `fault`.
        """
        if self.reached:
            return
        self.reached = True
        script = self.script
        if script is None:
            return
        if script.skip > 0:
            script.skip -= 1
            return
        script.struck += 1
        self.fault = script.fault
        match script.fault:
            case Answer() as answer if ERRORS[answer.name].layer != "async":
                words = dict(answer.words)
                if answer.retry_after is not None:
                    words["retry_after"] = answer.retry_after
                raise Refused(answer.name, **words)
            case Status(when="before") as status:
                retry = None if status.retry_after is None else str(status.retry_after)
                raise Stopped(Reply(status.status, status.body, retry_after=retry, nrp=False))
            case Lost(when="before"):
                raise Stopped(Reply(503, None, nrp=False))

    def ending(self) -> Ends | Hangs | None:
        """What the fault says about the end of the operation that is about to start."""
        match self.fault:
            case Ends() | Hangs():
                return self.fault
            case Answer():
                return Ends(how="canceled" if self.fault.name == "Canceled" else self.fault.name)
        return None

    def draw_call_s(self) -> float:
        """Draw the duration of this write's own call (switch put_call_s)."""
        low, high = self.state.switches.put_call_s
        self.call_s = self.state.latency_rng.uniform(low, high) if high else 0.0
        return self.call_s
