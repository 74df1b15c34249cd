"""infra/*.bicep without Azure: the deployments are whole, and each fault that was made on purpose is caught by name.

`python -m infra.check` (make check) runs the same on the templates as they stand.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from infra import mirrors
from infra.check import rules
from infra.check.cases import ACCESS, CASES, FIRST_TABLE, FOLDER, MIRRORS, OTHER_WRITER, deployed, faults, granted
from infra.check.evaluate import evaluate
from vipcore.settings import environment

SOURCES: Final = ("*.bicep", "modules/*.bicep", "alerts.json", "workbook.json")
PLANTS: Final[tuple[tuple[str, str, str, str, str], ...]] = (
    # what, file, old, new, part of the fault
    ("property misspelt", "modules/app.bicep", "httpsOnly: true", "httpOnly: true", "httpOnly: there is no such property"),
    ("property at the wrong level", "modules/app.bicep", "    httpsOnly: true\n", "    minTlsVersion: '1.2'\n", "minTlsVersion"),
    ("bool as text", "modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: 'false'", "true or false"),
    (
        "number as text",
        "modules/app.bicep",
        "instanceCount: alwaysReadyHttp",
        "instanceCount: string(alwaysReadyHttp)",
        "whole number",
    ),
    ("closed enum", "modules/storage.bicep", "'TLS1_2'", "'TLS12'", "'TLS12' is none of"),
    ("open enum", "modules/app.bicep", "type: 'UserAssignedIdentity'", "type: 'UserAssigned'", "'UserAssigned' is none of"),
    ("api-version", "modules/app.bicep", "serverfarms@2024-11-01", "serverfarms@2024-12-01", "not among the known types"),
    ("type", "modules/storage.bicep", "tableServices/tables@", "tableService/tables@", "tableService/tables"),
    ("required missing", "modules/vault.bicep", "    tenantId: tenant().tenantId\n", "", "tenantId: is required"),
    (
        "read-only set",
        "modules/identity.bicep",
        "  tags: tags\n",
        "  tags: tags\n  properties: {\n    clientId: name\n  }\n",
        "clientId: read-only",
    ),
    ("undefined name", "modules/app.bicep", "concat(settings, keySettings", "concat(settings, keySetting", "keySetting is not"),
    ("undefined function", "modules/app.bicep", "concat(settings, ", "concatenate(settings, ", "concatenate is unknown"),
    ("module parameter missing", "main.bicep", "    httpConcurrency: httpConcurrency\n", "", "httpConcurrency has no value"),
    ("module parameter unknown", "main.bicep", "    keyIds: keyIds\n", "    keyIds: keyIds\n    spare: 1\n", "no param spare"),
    ("module parameter's type", "main.bicep", "cloudName: clouds[environment().name]", "cloudName: 1", "string wanted, got 1"),
    ("module output missing", "main.bicep", "storage.outputs.tableEndpoint", "storage.outputs.tableUri", "no 'tableUri'"),
    ("brace lost", "modules/vault.bicep", "output uri string", "}\noutput uri string", "syntax error"),
    (
        "two properties on a line",
        "modules/vault.bicep",
        "    tenantId: tenant().tenantId\n",
        "    tenantId: tenant().tenantId enableSoftDelete: true\n",
        "needs a line of its own",
    ),
    ("escape that is none", "main.bicep", "The default of Azure", "The \\default of Azure", "has an escape that is none"),
    ("comparison with one sign", "main.bicep", "= profile != 'lean'", "= profile = 'lean'", "says pycep"),
    ("decorator of nothing", "modules/vault.bicep", "output uri string", "@secure()\n// output uri string", "says pycep"),
    (
        "call at the start of an element",
        "modules/alerts.bicep",
        "  people.id\n",
        "  resourceGroup().id\n",
        "a call at the start of an element",
    ),
    ("module that is not there", "main.bicep", "'modules/worm.bicep'", "'modules/wrom.bicep'", "there is no module"),
    (
        "type outside of the dialect",
        "modules/vault.bicep",
        "param deleteLocks bool",
        "param deleteLocks yesOrNo",
        "yesOrNo is outside of the dialect",
    ),
    ("property twice", "modules/vault.bicep", "    enableSoftDelete: true\n", "    enableSoftDelete: true\n" * 2, "stands twice"),
    (
        "object as text",
        "modules/vault.bicep",
        "    sku: {\n      family: 'A'\n      name: 'standard'\n    }\n",
        "    sku: 'standard'\n",
        "an object is wanted",
    ),
    (
        "array as text",
        "modules/alerts.bicep",
        "    scopes: [\n      workspaceId\n    ]\n",
        "    scopes: workspaceId\n",
        "an array is wanted",
    ),
    ("text as number", "modules/vault.bicep", "      name: 'standard'", "      name: 1", "1 is none of"),
    ("child of no kind that there is", "modules/app.bicep", "name: 'ftp'", "name: 'ftps'", "'ftps' is none of"),
    ("child without its parent", "modules/storage.bicep", "  parent: tables\n", "", "needs a parent"),
    (
        "nested that is not there",
        "modules/storage.bicep",
        "host::blobs::packages",
        "host::blobs::package",
        "has no nested package",
    ),
    ("function of the wrong kind", "main.bicep", "objectKeys(mirrors.keys)", "objectKeys(length(1))", "length: "),
    ("limit below", "main.bicep", "param retentionInDays int = 365", "param retentionInDays int = 7", "below 30"),
    (
        "role where it does not belong",
        "modules/storage.bicep",
        "= '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'",
        "= 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'",
        "Storage Blob Data Owner does not belong on",
    ),
    (
        "one thing twice",
        "modules/alerts.bicep",
        "name: '${environmentName}-${item.name}'",
        "name: environmentName",
        "is made twice",
    ),
    ("name of a site", "main.bicep", "name: 'func-${", "name: 'func_${", "Azure does not take the name func_"),
    (
        "resource that is only known to exist",
        "modules/grant.bicep",
        "networkInterfaces@2025-05-01' existing =",
        "networkInterfaces@2025-05-01' =",
        "only the name of",
    ),
    (
        "late value as a module's scope",
        "access.bicep",
        "resourceGroup(split(item.id, '/')[2], split(item.id, '/')[4])",
        "roles[0].outputs.x",
        "is not known at the start",
    ),
    (
        "late value as a name",
        "modules/storage.bicep",
        "name: 'MirrorVip'",
        "name: audit.properties.primaryEndpoints.table",
        "known only when deployed",
    ),
    ("late value where rows are given", "main.bicep", "objectKeys(mirrors.keys)", "vault.outputs.uri", "array wanted"),
    ("loop over a late value", "modules/alerts.bicep", "in emails:", "in split(people.properties.x, ','):", "loop over"),
    (
        "late condition",
        "modules/app.bicep",
        "resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {",
        "resource plan 'Microsoft.Web/serverfarms@2024-11-01' = if (site.properties.enabled) {",
        "condition is known only",
    ),
    ("parent of another type", "modules/storage.bicep", "  parent: tables\n", "  parent: audit\n", "is no child of"),
    (
        "unused parameter",
        "modules/vault.bicep",
        "param location string\n",
        "param location string\nparam spare string = ''\n",
        "spare is never",
    ),
    ("default that is not allowed", "main.bicep", "profile == 'fleet' ? 2048 : 512", "1024", "1024 is not allowed"),
    ("default out of range", "main.bicep", "int = 500", "int = 5000", "above 1000"),
    ("outside of the dialect", "main.bicep", "var token", "import 'az@1.0.0'\nvar token", "main.bicep"),
    ("parameter without description", "main.bicep", "@description('Instances at most.')\n", "", "no description"),
    ("assignment without its scope", "modules/grant.bicep", "  scope: nic\n", "", "whole resource group"),
    (
        "location of a group's deployment",
        "main.bicep",
        "name: 'rights-${token}'",
        "name: 'rights-${deployment().location}'",
        "location",
    ),
    ("another role", "access.bicep", "role: item.role", "role: 'mirror-vip-nic'", "access.bicep: the assignments"),
    ("grant on a whole group", "modules/storage.bicep", "  scope: host\n", "", "whole resource group"),
    ("wrong built-in role", "modules/storage.bicep", "0a9a7e1f", "0a9a7e1e", "is no role that we know"),
    ("table role on the account", "modules/storage.bicep", "  scope: table\n", "  scope: audit\n", "does not belong on"),
    ("action misspelt", "modules/roles.bicep", "networkInterfaces/write", "networkInterface/write", "no documented action"),
    (
        "undocumented action by default",
        "main.bicep",
        "param atomic bool = false",
        "param atomic bool = true",
        "moveIpConfigurations",
    ),
    ("forbidden setting", "modules/app.bicep", "name: 'VIP_TABLE_NAME'", "name: 'FUNCTIONS_WORKER_RUNTIME'", "must not be there"),
    ("needed setting left out", "modules/app.bicep", "name: 'VIP_TABLE'", "name: 'VIP_TABEL'", "VIP_TABLE is missing"),
    ("setting that the app refuses", "main.bicep", "AzureCloud: 'public'", "AzureCloud: 'azure'", "VIP_CLOUD"),
    ("key's setting by another name", "modules/app.bicep", "'VIP_KEY_$", "'VIP_KEYS_$", "the app says of its settings"),
    ("shared keys on", "modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "must be False"),
    (
        "vault without purge protection",
        "modules/vault.bicep",
        "enablePurgeProtection: true",
        "enablePurgeProtection: false",
        "must be True",
    ),
    ("old TLS", "modules/app.bicep", "minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "siteConfig.minTlsVersion must be 1.2"),
    ("FTP", "modules/app.bicep", "ftpsState: 'Disabled'", "ftpsState: 'FtpsOnly'", "siteConfig.ftpsState must be Disabled"),
    (
        "secrets read by no identity",
        "modules/app.bicep",
        "    keyVaultReferenceIdentity: identityId\n",
        "",
        "keyVaultReferenceIdentity is not the app's one identity",
    ),
    (
        "package read by another identity",
        "modules/app.bicep",
        "userAssignedIdentityResourceId: identityId",
        "userAssignedIdentityResourceId: clientId",
        "the package's identity is not the app's one identity",
    ),
    (
        "writes to the table told to nobody",
        "modules/storage.bicep",
        "        category: 'StorageWrite'\n        enabled: true",
        "        category: 'StorageWrite'\n        enabled: false",
        "StorageWrite is not told to the workspace",
    ),
    (
        "uses of the vault told to nobody",
        "modules/vault.bicep",
        "  name: 'to-workspace'\n  scope: vault\n",
        "  name: 'to-workspace'\n",
        "AuditEvent is not told to the workspace",
    ),
    ("group of no function", "modules/app.bicep", "function:reconcile_timer", "function:reconcile", "no such function"),
    (
        "concurrency above host.json",
        "main.bicep",
        "httpConcurrency: httpConcurrency",
        "httpConcurrency: httpConcurrency * 3",
        "host.json",
    ),
    (
        "secret in an output",
        "main.bicep",
        "output MIRROR_VIP_VAULT string = vault.outputs.uri",
        "output MIRROR_VIP_VAULT string = monitor.outputs.connectionString",
        "looks like a secret",
    ),
    (
        "output too many",
        "main.bicep",
        "output MIRROR_VIP_VAULT",
        "output EXTRA string = token\noutput MIRROR_VIP_VAULT",
        "may leave",
    ),
    (
        "storage of one zone",
        "main.bicep",
        "    zoneRedundant: zoneRedundant\n    auditSku",
        "    zoneRedundant: false\n    auditSku",
        "is not",
    ),
    ("one instance in two zones", "main.bicep", "zoneRedundant ? 2 : 1", "1", "fewer than two instances"),
    (
        "name that Azure does not take",
        "main.bicep",
        "name: 'kv${token}'",
        "name: 'kv-${environmentName}-${token}'",
        "does not match",
    ),
    (
        "closed app without an endpoint",
        "main.bicep",
        "if (!empty(privateEndpointSubnetId)) {",
        "if (empty(privateEndpointSubnetId)) {",
        "nobody could call",
    ),
)


def test_templates_as_they_stand() -> None:
    """No fault in any deployment: profiles, private network, two subscriptions, rights apart, another cloud."""
    assert list(faults()) == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: str(plant[0]))
def test_planted_fault_is_caught_by_name(plant: tuple[str, str, str, str, str], tmp_path: Path) -> None:
    """One text replacement each; the fault that is reported names it."""
    _, name, old, new, expected = plant
    for pattern in SOURCES:
        for path in FOLDER.glob(pattern):
            (tmp_path / path.relative_to(FOLDER)).parent.mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / path.relative_to(FOLDER))
    source = (tmp_path / name).read_text()
    assert old in source

    (tmp_path / name).write_text(source.replace(old, new, 1))

    assert any(expected in fault for fault in faults(tmp_path)), list(faults(tmp_path))[:5]


def site(case: str) -> dict[str, Any]:
    """The scale of the site in a case."""
    scale: dict[str, Any] = (
        deployed(case).of("Microsoft.Web/sites")[0].body["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    )
    return scale


def test_profiles_are_what_they_cost() -> None:
    """Standard and fleet keep two instances for claims and two for the timer, lean none; memory is what differs."""
    waiting = [{"name": "http", "instanceCount": 2}, {"name": "function:reconcile_timer", "instanceCount": 2}]

    assert [(site(case)["instanceMemoryMB"], site(case)["alwaysReady"]) for case in ("standard", "fleet", "lean")] == [
        (512, waiting),
        (2048, waiting),
        (512, []),
    ]


def test_settings_are_what_the_app_reads() -> None:
    """The document travels whole, each key is a reference to its own secret, and no setting holds one."""
    found = rules.settings_of(deployed("standard"))

    assert json.loads(found["VIP_MIRRORS"]) == MIRRORS
    for key_id in MIRRORS["keys"]:
        assert found[environment.setting_name(key_id)].endswith(f"secrets/{mirrors.secret_name(key_id)})")
    assert found["VIP_AUDIT_KEY"].endswith(f"secrets/{mirrors.AUDIT_SECRET})")
    assert rules.settings_of(deployed("usgov"))["VIP_CLOUD"] == "usgov"
    assert "VIP_AUDIT_KEY" not in rules.settings_of(deployed("lean"))


def test_roles_may_be_deployed_from_two_regions() -> None:
    """Azure ties the name of a deployment at a subscription to its region, and refuses it from another one."""
    assert "name: 'mirror-vip-roles-${deployment().location}'" in (FOLDER / "access.bicep").read_text()
    assert deployed("standard").faults == []


def test_rights_are_exactly_those_listed() -> None:
    """Each entry of access.json is one assignment on that very resource; without deployAccess there is none."""
    assert granted(deployed("standard")) == {(one["id"], one["role"].removeprefix("mirror-vip-")) for one in ACCESS}
    assert granted(deployed("rights apart")) == set()
    definitions = deployed("two subscriptions").of("Microsoft.Authorization/roleDefinitions")
    assert len({one.id for one in definitions}) == 6


def test_each_alert_is_a_rule_that_mails() -> None:
    """Every entry of alerts.json becomes one rule, with its query, the identity filled in, its runbook, and who gets the mail."""
    wanted = json.loads((FOLDER / "alerts.json").read_text())
    world = deployed("standard")
    made, (people,) = world.of("Microsoft.Insights/scheduledQueryRules"), world.of("Microsoft.Insights/actionGroups")

    assert [str(one.name).removeprefix("mvip-") for one in made] == [one["name"] for one in wanted]
    assert all("{principalId}" not in one.body["properties"]["criteria"]["allOf"][0]["query"] for one in made)
    assert all(one["runbook"] in rule.body["properties"]["description"] for one, rule in zip(wanted, made, strict=True))
    assert all(one.body["properties"]["actions"] == {"actionGroups": [people.id]} for one in made)
    assert [one["emailAddress"] for one in people.body["properties"]["emailReceivers"]] == CASES["standard"]["alertEmails"]


def test_second_controller_shares_the_first_one_s_table() -> None:
    """The second's `VIP_TABLE` is the first's table; there its identity has the table's role, and its writes are no alert."""
    assert rules.settings_of(deployed("second controller"))["VIP_TABLE"] == FIRST_TABLE
    first = deployed("fleet")
    given = first.of("Microsoft.Authorization/roleAssignments")
    roles = [one for one in given if one.parent_or_scope and one.parent_or_scope.type.endswith("tableServices/tables")]
    alert = next(one for one in first.of("Microsoft.Insights/scheduledQueryRules") if str(one.name).endswith("table-touched"))

    assert [one.body["properties"]["principalId"] for one in roles][1:] == [OTHER_WRITER]
    assert OTHER_WRITER in str(alert.body["properties"]["criteria"]["allOf"][0]["query"])


def test_what_must_not_be_deleted_is_locked() -> None:
    """The trail, the keys and the log; not where tests say otherwise, nor on a workspace of somebody else."""

    def locked(case: str) -> set[str]:
        found = [one.parent_or_scope for one in deployed(case).of("Microsoft.Authorization/locks")]
        return {str(one.name)[-5:] if "storage" in one.type.lower() else one.type for one in found if one}

    assert locked("standard") == {"audit", "Microsoft.KeyVault/vaults", "Microsoft.OperationalInsights/workspaces"}
    assert locked("rights apart") == {"audit", "Microsoft.KeyVault/vaults"}
    assert locked("lean") == set()


def test_private_zones_are_those_of_their_cloud() -> None:
    """Names by Microsoft's table of private DNS zones; one that is given is not made."""
    made = {
        case: {str(one.name) for one in deployed(case).of("Microsoft.Network/privateDnsZones")} for case in ("network", "usgov")
    }

    assert made["network"] == {
        "privatelink.blob.core.windows.net",
        "privatelink.table.core.windows.net",
        "privatelink.vaultcore.azure.net",
    }
    assert made["usgov"] == {
        "privatelink.blob.core.usgovcloudapi.net",
        "privatelink.table.core.usgovcloudapi.net",
        "privatelink.vaultcore.usgovcloudapi.net",
        "privatelink.azurewebsites.us",
    }


def test_private_endpoints_without_a_way_to_them_are_a_fault() -> None:
    """Storage and vault are closed then, and an app outside of the network would reach neither."""
    parameters = {name: value for name, value in CASES["network"].items() if name != "integrationSubnetId"}

    assert [fault for fault in rules.closed(evaluate(FOLDER / "main.bicep", parameters)) if "set integrationSubnetId" in fault]
    assert list(rules.closed(deployed("network"))) == []


def test_copies_in_another_region_are_the_trail_s_alone() -> None:
    """`auditSku` is the audit account's, so that no deployment sets it back; the host account stays as the plan is."""
    accounts = deployed("two regions").of("Microsoft.Storage/storageAccounts")

    assert {str(one.name).endswith("audit"): one.body["sku"]["name"] for one in accounts} == {
        True: "Standard_GZRS",
        False: "Standard_ZRS",
    }


def test_cases_cover_every_module() -> None:
    """No module of infra/modules stays out of the checks."""
    used = {str(one.where).partition(":")[0] for case in CASES for one in deployed(case).resources}

    assert used >= {path.name for path in (FOLDER / "modules").glob("*.bicep")}
