"""What types cannot say: settings, hardening, roles by their ids, names, and what must agree with the app.

Each rule takes an evaluated deployment and yields what is wrong, in a sentence that names the place.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infra.check.evaluate import World
from infra.check.values import Resource
from vipcore.settings import environment

ROOT: Final = Path(__file__).resolve().parents[2]

FORBIDDEN: Final = frozenset(
    [
        "ENABLE_ORYX_BUILD",
        "FUNCTIONS_EXTENSION_VERSION",
        "FUNCTIONS_MAX_HTTP_CONCURRENCY",
        "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
        "FUNCTIONS_WORKER_PROCESS_COUNT",
        "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_WORKER_RUNTIME_VERSION",
        "SCM_DO_BUILD_DURING_DEPLOYMENT",
        "TZ",
        "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
        "WEBSITE_CONTENTOVERVNET",
        "WEBSITE_CONTENTSHARE",
        "WEBSITE_DNS_SERVER",
        "WEBSITE_LOAD_CERTIFICATES",
        "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
        "WEBSITE_MOUNT_ENABLED",
        "WEBSITE_RUN_FROM_PACKAGE",
        "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
        "WEBSITE_TIME_ZONE",
        "WEBSITE_USE_PLACEHOLDER_DOTNETISOLATED",
        "WEBSITE_VNET_ROUTE_ALL",
    ]
)
"""Settings that Flex Consumption ignores, moves or refuses (docs/azure.md section 2)."""
REQUIRED: Final = frozenset(
    [
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "AZURE_CLIENT_ID",
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__clientId",
        "AzureWebJobsStorage__credential",
        "VIP_CLOUD",
        "VIP_MIRRORS",
        "VIP_TABLE",
    ]
)
BUILT_IN: Final = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
}
WHERE: Final = {
    "Storage Blob Data Owner": r"/storageAccounts/st\w+host$",
    "Storage Table Data Contributor": r"/storageAccounts/st\w+audit/tableServices/default/tables/MirrorVip$",
    "Monitoring Metrics Publisher": r"/components/[^/]+$",
    "Key Vault Secrets User": r"/vaults/[^/]+$",
    "Key Vault Secrets Officer": r"/vaults/[^/]+$",
}
"""Built-in role -> the one place where it may be assigned."""
ACTIONS: Final = {
    "Microsoft.Authorization/permissions/read",
    "Microsoft.Network/applicationGateways/backendAddressPools/join/action",
    "Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action",
    "Microsoft.Network/loadBalancers/backendAddressPools/join/action",
    "Microsoft.Network/loadBalancers/frontendIPConfigurations/join/action",
    "Microsoft.Network/loadBalancers/inboundNatRules/join/action",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkSecurityGroups/join/action",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.Network/virtualNetworks/subnets/read",
    "Microsoft.Network/virtualNetworkTaps/join/action",
}
"""Documented actions (docs/facts/azure.md section 10). Azure refuses a role for one that it does not know."""
OUTPUTS: Final = {
    "AZURE_FUNCTION_NAME", "MIRROR_VIP_URL", "MIRROR_VIP_SITE_ID", "MIRROR_VIP_PRINCIPAL_ID", "MIRROR_VIP_VAULT",
    "MIRROR_VIP_TABLE_URL", "MIRROR_VIP_WORKSPACE_ID",
}  # fmt: skip
"""Outputs are kept by Azure in clear text: what is not listed here is refused."""
HARDENED: Final[Mapping[str, Mapping[str, Any]]] = {
    "Microsoft.Storage/storageAccounts": {
        "allowSharedKeyAccess": False, "allowBlobPublicAccess": False, "allowCrossTenantReplication": False,
        "minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": True,
    },
    "Microsoft.KeyVault/vaults": {
        "enableRbacAuthorization": True, "enablePurgeProtection": True, "enableSoftDelete": True, "softDeleteRetentionInDays": 90,
    },
    "Microsoft.Web/sites": {"httpsOnly": True},
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"allow": False},
    "Microsoft.Insights/components": {"DisableLocalAuth": True},
}  # fmt: skip
SITE: Final = {"minTlsVersion": "1.2", "scmMinTlsVersion": "1.2", "ftpsState": "Disabled", "http20Enabled": True}
WATCHED: Final = {
    "Microsoft.Storage/storageAccounts/tableServices": {"StorageWrite", "StorageDelete"},
    "Microsoft.KeyVault/vaults": {"AuditEvent"},
}
"""What must tell the workspace who touched it, and by which categories; the alert table-touched sees nothing else."""
SITE_NAME: Final = r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]"
"""Azure's types have the forms of other names, and none of a site's."""


def check(world: World) -> Iterator[str]:
    """Every rule on one deployment of main.bicep."""
    for rule in RULES:
        yield from rule(world)


def settings_of(world: World) -> dict[str, Any]:
    """The app settings of the site."""
    return {one["name"]: one["value"] for site in world.of("Microsoft.Web/sites") for one in _app_settings(site)}


def _app_settings(site: Resource) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.body["properties"]["siteConfig"]["appSettings"]
    return found


def settings(world: World) -> Iterator[str]:
    """None that Flex refuses, all that are needed, and the app's own loader finds nothing wrong with them."""
    found = settings_of(world)
    for name in sorted(FORBIDDEN & found.keys()):
        yield f"app.bicep: the setting {name} must not be there"
    for name in sorted(REQUIRED - found.keys()):
        yield f"app.bicep: the setting {name} is missing"
    # What is known only in Azure: the vault's secrets, and the endpoint of the table.
    environ = {name: str(value) for name, value in found.items()}
    for number, name in enumerate(name for name, value in environ.items() if value.startswith("@Microsoft.KeyVault(")):
        environ[name] = f"{number:08d}" * 6
    environ["VIP_TABLE"] = "https://account.table.core.windows.net"
    for fault in environment.load(environ, ROOT).faults:
        yield f"app.bicep: the app says of its settings: {fault.where} {fault.what}"


def hardened(world: World) -> Iterator[str]:
    """Accounts, vaults and sites have every switch that keeps keys and passwords out."""
    for kind, wanted in HARDENED.items():
        for one in world.of(kind):
            for name, value in wanted.items():
                if one.body.get("properties", {}).get(name) != value:
                    yield f"{one.where}: {name} must be {value}"


def site(world: World) -> Iterator[str]:
    """The site takes no old TLS and no FTP, and has one identity: for itself, for its secrets, and for its package."""
    for one in world.of("Microsoft.Web/sites"):
        properties = one.body["properties"]
        for name, value in SITE.items():
            if properties["siteConfig"].get(name) != value:
                yield f"{one.where}: siteConfig.{name} must be {value}"
        own = list(one.body["identity"].get("userAssignedIdentities", ()))
        package = properties["functionAppConfig"]["deployment"]["storage"]["authentication"]
        for what, used in (
            ("keyVaultReferenceIdentity", properties.get("keyVaultReferenceIdentity")),
            ("the package's identity", package.get("userAssignedIdentityResourceId")),
        ):
            if [str(used)] != own:
                yield f"{one.where}: {what} is not the app's one identity"


def watched(world: World) -> Iterator[str]:
    """Writes to the table and uses of the vault are in the workspace."""
    settings = world.of("Microsoft.Insights/diagnosticSettings")
    for kind, wanted in WATCHED.items():
        for one in world.of(kind):
            told = [setting for setting in settings if setting.parent_or_scope is one]
            logs = {log["category"] for setting in told for log in setting.body["properties"]["logs"] if log["enabled"] is True}
            for category in sorted(wanted - logs):
                yield f"{one.where}: {category} is not told to the workspace"


def outputs(world: World) -> Iterator[str]:
    """Only names and addresses leave."""
    for name in sorted(world.outputs.keys() ^ OUTPUTS):
        yield f"main.bicep: the output {name} is {'missing' if name in OUTPUTS else 'not among those that may leave'}"
    for name, value in world.outputs.items():
        if re.search(r"connectionstring|key|secret|password", str(value), re.IGNORECASE):
            yield f"main.bicep: the output {name} looks like a secret: {value}"


def role_ids(world: World) -> Iterator[str]:
    """Each assignment is of a role that is known by name, where that role belongs; ours only on single resources."""
    ours = {str(one.name) for one in world.of("Microsoft.Authorization/roleDefinitions")}
    for one in world.of("Microsoft.Authorization/roleAssignments"):
        role = str(one.body["properties"]["roleDefinitionId"]).rsplit("/", 1)[1]
        on = str(one.parent_or_scope.id) if one.parent_or_scope else ""
        if not on:
            yield f"{one.where}: assigned on a whole resource group or subscription"
        elif role in ours:
            if "/microsoft.network/" not in on.lower():
                yield f"{one.where}: our roles belong on network resources, not on {on}"
        elif role not in BUILT_IN:
            yield f"{one.where}: {role} is no role that we know"
        elif not re.search(WHERE[BUILT_IN[role]], on):
            yield f"{one.where}: {BUILT_IN[role]} does not belong on {on}"


def actions(world: World) -> Iterator[str]:
    """Every action of our roles is one that Azure knows."""
    for one in world.of("Microsoft.Authorization/roleDefinitions"):
        for action in one.body["properties"]["permissions"][0]["actions"]:
            if action not in ACTIONS:
                yield f"{one.where}: {action} is no documented action"


def agrees_with_the_app(world: World) -> Iterator[str]:
    """Groups that wait are functions of the app; an instance's concurrency is within host.json's."""
    source = (ROOT / "function_app.py").read_text(encoding="utf-8")
    host = json.loads((ROOT / "host.json").read_bytes())["extensions"]["http"]["maxConcurrentRequests"]
    for site in world.of("Microsoft.Web/sites"):
        scale = site.body["properties"]["functionAppConfig"]["scaleAndConcurrency"]
        for group in scale["alwaysReady"]:
            name = group["name"].removeprefix("function:")
            if name != "http" and f"def {name}(" not in source:
                yield f"{site.where}: alwaysReady names {name}, and function_app.py has no such function"
        if scale["triggers"]["http"]["perInstanceConcurrency"] > host:
            yield f"{site.where}: perInstanceConcurrency is above host.json's maxConcurrentRequests ({host})"


def names(world: World) -> Iterator[str]:
    """A site's name is one that Azure takes, and no two resources are the same."""
    for one in world.of("Microsoft.Web/sites"):
        if not re.fullmatch(SITE_NAME, str(one.name)):
            yield f"{one.where}: Azure does not take the name {one.name}"
    seen: set[str] = set()
    for one in world.resources:
        if not one.existing and str(one.id).lower() in seen and "roleDefinitions" not in one.type:
            yield f"{one.where}: {one.id} is made twice"
        seen.add("" if one.existing else str(one.id).lower())


def zones(world: World) -> Iterator[str]:
    """A plan over zones needs accounts over zones, and two instances of each group that waits."""
    for plan in world.of("Microsoft.Web/serverfarms"):
        if not plan.body["properties"]["zoneRedundant"]:
            continue
        for account in world.of("Microsoft.Storage/storageAccounts"):
            if account.body["sku"]["name"] not in ("Standard_ZRS", "Standard_GZRS"):
                yield f"{account.where}: the plan is zone redundant, and this account is not"
        for site in world.of("Microsoft.Web/sites"):
            for group in site.body["properties"]["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"]:
                if group["instanceCount"] < 2:
                    yield f"{site.where}: the plan is zone redundant, and {group['name']} has fewer than two instances"


def closed(world: World) -> Iterator[str]:
    """An app without public access has a private endpoint, and one that reaches its accounts through such has a network."""
    for site in world.of("Microsoft.Web/sites"):
        if world.of("Microsoft.Network/privateEndpoints") and not site.body["properties"].get("virtualNetworkSubnetId"):
            yield f"{site.where}: its accounts and its vault are private, and it is in no network: set integrationSubnetId"
        if site.body["properties"]["publicNetworkAccess"] == "Disabled" and not world.of("Microsoft.Network/privateEndpoints"):
            yield f"{site.where}: publicNetworkAccess is Disabled and there is no private endpoint: nobody could call the app"


RULES: Final[tuple[Callable[[World], Iterator[str]], ...]] = (
    settings, hardened, site, watched, outputs, role_ids, actions, agrees_with_the_app, names, zones, closed,
)  # fmt: skip
