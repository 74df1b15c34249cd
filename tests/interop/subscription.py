"""What the sitting asks of Azure and the simulator has not: deployments, locks, roles, vaults, the app's resource and its keys.

It stands before the simulator, which answers the rest. A deployment is evaluated by `infra.check`; the resources of it that `az`
is asked about later are kept. `BICEP` stands for the compiler: it hands `az` the parameters' names and types, and our values.
"""

import contextlib
import json
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from infra.check import rules
from infra.check.evaluate import World, evaluate
from infra.check.values import Scope
from simulator.state.world import SUBSCRIPTION
from tests.interop.azurecli import ROOT

PRINCIPAL: Final = "00000000-0000-0000-0000-0000000000aa"
DEPLOYER: Final = "00000000-0000-0000-0000-0000000000dd"
SITE: Final = "Microsoft.Web/sites"
LOCK, ASSIGNMENT, VAULT = "Microsoft.Authorization/locks", "Microsoft.Authorization/roleAssignments", "Microsoft.KeyVault/vaults"
KEPT: Final = (LOCK, ASSIGNMENT, VAULT, SITE, "Microsoft.Web/serverfarms", "Microsoft.OperationalInsights/workspaces")
BICEP: Final = """#!{python}
import json, pathlib, re, sys
sys.path.insert(0, {root!r})
from infra.check.evaluate import evaluate

def template(path):
    text = path.read_text()
    scope = re.search(r"^targetScope = '(.+)'", text, re.M)[1]
    schema = {{"resourceGroup": "2019-04-01/deployment", "subscription": "2018-05-01/subscriptionDeployment"}}[scope]
    declared = {{
        name: {{"type": kind, **({{"defaultValue": None}} if default else {{}})}}
        for name, kind, default in re.findall(r"^param (\\w+) (\\w+)( =)?", text, re.M)
    }}
    return {{
        "$schema": f"https://schema.management.azure.com/schemas/{{schema}}Template.json#", "contentVersion": "1.0.0.0",
        "metadata": {{"source": path.name}}, "resources": [], "parameters": declared,
    }}

def values(path):
    lines = ["output " + line[6:].replace(" =", " object =", 1) if line.startswith("param ") else line
             for line in path.read_text().splitlines() if not line.startswith("using ")]
    turned = path.with_suffix(".bicep.tmp")
    turned.write_text("\\n".join(["targetScope = 'resourceGroup'", *lines]) + "\\n")
    world = evaluate(turned, {{}})
    turned.unlink()
    assert not world.faults, world.faults
    return {{"parameters": {{name: {{"value": value}} for name, value in world.outputs.items()}}}}

match sys.argv[1:]:
    case ["--version"]:
        print("Bicep CLI version 0.49.2 (0000000000)")
    case ["build", "--stdout", path] | ["build", path, "--stdout"]:
        print(json.dumps(template(pathlib.Path(path))))
    case ["build-params", path, "--bicep-file", source, "--stdout"]:
        print(json.dumps({{"templateJson": json.dumps(template(pathlib.Path(source))),
                           "parametersJson": json.dumps(values(pathlib.Path(path)))}}))
    case words:
        sys.exit(f"bicep: nobody plays {{words}}")
"""
Reply = tuple[int, Any]


@dataclass
class Subscription:
    """What was asked, and what is there."""

    simulator: str
    app_url: str
    on_publish: Callable[[World, dict[str, str]], None]
    """Starts the app, with the deployment that it is part of and the vault's secrets."""
    https_url: str = ""
    http_url: str = ""
    there: dict[str, Any] = field(default_factory=dict)
    """Id in lower case -> the resource."""
    secrets: dict[str, str] = field(default_factory=dict)
    deployed: dict[str, World] = field(default_factory=dict)
    """Name of a template -> its last deployment."""
    registered: list[str] = field(default_factory=list)
    role_name: str = ""
    """The role that the last request asked for by name."""
    unknown: list[str] = field(default_factory=list)
    """Requests that nobody could answer."""

    def answer(self, method: str, target: str, body: Any) -> Reply | None:
        """None: the simulator is asked."""
        path, _, query = unquote(target).replace("+", " ").partition("?")
        path = path.replace("//", "/")  # az writes the path of a lock's parent, which a vault has not
        self.role_name = (re.findall(r"roleName eq '(.+?)'", query) or [""])[0]
        for pattern, play in _PLAYED:
            if found := re.fullmatch(pattern, f"{method} {path}", re.IGNORECASE):
                return play(self, found, body)
        one = self.there.get(path.lower())
        kind = re.search(r"/providers/([\w.]+/\w+)(?:/[^/]+)?$", path)
        if kind and kind[1].lower() in map(str.lower, KEPT):
            if method == "PUT":
                self.keep(path, body)
                return 201, self.there[path.lower()]
            if method == "DELETE":
                return (200, self.there.pop(path.lower())) if one else (204, None)
            if one:
                return 200, one
            above = path.lower().rpartition("/providers/")[0]
            return 200, {"value": [self.there[key] for key in sorted(self.ids(kind[1])) if key.startswith(above)]}
        return None

    def keep(self, resource_id: str, body: Any) -> None:
        """A resource is there from now on."""
        kind = re.findall(r"/providers/([\w.]+/\w+)/[^/]+", resource_id)[-1]
        shown = {"id": resource_id, "name": resource_id.rsplit("/", 1)[1], "type": kind, **body}
        if kind == ASSIGNMENT:
            shown["properties"]["scope"] = resource_id.partition("/providers/Microsoft.Authorization/")[0]
        self.there[resource_id.lower()] = shown

    def deploy(self, scope: str, source: str, parameters: dict[str, Any]) -> Reply:
        """Evaluate it, and keep of it what is asked about later."""
        known = {name: one["value"] for name, one in parameters.items()}
        scope = re.sub("/resourcegroups/", "/resourceGroups/", scope, flags=re.IGNORECASE)
        at = Scope("resourceGroup" if "/resourceGroups/" in scope else "subscription", scope)
        world = evaluate(ROOT / "infra" / source, known, scope=at)
        faults = world.faults or ([] if source != "main.bicep" else list(rules.check(world)))
        if faults:
            return 400, {"error": {"code": "InvalidTemplate", "message": "\n".join(faults)}}
        self.deployed[source] = world
        for kind in KEPT:
            for one in world.of(kind):
                made = json.dumps(_of(one.body), default=lambda late: f"<{late.why}>")
                self.keep(str(one.id), json.loads(re.sub(r'"<[^"]*principalId>"', f'"{PRINCIPAL}"', made)))
        return 200, None

    def ids(self, kind: str) -> set[str]:
        """Of what is there of a kind, in lower case."""
        return {key for key, one in self.there.items() if one["type"].lower() == kind.lower()}

    def outputs(self, world: World) -> dict[str, str]:
        """Of main.bicep, with what Azure would know by then."""
        (site,), (workspace,) = world.of(SITE), world.of("Microsoft.OperationalInsights/workspaces")
        known = {
            "AZURE_FUNCTION_NAME": site.name,
            "MIRROR_VIP_URL": self.app_url,
            "MIRROR_VIP_SITE_ID": site.id,
            "MIRROR_VIP_PRINCIPAL_ID": PRINCIPAL,
            "MIRROR_VIP_VAULT": f"{self.http_url}/",
            "MIRROR_VIP_TABLE_URL": "https://account.table.core.windows.net",
            "MIRROR_VIP_WORKSPACE_ID": str(workspace.id),
        }
        return {name: known[name] for name in world.outputs}


def _of(body: dict[str, Any]) -> dict[str, Any]:
    """Without the names that are in the id."""
    return {name: value for name, value in body.items() if name not in ("name", "parent", "scope")}


def _deployment(azure: Subscription, found: re.Match[str], body: Any) -> Reply:
    scope, name, action = found["scope"], found["name"], (found["action"] or "").lower()
    if found["method"] == "GET":
        shown = azure.there.get(f"{scope}/{name}".lower())
        return (200, shown) if shown else (404, {"error": {"code": "DeploymentNotFound", "message": name}})
    properties = body["properties"]
    source, parameters = properties["template"]["metadata"]["source"], properties.get("parameters", {})
    status, fault = azure.deploy(scope, source, parameters)
    if fault is not None or action == "whatif":
        return status, fault or {"status": "Succeeded", "properties": {"changes": []}}
    outputs = azure.outputs(azure.deployed[source]) if source == "main.bicep" else {}
    shown = {
        "id": f"{scope}/providers/Microsoft.Resources/deployments/{name}",
        "name": name,
        "type": "Microsoft.Resources/deployments",
        "properties": {
            "provisioningState": "Succeeded",
            "timestamp": "2026-11-29T00:00:00Z",
            "parameters": parameters,
            "outputs": {key: {"type": "String", "value": value} for key, value in outputs.items()},
        },
    }
    if not action:
        azure.there[f"{scope}/{name}".lower()] = shown
    return 200, shown


def _endpoints(azure: Subscription, _: re.Match[str], __: Any) -> Reply:
    with urllib.request.urlopen(f"{azure.simulator}/metadata/endpoints?api-version=2022-09-01", timeout=10) as answer:
        return 200, json.loads(answer.read().decode().replace(azure.simulator, azure.https_url))


def _secret(azure: Subscription, found: re.Match[str], body: Any) -> Reply:
    name = found["name"]
    if found["method"] == "PUT":
        azure.secrets[name] = body["value"]
    return (200, {"value": azure.secrets[name]}) if name in azure.secrets else (404, {"error": {"message": "SecretNotFound"}})


def _publish(azure: Subscription, _: re.Match[str], __: Any) -> Reply:
    azure.on_publish(azure.deployed["main.bicep"], azure.secrets)
    return 202, "deployment-1"


def _site(azure: Subscription, found: re.Match[str], body: Any) -> Reply:
    shown = azure.there[found["id"].lower()]
    if found["method"] == "PUT":
        shown["properties"] = body["properties"]
    host = f"{azure.http_url}#.scm."  # the way out that infra/deploy.py has for tests
    return 200, {**shown, "properties": {**shown["properties"], "enabledHostNames": ["func.azurewebsites.net", host]}}


def _references(azure: Subscription, _: re.Match[str], __: Any) -> Reply:
    settings = rules.settings_of(azure.deployed["main.bicep"])
    states = {
        name: {"status": "Resolved" if secret_of(value) in azure.secrets else "SecretNotFound"}
        for name, value in settings.items()
        if secret_of(value)
    }
    return 200, {"properties": {"keyToReferenceStatuses": states}}


def secret_of(value: Any) -> str:
    """The name of the secret that a setting refers to; empty for any other setting."""
    found = re.search(r"/?secrets/([\w-]+)\)$", str(value)) if str(value).startswith("@Microsoft.KeyVault(") else None
    return found[1] if found else ""


def _group_gone(azure: Subscription, found: re.Match[str], _: Any) -> Reply:
    azure.there = {key: one for key, one in azure.there.items() if not key.startswith(found["id"].lower())}
    return 200, None


def _registered(azure: Subscription, found: re.Match[str], _: Any) -> Reply:
    azure.registered.append(found["name"])
    return 200, {"id": found[0], "namespace": found["name"], "registrationState": "Registered", "resourceTypes": []}


def _definitions(azure: Subscription, _: re.Match[str], __: Any) -> Reply:
    ours = [one for world in azure.deployed.values() for one in world.of("Microsoft.Authorization/roleDefinitions")]
    named = {**rules.BUILT_IN, **{str(one.name): one.body["properties"]["roleName"] for one in ours}}
    base = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    return 200, {
        "value": [
            {"id": f"{base}/{key}", "name": key, "properties": {"roleName": name, "type": "BuiltInRole", "permissions": []}}
            for key, name in named.items()
            if name.lower() == (azure.role_name or name).lower()
        ]
    }


_SUB: Final = r"/subscriptions/[^/]+"
_ARM_SITE: Final = rf"(?P<id>{_SUB}/resourceGroups/[^/]+/providers/Microsoft.Web/sites/[^/]+)"
_DEPLOYMENT: Final = (
    rf"(?P<scope>{_SUB}(/resourceGroups/[^/]+)?)/providers/Microsoft\.Resources/deployments/(?P<name>[^/]+)"
    r"(/(?P<action>validate|whatIf))?"
)
_PLAYED: Final[tuple[tuple[str, Callable[[Subscription, re.Match[str], Any], Reply]], ...]] = (
    (r"GET /metadata/endpoints", _endpoints),
    (r"(?P<method>GET|PUT) /secrets/(?P<name>[\w-]+)", _secret),
    (r"POST /api/publish", _publish),
    (r"GET /api/deployments/deployment-1", lambda *_: (200, {"status": 4})),
    (r"GET /v1\.0/me", lambda *_: (200, {"id": DEPLOYER})),
    (r"GET /v1\.0/(users|groups|servicePrincipals)", lambda *_: (200, {"value": []})),
    (r"POST /v1\.0/directoryObjects/getByIds", lambda *_: (200, {"value": []})),
    (rf"GET {_SUB}/locations", lambda *_: (200, {"value": [{"name": "westeurope", "metadata": {"regionType": "Physical"}}]})),
    (
        rf"GET {_SUB}/providers/Microsoft\.Web/geoRegions",
        lambda *_: (
            200,
            {"value": [{"name": "West Europe", "properties": {"name": "West Europe", "orgDomain": "FCZONEREDUNDANCY"}}]},
        ),
    ),
    (rf"POST {_SUB}/providers/(?P<name>Microsoft\.\w+)/register", _registered),
    (rf"(?P<method>GET|PUT|POST) {_DEPLOYMENT}", _deployment),
    (rf"(?P<method>GET|PUT) {_ARM_SITE}", _site),
    (rf"POST {_ARM_SITE}/host/default/listkeys", lambda *_: (200, {"functionKeys": {"default": "host-key"}})),
    (rf"GET {_ARM_SITE}/config/configreferences/appsettings", _references),
    (rf"POST {_ARM_SITE}/config/configreferences/appsettings/refresh", _references),
    (r"GET .*/providers/Microsoft\.Authorization/roleDefinitions", _definitions),
    (rf"DELETE (?P<id>{_SUB}/resourceGroups/[^/]+)", _group_gone),
)
"""`method path` as a pattern -> who plays it."""


def _handler(azure: Subscription) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answered(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            is_json = "json" in (self.headers.get("content-type") or "")
            text = (data.decode() if is_json else "").replace(
                ", template:{", ', "template":{', 1
            )  # az sends a template as JSON with comments
            found = azure.answer(self.command, self.path, json.loads(text) if is_json and text else None)
            if found is None:
                self._forward(data)
            else:
                self._send(found[0], b"" if found[1] is None else json.dumps(found[1]).encode(), {})

        def _forward(self, data: bytes) -> None:
            sent = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "content-length", "connection")
            }
            request = urllib.request.Request(f"{azure.simulator}{self.path}", data or None, sent, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    status, body, headers = answer.status, answer.read(), dict(answer.headers)
            except urllib.error.HTTPError as refused:
                status, body, headers = refused.code, refused.read(), dict(refused.headers)
                azure.unknown.append(f"{self.command} {self.path}: {status}")
            self._send(status, body, {k: v for k, v in headers.items() if k.lower() in ("etag", "retry-after")})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-type": "application/json", "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answered  # noqa: N815  # names of the standard library

        def log_message(self, *_: Any) -> None:
            return

    return Handler


@contextlib.contextmanager
def running(azure: Subscription, tls: Path) -> Iterator[Subscription]:
    """Over https for `az`, with the simulator's certificate, and over http for the vault and the deployment service."""
    with contextlib.ExitStack() as stack:
        for secure in (True, False):
            server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(azure))
            if secure:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(tls / "srv.pem", tls / "srv.key")
                server.socket = context.wrap_socket(server.socket, server_side=True)
                azure.https_url = f"https://localhost:{server.server_address[1]}"
            else:
                azure.http_url = f"http://127.0.0.1:{server.server_address[1]}"
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield azure
