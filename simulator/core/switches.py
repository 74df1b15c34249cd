"""Switches: each selects one of Azure's known or possible behaviours. README.md lists them all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDINGS: Final = ("succeeded", "failed-kept", "failed-rolled-back", "canceled", "not-allowed", "gone")
VM_STATES: Final = ("running", "deallocated", "deleting", "zone-dead-a", "zone-dead-b", "zone-dead-c")
STRANGERS: Final = ("none", "bumps-etag", "changes-tag", "adds-config", "takes-address", "drops-config")

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "released_at": ("operation-end", "acceptance"),
    "second_put": ("supersede", "locked", "conflict"),
    "if_match": ("honoured", "ignored"),
    "unchanged_put": ("kept", "rewritten"),
    "retry_after": ("base-4", "flat-10", "base-10", "none"),
    "ao_url": ("long", "short"),
    "async_notification": ("always", "not-on-subnets", "never"),
    "subnet_config_ids": ("upper-case", "as-named"),
    "subnet_etag": ("own", "of-vnet"),
    "json": ("compact", "pretty"),
    "data_path": ("before-completion", "after-completion", "never"),
    "operation_end": ENDINGS,
    "throttling": ("off", "arm", "nrp", "both"),
    "stranger": STRANGERS,
    "move_ip_configurations": ("feature-missing", "version-unknown", "private", "all", "slow", "half-way"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A missing right. action, scope: a trailing * makes it a prefix. scope: a resource id. principal: '*' is everyone."""

    action: str
    scope: str = "*"
    principal: str = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role's actions, assigned on a scope: they hold on it and on all below it."""

    scope: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """All switches of the cloud (docs/facts/azure.md section 16). Seconds end in _s, probabilities (0 to 1) in _rate.

    Raises ValueError for an unknown choice, so that no test runs with a default instead of what it asked for.
    """

    released_at: str = "operation-end"  # when an address that a PUT dropped can be claimed by another NIC
    second_put: str = "supersede"  # a PUT to a NIC that is Updating: cancels the running one; 429 locked; 409 conflict
    if_match: str = "honoured"  # on NICs
    unchanged_put: str = "kept"  # a PUT that changes nothing: no operation and the old etag, or an operation and two new etags
    retry_after: str = "base-4"  # on accepted writes and InProgress polls
    sync_ao: bool = False  # an Azure-AsyncOperation header on synchronous PUTs too (until 2023)
    ao_url: str = "long"  # operation URLs of 3 to 4 kB with t, c, s, h (since 2024), or short ones
    json: str = "compact"  # or pretty with CRLF (until about 2023)
    front_door: bool = True  # headers of 2024 (x-cache, x-msedge-ref, global rates) or of 2019 (server)
    async_notification: str = "always"  # Azure-AsyncNotification: with every operation URL (since 2022), as in 2021, as in 2019
    headers_2026: bool = True  # x-ms-operation-identifier, x-ms-failure-cause of the provider, no ETag on a virtual network's GET
    subnet_etag: str = "own"  # an address taken or freed leaves it (2025), or gives it the virtual network's new etag (2019)
    subnet_config_ids: str = "upper-case"  # names in the ids of a subnet's ipConfigurations (since 2024), or as named

    latency: str = "modern"  # of a NIC operation on a running VM: modern, 2019, 2022 or fixed:SECONDS
    latency_of: Mapping[str, str] = field(default_factory=dict)  # NIC name -> latency, for slow zones
    latency_balancer_s: float = 1.0  # of a NIC without VM whose write is asynchronous: a pool, a new security group
    latency_pip_s: float = 1.0  # of a public IP PUT
    latency_vnet_s: float = 2.0  # of a virtual network or subnet PUT
    latency_delete_s: float = 8.0  # of every DELETE
    latency_slow_zone_s: float = 900.0  # vm state zone-dead-c
    latency_fabric_timeout_s: float = 300.0  # vm state zone-dead-b
    put_call_s: tuple[float, float] = (0.0, 0.0)  # the PUT call itself, uniform; recorded: (3, 10)
    read_call_s: tuple[float, float] = (0.0, 0.0)  # every other call

    data_path: str = "before-completion"
    data_path_s: float = 2.0  # delay after acceptance (before-completion; at most the whole operation) or after completion
    busy_after_completion_s: float = 0.0  # 429 ReferencedResourceNotProvisioned on NICs of the subnet after an operation
    operation_end: str = "succeeded"  # of every NIC operation on a VM or balancer
    operation_end_rate: float = 1.0  # probability of operation_end; otherwise succeeded

    lost_before_rate: float = 0.0  # the connection closes before the request takes effect
    lost_after_rate: float = 0.0  # the connection closes after the request took effect
    reset_rate: float = 0.0  # the connection is reset, half of the time after the request took effect
    error_500_rate: float = 0.0  # 500 with an empty body and no effect (polls too)
    error_503_rate: float = 0.0  # 503 with an empty body and no effect (polls too)
    late_rate: float = 0.0  # the answer comes late_s late
    late_s: float = 45.0

    throttling: str = "off"  # arm: buckets per subscription, principal and kind; nrp: Microsoft.Network's 5 minutes
    throttle_retry_after: bool = True  # whether a 429 of throttling carries Retry-After
    arm_reads: tuple[float, float] = (250.0, 25.0)  # bucket size, refill per second
    arm_writes: tuple[float, float] = (200.0, 10.0)
    arm_deletes: tuple[float, float] = (200.0, 10.0)
    arm_global_reads: tuple[float, float] = (16500.0, 375.0)  # the same for all principals of a subscription together
    arm_global_writes: tuple[float, float] = (12000.0, 150.0)
    arm_global_deletes: tuple[float, float] = (3000.0, 150.0)
    nrp_writes_per_5min: int = 1000
    nrp_reads_per_5min: int = 10000

    granted: tuple[str, ...] = ("*",)  # actions every principal holds everywhere, trailing * allowed
    grants: tuple[Grant, ...] = ()  # role assignments; where there is one, they alone are what every principal holds
    denied: tuple[Denial, ...] = ()
    token_expired: bool = False  # every token counts as expired
    token_lifetime_s: float = 86399.0

    stranger: str = "none"  # what another client writes after a GET of a NIC
    stranger_times: int = 1  # how often
    vm_state: Mapping[str, str] = field(default_factory=dict)  # VM name -> running, deallocated, deleting, zone-dead-a/b/c
    list_lag_s: float = 0.0  # how long a new NIC is missing from lists
    move_ip_configurations: str = "feature-missing"
    move_answer: int = 202  # or 200: complete at once
    history_max: int = 20000  # requests remembered

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"switch {name}: {getattr(self, name)!r} is none of {', '.join(choices)}")
        for vm, state in self.vm_state.items():
            if state not in VM_STATES:
                raise ValueError(f"switch vm_state: {state!r} of {vm} is none of {', '.join(VM_STATES)}")
        if self.move_answer not in (200, 202):
            raise ValueError(f"switch move_answer: {self.move_answer} is neither 200 nor 202")
        for name in RATES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"switch {name}: {getattr(self, name)} is not between 0 and 1")


RATES: Final = tuple(f.name for f in dataclasses.fields(Switches) if f.name.endswith("_rate"))


def switched(switches: Switches, changes: Mapping[str, Any]) -> Switches:
    """A copy of the switches with changes from JSON (lists become tuples). Raises ValueError for an unknown name or value."""
    fields = {f.name: f for f in dataclasses.fields(Switches)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in fields:
            raise ValueError(f"there is no switch {name!r}; simulator/README.md lists them")
        old = getattr(switches, name)
        if name == "grants":
            values[name] = tuple(Grant(scope=item["scope"], actions=tuple(item["actions"])) for item in value)
        elif name == "denied":
            values[name] = tuple(Denial(**item) if isinstance(item, dict) else item for item in value)
        elif isinstance(old, tuple):
            values[name] = tuple(value)
        elif isinstance(old, bool) != isinstance(value, bool) or (isinstance(old, str) and not isinstance(value, str)):
            raise ValueError(f"switch {name}: {value!r} is not a {type(old).__name__}")
        else:
            values[name] = value
    return dataclasses.replace(switches, **values)
