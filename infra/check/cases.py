"""The deployments that the checks look at, and every fault of a folder of templates over all of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infra.check import rules, types
from infra.check.evaluate import GROUP, World, evaluate
from infra.check.values import Scope

FOLDER: Final = Path(__file__).resolve().parents[1]
OTHER: Final = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-iris/providers/Microsoft.Network"
THIRD: Final = "/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-dr/providers/Microsoft.Network"
MIRRORS: Final[Mapping[str, Any]] = {
    "defaults": {"subscription_id": "00000000-0000-0000-0000-000000000002", "resource_group": "rg-iris"},
    "mirrors": {
        "PROD": {
            "members": {"MIRRORA": {"nic": "a"}, "MIRRORB": {"nic": "b"}},
            "vips": [{"name": "vip", "private_ip": "10.0.0.254", "public_ip": "p"}],
        }
    },
    "keys": {"mirrora-1": {"mirror": "PROD", "member": "MIRRORA"}, "Mirror_B.1": {"mirror": "PROD", "member": "MIRRORB"}},
}
ACCESS: Final[list[dict[str, str]]] = [
    {"id": f"{OTHER}/networkInterfaces/a", "role": "mirror-vip-nic"},
    {"id": f"{OTHER}/networkInterfaces/b", "role": "mirror-vip-nic"},
    {"id": f"{OTHER}/virtualNetworks/v/subnets/s", "role": "mirror-vip-join"},
    {"id": f"{OTHER}/virtualNetworks/v", "role": "mirror-vip-address"},
    {"id": f"{OTHER}/publicIPAddresses/p", "role": "mirror-vip-join"},
    {"id": f"{OTHER}/networkSecurityGroups/n", "role": "mirror-vip-join"},
    {"id": f"{OTHER}/applicationSecurityGroups/g", "role": "mirror-vip-join"},
    {"id": f"{OTHER}/loadBalancers/l", "role": "mirror-vip-join"},
    {"id": f"{OTHER}/applicationGateways/w", "role": "mirror-vip-join"},
    {"id": f"{OTHER}/virtualNetworkTaps/t", "role": "mirror-vip-join"},
]
SUBSCRIPTION: Final = Scope("subscription", f"/subscriptions/{GROUP.subscription}")
FIRST_TABLE: Final = "https://stfirstaudit.table.core.windows.net/"
OTHER_WRITER: Final = "00000000-0000-0000-0000-0000000000ee"
_SMALL: Final[Mapping[str, Any]] = {"environmentName": "mvip", "mirrors": MIRRORS, "access": ACCESS}
CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "standard": {**_SMALL, "alertEmails": ["oncall@example.org"], "allowedAddresses": ["10.0.0.0/8"]},
    "fleet": {**_SMALL, "profile": "fleet", "mirrorsPath": "", "otherWriters": [OTHER_WRITER]},
    "lean": {**_SMALL, "profile": "lean", "auditKeyInVault": False, "deleteLocks": False},
    "network": {
        **_SMALL,
        "environmentName": "a-name-of-twenty-cha",
        "integrationSubnetId": f"{OTHER}/virtualNetworks/v/subnets/out",
        "privateEndpointSubnetId": f"{OTHER}/virtualNetworks/v/subnets/pe",
        "privateDnsZones": {"privatelink.azurewebsites.net": f"{OTHER}/privateDnsZones/privatelink.azurewebsites.net"},
        "publicNetworkAccess": "Disabled",
        "immutableDays": 30,
        "deployerId": "00000000-0000-0000-0000-0000000000dd",
    },
    "second controller": {**_SMALL, "tableUrl": FIRST_TABLE},
    "two regions": {**_SMALL, "auditSku": "Standard_GZRS"},
    "two subscriptions": {**_SMALL, "access": [*ACCESS, {"id": f"{THIRD}/networkInterfaces/c", "role": "mirror-vip-nic"}]},
    "rights apart": {
        **_SMALL,
        "deployAccess": False,
        "identityId": "/subscriptions/00000000-0000-0000-0000-000000000009/resourceGroups/rg-id/providers"
        "/Microsoft.ManagedIdentity/userAssignedIdentities/mirror-vip",
        "workspaceId": "/subscriptions/00000000-0000-0000-0000-000000000009/resourceGroups/rg-log/providers"
        "/Microsoft.OperationalInsights/workspaces/all",
    },
    "usgov": {
        **_SMALL,
        "location": "usgovvirginia",
        "zoneRedundant": False,
        "integrationSubnetId": f"{OTHER}/virtualNetworks/v/subnets/out",
        "privateEndpointSubnetId": f"{OTHER}/virtualNetworks/v/subnets/pe",
    },
}
CLOUDS: Final = {"usgov": "AzureUSGovernment"}


def deployed(case: str, folder: Path = FOLDER) -> World:
    """The deployment of one case."""
    return evaluate(folder / "main.bicep", CASES[case], cloud=CLOUDS.get(case, "AzureCloud"))


def granted(world: World) -> set[tuple[str, str]]:
    """(resource id, role) of every assignment of our roles."""
    names = {str(one.id).rsplit("/", 1)[1]: one for one in world.of("Microsoft.Authorization/roleDefinitions")}
    found = set()
    for one in world.of("Microsoft.Authorization/roleAssignments"):
        role = names.get(str(one.body["properties"]["roleDefinitionId"]).rsplit("/", 1)[1])
        if role is not None:
            on = str(one.parent_or_scope.id) if one.parent_or_scope else str(one.id).partition("/providers/")[0]
            found.add((on, role.where.rsplit("/", 1)[1]))
    return found


def faults(folder: Path = FOLDER) -> Iterator[str]:
    """Everything that is wrong with the templates in this folder; a later layer is not asked where an earlier one objects."""
    apart = evaluate(folder / "access.bicep", {"principalId": "p", "grants": ACCESS}, scope=SUBSCRIPTION)
    standard = deployed("standard", folder)
    for file, world in (("main.bicep", standard), ("access.bicep", apart)):
        for name in sorted(set(_parameters(folder / file)) - world.parameters.keys()):
            yield f"{file}: param {name} has no description"
    yield from (f"{fault} [access.bicep alone]" for fault in apart.faults)
    for case, parameters in CASES.items():
        world = standard if case == "standard" else deployed(case, folder)
        found = [*world.faults] or [fault for resource in world.resources for fault in types.check(resource)]
        found = found or list(rules.check(world))
        wanted = {(one["id"], one["role"].rpartition("-")[2]) for one in parameters["access"]}
        if not found and parameters.get("deployAccess", True) and granted(world) != wanted:
            found = [f"access.bicep: the assignments are not those that were listed: {sorted(granted(world) ^ wanted)}"]
        yield from (f"{fault} [{case}]" for fault in found)


def _parameters(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.startswith("param ")]
