"""Requests outside Microsoft.Network: endpoints, subscriptions, resource groups, permissions, VMs and other resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.access import rights
from simulator.core.errors import Refused
from simulator.core.ids import ref
from simulator.core.model import Plain
from simulator.core.wire import Json, Request, Response, encode
from simulator.network.documents import as_object
from simulator.network.operations import vm_state
from simulator.request.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.core.model import Group
    from simulator.request.visit import Visit
    from simulator.state.state import State


def endpoints(request: Request) -> Response:
    """/metadata/endpoints, which `az cloud register` calls without a token (docs/facts/testing.md section 2)."""
    base = request.base_url
    login: Json = {
        "loginEndpoint": f"{base}/",
        "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
        "tenant": "common",
        "identityProvider": "AAD",
    }
    body: Json = {"name": "SimulatedCloud", "portal": base, "authentication": login, "resourceManager": base}
    for name in ("graph", "gallery", "media", "batch", "sqlManagement", "galleryEndpoint", "graphEndpoint"):
        body[name] = base
    body["microsoftGraphResourceId"] = f"{base}/"
    body["activeDirectoryDataLake"] = base
    body["suffixes"] = {
        "storage": "core.windows.net",
        "keyVaultDns": "vault.azure.net",
        "acrLoginServer": "azurecr.io",
        "sqlServerHostname": "database.windows.net",
    }
    return Response(200, {"content-type": "application/json; charset=utf-8"}, encode(body, "compact"))


def _shown_subscription(state: State, subscription: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "displayName": "simulator",
        "tenantId": state.world.tenant,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    }


def _subscriptions(visit: Visit) -> Reply:
    visit.only("GET")
    shown = [_shown_subscription(visit.state, s) for s in visit.state.world.subscriptions]
    return Reply(200, {"value": shown, "count": {"type": "Total", "value": len(shown)}}, nrp=False)


def _subscription(visit: Visit) -> Reply:
    visit.only("GET")
    visit.allow("Microsoft.Resources/subscriptions/read")
    return Reply(200, _shown_subscription(visit.state, visit.route.subscription), nrp=False)


def _shown_group(group: Group) -> Json:
    shown: Json = {
        "id": f"/subscriptions/{group.subscription}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "properties": {"provisioningState": "Succeeded"},
    }
    return {**shown, "tags": group.tags} if group.tags else shown


def _group(visit: Visit) -> Reply:
    visit.only("GET", "HEAD", "PUT")
    state, where = visit.state, visit.route
    key = (where.subscription.lower(), where.group.lower())
    if visit.request.method == "PUT":
        visit.allow("Microsoft.Resources/subscriptions/resourceGroups/write")
        body = visit.body()
        tags, location = as_object(body.get("tags"), "tags"), body.get("location")
        visit.strike()
        created = key not in state.resources.groups
        group = state.resources.add_group(where.subscription, where.group, state.world.location)
        group.location, group.tags = str(location or group.location), dict(tags)
        return Reply(201 if created else 200, _shown_group(group), nrp=False)
    visit.allow("Microsoft.Resources/subscriptions/resourceGroups/read")
    visit.require_group()
    if visit.request.method == "HEAD":
        return Reply(204, nrp=False)
    return Reply(200, _shown_group(state.resources.groups[key]), nrp=False)


def _groups(visit: Visit) -> Reply:
    visit.only("GET")
    own = visit.route.subscription.lower()
    shown = [_shown_group(group) for (sub, _), group in visit.state.resources.groups.items() if sub == own]
    return Reply(200, {"value": shown}, nrp=False)


def _permissions(visit: Visit) -> Reply:
    visit.only("GET")
    if visit.route.group:
        visit.require_group()
    visit.allow("Microsoft.Authorization/permissions/read")
    return Reply(200, rights.permissions(visit.state, visit.who, visit.route.id), nrp=False)


def _provider(visit: Visit) -> Reply:
    visit.only("GET")
    name = visit.route.name
    shown: Json = {"id": f"/subscriptions/{visit.route.subscription}/providers/{name}", "namespace": name}
    return Reply(200, {**shown, "resourceTypes": [], "registrationState": "Registered"}, nrp=False)


def _vm(visit: Visit) -> Reply:
    visit.only("GET")
    visit.allow("Microsoft.Compute/virtualMachines/read")
    visit.require_group()
    vm = visit.state.resources.vms.get(visit.route.id.lower())
    if vm is None:
        raise Refused("ResourceNotFound")
    owned = [{"id": nic.id} for nic in visit.state.resources.nics.values() if nic.vm is vm]
    machine = vm_state(visit.state, vm)
    properties: Json = {
        "provisioningState": "Deleting" if machine == "deleting" else "Succeeded",
        "networkProfile": {"networkInterfaces": owned},
    }
    if visit.query.get("$expand") == "instanceView":
        power = "deallocated" if machine == "deallocated" else "running"
        properties["instanceView"] = {"statuses": [{"code": f"PowerState/{power}", "level": "Info"}]}
    shown: Json = {"name": vm.name, "id": vm.id, "type": "Microsoft.Compute/virtualMachines", "location": vm.location}
    if vm.zone:
        shown["zones"] = [vm.zone]
    return Reply(200, {**shown, "properties": properties}, nrp=False)


_TOP: Final = frozenset({"name", "id", "etag", "type"})


def _shown_plain(one: Plain) -> Json:
    shown: Json = {"name": one.name, "id": one.id, "etag": one.etag, "type": one.type, **one.doc}
    return {**shown, "properties": {"provisioningState": one.state, **one.doc.get("properties", {})}}


def _plain(visit: Visit) -> Reply:
    """Any other resource: PUT stores the document at once, without checks."""
    visit.only("GET", "HEAD", "PUT", "DELETE")
    state, where = visit.state, visit.route
    verb = {"PUT": "write", "DELETE": "delete"}.get(visit.request.method, "read")
    visit.allow(f"{where.type}/{verb}")
    visit.require_group()
    found = state.resources.plain.get(where.id.lower())
    if verb == "write":
        body = visit.body()
        properties = as_object(body.get("properties"), "properties")
        visit.strike()
        document: dict[str, Any] = {k: v for k, v in body.items() if k not in _TOP}
        document["properties"] = {k: v for k, v in properties.items() if k != "provisioningState"}
        own = ref(where.id, where.name, where.subscription, where.group)
        one = Plain(own, state.ids.etag(), "Succeeded", where.type, document)
        state.resources.plain[one.key] = one
        return Reply(200 if found else 201, _shown_plain(one))
    if found is None:
        if verb == "delete":
            return Reply(204)
        raise Refused("ResourceNotFound")
    if verb == "delete":
        visit.strike()
        del state.resources.plain[found.key]
        return Reply(200)
    return Reply(200, _shown_plain(found), etag=found.etag)


def _plains(visit: Visit) -> Reply:
    visit.only("GET")
    where = visit.route
    shown = [
        _shown_plain(one)
        for one in visit.state.resources.plain.values()
        if one.type.lower() == where.type.lower() and one.subscription == where.subscription
        if not where.group or one.group.lower() == where.group.lower()
    ]
    return Reply(200, {"value": shown})


HANDLERS: Final[dict[str, Callable[[Visit], Reply]]] = {
    "subscriptions": _subscriptions,
    "subscription": _subscription,
    "group": _group,
    "groups": _groups,
    "permissions": _permissions,
    "provider": _provider,
    "vm": _vm,
    "plain": _plain,
    "plains": _plains,
}
