"""Rights: linked join actions, and roles with few actions."""

import pytest

from simulator.core.switches import Denial, Grant
from tests.simulator.client import NETWORK, NIC_A, PIP, SUBNET, Client, error_of


@pytest.mark.parametrize(
    ("action", "scope"),
    [
        ("Microsoft.Network/virtualNetworks/subnets/join/action", SUBNET),
        ("Microsoft.Network/publicIPAddresses/join/action", PIP),
        ("Microsoft.Network/networkSecurityGroups/join/action", f"{NETWORK}/networkSecurityGroups/nsg"),
    ],
)
def test_every_referenced_id_needs_its_join(action: str, scope: str) -> None:
    """A missing join right on any referenced id gives LinkedAuthorizationFailed, which names action and scope."""
    client = Client(denied=(Denial(action=action, scope=scope),))

    answer = client.attach()

    assert error_of(answer) == (403, "LinkedAuthorizationFailed")
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    message = answer.json()["error"]["message"]
    assert f"'{action}'" in message
    assert f"'{scope}'" in message
    shown = client.get(f"{scope}/providers/Microsoft.Authorization/permissions")["value"]
    assert shown[0]["notActions"] == [action]


def test_a_role_of_few_actions() -> None:
    """With `granted` only the actions of the role are allowed, and the permissions answer shows the role."""
    role = ("Microsoft.Network/networkInterfaces/read", "Microsoft.Authorization/*")
    client = Client(granted=role)

    assert client.ask("GET", NIC_A).status == 200
    assert error_of(client.ask("GET", PIP)) == (403, "AuthorizationFailed")
    assert client.get(f"{NIC_A}/providers/Microsoft.Authorization/permissions")["value"][0]["actions"] == list(role)


def test_an_assignment_holds_on_its_scope_and_below() -> None:
    """With `grants` an action holds where a role with it is assigned, on what lies below, and nowhere else."""
    nic = Grant(
        scope=NIC_A.upper(), actions=("Microsoft.Network/networkInterfaces/read", "Microsoft.Authorization/permissions/read")
    )
    net = Grant(scope=f"{NETWORK}/virtualNetworks/vnet", actions=("Microsoft.Network/virtualNetworks/subnets/read",))
    client = Client(grants=(nic, net))

    assert client.ask("GET", NIC_A).status == 200
    assert client.ask("GET", SUBNET).status == 200
    assert error_of(client.ask("GET", f"{NETWORK}/networkInterfaces/mirrorb280_z2")) == (403, "AuthorizationFailed")
    assert error_of(client.ask("GET", f"{NIC_A}2")) == (403, "AuthorizationFailed")
    shown = client.get(f"{NIC_A}/providers/Microsoft.Authorization/permissions")["value"]
    assert [entry["actions"] for entry in shown] == [list(nic.actions)]
