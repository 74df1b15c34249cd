"""`make smoke ARGS="-g GROUP"`: the questions that only a deployed app can answer, asked; a table for docs/unverified.md.

It reads only. What cannot be asked without a change is named with its command.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from infra import keys
from infra.azure import Azure, Failure, Lost

CHANGES: Final = (
    ("RollingUpdate holds", "a claim every second while .venv/bin/python -m infra.deploy runs", "no failed answer"),
    ("alerts arrive", "21 claims with a wrong key", "a mail: forgeries"),
    ("timers resume", "az functionapp restart, then the first question again", "one row every 30 s"),
    ("the immutable copy", "az storage blob delete in am-apptraces", "refused"),
)
"""(what, how, expected) of questions that change something."""


_PASSES: Final = 'AppRequests | where Name == "reconcile_timer" and TimeGenerated > ago(1h) | count'
_INSTANCES: Final = "AppTraces | where TimeGenerated > ago(1h) | summarize Instances = dcount(AppRoleInstance)"
_DENIED: Final = 'AppTraces | where TimeGenerated > ago(1d) and Message has_cs "code=azure-denied" | count'


def _health(azure: Azure) -> str:
    answer = azure.ask("GET", f"{azure.output('MIRROR_VIP_URL')}/health", resource=None)
    return f"{answer.status} {(answer.json() or {}).get('status')} version {answer.headers.get('x-mirror-vip-version')}"


def _query(text: str) -> Callable[[Azure], str]:
    def ask(azure: Azure) -> str:
        workspace = azure.output("MIRROR_VIP_WORKSPACE_ID")
        found = azure.az("monitor", "log-analytics", "workspace", "show", "--ids", workspace, "--query", "customerId")
        rows = azure.az("monitor", "log-analytics", "query", "-w", str(found), "--analytics-query", text)
        return "; ".join(", ".join(f"{k}={v}" for k, v in row.items() if k != "TableName") for row in rows or ()) or "no row"

    return ask


def _references(azure: Azure) -> str:
    states = list(keys.references(azure).values())
    return ", ".join(f"{state}: {states.count(state)}" for state in sorted(set(states))) or "none named"


def _ready(azure: Azure) -> str:
    found = azure.az(
        "functionapp", "scale", "config", "show", "-g", azure.resource_group, "-n", azure.output("AZURE_FUNCTION_NAME")
    )
    return ", ".join(f"{one['name']} {one['instanceCount']}" for one in found.get("alwaysReady") or ()) or "none"


def _roles(azure: Azure) -> str:
    principal = azure.output("MIRROR_VIP_PRINCIPAL_ID")
    # By object id and without names: az then asks Microsoft Graph nothing, which guests and service principals may not ask.
    found = azure.az("role", "assignment", "list", "--all", "--assignee-object-id", principal, "--fill-principal-name", "false")
    names = sorted(str(one.get("roleDefinitionName")) for one in found or ())
    return ", ".join(f"{name}: {names.count(name)}" for name in dict.fromkeys(names))


QUESTIONS: Final[tuple[tuple[str, str, Callable[[Azure], str]], ...]] = (
    ("the package is what runs", "200 ok, the package's version", _health),
    ("key references", "all Resolved", _references),
    ("instances that wait", "http 2, function:reconcile_timer 2 (lean: none)", _ready),
    ("rights are those of access.json and four data roles", "the same counts", _roles),
    ("the timer runs", "119 to 121 passes, an hour after step 5", _query(_PASSES)),
    ("instances at work", "four names with zones", _query(_INSTANCES)),
    ("nothing is denied", "0", _query(_DENIED)),
)  # fmt: skip
"""(what, expected, how it is asked)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Ask them all; a question that fails says why, and the others are asked all the same."""
    parser = argparse.ArgumentParser(prog="make smoke", description="Ask what only a deployed app can answer.")
    parser.add_argument("-g", "--resource-group", required=True)
    azure = Azure(parser.parse_args(argv).resource_group)
    failed = 0
    print("| what | expected | seen |\n|---|---|---|")
    for what, expected, ask in QUESTIONS:
        try:
            seen = ask(azure)
        except (Failure, Lost) as fault:
            seen, failed = f"could not be asked: {fault}".replace("\n", " "), failed + 1
        print(f"| {what} | {expected} | {seen} |")
    for what, how, expected in CHANGES:
        print(f"| {what} | {expected} | by hand: {how} |")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
