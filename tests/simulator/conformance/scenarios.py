"""The simulated cloud for each tape, and the accepted differences with their reasons."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from simulator.cloud import Cloud
from simulator.core.model import Vm
from simulator.core.switches import Switches
from simulator.state.world import World, WorldPlain
from tests.simulator.conformance import worlds
from tests.simulator.conformance.matching import Difference
from tests.simulator.conformance.tapes import load

# Headers of the connection: the server or the recorder's proxy sets them.
_CONNECTION: Final = {
    "connection": "says whether the connection stays open",
    "content-length": "follows from the body, and recorders that redact do not adjust it",
    "transfer-encoding": "how the connection carried the body",
    "vary": "set by http.sys where it was willing to compress; comes and goes within one recording",
    "keep-alive": "of the connection",
}
_KIT_ONLY: Final = dict.fromkeys(
    (
        "retry-after",
        "x-ms-request-id",
        "x-ms-correlation-request-id",
        "x-ms-routing-request-id",
        "x-ms-ratelimit-remaining-subscription-reads",
        "x-ms-client-request-id",
    ),
    "stripped by the recorder of azure-cli and azure-sdk-for-python (azure_devtools FILTER_HEADERS)",
)
_ASO_ONLY: Final = dict.fromkeys(
    (
        "date",
        "x-ms-request-id",
        "x-ms-correlation-request-id",
        "x-ms-routing-request-id",
        "x-ms-arm-service-request-id",
        "x-ms-ratelimit-remaining-subscription-reads",
        "x-ms-ratelimit-remaining-subscription-writes",
        "x-ms-ratelimit-remaining-subscription-deletes",
        "x-ms-ratelimit-remaining-subscription-global-reads",
        "x-ms-ratelimit-remaining-subscription-global-writes",
        "x-ms-ratelimit-remaining-subscription-global-deletes",
    ),
    "stripped by the recorder of azure-service-operator",
)
# Headers that cannot be compared, with the reason.
KIT_HEADERS: Final = _CONNECTION | _KIT_ONLY
ASO_HEADERS: Final = _CONNECTION | _ASO_ONLY

# Azure's behaviour in the year of the traffic.
_2024: Final = Switches(latency_vnet_s=5.0, latency_pip_s=0.5, latency_balancer_s=0.0, headers_2026=False)
_2021: Final = replace(
    _2024,
    sync_ao=True,
    ao_url="short",
    json="pretty",
    front_door=False,
    async_notification="not-on-subnets",
    subnet_config_ids="as-named",
    retry_after="base-10",
    latency_vnet_s=2.5,
)
_2019: Final = replace(_2021, retry_after="flat-10", async_notification="never", subnet_etag="of-vnet")
_ASO: Final = replace(_2024, front_door=False, json="pretty", ao_url="short")


@dataclass(frozen=True, slots=True)
class Allowance:
    """An accepted difference: where (a regular expression over `no WHERE`) and why."""

    where: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Whether it allows this difference."""
        return re.fullmatch(self.where, f"{difference.no} {difference.where}") is not None


@dataclass(frozen=True, slots=True)
class Scenario:
    """The cloud of a tape. before: what happens in the cloud before the exchange of that number, outside the tape.

    seconds: the times of exchanges without a recorded date, from the start of the tape.
    """

    world: World
    switches: Switches
    ignored_headers: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[int, Callable[[Cloud], None]] = field(default_factory=dict)
    seconds: Mapping[int, float] = field(default_factory=dict)
    allowances: tuple[Allowance, ...] = ()


def _latency(seconds: float) -> Callable[[Cloud], None]:
    def change(cloud: Cloud) -> None:
        cloud.switches = replace(cloud.switches, latency=f"fixed:{seconds}")

    return change


def _vnet_latency(seconds: float) -> Callable[[Cloud], None]:
    def change(cloud: Cloud) -> None:
        cloud.switches = replace(cloud.switches, latency_vnet_s=seconds)

    return change


def _bump(nic_name: str) -> Callable[[Cloud], None]:
    """A change in a load balancer's rules gives the NIC a new etag."""
    return lambda cloud: cloud.stranger(cloud.nic_named(nic_name), "bumps-etag")


def _attach(nic_name: str, vm_name: str) -> Callable[[Cloud], None]:
    """Attaching the NIC to a VM gives it a MAC address and a new etag."""

    def change(cloud: Cloud) -> None:
        nic = cloud.nic_named(nic_name)
        vm_id = nic.id.replace("Microsoft.Network/networkInterfaces", "Microsoft.Compute/virtualMachines")
        vm_id = f"{vm_id.rpartition('/')[0]}/{vm_name}"
        nic.vm = cloud.vms[vm_id.lower()] = Vm(vm_id, vm_id.lower(), vm_name, cloud.world.location)
        nic.etag = cloud.ids.etag()
        cloud.record(nic, "vm")

    return change


def _empty(location: str, tape: str, *, others: tuple[WorldPlain, ...] = ()) -> World:
    """A world with the tape's resource groups only."""
    targets = (step.target for step in load(tape).steps)
    groups = {found[1] for target in targets if (found := re.search(r"/resourceGroups/([^/?]+)", target))}
    return World(location=location, groups=tuple(sorted(groups)), others=others)


def _on_vm() -> World:
    tape = load("cli-2020-nic-on-vm")
    return worlds.around(
        (tape.step(36).answer, tape.step(42).answer),
        location="westus",
        others=(WorldPlain(type="Microsoft.Network/loadBalancers", name="lb1", group="cli_test_vm_lb_integration000001"),),
    )


_BALANCER: Final = WorldPlain(
    type="Microsoft.Network/loadBalancers",
    name="lb1",
    group="cli_test_nic_subresource000001",
    document={"sku": {"name": "Standard"}},
)


def scenarios() -> dict[str, Scenario]:
    """The scenario of every replayed tape, by name."""
    kit, aso = KIT_HEADERS, ASO_HEADERS
    return {
        "cli-2024-ip-config": Scenario(_empty("westus", "cli-2024-ip-config", others=(_BALANCER,)), _2024, kit),
        "cli-2024-several-configs": Scenario(_empty("westus", "cli-2024-several-configs"), _2024, kit),
        "cli-2020-nic-on-vm": Scenario(
            _on_vm(),
            replace(_2021, latency="fixed:40", async_notification="never"),
            kit,
            before={52: _bump("vm1VMNic")},
        ),
        "dotnet-2019-attach-detach": Scenario(
            _empty("eastus", "dotnet-2019-attach-detach"),
            _2019,
            _CONNECTION,
            before={13: _attach("nicvm94241e09964011", "vm94241"), 10: _latency(45), 11: _latency(55)},
            allowances=(
                Allowance(
                    "29 body/properties/ipAddress",
                    "the second dynamic public IP on one configuration got the address of the first;"
                    " how Azure chooses public addresses is not simulated",
                ),
            ),
        ),
        "dotnet-2019-create-update-delete": Scenario(
            _empty("eastus", "dotnet-2019-create-update-delete"),
            _2019,
            _CONNECTION,
            allowances=(
                Allowance(
                    "14 header retry-after",
                    "another recording of that month has Retry-After 10 on a NIC's DELETE, this one has none",
                ),
            ),
        ),
        "aso-2024-public-ip": Scenario(
            _empty("westus2", "aso-2024-public-ip"),
            _ASO,
            aso,
            seconds={3: 1, 7: 6, 11: 10, 12: 30},
        ),
        "aso-2024-no-group": Scenario(World(location="westus2", groups=()), _ASO, aso),
        "sdk-2021-base": Scenario(_empty("eastus", "sdk-2021-base"), _2021, kit),
        "sdk-2021-nic": Scenario(
            _empty("westus", "sdk-2021-nic"), replace(_2021, latency_vnet_s=20.0), kit, before={5: _vnet_latency(2.5)}
        ),
        "sdk-2021-public-ip": Scenario(_empty("westus", "sdk-2021-public-ip"), _2021, kit),
        "sdk-2021-subnets": Scenario(_empty("westus", "sdk-2021-subnets"), _2021, kit),
        "sdk-2020-nic": Scenario(_empty("westus", "sdk-2020-nic"), _2021, kit),
        "sdk-2020-public-ip": Scenario(_empty("westus", "sdk-2020-public-ip"), _2021, kit),
        "sdk-2020-subnets": Scenario(_empty("westus", "sdk-2020-subnets"), _2021, kit),
    }
