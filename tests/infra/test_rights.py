"""The roles are enough, and none of their actions is needless: the evaluated templates become the simulated identity's rights.

What the identity does is run through on a mirror whose NICs refer to everything that they can refer to; then each action of each
role, and each assignment, is taken away in turn, and something must fail for it.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import pytest

from infra import rights
from infra.check.cases import FOLDER, MIRRORS, deployed
from infra.check.evaluate import evaluate
from simulator.core.switches import Grant
from simulator.network.documents import shown_nic
from tests.infra import worlds
from tests.promises.harness import Harness
from tests.promises.loop import run
from vipcore.entry import moves
from vipcore.errors import Refusal

SILENT: Final = {
    "Microsoft.Authorization/permissions/read",
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read",
    "Microsoft.Network/virtualNetworks/subnets/read",
}
"""Rights of reads: denied, they stop nothing, and the checks say that they could not look."""


def listed(harness: Harness) -> list[rights.Grant]:
    """What infra/access.py would list for this world."""
    documents = {nic.id.lower(): shown_nic(nic, "2026-03-01") for nic in harness.cloud.nics.values()}
    return rights.needed([harness.mirror()], documents)


def granted(grants: Iterable[rights.Grant]) -> list[Grant]:
    """The assignments that main.bicep makes of the list, with the actions of their roles."""
    access = [{"id": one.id, "role": one.role} for one in grants]
    world = evaluate(FOLDER / "main.bicep", {"environmentName": "mvip", "mirrors": MIRRORS, "access": access})
    assert world.faults == []
    roles = {
        str(one.id): one.body["properties"]["permissions"][0]["actions"]
        for one in world.of("Microsoft.Authorization/roleDefinitions")
    }
    made = []
    for one in world.of("Microsoft.Authorization/roleAssignments"):
        actions = roles.get(one.body["properties"]["roleDefinitionId"])
        if actions is not None:
            assert one.parent_or_scope is not None
            made.append(Grant(scope=str(one.parent_or_scope.id), actions=tuple(actions)))
    return made


async def story(grants: list[Grant]) -> list[str]:
    """What fails of a claim and a move back; of a VIP that is on no NIC, claimed for a Failed NIC; and of the dry runs before."""
    failed = list[str]()
    for lost in (False, True):
        harness = Harness(world=worlds.connected(lost=lost))
        harness.cloud.switches = replace(harness.cloud.switches, grants=tuple(grants))
        node = harness.node("n")
        asked = json.dumps({"to": "MIRRORB", "reason": "look", "operator": "op", "dry_run": True}).encode()
        seen = await moves.move(node.controller, "PROD", asked, "dry")
        failed += [text for text in _texts(seen) if "could not be read" in text]
        try:
            await node.claim("MIRRORB")
            await node.move("MIRRORA")
        except Refusal as refusal:
            failed.append(f"{refusal.code}: {refusal.detail}")
    return failed


def _texts(value: Any) -> list[str]:
    return json.dumps(value).split('"')


def told(grants: list[Grant]) -> list[str]:
    """`story` on the virtual clock."""
    found: list[str] = []

    async def main() -> None:
        found.extend(await story(grants))

    run(main())
    return found


@pytest.fixture(scope="module")
def whole() -> list[Grant]:
    """The assignments for this mirror."""
    made: list[Grant] = []

    async def main() -> None:
        made.extend(granted(listed(Harness(world=worlds.connected()))))

    run(main())
    return made


def test_roles_are_enough(whole: list[Grant]) -> None:
    """With the listed assignments and nothing else, nothing fails and every check can look."""
    assert told(whole) == []


ACTIONS: Final = sorted(
    (one.where.rsplit("/", 1)[1], action)
    for one in deployed("standard").of("Microsoft.Authorization/roleDefinitions")
    for action in one.body["properties"]["permissions"][0]["actions"]
)


@pytest.mark.parametrize(("role", "action"), ACTIONS)
def test_no_action_is_needless(whole: list[Grant], role: str, action: str) -> None:
    """Without it something fails: a change with `azure-denied` that names it, or a look with the word that it could not be."""
    holders = [one for one in whole if action in one.actions]
    ours = {name: {held for held_role, held in ACTIONS if held_role == name} for name, _ in ACTIONS}
    fewer = [
        replace(one, actions=tuple(held for held in one.actions if held != action)) if set(one.actions) == ours[role] else one
        for one in whole
    ]

    failed = told(fewer)

    assert holders
    assert failed
    assert all("azure-denied" in one or "could not be read" in one for one in failed), failed
    if action not in SILENT:
        assert any("azure-denied" in one and action.lower() in one.lower() for one in failed), failed


def test_no_assignment_is_needless(whole: list[Grant]) -> None:
    """Without any one of the assignments something fails, so the list of infra/access.py has none too many."""
    needless = [one.scope for one in whole if not told([other for other in whole if other is not one])]

    assert needless == []
