"""The steps of the published script with today's azure-mgmt-network, its sync client and its default poller.

`python -m bench.sdk_script BASE_URL CA_FILE SUBSCRIPTION OLD NEW ADDRESS PUBLIC_IP` moves the ip configuration `vip` from NIC
OLD to NIC NEW (resource group rg) and prints JSON: seconds of the imports, of the move in the process as started (token
included), and of a second move back and a third one there (`--again`), when the process is warm.
"""

import json
import sys
import time
from typing import Any


def main(words: list[str]) -> None:
    """Move, and print how long it took."""
    began = time.perf_counter()
    from azure.identity import ManagedIdentityCredential  # timed: the script pays for it at every start
    from azure.mgmt.network import NetworkManagementClient

    imported = time.perf_counter()
    again = "--again" in words
    base_url, ca_file, subscription, old, new, address, public_ip = [word for word in words if word != "--again"]
    client = NetworkManagementClient(
        ManagedIdentityCredential(),
        subscription,
        base_url=base_url,
        credential_scopes=["https://management.azure.com/.default"],
        connection_verify=ca_file,
    )
    public_ip_id = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Network/publicIPAddresses/{public_ip}"
    move(client, old, new, address, public_ip_id)
    moved = time.perf_counter()
    warm = []
    for source, target in ((new, old), (old, new)) * 3 if again else ():
        at = time.perf_counter()
        move(client, source, target, address, public_ip_id)
        warm.append(time.perf_counter() - at)
    print(json.dumps({"import_s": imported - began, "move_s": moved - imported, "warm_s": warm}))


def move(client: Any, old: str, new: str, address: str, public_ip_id: str) -> None:
    """Read, write back without the VIP, wait; read, write back with it, wait."""
    from azure.mgmt.network import models as network_models  # as above

    models: Any = network_models
    holder = client.network_interfaces.get("rg", old)
    holder.ip_configurations = [one for one in holder.ip_configurations if one.name != "vip"]
    client.network_interfaces.begin_create_or_update("rg", old, holder).result()
    claimant = client.network_interfaces.get("rg", new)
    claimant.ip_configurations.append(
        models.NetworkInterfaceIPConfiguration(
            name="vip",
            subnet=claimant.ip_configurations[0].subnet,
            primary=False,
            private_ip_allocation_method="Static",
            private_ip_address=address,
            public_ip_address=models.PublicIPAddress(id=public_ip_id),
        )
    )
    client.network_interfaces.begin_create_or_update("rg", new, claimant).result()


if __name__ == "__main__":
    main(sys.argv[1:])
