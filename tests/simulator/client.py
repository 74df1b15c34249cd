"""A client without sockets for tests: one cloud, one clock moved by hand, one principal."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator import worlds
from simulator.cloud import Cloud
from simulator.core.faults import Fault, Match, Script
from simulator.core.switches import Switches
from simulator.core.wire import Request, Response
from simulator.front.front import handle
from simulator.state.clock import HandClock
from simulator.state.world import SUBSCRIPTION, World

VERSION = "2024-05-01"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
NIC_A = f"{NETWORK}/networkInterfaces/mirrora290_z1"
NIC_B = f"{NETWORK}/networkInterfaces/mirrorb280_z2"
PIP = f"{NETWORK}/publicIPAddresses/my_vip_ip"
VNET = f"{NETWORK}/virtualNetworks/vnet"
SUBNET = f"{VNET}/subnets/default"
NSG = f"{NETWORK}/networkSecurityGroups/nsg"
TOKEN = "/msi/token?api-version=2019-08-01&resource=https://management.azure.com/"


class Client:
    """Requests to one cloud. By default NIC operations take 10 s and operation URLs are short."""

    def __init__(self, *, seed: int = 1, world: World | None = None, **switches: Any) -> None:
        self.clock = HandClock()
        chosen = Switches(**{"latency": "fixed:10", "ao_url": "short", **switches})
        self.cloud = Cloud(world or worlds.default(), seed=seed, now=self.clock, switches=chosen)

    def switch(self, **changes: Any) -> None:
        self.cloud.switches = replace(self.cloud.switches, **changes)

    def script(self, match: Match | None = None, *, fault: Fault, times: int = 1, skip: int = 0) -> Script:
        return self.cloud.script(match, fault=fault, times=times, skip=skip)

    def ask(self, method: str, target: str, body: Any = None, /, **headers: str) -> Response:
        """One request with a valid token. Adds the api-version if the target has none."""
        if "api-version" not in target:
            target += ("&" if "?" in target else "?") + f"api-version={VERSION}"
        sent = {"authorization": self.cloud.bearer(), "host": "127.0.0.1:18080"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        data = b"" if body is None else json.dumps(body).encode()
        return handle(self.cloud, Request(method, target, sent, data, "http"))

    def get(self, target: str) -> Any:
        answer = self.ask("GET", target)
        assert answer.status == 200, answer.body
        return answer.json()

    def poll(self, answer: Response) -> Response:
        """Poll once the operation that the answer announced."""
        url = answer.headers["azure-asyncoperation"]
        return self.ask("GET", url.removeprefix("http://127.0.0.1:18080"))

    def detach(self, **headers: str) -> Response:
        """PUT NIC A without its VIP."""
        nic = self.get(NIC_A)
        nic["properties"]["ipConfigurations"] = [c for c in configs(nic) if c["name"] != "vip"]
        return self.ask("PUT", NIC_A, nic, **headers)

    def attach(self, **headers: str) -> Response:
        """PUT NIC B with the VIP."""
        nic = self.get(NIC_B)
        configs(nic).append(vip())
        return self.ask("PUT", NIC_B, nic, **headers)

    def nic(self, name: str, *more: Mapping[str, Any], **members: Any) -> Response:
        """PUT a NIC of this name with one dynamic ip configuration and these ones."""
        first = {"name": "ipconfig1", "properties": {"subnet": {"id": SUBNET}, "primary": True}}
        properties = {"ipConfigurations": [first, *more], **members.pop("properties", {})}
        body = {"location": "eastus", "properties": properties, **members}
        return self.ask("PUT", f"{NETWORK}/networkInterfaces/{name}", body)


def ask_token(client: Client, target: str = TOKEN, **headers: str) -> Response:
    """GET the managed identity endpoint, with the correct identity header unless other headers are given."""
    sent = headers or {"x-identity-header": client.cloud.identity_header}
    return handle(client.cloud, Request("GET", target, sent))


def page(client: Client, member: str) -> Response:
    """GET a member's status page."""
    return handle(client.cloud, Request("GET", f"/pages/{member}/csp/bin/mirror_status.cxw"))


def configs(nic: Any) -> list[Any]:
    """The ip configurations of a NIC's document."""
    found: list[Any] = nic["properties"]["ipConfigurations"]
    return found


def vip(address: str = "10.0.0.254", pip: str = PIP, name: str = "vip", **properties: Any) -> dict[str, Any]:
    """The VIP's ip configuration as a client sends it."""
    content: dict[str, Any] = {
        "privateIPAddress": address,
        "privateIPAllocationMethod": "Static",
        "subnet": {"id": SUBNET},
        **properties,
    }
    if pip:
        content["publicIPAddress"] = {"id": pip}
    return {"name": name, "properties": content}


def error_of(answer: Response) -> tuple[int, str]:
    """The status and the code of an error, followed by a colon and the code of its detail, if any."""
    error = answer.json()["error"]
    inner = [detail["code"] for detail in error.get("details", [])]
    return answer.status, ":".join([error["code"], *inner])
