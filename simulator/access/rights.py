"""Authorization: the 403 answers, and the answer of Microsoft.Authorization/permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.core.errors import Refused

if TYPE_CHECKING:
    from simulator.core.principals import Principal
    from simulator.core.switches import Denial, Grant
    from simulator.core.wire import Json
    from simulator.state.state import State


def _covers(pattern: str, value: str) -> bool:
    pattern, value = pattern.lower(), value.lower()
    if "*" not in pattern:
        return pattern == value
    head, _, tail = pattern.partition("*")
    return value.startswith(head) and value.endswith(tail) and len(value) >= len(head) + len(tail)


def _strikes(denial: Denial, who: Principal, scope: str) -> bool:
    own_scope = denial.scope == "*" or scope.lower().startswith(denial.scope.lower().rstrip("*"))
    return own_scope and denial.principal in ("*", who.name)


def _held(state: State, scope: str) -> list[Grant]:
    """The assignments on the scope and above it."""
    own = scope.lower() + "/"
    return [grant for grant in state.switches.grants if own.startswith(grant.scope.lower().rstrip("/") + "/")]


def may(state: State, who: Principal, action: str, scope: str) -> bool:
    """Whether the principal holds the action on the scope (a resource id)."""
    switches = state.switches
    if switches.grants and not any(_covers(held, action) for grant in _held(state, scope) for held in grant.actions):
        return False
    if switches.granted != ("*",) and not any(_covers(pattern, action) for pattern in switches.granted):
        return False
    return not any(_strikes(d, who, scope) and _covers(d.action, action) for d in switches.denied)


def check(state: State, who: Principal, action: str, scope: str) -> None:
    """Raise Refused (403 AuthorizationFailed) unless the principal holds the action on the scope."""
    if not may(state, who, action, scope):
        raise Refused("AuthorizationFailed", client=who.client_id, principal=who.object_id, action=action, scope=scope)


def check_linked(state: State, who: Principal, action: str, scope: str, references: tuple[tuple[str, str], ...]) -> None:
    """Raise Refused (403 LinkedAuthorizationFailed) unless each referenced id may be joined. references: (action, id)."""
    if state.switches.granted == ("*",) and not state.switches.denied and not state.switches.grants:
        return
    for linked_action, linked in references:
        if not may(state, who, linked_action, linked):
            raise Refused(
                "LinkedAuthorizationFailed",
                client=who.client_id,
                principal=who.object_id,
                action=action,
                scope=scope,
                linked_action=linked_action,
                linked_scope=linked,
            )


def permissions(state: State, who: Principal, scope: str) -> Json:
    """The effective permissions at a scope, as `GET {scope}/providers/Microsoft.Authorization/permissions` shows them."""
    missing = [d.action for d in state.switches.denied if _strikes(d, who, scope)]
    if "*" in missing:
        return {"value": []}
    held = [grant.actions for grant in _held(state, scope)] if state.switches.grants else [state.switches.granted]
    shown = [{"actions": list(actions), "notActions": missing, "dataActions": [], "notDataActions": []} for actions in held]
    return {"value": shown}
